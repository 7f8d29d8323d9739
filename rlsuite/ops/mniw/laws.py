"""The laws, and what everything else needs of them."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import digamma, gammaln
from jaxtyping import Array, Float

from rlsuite.ops.positive_definite import cholesky, log_determinant

LOG_2PI = math.log(2 * math.pi)


class MNIW(NamedTuple):
    """A law of (F, Σ).

    Attributes:
        psi: Ψ, the scale of Σ, ``[*batch, n, n]``.
        nu: ν, the degrees of freedom, above n − 1, ``[*batch]``.
        mean: M, the mean of F, ``[*batch, n, m]``.
        column_covariance: V, ``[*batch, m, m]``.
    """

    psi: Float[Array, "*batch n n"]
    nu: Float[Array, "*batch"]
    mean: Float[Array, "*batch n m"]
    column_covariance: Float[Array, "*batch m m"]


class Natural(NamedTuple):
    """The natural parameters η of a law, or the statistics of data.

    Attributes:
        yy: Ψ + M V⁻¹ Mᵀ, or Σ y yᵀ, ``[*batch, n, n]``.
        yx: M V⁻¹, or Σ y xᵀ, ``[*batch, n, m]``.
        xx: V⁻¹, or Σ x xᵀ, ``[*batch, m, m]``.
        pairs: ν + n + m + 1, or the number of pairs, ``[*batch]``.
    """

    yy: Float[Array, "*batch n n"]
    yx: Float[Array, "*batch n m"]
    xx: Float[Array, "*batch m m"]
    pairs: Float[Array, "*batch"]


class Expected(NamedTuple):
    """The expected statistics of a law.

    Attributes:
        precision: E[Σ⁻¹], ``[*batch, n, n]``.
        precision_map: E[Σ⁻¹ F], ``[*batch, n, m]``.
        quadratic: E[Fᵀ Σ⁻¹ F], ``[*batch, m, m]``.
        log_determinant: E[log |Σ|], ``[*batch]``.
        spread: E[(F − M)ᵀ Σ⁻¹ (F − M)] = n V, what is not known of F, ``[*batch, m, m]``. It
            follows from the others, as E[Fᵀ Σ⁻¹ F] − E[Σ⁻¹ F]ᵀ E[Σ⁻¹]⁻¹ E[Σ⁻¹ F]; but where the
            noise is small, no digit of that difference is left.
    """

    precision: Float[Array, "*batch n n"]
    precision_map: Float[Array, "*batch n m"]
    quadratic: Float[Array, "*batch m m"]
    log_determinant: Float[Array, "*batch"]
    spread: Float[Array, "*batch m m"]


class Regression(NamedTuple):
    """One (F, Σ): y ~ N(F x, Σ).

    Attributes:
        matrix: F, ``[*batch, n, m]``.
        covariance: Σ, ``[*batch, n, n]``.
    """

    matrix: Float[Array, "*batch n m"]
    covariance: Float[Array, "*batch n n"]


class StudentT(NamedTuple):
    """A multivariate t law.

    Attributes:
        degrees: The degrees of freedom, ``[*batch]``.
        location: The centre, ``[*batch, n]``.
        scale: The scale matrix, which is not the covariance, ``[*batch, n, n]``.
    """

    degrees: Float[Array, "*batch"]
    location: Float[Array, "*batch n"]
    scale: Float[Array, "*batch n n"]


def log_normalizer_of(law: MNIW) -> Float[Array, "*batch"]:
    """A, of moments."""
    n, m = law.mean.shape[-2:]
    psi, columns = (log_determinant(cholesky(a)) for a in (law.psi, law.column_covariance))
    gammas = jnp.sum(gammaln(halves(law)), axis=-1) + n * (n - 1) / 4 * math.log(math.pi)
    return (n * (m * LOG_2PI + columns) + law.nu * (n * math.log(2) - psi)) / 2 + gammas


def expected_log_determinant(law: MNIW, psi: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """E[log |Σ|], from log |Ψ|."""
    return psi - law.mean.shape[-2] * math.log(2) - jnp.sum(digamma(halves(law)), axis=-1)


def exponent(law: MNIW) -> Float[Array, "*batch"]:
    """ν + n + m + 1, whose half multiplies −log |Σ| in the log density."""
    return law.nu + (sum(law.mean.shape[-2:]) + 1)


def halves(law: MNIW) -> Float[Array, "*batch n"]:
    """(ν + 1 − i) / 2 for i from 1 to n."""
    return (law.nu[..., None] - jnp.arange(law.mean.shape[-2], dtype=law.nu.dtype)) / 2


def contract(a: Float[Array, "*batch r c"], b: Float[Array, "*batch r c"]) -> Array:
    """The trace of aᵀ b."""
    return jnp.sum(a * b, axis=(-2, -1))


def check(law: MNIW, beyond: int = -1) -> None:
    """Raise if shapes do not fit, or if ν is no more than n and so many."""
    check_shapes(law, "mean", "psi", "column_covariance", "nu")
    check_above("nu", law.nu, low=law.mean.shape[-2] + beyond)


def check_shapes(fields: Any, cross: str, rows: str, columns: str, number: str) -> None:
    """Raise if a field does not fit the one of n rows and m columns."""
    shape = jnp.shape(getattr(fields, cross))
    if len(shape) < 2:
        raise ValueError(f"{cross} has the shape {shape}; allowed: at least two axes")
    *batch, n, m = shape
    for name, own in {rows: (n, n), columns: (m, m), number: ()}.items():
        check_shape(name, jnp.shape(getattr(fields, name)), (*batch, *own))


def check_alike(name: str, other: Natural, first: Natural) -> None:
    """Raise if the fields' shapes differ: they would broadcast silently."""
    for field, one, two in zip(first._fields, first, other, strict=True):
        check_shape(f"{name}.{field}", two.shape, one.shape)


def check_shape(name: str, shape: tuple[int, ...], allowed: tuple[int, ...]) -> None:
    """Raise if a shape is not the allowed one."""
    if shape != allowed:
        raise ValueError(f"{name} has the shape {shape}; allowed: {allowed}")


def check_above(name: str, value: Any, low: float) -> None:
    """Raise if a concrete number is not above another."""
    if not isinstance(value, jax.core.Tracer) and not np.all(np.asarray(value) > low):
        raise ValueError(f"{name} is {value}; allowed: above {low}")
