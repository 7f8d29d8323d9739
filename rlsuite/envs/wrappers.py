"""An environment around another one: what subclasses do not say, that one does."""

from typing import Any

import jax.numpy as jnp
from gymnax.environments import environment
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rlsuite.envs.control import Control


class Wrapper(environment.Environment[Any, Any]):
    """The environment within, whose parameters are ``inner`` of the wrapper's.

    Attributes:
        inner: The environment within.
    """

    def __init__(self, inner: environment.Environment[Any, Any]) -> None:
        self.inner = inner

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.inner == self.inner

    def __hash__(self) -> int:
        return hash((type(self), self.inner))

    def step_env(
        self, key: PRNGKeyArray, state: Any, action: Any, params: Any
    ) -> tuple[Any, Any, Float[Array, ""], Bool[Array, ""], dict[str, Any]]:
        """Take one step, without resetting at the end of an episode."""
        return self.inner.step_env(key, state, action, params.inner)

    def reset_env(self, key: PRNGKeyArray, params: Any) -> tuple[Any, Any]:
        """Start an episode."""
        return self.inner.reset_env(key, params.inner)

    def observe(self, key: PRNGKeyArray, state: Any, action: Any, params: Any) -> Any:
        """The observation of a state."""
        return self.inner.observe(key, state, action, params.inner)

    def is_truncated(self, state: Any, params: Any) -> Bool[Array, ""]:
        """Whether the episode is cut off."""
        return jnp.asarray(self.inner.is_truncated(state, params.inner), bool)

    def is_terminated(self, state: Any, params: Any) -> Bool[Array, ""]:
        """Whether the episode is over for good."""
        return jnp.asarray(self.inner.is_terminated(state, params.inner), bool)

    @property
    def num_actions(self) -> int:
        """How many actions there are, or the size of one."""
        return self.inner.num_actions

    def action_space(self, params: Any) -> Any:
        """That of the environment within."""
        return self.inner.action_space(params.inner)

    def observation_space(self, params: Any) -> Any:
        """That of the environment within."""
        return self.inner.observation_space(params.inner)

    def state_space(self, params: Any) -> Any:
        """That of the environment within."""
        return self.inner.state_space(params.inner)


def refuse_masks(problem: Control) -> None:
    """Refuse an environment in which not all actions are always allowed.

    Args:
        problem: The problem.

    Raises:
        ValueError: If it masks actions.
    """
    if hasattr(problem.environment, "action_mask"):
        raise ValueError(
            f"environment {problem.name!r} masks actions; allowed: one in which all are allowed"
        )
