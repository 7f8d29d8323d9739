"""Our side: one update of `rlsuite.algorithms.dreamer`, jitted, the learner donated."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rlsuite.algorithms import dreamer
from rlsuite.algorithms.dreamer.agent import Row
from rlsuite.envs.control import Actions, Spec, Timestep

PACKAGES = ("rlsuite", "flax", "jax", "jaxlib", "optax")

Inputs = Mapping[str, np.ndarray]


def update(inputs: Inputs) -> tuple[Callable[[], Any], Callable[[Any], dict[str, np.ndarray]]]:
    """World model, critic and policy improved once, from a fixed batch of sequences."""
    observation, action = (jnp.asarray(inputs[name]) for name in ("observation", "action"))
    batch, length, _ = observation.shape
    spec = Spec(_timestep(observation.shape[-1:]), None, _actions(inputs))
    config = dreamer.v3("1m", batch_size=batch, sequence_length=length - 1)
    agent = dreamer.agent(spec, config)
    timestep = Timestep(
        observation,
        jnp.asarray(inputs["reward"]),
        jnp.asarray(inputs["is_first"]),
        *(jnp.zeros((batch, length), bool) for _ in range(2)),
    )
    before = jax.tree.map(lambda x: jnp.zeros((batch, length, *x.shape)), agent.world.initial)
    rows = Row(timestep, action, before)
    step = jax.jit(agent.update, donate_argnums=1)
    learner = jax.jit(agent.init)(jax.random.key(0))
    parameters = sum(leaf.size for leaf in jax.tree.leaves(learner.weights))
    keys = iter(range(10**9))

    def run() -> Any:
        nonlocal learner
        learner, _, told = jax.block_until_ready(step(jax.random.key(next(keys)), learner, rows))
        return told

    def result(told: Any) -> dict[str, np.ndarray]:
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(told)):
            raise ValueError("a loss is not finite")
        counts = {"time steps": np.asarray(batch * (length - 1))}
        if inputs["same_size"]:
            counts["parameters"] = np.asarray(parameters)
        return counts

    return run, result


def _timestep(shape: tuple[int, ...]) -> Timestep:
    never = jnp.zeros((), bool)
    return Timestep(jnp.zeros(shape), jnp.zeros(()), never, never, never)


def _actions(inputs: Inputs) -> Actions:
    size = inputs["action"].shape[-1]
    if inputs["discrete"]:
        return Actions(sizes=(size,), single=True)
    return Actions(low=-np.ones(size), high=np.ones(size), shape=(size,))
