"""Natural parameters, and what data make of them: posteriors, natural steps, evidence."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rlsuite.ops.matrices import product
from rlsuite.ops.mniw.laws import (
    LOG_2PI,
    MNIW,
    Expected,
    Natural,
    check,
    check_above,
    check_alike,
    check_shape,
    check_shapes,
    contract,
    expected_log_determinant,
    exponent,
    log_normalizer_of,
)
from rlsuite.ops.positive_definite import (
    cholesky,
    inverse,
    log_determinant,
    solve_lower,
    solve_upper,
)


def prior(
    state_size: int,
    input_size: int,
    *,
    psi: float | Float[Array, ""] = 2.0,
    nu: float | Float[Array, ""] | None = None,
    column_variance: float | Float[Array, ""] = 1.0,
) -> MNIW:
    """A system that stays where it is: M = [I 0]. The defaults are those of SOLAR's release.

    Args:
        state_size: n, of the states s; at least 1.
        input_size: How many numbers x = [s; a] has besides the state, so m = n + this.
        psi: Ψ is this times I.
        nu: ν, above n − 1; n + 2 by default.
        column_variance: V is this times I.

    Returns:
        The law.

    Raises:
        ValueError: If a number is out of range.
    """
    if state_size < 1 or input_size < 0:
        raise ValueError(
            f"state_size is {state_size} and input_size is {input_size}; allowed: at least 1 and 0"
        )
    check_above("psi", psi, low=0)
    check_above("column_variance", column_variance, low=0)
    eye, columns = jnp.eye(state_size), jnp.eye(state_size + input_size)
    degrees = jnp.asarray(state_size + 2 if nu is None else nu, eye.dtype)
    law = MNIW(psi * eye, degrees, columns[:state_size], column_variance * columns)
    check(law)
    return law


def to_natural(law: MNIW) -> Natural:
    """The natural parameters η = (Ψ + M V⁻¹ Mᵀ, M V⁻¹, V⁻¹, ν + n + m + 1) of a law.

    Args:
        law: Ψ, ν, M and V.

    Returns:
        η, of which ``to_moments`` gives the law.

    Raises:
        ValueError: If the shapes do not fit, or ν ≤ n − 1.
    """
    check(law)
    factor = cholesky(law.column_covariance)
    half = solve_lower(factor, law.mean.mT)
    yy, yx = law.psi + product(half.mT, half), solve_upper(factor, half).mT
    return Natural(yy, yx, inverse(factor), exponent(law))


def to_moments(natural: Natural) -> MNIW:
    """The law of natural parameters: with η = (A, B, C, d), V = C⁻¹, M = B C⁻¹, Ψ = A − B C⁻¹ Bᵀ.

    Ψ is a difference: the less noise there is beside the signal, the fewer of its digits are right.

    Args:
        natural: η.

    Returns:
        The law, of which ``to_natural`` gives η.

    Raises:
        ValueError: If the shapes do not fit, or ν = d − n − m − 1 ≤ n − 1.
    """
    check_shapes(natural, "yx", "yy", "xx", "pairs")
    factor = cholesky(natural.xx)
    half = solve_lower(factor, natural.yx.mT)
    nu = natural.pairs - (sum(natural.yx.shape[-2:]) + 1)
    psi = natural.yy - product(half.mT, half)
    law = MNIW(psi, nu, solve_upper(factor, half).mT, inverse(factor))
    check(law)
    return law


def statistics(
    x: Float[Array, "*batch time m"],
    y: Float[Array, "*batch time n"],
    weights: Float[Array, "*batch time"] | None = None,
) -> Natural:
    """The statistics of pairs: Σ_t w_t (y yᵀ, y xᵀ, x xᵀ, 1).

    Args:
        x: What F is applied to.
        y: What comes of it.
        weights: w, at least 0; 1 by default.

    Returns:
        The sums over time.

    Raises:
        ValueError: If the leading axes differ.
    """
    weights = jnp.ones(x.shape[:-1], x.dtype) if weights is None else weights
    check_shape("y", y.shape, (*x.shape[:-1], y.shape[-1]))
    check_shape("weights", weights.shape, x.shape[:-1])
    heavy_x, heavy_y = weights[..., None] * x, weights[..., None] * y
    return Natural(
        product(heavy_y.mT, y),
        product(heavy_y.mT, x),
        product(heavy_x.mT, x),
        jnp.sum(weights, axis=-1),
    )


def expected_statistics(
    yy: Float[Array, "*batch time n n"],
    yx: Float[Array, "*batch time n m"],
    xx: Float[Array, "*batch time m m"],
    weights: Float[Array, "*batch time"] | None = None,
) -> Natural:
    """The statistics of pairs of which laws are known: Σ_t w_t (E[y yᵀ], E[y xᵀ], E[x xᵀ], 1).

    Args:
        yy: E[y yᵀ], covariance and squared mean.
        yx: E[y xᵀ].
        xx: E[x xᵀ].
        weights: w, at least 0; 1 by default.

    Returns:
        The sums over time.

    Raises:
        ValueError: If the shapes do not fit.
    """
    weights = jnp.ones(yx.shape[:-2], yx.dtype) if weights is None else weights
    check_shapes(Natural(yy, yx, xx, weights), "yx", "yy", "xx", "pairs")
    heavy = weights[..., None, None]
    yy, yx, xx = (jnp.sum(heavy * outer, axis=-3) for outer in (yy, yx, xx))
    return Natural(yy, yx, xx, jnp.sum(weights, axis=-1))


def posterior(prior: Natural, statistics: Natural) -> Natural:
    """The law given data: η + Σ (y yᵀ, y xᵀ, x xᵀ, 1).

    Args:
        prior: η of the law before.
        statistics: Those of the data.

    Returns:
        η of the law after.

    Raises:
        ValueError: If the shapes differ.
    """
    check_alike("statistics", statistics, prior)
    return jax.tree.map(jnp.add, prior, statistics)


def given_residuals(law: MNIW, statistics: Natural) -> MNIW:
    """The law given data, by what its own mean leaves of them: e_t = y_t − M x_t.

    V'⁻¹ = V⁻¹ + Σ x xᵀ,    D = Σ e xᵀ V',    M' = M + D,    Ψ' = Ψ + Σ e eᵀ − D V'⁻¹ Dᵀ.

    It is ``posterior`` without the squares of what was known already: where the noise is small
    beside the signal, these leave no digits of Ψ', which is a difference.

    Args:
        law: The law before.
        statistics: Of pairs (x, e).

    Returns:
        The law after.

    Raises:
        ValueError: If the shapes differ, or ν ≤ n − 1.

    Example:
        >>> law = prior(1, 1)
        >>> x, y = jnp.array([[0.0, 1.0]] * 3), jnp.array([[2.0]] * 3)
        >>> after = given_residuals(law, statistics(x, y - x @ law.mean.T))
        >>> after.mean.tolist(), float(after.psi[0, 0])
        ([[1.0, 1.5]], 5.0)
    """
    check(law)
    before = Natural(law.psi, law.mean, inverse(cholesky(law.column_covariance)), law.nu)
    check_alike("statistics", statistics, before)
    factor = cholesky(before.xx + statistics.xx)
    half = solve_lower(factor, statistics.yx.mT)
    after = MNIW(
        law.psi + statistics.yy - product(half.mT, half),
        law.nu + statistics.pairs,
        law.mean + solve_upper(factor, half).mT,
        inverse(factor),
    )
    check(after)
    return after


def natural_step(
    current: Natural,
    prior: Natural,
    statistics: Natural,
    rate: float | Float[Array, ""],
    scale: float | Float[Array, ""] = 1.0,
) -> Natural:
    """A step along the natural gradient: (1 − ρ) η + ρ (η_0 + c T).

    With ρ = 1 and the statistics of all data it is the posterior.

    Args:
        current: η of the law now.
        prior: η_0.
        statistics: T of a part of the data.
        rate: ρ, from 0 to 1.
        scale: c, how many such parts the data have.

    Returns:
        η of the next law.

    Raises:
        ValueError: If the shapes differ or a number is out of range.

    Reference:
        Hoffman et al. 2013, figure 4.
    """
    check_alike("prior", prior, current)
    check_alike("statistics", statistics, current)
    check_above("scale", scale, low=0)
    if not isinstance(rate, jax.core.Tracer) and not 0 <= rate <= 1:
        raise ValueError(f"rate is {rate}; allowed: from 0 to 1")

    def mix(now: Array, before: Array, data: Array) -> Array:
        return (1 - rate) * now + rate * (before + scale * data)

    return jax.tree.map(mix, current, prior, statistics)


def expected(law: MNIW) -> Expected:
    """The expected statistics that messages and gradients need.

    E[Σ⁻¹] = ν Ψ⁻¹,    E[Σ⁻¹ F] = ν Ψ⁻¹ M,    E[Fᵀ Σ⁻¹ F] = n V + ν Mᵀ Ψ⁻¹ M,
    E[log |Σ|] = log |Ψ| − n log 2 − Σ_{i ≤ n} ψ((ν + 1 − i) / 2).

    Args:
        law: That of (F, Σ).

    Returns:
        The four, and the first term of the third.

    Raises:
        ValueError: If the shapes do not fit, or ν ≤ n − 1.
    """
    check(law)
    factor, nu = cholesky(law.psi), law.nu[..., None, None]
    half = solve_lower(factor, law.mean)
    spread = law.mean.shape[-2] * law.column_covariance
    return Expected(
        nu * inverse(factor),
        nu * solve_upper(factor, half),
        spread + nu * product(half.mT, half),
        expected_log_determinant(law, log_determinant(factor)),
        spread,
    )


def expected_log_likelihood(law: MNIW, statistics: Natural) -> Float[Array, "*batch"]:
    """E[Σ log N(y; F x, Σ)] over the law; less KL(law ‖ prior) it bounds the evidence.

    Args:
        law: That of (F, Σ).
        statistics: Those of the data.

    Returns:
        Nats, of all pairs together.

    Raises:
        ValueError: If the shapes differ.
    """
    mean = expected(law)
    like = Natural(law.psi, law.mean, law.column_covariance, law.nu)
    check_alike("statistics", statistics, like)
    squares = contract(mean.precision, statistics.yy) + contract(mean.quadratic, statistics.xx)
    constant = mean.log_determinant + law.mean.shape[-2] * LOG_2PI
    linear = contract(mean.precision_map, statistics.yx)
    return linear - (squares + statistics.pairs * constant) / 2


def log_normalizer(natural: Natural) -> Float[Array, "*batch"]:
    """A(η), whose gradient is E t(F, Σ)."""
    return log_normalizer_of(to_moments(natural))


def evidence(prior: Natural, statistics: Natural) -> Float[Array, "*batch"]:
    """The log density of all y given all x: A(η + T) − A(η) − ½ n log 2π Σ w.

    Args:
        prior: η of the law before.
        statistics: T, those of the data.

    Returns:
        Nats.

    Raises:
        ValueError: If the shapes differ.
    """
    gain = log_normalizer(posterior(prior, statistics)) - log_normalizer(prior)
    return gain - statistics.pairs * (prior.yx.shape[-2] * LOG_2PI / 2)
