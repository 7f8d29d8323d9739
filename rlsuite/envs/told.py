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
from gymnax.environments import environment, spaces
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rlsuite.envs.control import Control


class EnvParams(NamedTuple):
    """The environment's own parameters, and what is shown beside its observations."""

    own: Any
    label: Float[Array, " label"]


class Told(environment.Environment[Any, Any]):
    """The environment; observations are its own, vectors, followed by the label.

    Attributes:
        own: The environment that is walked in.
    """

    def __init__(self, own: environment.Environment[Any, Any]) -> None:
        self.own = own

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Told) and self.own == other.own

    def __hash__(self) -> int:
        return hash((Told, self.own))

    @property
    def default_params(self) -> EnvParams:
        """Those of the environment, and no label."""
        return EnvParams(self.own.default_params, jnp.zeros(0))

    def reset_env(self, key: PRNGKeyArray, params: EnvParams) -> tuple[Float[Array, " n"], Any]:
        """Start an episode."""
        observation, state = self.own.reset_env(key, params.own)
        return jnp.append(observation, params.label), state

    def step_env(
        self, key: PRNGKeyArray, state: Any, action: Any, params: EnvParams
    ) -> tuple[Float[Array, " n"], Any, Float[Array, ""], Bool[Array, ""], dict[str, Any]]:
        """Take one step, without resetting at the end of an episode."""
        observation, *rest = self.own.step_env(key, state, action, params.own)
        return jnp.append(observation, params.label), *rest

    def observe(
        self, key: PRNGKeyArray, state: Any, action: Any, params: EnvParams
    ) -> Float[Array, " n"]:
        """The observation of a state."""
        return jnp.append(self.own.observe(key, state, action, params.own), params.label)

    def is_truncated(self, state: Any, params: EnvParams) -> Bool[Array, ""]:
        """Whether the episode is cut off."""
        return jnp.asarray(self.own.is_truncated(state, params.own), bool)

    def is_terminated(self, state: Any, params: EnvParams) -> Bool[Array, ""]:
        """Whether the episode is over for good."""
        return jnp.asarray(self.own.is_terminated(state, params.own), bool)

    @property
    def num_actions(self) -> int:
        """How many actions there are, or the size of one."""
        return self.own.num_actions

    def action_space(self, params: EnvParams) -> Any:
        """The environment's own."""
        return self.own.action_space(params.own)

    def observation_space(self, params: EnvParams) -> spaces.Box:
        """Numbers."""
        size = self.own.observation_space(params.own).shape[0] + params.label.shape[0]
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
    if hasattr(control.environment, "action_mask"):
        raise ValueError(
            f"environment {control.name!r} masks actions; allowed: one in which all are allowed"
        )
    params = EnvParams(control.params, jnp.asarray(label, jnp.float32))
    return Control(f"{control.name}-told", Told(control.environment), params)
