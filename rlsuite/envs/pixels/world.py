r"""What the environments seen as pictures have in common.

A world is a true state x ∈ Rⁿ, an action a ∈ [−1, 1]ᵐ and what an episode is to reach, its goal g:

    x_{t+1} = f(x_t, a_t) + ε_t,    ε_t ~ N(0, σ² I),    r_{t+1} = −c(x_t, a_t, g).

f and c are pure functions, so that the true system may be expanded to the first and second order
anywhere (``linear_quadratic``), which is exact where it is linear and the
cost quadratic. The cost is that of the state in which an action is taken: an episode of T actions
earns −Σ_{t<T} c(x_t, a_t, g), and the cost of its last state is in no reward.

What is observed is a picture of floats from 0 to 1, drawn by ``shapes``, of
the last ``frames`` states side by side in the last axis, the newest last. One picture shows
positions only. With ``frames=1`` a velocity is to be found from the history, as SOLAR's latent
state does (Zhang et al. 2019); with two it can be read off, as E2C, PCC and PC3 do. At first all
frames show the start.

Episodes are cut off after ``max_steps_in_episode`` steps and never terminate. What a model is
measured by in the literature of locally linear control, for which ``in_goal`` is, is the share of
the states x_1 … x_T in the goal.

References:
    Zhang et al.: SOLAR: deep structured representations for model-based reinforcement learning.
    ICML 2019. Shu et al.: Predictive coding for locally-linear control (PC3). ICML 2020. Levine
    et al.: Prediction, consistency, curvature (PCC). ICLR 2020.
"""

import abc
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments import environment, spaces
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rlsuite.envs.pixels.expansion import LinearQuadratic, expanded
from rlsuite.envs.vectors import VectorEnvironment

Picture = Float[Array, "side side channels"]
"""Light from 0 to 1; of an observation, the channels of all frames."""


@struct.dataclass
class EnvState(environment.EnvState):
    """The number of steps so far, the true states in view, the newest last, and the goal."""

    time: Any
    states: Any
    goal: Any


@struct.dataclass
class PixelParams(environment.EnvParams):
    """The noise's standard deviation, an episode's length, and where episodes begin.

    ``scatter`` is (the least, the greatest) of each number of a true state, between which that of
    the first frame is drawn evenly; None: as the world has it. ``moving`` is 1 where the others
    then show how it goes on, and 0 where they show the same.
    """

    noise: Any = 0.0
    max_steps_in_episode: Any = 50
    scatter: Any = None
    moving: Any = 1.0


