"""Models of numbers: waiting times, and normal draws with a known or an unknown variance.

References:
    DeGroot: Optimal statistical decisions. 1970, sec. 9.4 to 9.6.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.ops.conjugate.families import LOMAX, NORMAL, STUDENT, Family
from rlsuite.ops.conjugate.models import numbers, refuse, urn
from rlsuite.ops.pytrees import pytree

Scalar = float | Float[Array, ""]
"""A number, which may be traced."""


@pytree()
@dataclasses.dataclass(frozen=True)
class GammaExponential:
    r"""Waiting times: λ ~ Gamma(a, rate b), x ~ Exp(rate λ).

    s = (a + n, b + Σ x); the next x has Lomax's law, P(x > y | s) = (1 + y/s_2)^{−s_1}.

    Attributes:
        shape: a > 0.
        rate: b > 0.

    Raises:
        ValueError: If a parameter is not above 0.

    Example:
        >>> model = GammaExponential(2.0, 1.0)
        >>> model.update(model.initial, jnp.array(3.0)).tolist()
        [3.0, 4.0]
    """

    shape: Scalar = 3.0
    rate: Scalar = 2.0

    def __post_init__(self) -> None:
        refuse("shape", self.shape, 0)
        refuse("rate", self.rate, 0)

    @property
    def family(self) -> Family:
        """Lomax."""
        return LOMAX

    @property
    def outcomes(self) -> None:
        """Numbers."""
        return

    @property
    def initial(self) -> Float[Array, " 2"]:
        """(a, b)."""
        return numbers(self.shape, self.rate)

    def update(
        self, statistics: Float[Array, "*batch 2"], x: Float[Array, "*batch"]
    ) -> Float[Array, "*batch 2"]:
        """One more, and its time."""
        return statistics + jnp.stack([jnp.ones_like(x), x], axis=-1)

    def predictive(self, statistics: Float[Array, "*batch 2"]) -> Float[Array, "*batch 2"]:
        """Logarithms."""
        return jnp.log(statistics)

    def sample(self, key: PRNGKeyArray, length: int) -> Float[Array, " time"]:
        """Draw times, as with a λ that is drawn."""

        def wait(statistics: Array, u: Array) -> Array:
            return statistics[1] * jnp.expm1(-jnp.log1p(-u) / statistics[0])

        return urn(self, jax.random.uniform(key, (length,), self.initial.dtype), wait)

    def encode(self, x: Float[Array, "*batch"]) -> Float[Array, "*batch 2"]:
        """The time in units of b, and log(1 + that): a few are very long."""
        relative = x / self.rate
        return jnp.stack([relative, jnp.log1p(relative)], axis=-1)


@pytree()
@dataclasses.dataclass(frozen=True)
class Normal:
    r"""Numbers around an unknown mean: μ ~ N(m, 1/p), x ~ N(μ, σ²).

    s = (posterior mean, posterior precision): s'_2 = s_2 + σ⁻², s'_1 = s_1 + (x − s_1) σ⁻² / s'_2;
    the next x is N(s_1, 1/s_2 + σ²).

    Attributes:
        mean: m.
        precision: p > 0.
        deviation: σ > 0.

    Raises:
        ValueError: If p or σ is not above 0.

    Example:
        >>> model = Normal(0.0, 1.0, 1.0)
        >>> model.update(model.initial, jnp.array(3.0)).tolist()
        [1.5, 2.0]
    """

    mean: Scalar = 0.0
    precision: Scalar = 1.0
    deviation: Scalar = 1.0

    def __post_init__(self) -> None:
        refuse("mean", self.mean, -jnp.inf)
        refuse("precision", self.precision, 0)
        refuse("deviation", self.deviation, 0)

    @property
    def family(self) -> Family:
        """Normal."""
        return NORMAL

    @property
    def outcomes(self) -> None:
        """Numbers."""
        return

    @property
    def initial(self) -> Float[Array, " 2"]:
        """(m, p)."""
        return numbers(self.mean, self.precision)

    def update(
        self, statistics: Float[Array, "*batch 2"], x: Float[Array, "*batch"]
    ) -> Float[Array, "*batch 2"]:
        """Towards x, by its share of the precision."""
        mean, precision = statistics[..., 0], statistics[..., 1] + self.deviation**-2
        return jnp.stack([mean + (x - mean) * self.deviation**-2 / precision, precision], axis=-1)

    def predictive(self, statistics: Float[Array, "*batch 2"]) -> Float[Array, "*batch 2"]:
        """Mean and log deviation."""
        variance = 1 / statistics[..., 1] + self.deviation**2
        return jnp.stack([statistics[..., 0], 0.5 * jnp.log(variance)], axis=-1)

    def sample(self, key: PRNGKeyArray, length: int) -> Float[Array, " time"]:
        """Draw μ, and numbers."""
        of_law, of_numbers = jax.random.split(key)
        mean = self.mean + jax.random.normal(of_law) * self.precision**-0.5
        return mean + self.deviation * jax.random.normal(of_numbers, (length,))

    def encode(self, x: Float[Array, "*batch"]) -> Float[Array, "*batch 1"]:
        """Less the prior's mean, in units of the deviation of one number."""
        scale = (1 / self.precision + self.deviation**2) ** -0.5
        return ((x - self.mean) * scale)[..., None]


