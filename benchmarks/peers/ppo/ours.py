"""Our side: `rlsuite.algorithms.ppo` through `rlsuite.run`, as users run it."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from rlsuite import run
from rlsuite.algorithms import ppo
from rlsuite.envs.control import control

PACKAGES = ("rlsuite", "gymnax", "jax", "jaxlib", "optax")


def cartpole(
    inputs: Mapping[str, np.ndarray],
) -> tuple[Callable[[], Any], Callable[[Any], dict[str, np.ndarray]]]:
    """A whole training on CartPole."""
    total, num_envs, length = (int(inputs[name]) for name in ("total", "num_envs", "num_steps"))
    steps = total // (num_envs * length)
    config = ppo.Config(
        learning_rate=float(inputs["rate"]),
        num_envs=num_envs,
        rollout_length=length,
        annealing_steps=steps,
        evaluation_episodes=1,
    )
    problem, keys = control("CartPole-v1"), iter(range(10**9))

    def train() -> Any:
        key = jax.random.key(next(keys))
        return run(ppo.make, problem, config, key, steps, chunk_length=steps, progress=False)

    def result(output: Any) -> dict[str, np.ndarray]:
        return {"transitions": np.asarray(output.step * num_envs * length)}

    return train, result
