r"""What happens to a Gaussian within one time step: it is told something, and it moves.

A law N(m, P) is multiplied by a potential (J, h, c) without an inverse of either matrix. With
P = L Lᵀ and C Cᵀ = I + Lᵀ J L, whose eigenvalues are at least 1 where J is positive semidefinite,

    D = L (C Cᵀ)⁻¹ Lᵀ,   W = I − D J,
    m⁺ = W m + D h,   P⁺ = D,
    log ∫ N(s; m, P) φ(s) ds = c − ½ log |C Cᵀ| − ½ mᵀ J W m + hᵀ W m + ½ hᵀ D h.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from rlsuite.ops import positive_definite
from rlsuite.ops.gaussian.information import Moments, Potential
from rlsuite.ops.matrices import apply, multiply


class Told(NamedTuple):
    """A law that was told something.

    Attributes:
        law: (m⁺, P⁺).
        kept: W: how much of the mean before is kept.
        log_integral: Of the product of law and potential.
    """

    law: Moments
    kept: Float[Array, "n n"]
    log_integral: Float[Array, ""]


def tell(law: Moments, potential: Potential) -> Told:
    """Multiply a law by a potential, and normalise; see the module.

    Args:
        law: (m, P), P positive definite.
        potential: (J, h, c).

    Returns:
        The new law, W, and the integral.
    """
    mean, precision, shift = law.mean, potential.precision, potential.shift
    spread, kept, volume = told_covariance(law.covariance, precision)
    held, moved = apply(kept, mean), apply(spread, shift)
    squares = jnp.sum(held * (shift - apply(precision, mean) / 2) + shift * moved / 2)
    return Told(Moments(held + moved, spread), kept, potential.constant - volume / 2 + squares)


def told_covariance(
    covariance: Float[Array, "n n"], precision: Float[Array, "n n"]
) -> tuple[Float[Array, "n n"], Float[Array, "n n"], Float[Array, ""]]:
    """(P⁻¹ + J)⁻¹, without either inverse.

    Args:
        covariance: P, positive definite.
        precision: J, positive semidefinite.

    Returns:
        (D, W, log |I + P J|).
    """
    identity = jnp.eye(len(covariance), dtype=covariance.dtype)
    root = positive_definite.cholesky(covariance)
    seen = multiply(multiply(root.T, precision), root)
    factor = positive_definite.cholesky(identity + seen)
    half = positive_definite.solve_lower(factor, root.T)
    spread = multiply(half.T, half)
    kept = identity - multiply(spread, precision)
    return spread, kept, positive_definite.log_determinant(factor)


def move(
    law: Moments,
    transition: Float[Array, "n n"],
    offset: Float[Array, " n"],
    noise: Float[Array, "n n"],
) -> Moments:
    """The law of F s + b + w.

    Args:
        law: Of s.
        transition: F.
        offset: b.
        noise: Q, the covariance of w.

    Returns:
        (F m + b, F P Fᵀ + Q).
    """
    spread = multiply(multiply(transition, law.covariance), transition.T)
    return Moments(apply(transition, law.mean) + offset, spread + noise)
