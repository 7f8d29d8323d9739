r"""Bandits: arms whose worth is drawn anew every episode, as an environment, and with what is best.

An episode has T pulls and then ends for good. What is seen before a pull is the last pull, one-hot
(zeros before the first), and its reward, so that whoever remembers an episode remembers all that
can be known. θ itself is hidden.

Example:
    >>> import jax
    >>> from rlsuite.ops.bandits import FiniteArms, UniformArms
    >>> game = bandits(UniformArms(2), 20)
    >>> state, seen = game.control.reset(jax.random.key(0))
    >>> state, seen = game.control.step(jax.random.key(1), state, jnp.array([0.0, 1.0]))
    >>> seen.observation[:2].tolist(), round(float(game.best), 3)
    ([0.0, 1.0], 12.431)
    >>> bandits(FiniteArms.opposed(), 20).control.name
    'bandit-2'
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments import environment, spaces
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from rlsuite.envs.control import Control
from rlsuite.ops.bandits import Arms, Lattice, NormalArms, lattice, solve


@struct.dataclass
class EnvState(environment.EnvState):
    """The number of pulls so far, what the arms are worth, the last pull and its reward."""

    time: Any
    worth: Any
    pull: Any
    reward: Any


@struct.dataclass
class EnvParams(environment.EnvParams):
    """What the arms are drawn from, and how many pulls an episode has."""

    arms: Any = None
    horizon: Any = 20
    max_steps_in_episode: Any = 1 << 30


class BanditEnvironment(environment.Environment[EnvState, EnvParams]):
    """A gymnax environment of so many arms; get its parameters from :func:`bandit`."""

    def __init__(self, num_arms: int) -> None:
        self.num_arms = num_arms

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BanditEnvironment) and other.num_arms == self.num_arms

    def __hash__(self) -> int:
        return hash((BanditEnvironment, self.num_arms))

    @property
    def default_params(self) -> EnvParams:
        """Without arms; meant to be replaced."""
        return EnvParams()

    @property
    def num_actions(self) -> int:
        """How many arms there are."""
        return self.num_arms

    def action_space(self, params: EnvParams | None = None) -> spaces.Discrete:  # noqa: ARG002
        """The arms."""
        return spaces.Discrete(self.num_arms)

    def observation_space(self, params: EnvParams | None = None) -> spaces.Box:  # noqa: ARG002
        """The last pull, one-hot, and its reward."""
        return spaces.Box(-jnp.inf, jnp.inf, (self.num_arms + 1,), jnp.float32)

    def state_space(self, params: EnvParams) -> spaces.Dict:
        """See ``EnvState``."""
        arms = spaces.Box(-jnp.inf, jnp.inf, (self.num_arms,), jnp.float32)
        reward = spaces.Box(-jnp.inf, jnp.inf, (), jnp.float32)
        time = spaces.Discrete(params.horizon + 1)
        return spaces.Dict({"time": time, "worth": arms, "pull": arms, "reward": reward})

    def reset_env(
        self, key: PRNGKeyArray, params: EnvParams
    ) -> tuple[Float[Array, " n"], EnvState]:
        """Draw the arms."""
        nothing = jnp.zeros(self.num_arms)
        worth = params.arms.draw(key).astype(nothing.dtype)
        state = EnvState(time=jnp.int32(0), worth=worth, pull=nothing, reward=jnp.zeros(()))
        return self._seen(state), state

    def step_env(
        self, key: PRNGKeyArray, state: EnvState, action: Int[Array, ""], params: EnvParams
    ) -> tuple[Float[Array, " n"], EnvState, Float[Array, ""], Bool[Array, ""], dict[str, Any]]:
        """Pull an arm, without resetting at the end of an episode."""
        worth = state.worth[action]
        if isinstance(params.arms, NormalArms):
            reward = worth + params.arms.noise * jax.random.normal(key)
        else:
            reward = (jax.random.uniform(key) < worth).astype(worth.dtype)
        pull = jax.nn.one_hot(action, self.num_arms)
        state = EnvState(time=state.time + 1, worth=state.worth, pull=pull, reward=reward)
        terminated = self.is_terminated(state, params)
        discount = {"discount": self.discount(state, params)}
        return self._seen(state), state, reward, terminated, discount

    def observe(
        self,
        key: PRNGKeyArray,  # noqa: ARG002
        state: EnvState,
        action: Any,  # noqa: ARG002
        params: EnvParams,  # noqa: ARG002
    ) -> Float[Array, " n"]:
        """The last pull and its reward."""
        return self._seen(state)

    def is_terminated(self, state: EnvState, params: EnvParams) -> Bool[Array, ""]:
        """Whether all pulls are done."""
        return state.time >= params.horizon

    def _seen(self, state: EnvState) -> Float[Array, " n"]:
        return jnp.append(state.pull, state.reward)


class Bandits(NamedTuple):
    """A distribution of bandits with the best policy's tables.

    Attributes:
        control: The environment.
        states: What may be known, numbered.
        losses: What a pull loses against the best one, ``[time, state, arm]``.
        best: What the best policy can be expected to earn in an episode.
    """

    control: Control
    states: Lattice
    losses: Float[Array, "time state arm"]
    best: Float[Array, ""]


def bandit(arms: Arms | NormalArms, horizon: int) -> Control:
    """The environment alone.

    Args:
        arms: What θ is drawn from.
        horizon: T, how many pulls an episode has, at least 1.

    Returns:
        The environment.

    Raises:
        ValueError: If the horizon is below 1.

    Example:
        >>> from rlsuite.ops.bandits import NormalArms
        >>> problem = bandit(NormalArms(jnp.zeros(3), jnp.ones(3)), 10)
        >>> problem.actions.size
        3
    """
    if horizon < 1:
        raise ValueError(f"horizon is {horizon}; allowed: a whole number at least 1")
    params = EnvParams(arms=arms, horizon=horizon)
    return Control(f"bandit-{arms.num_arms}", BanditEnvironment(arms.num_arms), params)


def bandits(arms: Arms, horizon: int) -> Bandits:
    """The environment and, beside it, the exact values of everything that may be known.

    Args:
        arms: What θ is drawn from.
        horizon: T.

    Returns:
        The bandits.

    Raises:
        ValueError: If the horizon is below 1, or there are too many states.
    """
    states = lattice(arms.num_arms, horizon)
    return Bandits(bandit(arms, horizon), states, *_exact(arms, states))


@jax.jit
def _exact(arms: Arms, states: Lattice) -> tuple[Float[Array, "time state arm"], Float[Array, ""]]:
    """What pulls lose, and what the best policy earns."""
    solution = solve(arms, states)
    return solution.losses, solution.values[0, 0]
