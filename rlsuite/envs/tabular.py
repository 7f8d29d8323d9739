"""A gymnax environment of any tabular MDP.

The observation is the number of the state. Transitions are those of the MDP's transition operator,
and the expected discounted return from a state, with the MDP's own discount, is the MDP's value
V(s):

* a step from s with action a to s' pays r(s), r(s,a) or r(s,a,s'), according to the kind of reward;
* an episode terminates on arrival at a terminal state s'; with a state reward, that last step pays
  γ r(s') on top, since nothing more is collected in s' itself and V(s') = r(s');
* an episode that starts in a terminal state terminates with its first step, which pays r(s) (0 for
  the other kinds of reward) and leads nowhere.

An episode that is cut off by `max_steps_in_episode` is truncated, not terminated: bootstrap from
``info["final_observation"]``.

Example:
    >>> import jax
    >>> from rlsuite.envs.mazes import maze
    >>> environment, params = make(maze("L"), max_steps_in_episode=50)
    >>> key = jax.random.key(0)
    >>> observation, state = environment.reset(key, params)
    >>> observation, state, reward, terminated, truncated, info = environment.step(
    ...     key, state, 1, params
    ... )
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments import environment, spaces
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from rlsuite.ops import tabular


@struct.dataclass
class EnvState(environment.EnvState):
    """The state of an episode: the number of its steps so far, and the state of the MDP."""

    time: Any
    state: Any


@struct.dataclass
class EnvParams(environment.EnvParams):
    """The MDP, and the number of steps after which an episode is truncated."""

    mdp: Any = None
    max_steps_in_episode: Any = 100


class TabularEnvironment(environment.Environment[EnvState, EnvParams]):
    """A gymnax environment whose dynamics are the MDP in its parameters.

    Environments of one size are equal and share their compiled programs, whatever their MDPs; stack
    the parameters to step many MDPs at once. Use :func:`make` to get one with its parameters.

    Args:
        num_states: number of states.
        num_actions: number of actions.
    """

    def __init__(self, num_states: int, num_actions: int) -> None:
        self._size = num_states, num_actions

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TabularEnvironment) and self._size == other._size

    def __hash__(self) -> int:
        return hash((TabularEnvironment, self._size))

    @property
    def default_params(self) -> EnvParams:
        """There are none: the MDP is a parameter.

        Raises:
            ValueError: always.
        """
        raise ValueError("params is missing: pass the ones that make(mdp) returned")

    @property
    def num_actions(self) -> int:
        """Number of actions."""
        return self._size[1]

    def action_space(self, params: EnvParams | None = None) -> spaces.Discrete:  # noqa: ARG002
        """The actions, 0 … A − 1."""
        return spaces.Discrete(self._size[1])

    def observation_space(self, params: EnvParams | None = None) -> spaces.Discrete:  # noqa: ARG002
        """The states, 0 … S − 1."""
        return spaces.Discrete(self._size[0])

    def state_space(self, params: EnvParams) -> spaces.Dict:
        """The number of the step and the state."""
        time = spaces.Discrete(params.max_steps_in_episode)
        return spaces.Dict({"time": time, "state": spaces.Discrete(self._size[0])})

    def action_mask(self, observation: Int[Array, ""], params: EnvParams) -> Bool[Array, " action"]:
        """Which actions are allowed; the dynamics of others are those of the table all the same.

        Args:
            observation: a state.
            params: the parameters.
        """
        if params.mdp.actions is None:
            return jnp.ones(self.num_actions, dtype=bool)
        return params.mdp.actions[observation]

    def reset_env(self, key: PRNGKeyArray, params: EnvParams) -> tuple[Int[Array, ""], EnvState]:
        """Draw the first state."""
        state = jax.random.choice(key, params.mdp.num_states, p=params.mdp.initial)
        state = state.astype(jnp.int32)
        return state, EnvState(time=jnp.int32(0), state=state)

    def step_env(
        self,
        key: PRNGKeyArray,
        state: EnvState,
        action: int | Int[Array, ""],
        params: EnvParams,
    ) -> tuple[Int[Array, ""], EnvState, Float[Array, ""], Bool[Array, ""], dict[str, Any]]:
        """Take one step, without resetting at the end of an episode."""
        mdp, here = params.mdp, state.state
        there = mdp.transition.sample(key, here, jnp.asarray(action)).astype(jnp.int32)
        reward = _reward(mdp, here, jnp.asarray(action), there)
        terminated = jnp.zeros((), dtype=bool)
        if mdp.terminal is not None:
            stuck = mdp.terminal[here]
            there = jnp.where(stuck, here, there)
            terminated = mdp.terminal[there]
            final = mdp.reward[there] if mdp.reward.ndim == 1 else jnp.zeros_like(reward)
            reward = jnp.where(terminated & ~stuck, reward + mdp.discount * final, reward)
            reward = jnp.where(stuck, final, reward)
        state = EnvState(time=state.time + 1, state=there)
        return there, state, reward, terminated, {"discount": self.discount(state, params)}

    def observe(
        self,
        key: PRNGKeyArray,  # noqa: ARG002
        state: EnvState,
        action: int | Int[Array, ""] | None,  # noqa: ARG002
        params: EnvParams,  # noqa: ARG002
    ) -> Int[Array, ""]:
        """The number of the state."""
        return state.state

    def is_terminated(self, state: EnvState, params: EnvParams) -> Bool[Array, ""]:
        """Whether the state is terminal."""
        if params.mdp.terminal is None:
            return jnp.zeros((), dtype=bool)
        return params.mdp.terminal[state.state]


def make(
    mdp: tabular.MDP, *, max_steps_in_episode: int = 100
) -> tuple[TabularEnvironment, EnvParams]:
    """Make the environment of an MDP, or of stacked ones of the same size.

    Args:
        mdp: the MDP, or several with a leading axis, for `jax.vmap` over ``params.mdp``.
        max_steps_in_episode: number of steps after which an episode is truncated, at least 1.

    Returns:
        The environment, and the parameters to pass to its methods.

    Raises:
        ValueError: if `max_steps_in_episode` is below 1.
    """
    if max_steps_in_episode < 1:
        raise ValueError(f"max_steps_in_episode is {max_steps_in_episode}: it must be at least 1")
    params = EnvParams(mdp=mdp, max_steps_in_episode=max_steps_in_episode)
    single = mdp
    for _ in range(jnp.ndim(mdp.initial) - 1):
        single = jax.eval_shape(lambda stacked: jax.tree.map(lambda x: x[0], stacked), single)
    return TabularEnvironment(single.num_states, single.num_actions), params


def _reward(
    mdp: tabular.MDP, state: Int[Array, ""], action: Int[Array, ""], next_state: Int[Array, ""]
) -> Float[Array, ""]:
    return mdp.reward[(state, action, next_state)[: mdp.reward.ndim]]
