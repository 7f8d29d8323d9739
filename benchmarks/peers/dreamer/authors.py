"""The side of the authors' own package, `dreamerv3` 1.5.0 of 2023: its ``Agent.train``, jitted.

It is JAX, too, and runs here on the same version of it. Its sizes are those of the same networks
as far as it has them: 64 units, three layers, 32 latents of 4 classes. It has no block-diagonal
GRU; with 304 units in its dense one it has 629,653 parameters where ours has 637,381. Its
``Agent.train`` is called as its ``JAXAgent`` calls it, less the transfers between host and device,
whose older interface no longer exists.
"""

# The peers are installed in an environment of their own.
# mypy: disable-error-code="import-not-found"
from collections.abc import Callable, Mapping
from typing import Any

import dreamerv3
import embodied
import jax
import jax.numpy as jnp
import numpy as np
from dreamerv3 import jaxutils
from dreamerv3 import ninjax as nj

PACKAGES = ("dreamerv3", "jax", "jaxlib", "optax")

Inputs = Mapping[str, np.ndarray]

_SIZES = {
    "rssm.deter": 304,
    "rssm.classes": 4,
    r".*\.units": 64,
    r".*\.layers": 3,
    r".*\.mlp_units": 64,
    r".*\.mlp_layers": 3,
    r".*\.cnn_keys": "$^",
}


def update(inputs: Inputs) -> tuple[Callable[[], Any], Callable[[Any], dict[str, np.ndarray]]]:
    """World model, critic and policy improved once, from a fixed batch of sequences."""
    config = embodied.Config(dreamerv3.configs["defaults"]).update(_SIZES)
    config = config.update({"imag_horizon": int(inputs["horizon"])})
    jaxutils.COMPUTE_DTYPE = jnp.float32
    data = _data(inputs)
    agent = dreamerv3.Agent.inner(
        _observations(inputs), _actions(inputs), embodied.Counter(), config, name="agent"
    )
    start = nj.jit(nj.pure(lambda rows: agent.train_initial(len(rows))))
    step = nj.jit(nj.pure(agent.train))
    batch, length = inputs["reward"].shape
    keys = iter(range(10**9))
    state, learned = start({}, jax.random.PRNGKey(0), data["is_first"])

    def run() -> Any:
        nonlocal learned
        (_, _, told), learned = step(learned, jax.random.PRNGKey(next(keys)), data, state)
        return jax.block_until_ready(told)

    def result(told: Any) -> dict[str, np.ndarray]:
        if not np.isfinite(told["model_loss_mean"]):
            raise ValueError("a loss is not finite")
        return {"time steps": np.asarray(batch * (length - 1))}

    return run, result


def _observations(inputs: Inputs) -> dict[str, Any]:
    spaces = {"state": embodied.Space(np.float32, inputs["observation"].shape[-1:])}
    spaces["reward"] = embodied.Space(np.float32)
    for name in "is_first", "is_last", "is_terminal":
        spaces[name] = embodied.Space(bool)
    return spaces


def _actions(inputs: Inputs) -> dict[str, Any]:
    space = embodied.Space(np.float32, inputs["action"].shape[-1:], -1, 1)
    space._discrete = bool(inputs["discrete"])  # As its wrapper of one-hot actions does.
    return {"action": space, "reset": embodied.Space(bool)}


def _data(inputs: Inputs) -> dict[str, Any]:
    """The batch; no episode ends in it."""
    names = {"observation": "state", "action": "action", "reward": "reward", "is_first": "is_first"}
    data = {theirs: jnp.asarray(inputs[ours][:, 1:]) for ours, theirs in names.items()}
    never = jnp.zeros_like(data["is_first"])
    return {**data, "is_last": never, "is_terminal": never}
