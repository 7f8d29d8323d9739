r"""Models of classes: coins, dice, and chains whose states are hidden.

References:
    Rabiner: A tutorial on hidden Markov models and selected applications in speech recognition.
    Proceedings of the IEEE 77, 1989, sec. III.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rlsuite.ops.conjugate.families import BERNOULLI, Family, categorical
from rlsuite.ops.conjugate.models import numbers, refuse, urn
from rlsuite.ops.pytrees import pytree


@pytree()
@dataclasses.dataclass(frozen=True)
class BetaBernoulli:
    r"""A coin: θ ~ Beta(α, β), x ∈ {0, 1} with P(1) = θ.

    s = (α + ones, β + zeros), P(x = 1 | s) = s_1 / (s_1 + s_2).

    Attributes:
        alpha: α > 0.
        beta: β > 0.

    Raises:
        ValueError: If a parameter is not above 0.

    Example:
        >>> BetaBernoulli(1.0, 3.0).predictive(jnp.array([1.0, 1.0])).tolist()
        [0.0]
    """

    alpha: float | Float[Array, ""] = 1.0
    beta: float | Float[Array, ""] = 1.0

    def __post_init__(self) -> None:
        refuse("alpha", self.alpha, 0)
        refuse("beta", self.beta, 0)

    @property
    def family(self) -> Family:
        """Bernoulli."""
        return BERNOULLI

    @property
    def outcomes(self) -> int:
        """Two."""
        return 2

    @property
    def initial(self) -> Float[Array, " 2"]:
        """(α, β)."""
        return numbers(self.alpha, self.beta)

    def update(
        self, statistics: Float[Array, "*batch 2"], x: Int[Array, "*batch"]
    ) -> Float[Array, "*batch 2"]:
        """One more 1, or one more 0."""
        return statistics + jax.nn.one_hot(1 - x, 2, dtype=statistics.dtype)

    def predictive(self, statistics: Float[Array, "*batch 2"]) -> Float[Array, "*batch 1"]:
        """The logit, log s_1/s_2."""
        return jnp.log(statistics[..., :1]) - jnp.log(statistics[..., 1:])

    def sample(self, key: PRNGKeyArray, length: int) -> Int[Array, " time"]:
        """Draw tosses, as from a coin whose θ is drawn."""

        def toss(statistics: Array, u: Array) -> Array:
            return (u * jnp.sum(statistics) < statistics[0]).astype(int)

        return urn(self, jax.random.uniform(key, (length,), self.initial.dtype), toss)

    def encode(self, x: Int[Array, "*batch"]) -> Float[Array, "*batch 1"]:
        """−1 or 1."""
        return 2.0 * x[..., None].astype(float) - 1.0


@pytree()
@dataclasses.dataclass(frozen=True)
class DirichletCategorical:
    r"""A die: θ ~ Dirichlet(α), x ∈ {0 … k − 1} with P(x) = θ_x.

    s_i = α_i + how often i was seen, P(x = i | s) = s_i / Σ_j s_j.

    Attributes:
        concentration: α, each above 0, at least two.

    Raises:
        ValueError: If a parameter is not above 0, or there are fewer than two.

    Example:
        >>> die = DirichletCategorical(jnp.ones(3))
        >>> jnp.exp(die.predictive(die.update(die.initial, jnp.array(2)))).tolist()
        [0.25, 0.25, 0.5]
    """

    concentration: Float[Array | np.ndarray, " k"]

    def __post_init__(self) -> None:
        refuse("concentration", self.concentration, 0)
        if np.ndim(self.concentration) != 1 or np.shape(self.concentration)[0] < 2:
            shape = np.shape(self.concentration)
            raise ValueError(f"concentration has the shape {shape}; allowed: (k,) with k above 1")

    @property
    def family(self) -> Family:
        """Categorical."""
        return categorical(self.outcomes)

    @property
    def outcomes(self) -> int:
        """How many sides there are."""
        return self.concentration.shape[0]

    @property
    def initial(self) -> Float[Array, " k"]:
        """α."""
        return jnp.asarray(self.concentration)

    def update(
        self, statistics: Float[Array, "*batch k"], x: Int[Array, "*batch"]
    ) -> Float[Array, "*batch k"]:
        """Count one more."""
        return statistics + jax.nn.one_hot(x, self.outcomes, dtype=statistics.dtype)

    def predictive(self, statistics: Float[Array, "*batch k"]) -> Float[Array, "*batch k"]:
        """Log probabilities."""
        return jnp.log(statistics) - jnp.log(jnp.sum(statistics, axis=-1, keepdims=True))

    def sample(self, key: PRNGKeyArray, length: int) -> Int[Array, " time"]:
        """Draw throws, as of a die whose θ is drawn."""

        def throw(statistics: Array, u: Array) -> Array:
            steps = jnp.cumsum(statistics)
            return jnp.sum((u * steps[-1] >= steps[:-1]).astype(int))

        return urn(self, jax.random.uniform(key, (length,), self.initial.dtype), throw)

    def encode(self, x: Int[Array, "*batch"]) -> Float[Array, "*batch k"]:
        """One-hot."""
        return jax.nn.one_hot(x, self.outcomes)


@pytree()
@dataclasses.dataclass(frozen=True)
class HiddenMarkov:
    r"""Symbols of a chain whose state is hidden; the filter takes the place of counts.

    z_1 ~ initial, z_{t+1} ~ transition[z_t], x_t ~ emission[z_t]. The statistics are the belief
    before x_{t+1}, s_t(z) = P(z_{t+1} = z | x_1 … x_t):

        s_{t+1} ∝ Σ_z transition[z, ·] emission[z, x_{t+1}] s_t(z),
        P(x | s) = Σ_z s(z) emission[z, x].

    A law that is drawn from finitely many is such a chain too, on pairs (law, state): see
    ``of_laws``. No conjugate prior is needed, and none exists in general.

    Attributes:
        start: The law of z_1, ``[state]``.
        transition: ``[state, next state]``, rows that sum to 1.
        emission: ``[state, symbol]``, rows that sum to 1.

    Raises:
        ValueError: If shapes do not fit, or rows do not sum to 1.

    Example:
        >>> emission = jnp.array([[0.9, 0.1], [0.1, 0.9]])
        >>> chain = HiddenMarkov(jnp.array([0.5, 0.5]), jnp.eye(2), emission)
        >>> belief = chain.update(chain.initial, jnp.array(0))
        >>> [round(float(p), 3) for p in belief]
        [0.9, 0.1]
    """

    start: Float[Array | np.ndarray, " first"]
    transition: Float[Array | np.ndarray, "state next"]
    emission: Float[Array | np.ndarray, "hidden symbol"]

    def __post_init__(self) -> None:
        states = np.shape(self.start)
        shapes = np.shape(self.transition), np.shape(self.emission)[:1]
        if len(states) != 1 or shapes != (states * 2, states):
            raise ValueError(
                f"start, transition and emission have the shapes {states}, {shapes[0]} and "
                f"{np.shape(self.emission)}; allowed: (s,), (s, s) and (s, k)"
            )
        for name in ("start", "transition", "emission"):
            _check_rows(name, getattr(self, name))

    @classmethod
    def of_laws(
        cls,
        start: Float[Array | np.ndarray, "law state"],
        transition: Float[Array | np.ndarray, "law state state"],
        emission: Float[Array | np.ndarray, "law state symbol"],
    ) -> "HiddenMarkov":
        """A chain whose law is drawn from finitely many, all equally likely.

        Args:
            start: Of each law.
            transition: Of each.
            emission: Of each.

        Returns:
            The chain on pairs (law, state), which never changes its law.
        """
        laws, states = start.shape
        blocks = np.zeros((laws, states, laws, states))
        blocks[np.arange(laws), :, np.arange(laws)] = np.asarray(transition)
        size = laws * states
        return cls(
            np.reshape(start, size) / np.asarray(laws, start.dtype),
            blocks.reshape(size, size).astype(start.dtype),
            np.reshape(emission, (size, -1)),
        )

    @property
    def family(self) -> Family:
        """Categorical."""
        return categorical(self.outcomes)

    @property
    def outcomes(self) -> int:
        """How many symbols there are."""
        return self.emission.shape[1]

    @property
    def initial(self) -> Float[Array, " state"]:
        """The law of the first state."""
        return jnp.asarray(self.start)

    def update(
        self, statistics: Float[Array, "*batch state"], x: Int[Array, "*batch"]
    ) -> Float[Array, "*batch state"]:
        """Condition on the symbol, and move on; after an impossible one all beliefs are 0."""
        seen = statistics * jnp.asarray(self.emission).T[x]
        total = jnp.sum(seen, axis=-1, keepdims=True)
        return seen / jnp.maximum(total, jnp.finfo(total.dtype).tiny) @ self.transition

    def predictive(self, statistics: Float[Array, "*batch state"]) -> Float[Array, "*batch symbol"]:
        """Log probabilities; impossible symbols have the logarithm of the least normal number."""
        chances = statistics @ jnp.asarray(self.emission)
        return jnp.log(jnp.maximum(chances, jnp.finfo(chances.dtype).tiny))

    def sample(self, key: PRNGKeyArray, length: int) -> Int[Array, " time"]:
        """Draw states, and the symbols that they show."""
        of_start, of_states, of_symbols = jax.random.split(key, 3)

        def move(state: Array, key: PRNGKeyArray) -> tuple[Array, Array]:
            return jax.random.categorical(key, moves[state]), state

        moves, shows = jnp.log(self.transition), jnp.log(self.emission)
        first = jax.random.categorical(of_start, jnp.log(self.start))
        _, states = jax.lax.scan(move, first, jax.random.split(of_states, length))
        return jax.random.categorical(of_symbols, shows[states])

    def encode(self, x: Int[Array, "*batch"]) -> Float[Array, "*batch symbol"]:
        """One-hot."""
        return jax.nn.one_hot(x, self.outcomes)


def _check_rows(name: str, value: Any) -> None:
    if isinstance(value, jax.core.Tracer):
        return
    rows = np.asarray(value)
    if np.any(rows < 0) or np.any(np.abs(rows.sum(axis=-1) - 1) > 1e-5):
        raise ValueError(f"{name} has rows that are no distributions; allowed: sums of 1, none < 0")
