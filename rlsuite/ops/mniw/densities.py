"""Densities, divergences, predictions and draws."""

import math

import jax
import jax.numpy as jnp
from jax.scipy.special import digamma, gammaln
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.ops.mniw.laws import (
    MNIW,
    Regression,
    StudentT,
    check,
    check_shape,
    contract,
    expected_log_determinant,
    exponent,
    halves,
    log_normalizer_of,
)
from rlsuite.ops.positive_definite import cholesky, log_determinant, solve_lower


def log_density(law: MNIW, point: Regression) -> Float[Array, "*batch"]:
    """The log density of (F, Σ) over the entries of F and of Σ's lower triangle.

    Args:
        law: The law.
        point: F, and a positive definite Σ.

    Returns:
        log p(F, Σ).

    Raises:
        ValueError: If the shapes differ.
    """
    check(law)
    check_shape("matrix", point.matrix.shape, law.mean.shape)
    check_shape("covariance", point.covariance.shape, law.psi.shape)
    factor = cholesky(point.covariance)
    scale = solve_lower(factor, cholesky(law.psi))
    rows = solve_lower(factor, point.matrix - law.mean)
    columns = solve_lower(cholesky(law.column_covariance), rows.mT)
    squares = contract(scale, scale) + contract(columns, columns)
    return -(exponent(law) * log_determinant(factor) + squares) / 2 - log_normalizer_of(law)


def entropy(law: MNIW) -> Float[Array, "*batch"]:
    """−E log p(F, Σ) = A + ½ ((ν + n + m + 1) E[log |Σ|] + n (ν + m)), in nats."""
    check(law)
    n, m = law.mean.shape[-2:]
    spread = expected_log_determinant(law, log_determinant(cholesky(law.psi)))
    return log_normalizer_of(law) + (exponent(law) * spread + n * (law.nu + m)) / 2


def kl(q: MNIW, p: MNIW) -> Float[Array, "*batch"]:
    """KL(q ‖ p) of two laws, in nats.

    With D = M_q − M_p it is, of Σ and of F in turn,

        ½ [ν_q (tr Ψ_p Ψ_q⁻¹ − n) + ν_p log |Ψ_q| / |Ψ_p| + (ν_q − ν_p) Σ_i ψ((ν_q + 1 − i) / 2)]
            + log Γ_n(ν_p / 2) − log Γ_n(ν_q / 2),
        ½ [n (tr V_p⁻¹ V_q − m + log |V_p| / |V_q|) + ν_q tr V_p⁻¹ Dᵀ Ψ_q⁻¹ D].

    Args:
        q: The law that the expectation is over.
        p: Another.

    Returns:
        At least 0 up to rounding.

    Raises:
        ValueError: If the shapes differ.
    """
    check(q)
    check(p)
    check_shape("p.mean", p.mean.shape, q.mean.shape)
    n, m = q.mean.shape[-2:]
    q_psi, p_psi, q_columns, p_columns = map(
        cholesky, (q.psi, p.psi, q.column_covariance, p.column_covariance)
    )
    scale = solve_lower(q_psi, p_psi)
    columns = solve_lower(p_columns, q_columns)
    apart = solve_lower(p_columns, solve_lower(q_psi, q.mean - p.mean).mT)
    of_noise = q.nu * (contract(scale, scale) - n) + p.nu * (
        log_determinant(q_psi) - log_determinant(p_psi)
    )
    of_map = n * (contract(columns, columns) - m) + q.nu * contract(apart, apart)
    of_map = of_map + n * (log_determinant(p_columns) - log_determinant(q_columns))
    digammas = (q.nu - p.nu) / 2 * jnp.sum(digamma(halves(q)), axis=-1)
    gammas = jnp.sum(gammaln(halves(p)) - gammaln(halves(q)), axis=-1)
    return (of_noise + of_map) / 2 + digammas + gammas


