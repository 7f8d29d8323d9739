"""What the arms' probabilities are drawn from, and what counts tell about them."""

import dataclasses
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rlsuite.ops.pytrees import pytree


@runtime_checkable
class Arms(Protocol):
    """A prior of the probabilities θ with which the arms pay 1; a pytree."""

    @property
    def num_arms(self) -> int:
        """K."""

    def draw(self, key: PRNGKeyArray) -> Float[Array, " arm"]:
        """Draw θ."""

    def means(
        self, successes: Int[Array, "*batch arm"], failures: Int[Array, "*batch arm"]
    ) -> Float[Array, "*batch arm"]:
        """The mean of θ after these counts."""


def type_of(arms: Arms) -> Any:
    """The type of the numbers that counts lead to."""
    nothing = jnp.zeros(arms.num_arms, jnp.int32)
    return jax.eval_shape(arms.means, nothing, nothing).dtype


@pytree(static=("num_arms",))
@dataclasses.dataclass(frozen=True)
class UniformArms:
    """Independent arms, each θ_k uniform between 0 and 1.

    Attributes:
        num_arms: K, at least 1.

    Raises:
        ValueError: If there is none.

    Example:
        >>> UniformArms(2).means(jnp.array([2, 0]), jnp.array([0, 1])).tolist()
        [0.75, 0.3333333432674408]
    """

    num_arms: int

    def __post_init__(self) -> None:
        if self.num_arms < 1:
            raise ValueError(f"num_arms is {self.num_arms}; allowed: a whole number at least 1")

    @property
    def alpha(self) -> Float[Array, " arm"]:
        """Ones."""
        return jnp.ones(self.num_arms)

    @property
    def beta(self) -> Float[Array, " arm"]:
        """Ones."""
        return jnp.ones(self.num_arms)

    def draw(self, key: PRNGKeyArray) -> Float[Array, " arm"]:
        """Draw θ."""
        return jax.random.uniform(key, (self.num_arms,))

    def means(
        self, successes: Int[Array, "*batch arm"], failures: Int[Array, "*batch arm"]
    ) -> Float[Array, "*batch arm"]:
        """(s + 1)/(s + f + 2)."""
        return (successes + 1).astype(float) / (successes + failures + 2).astype(float)


@pytree()
@dataclasses.dataclass(frozen=True)
class BetaArms:
    """Independent arms, θ_k ~ Beta(α_k, β_k).

    Attributes:
        alpha: α, each above 0.
        beta: β, each above 0.

    Raises:
        ValueError: If a parameter is not above 0, or shapes differ.

    Example:
        >>> BetaArms(jnp.array([1.0, 3.0]), jnp.array([1.0, 1.0])).means(*jnp.zeros((2, 2), int))
        Array([0.5 , 0.75], dtype=float32)
    """

    alpha: Float[Array | np.ndarray, " arm"]
    beta: Float[Array | np.ndarray, " arms"]

    def __post_init__(self) -> None:
        if np.shape(self.alpha) != np.shape(self.beta) or np.ndim(self.alpha) != 1:
            shapes = np.shape(self.alpha), np.shape(self.beta)
            raise ValueError(
                f"alpha and beta have the shapes {shapes[0]} and {shapes[1]}; allowed: one (K,)"
            )
        for name in ("alpha", "beta"):
            value = getattr(self, name)
            if not isinstance(value, jax.core.Tracer) and not np.all(np.asarray(value) > 0):
                raise ValueError(f"{name} is {value}; allowed: numbers above 0")

    @property
    def num_arms(self) -> int:
        """K."""
        return self.alpha.shape[0]

    def draw(self, key: PRNGKeyArray) -> Float[Array, " arm"]:
        """Draw θ."""
        return jax.random.beta(key, jnp.asarray(self.alpha), jnp.asarray(self.beta))

    def means(
        self, successes: Int[Array, "*batch arm"], failures: Int[Array, "*batch arm"]
    ) -> Float[Array, "*batch arm"]:
        """(s + α)/(s + f + α + β)."""
        kind = jnp.asarray(self.alpha).dtype
        more = successes.astype(kind) + self.alpha
        return more / (more + failures.astype(kind) + self.beta)


