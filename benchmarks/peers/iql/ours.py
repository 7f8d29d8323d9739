"""Our side: `rlsuite.algorithms.iql`, through `rlsuite.run`, or update by update."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from rlsuite import run
from rlsuite.algorithms import iql
from rlsuite.data.offline import Offline, offline
from rlsuite.data.transitions import transitions
from rlsuite.envs.episodes import Episode, join

PACKAGES = ("rlsuite", "jax", "jaxlib", "optax", "flax")

_CONFIG = iql.Config(normalize_observations=False)

Inputs = Mapping[str, np.ndarray]
Prepared = tuple[Callable[[], Any], Callable[[Any], dict[str, np.ndarray]]]


def _problem(inputs: Inputs) -> Offline:
    episode = Episode(inputs["states"], inputs["actions"], inputs["rewards"], terminal=True)
    return offline("peers", join([episode]))


def training(inputs: Inputs) -> Prepared:
    """A training."""
    problem, steps, keys = _problem(inputs), len(inputs["batches"]), iter(range(10**9))

    def train() -> Any:
        key = jax.random.key(next(keys))
        return run(iql.make, problem, _CONFIG, key, steps, chunk_length=steps, progress=False)

    return train, lambda output: {"updates": np.asarray(output.step)}


def _weights(inputs: Inputs, name: str) -> Any:
    # Rectified linear units lie between the layers, and are counted.
    return {
        "params": {
            f"layers_{2 * layer}": {
                part: jnp.asarray(inputs[f"{name}_{part}_{layer}"]) for part in ("kernel", "bias")
            }
            for layer in range(3)
        }
    }


def updates(inputs: Inputs) -> Prepared:
    """Updates from given weights, with given batches."""
    problem = _problem(inputs)
    networks = iql.default_networks(problem, _CONFIG)
    fixed = optax.adam(_CONFIG.learning_rate)
    schedule = optax.cosine_decay_schedule(_CONFIG.learning_rate, 1_000_000)
    optimizers = iql.Params(optax.adam(schedule), fixed, fixed)
    blank = iql.make(problem, _CONFIG).init(jax.random.key(0))
    params = iql.Params(
        {"mean": _weights(inputs, "policy"), "log_scale": jnp.zeros(inputs["actions"].shape[1])},
        tuple(_weights(inputs, f"critic_{i}") for i in range(2)),
        _weights(inputs, "value"),
    )
    start = blank._replace(params=params, target=params.critic)
    everything, batches = transitions(problem.episodes), jnp.asarray(inputs["batches"])

    @jax.jit
    def program(start: iql.State, everything: Any, batches: Any) -> iql.State:
        def step(state: iql.State, chosen: Any) -> tuple[iql.State, None]:
            batch = jax.tree.map(lambda leaf: leaf[chosen], everything)
            return iql.update(networks, optimizers, _CONFIG, state, batch)[0], None

        return jax.lax.scan(step, start, batches)[0]

    def result(state: iql.State) -> dict[str, np.ndarray]:
        seen, done = everything.observations[:100], everything.actions[:100]
        policy = networks.policy.apply(state.params.policy, seen)
        return {
            "actions": np.asarray(policy.loc),
            "deviations": np.asarray(policy.scale[0]),
            "critics": np.asarray(networks.critic.apply(state.params.critic, (seen, done))),
            "slow_critics": np.asarray(networks.critic.apply(state.target, (seen, done))),
            "values": np.asarray(networks.value.apply(state.params.value, seen)),
        }

    return lambda: jax.block_until_ready(program(start, everything, batches)), result
