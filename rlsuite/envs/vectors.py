"""A gymnax environment of vectors, for those that are only a start, a move and an observation.

Actions lie within [−1, 1], observations are vectors unless a subclass says otherwise, and an
episode is cut off after ``max_steps_in_episode`` steps: a subclass says the rest. Parameters hold
all that differs between two environments of a class, so these are equal and share their compiled
programs.
"""

import abc
from typing import Any

import jax.numpy as jnp
from gymnax.environments import environment, spaces
from jaxtyping import Array, Bool, Float, PRNGKeyArray


class VectorEnvironment(environment.Environment[Any, Any], abc.ABC):
    """The common part.

    Attributes:
        action_size: The length of an action.
        observation_size: The length of an observation.
    """

    action_size: int
    observation_size: int

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    def __hash__(self) -> int:
        return hash(type(self))

    @abc.abstractmethod
    def start(self, key: PRNGKeyArray, params: Any) -> Any:
        """The state that an episode starts from; its ``time`` is 0.

        Args:
            key: Key.
            params: Parameters.

        Returns:
            The state.
        """

    @abc.abstractmethod
    def move(
        self, key: PRNGKeyArray, state: Any, action: Float[Array, " m"], params: Any
    ) -> tuple[Any, Float[Array, ""]]:
        """What an action leads to; ``time`` is none of its business.

        Args:
            key: Key.
            state: State.
            action: Within [−1, 1].
            params: Parameters.

        Returns:
            (next state, reward).
        """

    @abc.abstractmethod
    def see(self, state: Any, params: Any) -> Float[Array, "*observation"]:
        """The observation of a state.

        Args:
            state: State.
            params: Parameters.

        Returns:
            The observation.
        """

    def is_terminated(self, state: Any, params: Any) -> Bool[Array, ""]:  # noqa: ARG002
        """Whether the episode is over for good: never, unless a subclass says so."""
        return jnp.zeros((), bool)

    def reset_env(self, key: PRNGKeyArray, params: Any) -> tuple[Float[Array, "*observation"], Any]:
        """Start an episode."""
        state = self.start(key, params)
        return self.see(state, params), state

    def step_env(
        self, key: PRNGKeyArray, state: Any, action: Float[Array, " m"], params: Any
    ) -> tuple[
        Float[Array, "*observation"], Any, Float[Array, ""], Bool[Array, ""], dict[str, Any]
    ]:
        """Take one step, without resetting at the end of an episode."""
        after, reward = self.move(key, state, jnp.clip(action, -1.0, 1.0), params)
        after = after.replace(time=state.time + 1)
        terminated = self.is_terminated(after, params)
        information = {"discount": self.discount(after, params)}
        return self.see(after, params), after, reward, terminated, information

    def observe(
        self,
        key: PRNGKeyArray,  # noqa: ARG002
        state: Any,
        action: Float[Array, " m"] | None,  # noqa: ARG002
        params: Any,
    ) -> Float[Array, "*observation"]:
        """The observation of a state."""
        return self.see(state, params)

    @property
    def num_actions(self) -> int:
        """The length of an action."""
        return self.action_size

    def action_space(self, params: Any = None) -> spaces.Box:  # noqa: ARG002
        """Numbers within [−1, 1]."""
        return spaces.Box(-1.0, 1.0, (self.action_size,), jnp.float32)

    def observation_space(self, params: Any = None) -> spaces.Box:  # noqa: ARG002
        """Numbers."""
        return spaces.Box(-jnp.inf, jnp.inf, (self.observation_size,), jnp.float32)