class PixelEnvironment(VectorEnvironment):
    """A world seen as pictures.

    Attributes:
        state_size: The length of a true state.
        channels: How many channels a picture of one state has.
        side: How many pixels a picture's side has.
        frames: How many states an observation shows.
    """

    state_size: int
    channels: int

    def __init__(self, side: int, frames: int) -> None:
        self.side, self.frames = side, frames
        self.observation_size = side * side * self.channels * frames

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash((type(self), tuple(sorted(vars(self).items()))))

    @abc.abstractmethod
    def first(
        self, key: PRNGKeyArray, params: Any
    ) -> tuple[Float[Array, " n"], Float[Array, " k"]]:
        """How an episode begins.

        Args:
            key: Key.
            params: Parameters.

        Returns:
            (true state, goal).
        """

    @abc.abstractmethod
    def advance(
        self, x: Float[Array, " n"], action: Float[Array, " m"], params: Any
    ) -> Float[Array, " n"]:
        """f: where an action leads without noise.

        Args:
            x: A true state.
            action: Within [−1, 1].
            params: Parameters.

        Returns:
            The next true state.
        """

    @abc.abstractmethod
    def cost(
        self,
        x: Float[Array, " n"],
        action: Float[Array, " m"],
        goal: Float[Array, " k"],
        params: Any,
    ) -> Float[Array, ""]:
        """c: what an action costs.

        Args:
            x: The true state in which it is taken.
            action: Within [−1, 1].
            goal: What the episode is to reach.
            params: Parameters.

        Returns:
            The cost, not negative.
        """

    @abc.abstractmethod
    def draw(self, x: Float[Array, " n"], goal: Float[Array, " k"], params: Any) -> Picture:
        """The picture of one true state.

        Args:
            x: The state.
            goal: What the episode is to reach.
            params: Parameters.

        Returns:
            The picture, from 0 to 1.
        """

    @abc.abstractmethod
    def arrived(
        self, x: Float[Array, " n"], goal: Float[Array, " k"], params: Any
    ) -> Bool[Array, ""]:
        """Whether a true state is in the goal."""

    @abc.abstractmethod
    def wanted(self, goal: Float[Array, " k"], params: Any) -> Float[Array, " n"]:
        """A true state at rest in the goal."""

    def allowed(
        self,
        x: Float[Array, " n"],
        calm: Float[Array, " n"],  # noqa: ARG002
        params: Any,  # noqa: ARG002
    ) -> Float[Array, " n"]:
        """What becomes of a state that noise has moved: nothing, unless a subclass says so.

        Args:
            x: The state.
            calm: The state without the noise.
            params: Parameters.

        Returns:
            A state that the world allows.
        """
        return x

    def true_state(self, state: EnvState) -> Float[Array, " n"]:
        """What a picture is of.

        Args:
            state: The environment's state.

        Returns:
            The true state.
        """
        return state.states[-1]

    def render(self, state: EnvState, params: Any) -> Picture:
        """The picture of a state as it is now: the last frame of its observation.

        Args:
            state: The environment's state.
            params: Parameters.

        Returns:
            The picture, from 0 to 1.
        """
        return self.draw(state.states[-1], state.goal, params)

    def in_goal(self, state: EnvState, params: Any) -> Bool[Array, ""]:
        """Whether a state is in the goal.

        Args:
            state: The environment's state.
            params: Parameters.

        Returns:
            Whether it is.
        """
        return self.arrived(state.states[-1], state.goal, params)

    def goal_image(self, state: EnvState, params: Any) -> Picture:
        """What would be observed if the world were at rest in the goal.

        Args:
            state: The environment's state; only its goal counts.
            params: Parameters.

        Returns:
            The observation.
        """
        image = self.draw(self.wanted(state.goal, params), state.goal, params)
        return jnp.tile(image, self.frames)

    def linear_quadratic(
        self,
        x: Float[Array, " n"],
        action: Float[Array, " m"],
        goal: Float[Array, " k"],
        params: Any,
    ) -> LinearQuadratic:
        """The true system, expanded at a state and an action: exact if it is of that form.

        Args:
            x: A true state.
            action: Within [−1, 1].
            goal: What the episode is to reach.
            params: Parameters.

        Returns:
            The expansion, in (x, a) themselves rather than in how far they are from here.
        """
        return expanded(
            lambda x, action: self.advance(x, action, params),
            lambda x, action: self.cost(x, action, goal, params),
            (x, action),
            params.noise,
        )

    def start(self, key: PRNGKeyArray, params: Any) -> EnvState:
        """The first state, in all frames; scattered, the first frame's, and what follows."""
        x, goal = self.first(key, params)
        if params.scatter is None:
            states = jnp.broadcast_to(x, (self.frames, x.size))
            return EnvState(time=jnp.int32(0), states=states, goal=goal)
        low, high = params.scatter
        anywhere = jax.random.uniform(jax.random.fold_in(key, 1), x.shape, x.dtype, low, high)
        seen, idle = [self.allowed(anywhere, x, params)], jnp.zeros(self.action_size)
        for _ in range(self.frames - 1):
            calm = self.advance(seen[-1], idle, params)
            seen.append(self.allowed(calm, calm, params))
        states = jnp.where(params.moving > 0, jnp.stack(seen), jnp.stack(self.frames * seen[:1]))
        return EnvState(time=jnp.int32(0), states=states, goal=goal)

    def move(
        self, key: PRNGKeyArray, state: EnvState, action: Float[Array, " m"], params: Any
    ) -> tuple[EnvState, Float[Array, ""]]:
        """One step; the reward is less the cost of the action where it was taken."""
        x = state.states[-1]
        calm = self.advance(x, action, params)
        moved = calm + params.noise * jax.random.normal(key, x.shape)
        after = self.allowed(moved, calm, params)
        states = jnp.concatenate([state.states[1:], after[None]])
        return state.replace(states=states), -self.cost(x, action, state.goal, params)

    def see(self, state: EnvState, params: Any) -> Picture:
        """The pictures of the states in view."""
        images = [self.draw(x, state.goal, params) for x in state.states]
        return jnp.concatenate(images, axis=-1)

    def reset_env(self, key: PRNGKeyArray, params: Any) -> tuple[Picture, EnvState]:
        """Start an episode."""
        state = self.start(key, params)
        return self.see(state, params), state

    def step_env(
        self, key: PRNGKeyArray, state: EnvState, action: Float[Array, " m"], params: Any
    ) -> tuple[Picture, EnvState, Float[Array, ""], Bool[Array, ""], dict[str, Any]]:
        """Take one step, without resetting; ``info["in_goal"]`` is that of the next state."""
        after, reward = self.move(key, state, jnp.clip(action, -1.0, 1.0), params)
        after = after.replace(time=state.time + 1)
        terminated = self.is_terminated(after, params)
        info = {"discount": self.discount(after, params), "in_goal": self.in_goal(after, params)}
        return self.see(after, params), after, reward, terminated, info

    def observe(
        self,
        key: PRNGKeyArray,  # noqa: ARG002
        state: EnvState,
        action: Float[Array, " m"] | None,  # noqa: ARG002
        params: Any,
    ) -> Picture:
        """The pictures of the states in view."""
        return self.see(state, params)

    def observation_space(self, params: Any = None) -> spaces.Box:  # noqa: ARG002
        """Shares of light."""
        shape = (self.side, self.side, self.channels * self.frames)
        return spaces.Box(0.0, 1.0, shape, jnp.float32)
