"""Environments that do not always do as they are told: now and then an action is a random one.

With probability p, at each step by itself, the action is replaced by one that is uniform over all
that there are, as in the stochastic tasks of Ajay et al. 2023. Nothing else changes. p is a
parameter, so that a vector of them is a vector of problems.

Example:
    >>> from rlsuite.envs.control import control
    >>> problem = slippery(control("Pendulum-v1"), 0.2)
    >>> problem.name, round(float(problem.params.probability), 3)
    ('slippery Pendulum-v1', 0.2)
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rlsuite.envs.control import Control
from rlsuite.envs.wrappers import Wrapper, refuse_masks


@struct.dataclass
class EnvParams:
    """The parameters of the environment within, and p."""

    inner: Any
    probability: Any


class Slippery(Wrapper):
    """An environment around another one; states and observations are those of that one."""

    @property
    def default_params(self) -> EnvParams:
        """Those of the environment within, and p = 0."""
        return EnvParams(self.inner.default_params, jnp.zeros(()))

    def step_env(
        self, key: PRNGKeyArray, state: Any, action: Any, params: EnvParams
    ) -> tuple[Any, Any, Float[Array, ""], Bool[Array, ""], dict[str, Any]]:
        """Take one step, perhaps another one than was asked for."""
        of_slip, of_action, of_step = jax.random.split(key, 3)
        slips = jax.random.bernoulli(of_slip, params.probability)
        other = self.inner.action_space(params.inner).sample(of_action)
        done = jax.tree.map(
            lambda new, old: jnp.where(slips, jnp.asarray(new, old.dtype), old),
            other,
            jax.tree.map(jnp.asarray, action),
        )
        return self.inner.step_env(of_step, state, done, params.inner)


def slippery(problem: Control, probability: float | Float[Array, ""]) -> Control:
    """The same problem, but slippery.

    Args:
        problem: The problem; its actions may not be masked.
        probability: p, from 0 to 1.

    Returns:
        The problem.

    Raises:
        ValueError: If p is out of range, or some actions are not always allowed.
    """
    if not isinstance(probability, jax.core.Tracer) and not 0 <= float(probability) <= 1:
        raise ValueError(f"probability is {probability}; allowed: from 0 to 1")
    refuse_masks(problem)
    params = EnvParams(problem.params, jnp.asarray(probability, float))
    return Control(f"slippery {problem.name}", Slippery(problem.environment), params)
