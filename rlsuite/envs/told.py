"""An environment that also shows what is wanted in it: for policies, which cannot be asked.

Example:
    >>> import jax
    >>> from rlsuite.envs.control import control
    >>> problem = told(control("Pendulum-v1"), jnp.asarray([0.0, 1.0]))
    >>> _, first = problem.reset(jax.random.key(0))
    >>> first.observation.shape, first.observation[3:].tolist()
    ((5,), [0.0, 1.0])
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from gymnax.environments import spaces
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rlsuite.envs.control import Control
from rlsuite.envs.wrappers import Wrapper, refuse_masks


class EnvParams(NamedTuple):
    """The parameters of the environment within, and what is shown beside its observations."""

    inner: Any
    label: Float[Array, " label"]


class Told(Wrapper):
    """An environment around another one; observations are its own, vectors, and then the label."""

    @property
    def default_params(self) -> EnvParams:
        """Those of the environment within, and no label."""
        return EnvParams(self.inner.default_params, jnp.zeros(0))

    def reset_env(self, key: PRNGKeyArray, params: EnvParams) -> tuple[Float[Array, " n"], Any]:
        """Start an episode."""
        observation, state = super().reset_env(key, params)
        return jnp.append(observation, params.label), state

    def step_env(
        self, key: PRNGKeyArray, state: Any, action: Any, params: EnvParams
    ) -> tuple[Float[Array, " n"], Any, Float[Array, ""], Bool[Array, ""], dict[str, Any]]:
        """Take one step, without resetting at the end of an episode."""
        observation, *rest = super().step_env(key, state, action, params)
        return jnp.append(observation, params.label), *rest

    def observe(
        self, key: PRNGKeyArray, state: Any, action: Any, params: EnvParams
    ) -> Float[Array, " n"]:
        """The observation of a state."""
        return jnp.append(super().observe(key, state, action, params), params.label)

    def observation_space(self, params: EnvParams) -> spaces.Box:
        """Numbers."""
        size = super().observation_space(params).shape[0] + params.label.shape[0]
        return spaces.Box(-jnp.inf, jnp.inf, (size,), jnp.float32)


def told(control: Control, label: Float[Array, " label"]) -> Control:
    """The environment that also shows a label, always the same.

    Args:
        control: An environment whose observations are vectors, and whose actions are not masked.
        label: What is shown.

    Returns:
        The environment.

    Raises:
        ValueError: If its observations are none, or some actions are not always allowed.
    """
    space = control.environment.observation_space(control.params)
    if len(getattr(space, "shape", ())) != 1:
        raise ValueError(
            f"environment {control.name!r} shows {space}; allowed: one whose observations are "
            "vectors"
        )
    refuse_masks(control)
    params = EnvParams(control.params, jnp.asarray(label, jnp.float32))
    return Control(f"{control.name}-told", Told(control.environment), params)