@pytree()
@dataclasses.dataclass(frozen=True)
class NormalGamma:
    r"""Numbers of unknown mean and variance: τ ~ Gamma(a, rate b), μ ~ N(m, 1/(κτ)), x ~ N(μ, 1/τ).

    s = (m, κ, a, b): κ' = κ + 1, m' = m + (x − m)/κ', a' = a + ½, b' = b + κ (x − m)²/(2 κ'); the
    next x has Student's law with ν = 2a, location m and scale² b (κ + 1)/(a κ).

    Attributes:
        mean: m.
        count: κ > 0, how many observations the prior's mean is worth.
        shape: a > 0.
        rate: b > 0.

    Raises:
        ValueError: If κ, a or b is not above 0.

    Example:
        >>> model = NormalGamma(0.0, 1.0, 2.0, 2.0)
        >>> model.update(model.initial, jnp.array(2.0)).tolist()
        [1.0, 2.0, 2.5, 3.0]
    """

    mean: Scalar = 0.0
    count: Scalar = 1.0
    shape: Scalar = 2.0
    rate: Scalar = 2.0

    def __post_init__(self) -> None:
        refuse("mean", self.mean, -jnp.inf)
        for name in ("count", "shape", "rate"):
            refuse(name, getattr(self, name), 0)

    @property
    def family(self) -> Family:
        """Student's t."""
        return STUDENT

    @property
    def outcomes(self) -> None:
        """Numbers."""
        return

    @property
    def initial(self) -> Float[Array, " 4"]:
        """(m, κ, a, b)."""
        return numbers(self.mean, self.count, self.shape, self.rate)

    def update(
        self, statistics: Float[Array, "*batch 4"], x: Float[Array, "*batch"]
    ) -> Float[Array, "*batch 4"]:
        """See the class."""
        mean, count, shape, rate = jnp.moveaxis(statistics, -1, 0)
        gap, more = x - mean, count + 1
        rate = rate + count * jnp.square(gap) / (2 * more)
        return jnp.stack([mean + gap / more, more, shape + 0.5, rate], axis=-1)

    def predictive(self, statistics: Float[Array, "*batch 4"]) -> Float[Array, "*batch 3"]:
        """Location, log scale, log ν."""
        mean, count, shape, rate = jnp.moveaxis(statistics, -1, 0)
        scale = 0.5 * jnp.log(rate * (count + 1) / (shape * count))
        return jnp.stack([mean, scale, jnp.log(2 * shape)], axis=-1)

    def sample(self, key: PRNGKeyArray, length: int) -> Float[Array, " time"]:
        """Draw τ and μ, and numbers."""
        of_precision, of_mean, of_numbers = jax.random.split(key, 3)
        deviation = (jax.random.gamma(of_precision, self.shape) / self.rate) ** -0.5
        mean = self.mean + deviation * self.count**-0.5 * jax.random.normal(of_mean)
        return mean + deviation * jax.random.normal(of_numbers, (length,))

    def encode(self, x: Float[Array, "*batch"]) -> Float[Array, "*batch 2"]:
        """Less the prior's mean, in its units; and its sign times log(1 + its size)."""
        relative = (x - self.mean) * (self.shape / self.rate) ** 0.5
        squashed = jnp.sign(relative) * jnp.log1p(jnp.abs(relative))
        return jnp.stack([relative, squashed], axis=-1)