@pytree()
@dataclasses.dataclass(frozen=True)
class FiniteArms:
    r"""θ is one of finitely many vectors: arms that tell about each other.

    P(m | counts) ∝ w_m Π_k θ_mk^{s_k} (1 − θ_mk)^{f_k}.

    Attributes:
        chances: The vectors, ``[vector, arm]``, strictly between 0 and 1.
        weights: w, the prior, which sums to 1.

    Raises:
        ValueError: If shapes do not fit, or numbers are out of range.

    Example:
        >>> arms = FiniteArms(jnp.array([[0.9, 0.1], [0.1, 0.9]]), jnp.array([0.5, 0.5]))
        >>> [round(float(p), 4) for p in arms.means(jnp.array([1, 0]), jnp.array([0, 0]))]
        [0.82, 0.18]
    """

    chances: Float[Array | np.ndarray, "vector arm"]
    weights: Float[Array | np.ndarray, " weight"]

    def __post_init__(self) -> None:
        if np.shape(self.chances)[:1] != np.shape(self.weights):
            shapes = np.shape(self.chances), np.shape(self.weights)
            raise ValueError(
                f"chances and weights have the shapes {shapes[0]} and {shapes[1]}; allowed: (m, K) "
                f"and (m,)"
            )
        if isinstance(self.chances, jax.core.Tracer) or isinstance(self.weights, jax.core.Tracer):
            return
        chances, weights = np.asarray(self.chances), np.asarray(self.weights)
        if not np.all((chances > 0) & (chances < 1)):
            raise ValueError(f"chances is {chances}; allowed: numbers above 0 and below 1")
        if np.any(weights < 0) or abs(weights.sum() - 1) > 1e-5:
            raise ValueError(f"weights is {weights}; allowed: numbers from 0 that sum to 1")

    @classmethod
    def opposed(cls, points: int = 64) -> "FiniteArms":
        """Two arms of which one pays as often as the other does not: θ_2 = 1 − θ_1, θ_1 uniform.

        Gauss and Legendre's points and weights stand for the uniform law; up to 2 · points − 2
        pulls no expectation tells them from it.

        Args:
            points: How many vectors.

        Returns:
            The arms.
        """
        nodes, weights = np.polynomial.legendre.leggauss(points)
        first = (nodes + 1) / 2
        kind = np.dtype(jnp.zeros(()).dtype)
        return cls(np.stack([first, 1 - first], 1).astype(kind), (weights / 2).astype(kind))

    @property
    def num_arms(self) -> int:
        """K."""
        return self.chances.shape[1]

    def draw(self, key: PRNGKeyArray) -> Float[Array, " arm"]:
        """Draw θ."""
        which = jax.random.categorical(key, jnp.log(self.weights))
        return jnp.asarray(self.chances)[which]

    def posterior(
        self, successes: Int[Array, "*batch arm"], failures: Int[Array, "*batch arm"]
    ) -> Float[Array, "*batch vector"]:
        """The probability of each vector after these counts."""
        chances: Any = jnp.asarray(self.chances)
        kind = chances.dtype
        logs = successes.astype(kind) @ jnp.log(chances).T
        logs = logs + failures.astype(kind) @ jnp.log1p(-chances).T
        return jax.nn.softmax(logs + jnp.log(self.weights))

    def means(
        self, successes: Int[Array, "*batch arm"], failures: Int[Array, "*batch arm"]
    ) -> Float[Array, "*batch arm"]:
        """The posterior's mean."""
        return self.posterior(successes, failures) @ self.chances


@pytree()
@dataclasses.dataclass(frozen=True)
class NormalArms:
    """Arms that pay normal rewards: θ_k ~ N(m_k, d_k²), rewards N(θ_k, σ²). They have no lattice.

    Attributes:
        mean: m.
        deviation: d, each above 0.
        noise: σ > 0.

    Raises:
        ValueError: If a deviation is not above 0, or shapes differ.
    """

    mean: Float[Array | np.ndarray, " arm"]
    deviation: Float[Array | np.ndarray, " arms"]
    noise: float | Float[Array, ""] = 1.0

    def __post_init__(self) -> None:
        if np.shape(self.mean) != np.shape(self.deviation) or np.ndim(self.mean) != 1:
            raise ValueError(
                f"mean and deviation have the shapes {np.shape(self.mean)} and "
                f"{np.shape(self.deviation)}; allowed: one (K,)"
            )
        for name in ("deviation", "noise"):
            value = getattr(self, name)
            if not isinstance(value, jax.core.Tracer) and not np.all(np.asarray(value) > 0):
                raise ValueError(f"{name} is {value}; allowed: numbers above 0")

    @property
    def num_arms(self) -> int:
        """K."""
        return self.mean.shape[0]

    def draw(self, key: PRNGKeyArray) -> Float[Array, " arm"]:
        """Draw θ."""
        return jnp.asarray(self.mean) + self.deviation * jax.random.normal(key, (self.num_arms,))

    def means(
        self, totals: Float[Array, "*batch arm"], pulls: Int[Array, "*batch arm"]
    ) -> Float[Array, "*batch arm"]:
        """The posterior's means.

        Args:
            totals: The sum of each arm's rewards so far.
            pulls: How many there were.

        Returns:
            The means.
        """
        prior = 1 / jnp.square(jnp.asarray(self.deviation))
        each = 1 / jnp.square(jnp.asarray(self.noise))
        return (prior * jnp.asarray(self.mean) + each * totals) / (prior + each * pulls)
