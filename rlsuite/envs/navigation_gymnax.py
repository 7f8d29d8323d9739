"""The navigation of :mod:`rlsuite.envs.navigation` as a gymnax environment.

The observation is the position; the goal is a parameter, so that a vector of goals is a vector of
tasks. An episode that ends at ``max_steps_in_episode`` is truncated, not terminated: bootstrap from
``info["final_observation"]``.

Example:
    >>> import jax, jax.numpy as jnp
    >>> environment, params = make(jnp.asarray([0.3, 0.0]))
    >>> key = jax.random.key(0)
    >>> observation, state = environment.reset(key, params)
    >>> observation, state, reward, terminated, truncated, info = environment.step(
    ...     key, state, jnp.asarray([0.5, 0.0]), params
    ... )
    >>> [round(float(x), 3) for x in observation], round(float(reward), 3)
    ([0.1, 0.0], -0.04)
"""

from typing import Any

import jax.numpy as jnp
from flax import struct
from gymnax.environments import environment, spaces
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rlsuite.envs import navigation


@struct.dataclass
class EnvState(environment.EnvState):
    """The state of an episode: the number of its steps so far, and where the point is."""

    time: Any
    position: Any


@struct.dataclass
class EnvParams(environment.EnvParams):
    """The goal ``[2]``, and the number of steps after which an episode is truncated."""

    goal: Any = (0.0, 0.0)
    max_steps_in_episode: Any = navigation.HORIZON


class NavigationEnvironment(environment.Environment[EnvState, EnvParams]):
    """A gymnax environment whose goal is in its parameters; get both from :func:`make`."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NavigationEnvironment)

    def __hash__(self) -> int:
        return hash(NavigationEnvironment)

    @property
    def default_params(self) -> EnvParams:
        """The goal at the origin; meant to be replaced."""
        return EnvParams(goal=jnp.zeros(2))

    @property
    def num_actions(self) -> int:
        """The size of an action."""
        return 2

    def action_space(self, params: EnvParams | None = None) -> spaces.Box:  # noqa: ARG002
        """Velocities; larger ones are clipped to these bounds."""
        return spaces.Box(-navigation.SPEED, navigation.SPEED, (2,), jnp.float32)

    def observation_space(self, params: EnvParams | None = None) -> spaces.Box:  # noqa: ARG002
        """Positions in the plane."""
        return spaces.Box(-jnp.inf, jnp.inf, (2,), jnp.float32)

    def state_space(self, params: EnvParams) -> spaces.Dict:
        """The number of the step and the position."""
        time = spaces.Discrete(params.max_steps_in_episode)
        return spaces.Dict({"time": time, "position": self.observation_space(params)})

    def reset_env(
        self,
        key: PRNGKeyArray,  # noqa: ARG002
        params: EnvParams,  # noqa: ARG002
    ) -> tuple[Float[Array, " 2"], EnvState]:
        """Start at the origin."""
        origin = jnp.zeros(2)
        return origin, EnvState(time=jnp.int32(0), position=origin)

    def step_env(
        self,
        key: PRNGKeyArray,  # noqa: ARG002
        state: EnvState,
        action: Float[Array, " 2"],
        params: EnvParams,
    ) -> tuple[Float[Array, " 2"], EnvState, Float[Array, ""], Bool[Array, ""], dict[str, Any]]:
        """Take one step, without resetting at the end of an episode."""
        position = navigation.move(state.position, action)
        state = EnvState(time=state.time + 1, position=position)
        reward = navigation.reward_of(position, params.goal)
        terminated = self.is_terminated(state, params)
        return position, state, reward, terminated, {"discount": self.discount(state, params)}

    def observe(
        self,
        key: PRNGKeyArray,  # noqa: ARG002
        state: EnvState,
        action: Float[Array, " 2"] | None,  # noqa: ARG002
        params: EnvParams,  # noqa: ARG002
    ) -> Float[Array, " 2"]:
        """The position."""
        return state.position

    def is_terminated(self, state: EnvState, params: EnvParams) -> Bool[Array, ""]:
        """Whether the goal is near enough."""
        return navigation.arrived(state.position, params.goal)


def make(
    goal: Float[Array, " 2"], *, max_steps_in_episode: int = navigation.HORIZON
) -> tuple[NavigationEnvironment, EnvParams]:
    """Make the environment of a goal.

    Args:
        goal: The goal.
        max_steps_in_episode: The number of steps after which an episode is truncated, at least 1.

    Returns:
        The environment, and the parameters to pass to its methods.

    Raises:
        ValueError: If ``max_steps_in_episode`` is below 1.
    """
    if max_steps_in_episode < 1:
        raise ValueError(f"max_steps_in_episode is {max_steps_in_episode}: it must be at least 1")
    params = EnvParams(goal=goal, max_steps_in_episode=max_steps_in_episode)
    return NavigationEnvironment(), params
