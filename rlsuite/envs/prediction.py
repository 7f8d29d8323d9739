r"""Sequences to predict, whose law is drawn anew every episode: as tasks, and as an environment.

An episode is a sequence x_1 … x_T of a :mod:`model <rlsuite.ops.conjugate>`. Before x_{t+1} is
shown, its law is to be predicted from x_1 … x_t; the loss is −log q_t(x_{t+1}) nats, and no agent
has a smaller one on average than the model's own predictions.

Example:
    >>> from rlsuite.ops.conjugate import BetaBernoulli
    >>> coins = Prediction(BetaBernoulli(), 20)
    >>> x = coins.sample(jax.random.key(0))
    >>> coins.inputs(x)[0].tolist(), bool(jnp.all(coins.inputs(x)[1:, 0] == 2 * x[:-1] - 1))
    ([0.0], True)
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments import environment, spaces
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rlsuite.envs.control import Control
from rlsuite.ops.conjugate import Model, walk
from rlsuite.ops.pytrees import pytree


@pytree(static=("length",))
@dataclasses.dataclass(frozen=True)
class Prediction:
    """A distribution of sequences to predict.

    Attributes:
        model: Whose sequences they are.
        length: T, at least 1.

    Raises:
        ValueError: If the length is below 1.
    """

    model: Model
    length: int = 20

    def __post_init__(self) -> None:
        if self.length < 1:
            raise ValueError(f"length is {self.length}; allowed: a whole number at least 1")

    def sample(self, key: PRNGKeyArray) -> Array:
        """Draw a sequence, ``[time]``."""
        return self.model.sample(key, self.length)

    def samples(self, key: PRNGKeyArray, count: int) -> Array:
        """Draw sequences, ``[time, sequence]``."""
        return jax.vmap(self.sample, out_axes=1)(jax.random.split(key, count))

    def inputs(self, x: Array) -> Float[Array, "time *batch feature"]:
        """What an agent has been shown when it predicts x_1 … x_T: nothing, x_1, … x_{T−1}.

        Args:
            x: A sequence, ``[time, *batch]``.

        Returns:
            The observations, encoded; zeros first.
        """
        codes = self.model.encode(x)
        return jnp.concatenate([jnp.zeros_like(codes[:1]), codes[:-1]])

    def best(self, x: Array) -> Float[Array, "time *batch head"]:
        """The heads of the model's own predictions of x_1 … x_T."""
        return walk(self.model, x)[0]


@struct.dataclass
class EnvState(environment.EnvState):
    """The number of predictions so far, and the whole sequence."""

    time: Any
    x: Any


@struct.dataclass
class EnvParams(environment.EnvParams):
    """The model."""

    model: Any = None
    max_steps_in_episode: Any = 1 << 30


class PredictionEnvironment(environment.Environment[EnvState, EnvParams]):
    """A gymnax environment: actions are heads, rewards log densities; see :func:`control`."""

    def __init__(self, length: int, size: int, features: int) -> None:
        self.length, self.size, self.features = length, size, features

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PredictionEnvironment) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[int, int, int]:
        return self.length, self.size, self.features

    @property
    def default_params(self) -> EnvParams:
        """Without a model; meant to be replaced."""
        return EnvParams()

    @property
    def num_actions(self) -> int:
        """The size of a head."""
        return self.size

    def action_space(self, params: EnvParams | None = None) -> spaces.Box:  # noqa: ARG002
        """Heads, within what networks put out."""
        return spaces.Box(-10.0, 10.0, (self.size,), jnp.float32)

    def observation_space(self, params: EnvParams | None = None) -> spaces.Box:  # noqa: ARG002
        """The last observation, encoded."""
        return spaces.Box(-jnp.inf, jnp.inf, (self.features,), jnp.float32)

    def state_space(self, params: EnvParams) -> spaces.Dict:  # noqa: ARG002
        """See ``EnvState``."""
        x = spaces.Box(-jnp.inf, jnp.inf, (self.length,), jnp.float32)
        return spaces.Dict({"time": spaces.Discrete(self.length + 1), "x": x})

    def reset_env(
        self, key: PRNGKeyArray, params: EnvParams
    ) -> tuple[Float[Array, " feature"], EnvState]:
        """Draw a sequence, and show nothing of it."""
        state = EnvState(time=jnp.int32(0), x=params.model.sample(key, self.length))
        return jnp.zeros(self.features), state

    def step_env(
        self,
        key: PRNGKeyArray,
        state: EnvState,
        action: Float[Array, " head"],
        params: EnvParams,
    ) -> tuple[
        Float[Array, " feature"], EnvState, Float[Array, ""], Bool[Array, ""], dict[str, Any]
    ]:
        """Show what was predicted, without resetting at the end of an episode."""
        reward = params.model.family.log_density(action, state.x[state.time])
        state = EnvState(time=state.time + 1, x=state.x)
        terminated = self.is_terminated(state, params)
        discount = {"discount": self.discount(state, params)}
        return self.observe(key, state, action, params), state, reward, terminated, discount

    def observe(
        self,
        key: PRNGKeyArray,  # noqa: ARG002
        state: EnvState,
        action: Any,  # noqa: ARG002
        params: EnvParams,
    ) -> Float[Array, " feature"]:
        """The last observation, encoded; zeros before the first."""
        code = params.model.encode(state.x[jnp.maximum(state.time - 1, 0)])
        return jnp.where(state.time > 0, code, 0.0)

    def is_terminated(
        self,
        state: EnvState,
        params: EnvParams,  # noqa: ARG002
    ) -> Bool[Array, ""]:
        """Whether the sequence is over."""
        return state.time >= self.length


def control(problem: Prediction) -> Control:
    """The tasks as an environment, for whatever learns from rewards alone.

    Actions are vectors within [−1, 1], scaled to heads within [−10, 10].

    Args:
        problem: The tasks.

    Returns:
        The environment.

    Example:
        >>> from rlsuite.ops.conjugate import BetaBernoulli
        >>> coins = control(Prediction(BetaBernoulli(), 5))
        >>> state, seen = coins.reset(jax.random.key(0))
        >>> state, seen = coins.step(jax.random.key(1), state, jnp.zeros(1))
        >>> round(float(seen.reward), 3)
        -0.693
    """
    features = jax.eval_shape(lambda: problem.inputs(problem.sample(jax.random.key(0)))).shape[-1]
    family = problem.model.family
    environment = PredictionEnvironment(problem.length, family.size, features)
    return Control("prediction", environment, EnvParams(model=problem.model))
