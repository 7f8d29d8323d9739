r"""Gaussians in information form: potentials that are multiplied by adding their numbers.

    log φ(x) = −½ xᵀ J x + hᵀ x + c,

with a symmetric precision J, a shift h and a constant c. J need not be positive definite, as that
of a potential that tells of some directions only; where it is, φ is exp(c + ½ hᵀ J⁻¹ h) √|2π J⁻¹|
times the density N(J⁻¹ h, J⁻¹). All functions take any leading axes.

Reference:
    Koller, Friedman: Probabilistic graphical models. 2009, section 14.2.

Example:
    >>> prior = of_moments(Moments(jnp.zeros(1), jnp.eye(1)))
    >>> seen = of_moments(Moments(jnp.ones(1), jnp.eye(1)))
    >>> posterior = moments(product(prior, seen))
    >>> f"{posterior.mean[0]:.3f}", f"{posterior.covariance[0, 0]:.3f}"
    ('0.500', '0.500')
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.ops import positive_definite
from rlsuite.ops.matrices import apply, multiply, transpose

_LOG_2PI = math.log(2 * math.pi)


class Moments(NamedTuple):
    """N(mean, covariance).

    Attributes:
        mean: m.
        covariance: P, symmetric.
    """

    mean: Float[Array, "*batch n"]
    covariance: Float[Array, "*batch n n"]


class Potential(NamedTuple):
    """log φ(x) = −½ xᵀ J x + hᵀ x + c.

    Attributes:
        precision: J, symmetric.
        shift: h.
        constant: c.
    """

    precision: Float[Array, "*batch n n"]
    shift: Float[Array, "*batch n"]
    constant: Float[Array, "*batch"]


def of_moments(law: Moments) -> Potential:
    """The potential that is a density.

    Args:
        law: Its moments; P positive definite.

    Returns:
        J = P⁻¹, h = P⁻¹ m, and the c with which φ integrates to 1.
    """
    factor = positive_definite.cholesky(law.covariance)
    precision = positive_definite.inverse(factor)
    shift = apply(precision, law.mean)
    size = law.mean.shape[-1]
    squares = jnp.sum(shift * law.mean, axis=-1)
    constant = -(squares + size * _LOG_2PI + positive_definite.log_determinant(factor)) / 2
    return Potential(precision, shift, constant)


def diagonal(mean: Float[Array, "*batch n"], variance: Float[Array, "*batch n"]) -> Potential:
    """The density of independent numbers.

    Args:
        mean: Their means.
        variance: Their variances, above 0.

    Returns:
        The potential.
    """
    identity = jnp.eye(mean.shape[-1], dtype=mean.dtype)
    precision = identity / variance[..., None]
    squares = jnp.square(mean) / variance + _LOG_2PI + jnp.log(variance)
    return Potential(precision, mean / variance, -jnp.sum(squares, axis=-1) / 2)


def flat(shape: tuple[int, ...], dtype: jnp.dtype | type = float) -> Potential:
    """The potential 1, which tells nothing.

    Args:
        shape: Of its shift.
        dtype: Of its numbers.

    Returns:
        Zeros.
    """
    zero = jnp.zeros(shape, dtype)
    return Potential(jnp.zeros((*shape, shape[-1]), dtype), zero, zero[..., 0])


def moments(potential: Potential) -> Moments:
    """Mean and covariance of the law that is proportional to a potential.

    Args:
        potential: With a positive definite precision.

    Returns:
        m = J⁻¹ h and P = J⁻¹.
    """
    covariance = positive_definite.inverse(positive_definite.cholesky(potential.precision))
    return Moments(apply(covariance, potential.shift), covariance)


def product(first: Potential, second: Potential) -> Potential:
    """φ_1 φ_2: a product of experts.

    Args:
        first: φ_1.
        second: φ_2, of the same size.

    Returns:
        The sums.
    """
    return jax.tree.map(jnp.add, first, second)


def quotient(first: Potential, second: Potential) -> Potential:
    """φ_1 / φ_2.

    Args:
        first: φ_1.
        second: φ_2, of the same size.

    Returns:
        The differences.
    """
    return jax.tree.map(jnp.subtract, first, second)


def log_integral(potential: Potential) -> Float[Array, "*batch"]:
    """Log ∫ φ(x) dx.

    Args:
        potential: With a positive definite precision.

    Returns:
        c + ½ hᵀ J⁻¹ h + (n/2) log 2π − ½ log |J|.
    """
    factor = positive_definite.cholesky(potential.precision)
    half = positive_definite.solve_lower(factor, potential.shift[..., None])[..., 0]
    size = potential.shift.shape[-1]
    volume = size * _LOG_2PI - positive_definite.log_determinant(factor)
    return potential.constant + (jnp.sum(jnp.square(half), axis=-1) + volume) / 2


def log_value(potential: Potential, x: Float[Array, "*batch n"]) -> Float[Array, "*batch"]:
    """Log φ(x).

    Args:
        potential: φ.
        x: A point.

    Returns:
        −½ xᵀ J x + hᵀ x + c.
    """
    slope = potential.shift - apply(potential.precision, x) / 2
    return jnp.sum(slope * x, axis=-1) + potential.constant


def marginal(potential: Potential, kept: int) -> Potential:
    """Integrate all but the first numbers out.

    Args:
        potential: Whose precision is positive definite over the rest.
        kept: How many numbers are kept, at least 1 and below n.

    Returns:
        log ∫ φ(x, y) dy, as a potential of x.

    Raises:
        ValueError: If ``kept`` is out of range.
    """
    across, rest, shift = _parts(potential, kept)
    factor = positive_definite.cholesky(rest)
    right = jnp.concatenate([across, shift[..., None]], axis=-1)
    half = positive_definite.solve_lower(factor, right)
    told = transpose(half[..., :-1])
    size = shift.shape[-1]
    volume = size * _LOG_2PI - positive_definite.log_determinant(factor)
    return Potential(
        potential.precision[..., :kept, :kept] - multiply(told, half[..., :-1]),
        potential.shift[..., :kept] - apply(told, half[..., -1]),
        potential.constant + (jnp.sum(jnp.square(half[..., -1]), axis=-1) + volume) / 2,
    )


def condition(potential: Potential, x: Float[Array, "*batch m"]) -> Potential:
    """Put values in the place of the first numbers.

    Args:
        potential: Of (x, y).
        x: The values, at least one and fewer than n.

    Returns:
        φ(x, ·), as a potential of y.

    Raises:
        ValueError: If there are not fewer values than numbers, or none.
    """
    across, rest, shift = _parts(potential, x.shape[-1])
    size = x.shape[-1]
    first = Potential(
        potential.precision[..., :size, :size], potential.shift[..., :size], potential.constant
    )
    return Potential(rest, shift - apply(across, x), log_value(first, x))


def entropy(law: Moments) -> Float[Array, "*batch"]:
    """The differential entropy.

    Args:
        law: The law.

    Returns:
        ½ log |2πe P|, in nats.
    """
    factor = positive_definite.cholesky(law.covariance)
    size = law.mean.shape[-1]
    return (size * (1 + _LOG_2PI) + positive_definite.log_determinant(factor)) / 2


def divergence(first: Moments, second: Moments) -> Float[Array, "*batch"]:
    """KL(first ‖ second).

    Args:
        first: N(m_1, P_1).
        second: N(m_2, P_2).

    Returns:
        ½ (tr P_2⁻¹ P_1 + ‖m_1 − m_2‖² in P_2⁻¹ − n + log |P_2| − log |P_1|), in nats.
    """
    ours = positive_definite.cholesky(first.covariance)
    theirs = positive_definite.cholesky(second.covariance)
    apart = (first.mean - second.mean)[..., None]
    half = positive_definite.solve_lower(theirs, jnp.concatenate([ours, apart], axis=-1))
    volumes = positive_definite.log_determinant(theirs) - positive_definite.log_determinant(ours)
    squares = jnp.sum(jnp.square(half), axis=(-1, -2))
    return (squares - first.mean.shape[-1] + volumes) / 2


def sample(key: PRNGKeyArray, law: Moments, shape: tuple[int, ...] = ()) -> Array:
    """Draw from a law.

    Args:
        key: Key.
        law: The law, P positive definite.
        shape: How many draws, in front of the law's own axes.

    Returns:
        Points, ``[*shape, *batch, n]``.
    """
    factor = positive_definite.cholesky(law.covariance)
    noise = jax.random.normal(key, (*shape, *law.mean.shape), law.mean.dtype)
    return law.mean + apply(factor, noise)


def _parts(potential: Potential, first: int) -> tuple[Array, Array, Array]:
    """(J_yx, J_yy, h_y), where x are so many first numbers."""
    size = potential.shift.shape[-1]
    if not 0 < first < size:
        raise ValueError(f"the number of first entries is {first}; allowed: from 1 to {size - 1}")
    rows = potential.precision[..., first:, :]
    return rows[..., :first], rows[..., first:], potential.shift[..., first:]