def predictive(law: MNIW, x: Float[Array, "*batch m"]) -> StudentT:
    """The law of y given x: t about M x, of d = ν − n + 1 degrees and scale Ψ (1 + xᵀ V x) / d.

    Args:
        law: That of (F, Σ).
        x: Where.

    Returns:
        The multivariate t law.

    Raises:
        ValueError: If the shapes do not fit.
    """
    check(law)
    check_shape("x", x.shape, (*law.mean.shape[:-2], law.mean.shape[-1]))
    degrees = law.nu - (law.mean.shape[-2] - 1)
    column = x[..., None]
    spread = 1 + (column.mT @ law.column_covariance @ column)
    return StudentT(
        degrees, (law.mean @ column)[..., 0], law.psi * spread / degrees[..., None, None]
    )


def predictive_log_density(
    law: MNIW, x: Float[Array, "*batch m"], y: Float[Array, "*batch n"]
) -> Float[Array, "*batch"]:
    """The log density of ``predictive``: F and Σ are integrated out.

    Args:
        law: That of (F, Σ).
        x: Where.
        y: What was seen there.

    Returns:
        log p(y | x), in nats.

    Raises:
        ValueError: If the shapes do not fit.
    """
    student = predictive(law, x)
    check_shape("y", y.shape, student.location.shape)
    n, degrees, factor = y.shape[-1], student.degrees, cholesky(student.scale)
    squares = jnp.sum(
        jnp.square(solve_lower(factor, (y - student.location)[..., None])), axis=(-2, -1)
    )
    gammas = gammaln((degrees + n) / 2) - gammaln(degrees / 2)
    spread = n * jnp.log(degrees * math.pi) + log_determinant(factor)
    return gammas - (spread + (degrees + n) * jnp.log1p(squares / degrees)) / 2


def sample(key: PRNGKeyArray, law: MNIW, shape: tuple[int, ...] = ()) -> Regression:
    """Draws of (F, Σ), which carry gradients to the law.

    Bartlett: with A lower triangular, A_ii² ~ χ²(ν + 1 − i) and A_ij ~ N(0, 1) below, and Ψ = L Lᵀ,
    Σ = C Cᵀ for C = L A⁻ᵀ; and F = M + C Z chol(V)ᵀ with Z of standard normal numbers.

    Args:
        key: A key.
        law: The law.
        shape: The leading axes of the draws.

    Returns:
        Arrays of shape ``[*shape, *batch, ...]``.

    Reference:
        Smith and Hocking: Algorithm AS 53: Wishart variate generator. Applied Statistics 21, 1972.
    """
    check(law)
    keys = jax.random.split(key, 3)
    n, dtype = law.mean.shape[-2], law.mean.dtype
    outer = (*shape, *law.mean.shape[:-2])
    gammas = jax.random.gamma(keys[0], halves(law), (*outer, n), dtype)
    below = jnp.tril(jax.random.normal(keys[1], (*outer, n, n), dtype), -1)
    bartlett = below + jnp.sqrt(2 * gammas)[..., None] * jnp.eye(n, dtype=dtype)
    psi = jnp.broadcast_to(cholesky(law.psi), bartlett.shape)
    rows = solve_lower(bartlett, psi.mT).mT
    noise = jax.random.normal(keys[2], (*shape, *law.mean.shape), dtype)
    columns = cholesky(law.column_covariance).mT
    return Regression(law.mean + rows @ noise @ columns, rows @ rows.mT)


def mode(law: MNIW) -> Regression:
    """Where the density of (F, Σ) is greatest: M and Ψ / (ν + n + m + 1)."""
    check(law)
    return Regression(law.mean, law.psi / exponent(law)[..., None, None])


def mean(law: MNIW) -> Regression:
    """E F = M and E Σ = Ψ / (ν − n − 1), which exists where ν > n + 1."""
    check(law, beyond=1)
    rest = law.nu - (law.mean.shape[-2] + 1)
    return Regression(law.mean, law.psi / jnp.where(rest > 0, rest, jnp.nan)[..., None, None])
