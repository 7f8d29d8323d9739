"""Our side: the agent of `rlsuite.algorithms.memory_meta`, its updates in one compiled loop."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from rlsuite.algorithms import memory_meta
from rlsuite.envs.prediction import Prediction
from rlsuite.nets import lstm
from rlsuite.ops.conjugate import DirichletCategorical

PACKAGES = ("rlsuite", "jax", "jaxlib", "numpy", "optax")


def updates(
    inputs: Mapping[str, np.ndarray],
) -> tuple[Callable[[], Any], Callable[[Any], dict[str, np.ndarray]]]:
    """All updates, and the loss before each."""
    throws = jnp.asarray(inputs["throws"])
    symbols, units = inputs["layer"].shape
    problem = Prediction(DirichletCategorical(jnp.ones(symbols)), throws.shape[1])
    network = memory_meta.agent(lstm(units), units, symbols)
    optimizer = memory_meta.clipped_adam(float(inputs["rate"]), 1e9)
    start = _weights(inputs, units)

    def loss(params: Any, x: jax.Array) -> jax.Array:
        heads = memory_meta.predict(problem, network, params, x)
        return -jnp.mean(problem.model.family.log_density(heads, x))

    @jax.jit
    def train(params: Any, throws: jax.Array) -> Any:
        def step(learned: Any, x: jax.Array) -> Any:
            params, state = learned
            value, gradient = jax.value_and_grad(loss)(params, x)
            changes, state = optimizer.update(gradient, state, params)
            return (optax.apply_updates(params, changes), state), value

        return jax.lax.scan(step, (params, optimizer.init(params)), throws)[1]

    return lambda: jax.block_until_ready(train(start, throws)), lambda losses: {
        "losses": np.asarray(losses)
    }


def _weights(inputs: Mapping[str, np.ndarray], units: int) -> Any:
    gates = {}
    for side, name in (("i", "into"), ("h", "within")):
        for gate, kernel in zip("ifgo", np.split(inputs[name], 4, axis=1), strict=True):
            gates[f"{side}{gate}"] = {"kernel": jnp.asarray(kernel)}
            if side == "h":
                gates[f"{side}{gate}"]["bias"] = jnp.zeros(units)
    return {
        "layer": {"kernel": jnp.asarray(inputs["layer"]), "bias": jnp.zeros(units)},
        "memory": {"params": gates},
        "head": {
            "kernel": jnp.asarray(inputs["head"]),
            "bias": jnp.zeros(inputs["head"].shape[1]),
        },
    }
