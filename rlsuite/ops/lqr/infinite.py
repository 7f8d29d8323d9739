r"""Linear-quadratic control without an end, with or without a discount and entropy.

With dynamics and costs that do not change, V(x) = ½ xᵀ P x + pᵀ x + v satisfies

    V(x) + r = min_u { ℓ(x, u) + γ E V(A x + B u + c + w) },

with r = 0 if γ < 1; if γ = 1, r is the cost per step in the long run, and v = 0. P is the
stabilising solution of the discrete algebraic Riccati equation

    P = H_xx + γ Aᵀ P A − (H_xu + γ Aᵀ P B) (H_uu + γ Bᵀ P B)⁻¹ (H_ux + γ Bᵀ P A).

A stretch of 2^{k+1} steps is one of 2^k steps followed by itself, so that k doublings do what 2^k
steps of the recursion would: this is the structure-preserving doubling algorithm. Derivatives are
those of the equation, a sum over powers of A + B K, that is doubled in the same way.

Reference:
    Chu, Fan, Lin, Wang: Structure-preserving algorithms for periodic discrete-time algebraic
    Riccati equations. International Journal of Control 77, 2004.

Example:
    >>> dynamics = Dynamics(jnp.eye(1), jnp.eye(1), jnp.zeros(1), jnp.eye(1))
    >>> cost = Quadratic(jnp.eye(2), jnp.zeros(2), jnp.array(0.0))
    >>> found = jax.jit(stationary)(dynamics, cost)
    >>> round(found.value.hessian.item(), 4), round(found.rate.item(), 4)
    (1.618, 0.809)
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rlsuite.ops import positive_definite
from rlsuite.ops.lqr.problem import (
    Dynamics,
    Policy,
    Problem,
    Quadratic,
    check_dynamics,
    check_quadratic,
)
from rlsuite.ops.lqr.recursions import Element, compose
from rlsuite.ops.lqr.riccati import (
    Scalar,
    acted,
    added,
    before,
    homogeneous,
    minimum,
    policy_of,
)
from rlsuite.ops.matrices import multiply, symmetric, transpose

_DOUBLINGS = 40
"""Enough for closed loops that forget one part in 10¹¹ per step."""


class Stationary(NamedTuple):
    """The best policy of all time.

    Attributes:
        policy: Without a time axis.
        value: V, with v = 0 if γ = 1.
        rate: The cost per step in the long run if γ = 1; (1 − γ) v otherwise.
    """

    policy: Policy
    value: Quadratic
    rate: Float[Array, ""]


def stationary(
    dynamics: Dynamics,
    cost: Quadratic,
    *,
    discount: Scalar = 1.0,
    temperature: Scalar | None = None,
) -> Stationary:
    """The best policy without an end; see the module.

    Args:
        dynamics: Without a time axis; √γ A and √γ B stabilisable.
        cost: ℓ of [x; u], convex, with H_uu positive definite, and such that √γ (A + B K) is
            stable for the best K.
        discount: γ, above 0 and at most 1.
        temperature: α, what one nat of entropy is worth, at least 0. None is 0.

    Returns:
        The policy, its value and its rate. Not finite where there is no stabilising solution.

    Raises:
        ValueError: If a shape does not fit, or the discount is a number out of range.
    """
    _, n, m = check_dynamics(dynamics, timed=False)
    check_quadratic("cost", cost, (n + m,))
    if isinstance(discount, float | int) and not 0 < discount <= 1:
        raise ValueError(f"discount is {discount}; allowed: above 0 and at most 1")
    steps = homogeneous(Problem(dynamics, cost, cost))
    discount = jnp.asarray(discount, steps.cost.dtype)
    curvature = _dare(jnp.sqrt(discount) * steps.forward[:n, :-1], steps.cost[:, :-1])
    value = jnp.concatenate([curvature, jnp.zeros((n, 1), curvature.dtype)], axis=-1)
    found, _ = minimum(before(discount * value, steps), m)
    # One step takes p to s + γ Φᵀ p, and s is what it takes zero to.
    closed = discount * _closed(steps.forward[:n, :-1], found.gain[:, :-1])
    one = jnp.ones((1, 1), curvature.dtype)
    slope = _series(transpose(closed), found.value[:, -1:], one)
    value = jnp.concatenate([curvature, slope], axis=-1)
    found, _ = minimum(before(discount * value, steps), m)
    policy, entropies = policy_of(found, temperature)
    rate = cost.constant + entropies + added(dynamics, discount * value, found)
    left = 1 - discount
    constant = jnp.where(left > 0, rate / jnp.where(left > 0, left, 1), 0)
    return Stationary(policy, Quadratic(curvature, value[:, -1], constant), rate)


@jax.custom_jvp
def _dare(forward: Float[Array, "n mn"], hessian: Float[Array, "mn mn"]) -> Float[Array, "n n"]:
    """P for [B A], scaled by √γ, and H of (u, x); doubled until it stays."""
    n, m = len(forward), len(hessian) - len(forward)
    factor = positive_definite.cholesky(hessian[:m, :m])
    cross = positive_definite.solve_lower(factor, hessian[:m, m:])
    reach = positive_definite.solve_lower(factor, transpose(forward[:, :m]))
    # Without cross terms: the action is counted from where it costs least at once.
    state = forward[:, m:] - multiply(transpose(reach), cross)
    paid = symmetric(hessian[m:, m:] - multiply(transpose(cross), cross))
    small = 4 * jnp.finfo(forward.dtype).eps

    def goes_on(carry: tuple[Array, Array, Element]) -> Array:
        number, change, element = carry
        return (number < _DOUBLINGS) & (change > small * jnp.max(jnp.abs(element.value)))

    def double(carry: tuple[Array, Array, Element]) -> tuple[Array, Array, Element]:
        number, _, element = carry
        twice = compose(element, element)
        twice = twice._replace(value=symmetric(twice.value))
        return number + 1, jnp.max(jnp.abs(twice.value - element.value)), twice

    first = Element(state, paid, multiply(transpose(reach), reach))
    start = (jnp.array(0), jnp.array(jnp.inf, forward.dtype), first)
    return jax.lax.while_loop(goes_on, double, start)[2].value.reshape(n, n)


@_dare.defjvp
def _dare_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    (forward, hessian), (forward_moved, hessian_moved) = primals, tangents
    value = _dare(forward, hessian)
    m = len(hessian) - len(forward)
    half = multiply(transpose(forward_moved), multiply(value, forward))
    change = hessian_moved + half + transpose(half)
    action_value = hessian + multiply(transpose(forward), multiply(value, forward))
    factor = positive_definite.cholesky(action_value[:m, :m])
    gain = -positive_definite.solve(factor, action_value[:m, m:])
    taken = acted(gain)
    source = multiply(transpose(taken), multiply(symmetric(change), taken))
    closed = _closed(forward, gain)
    return value, _series(transpose(closed), source, closed)


def _closed(forward: Float[Array, "n mn"], gain: Float[Array, "m n"]) -> Float[Array, "n n"]:
    """A + B K."""
    return multiply(forward, acted(gain))


def _series(
    left: Float[Array, "n n"], middle: Float[Array, "n k"], right: Float[Array, "k k"]
) -> Float[Array, "n k"]:
    """Σ_i Lⁱ M Rⁱ, the first 2^40 terms."""

    def double(
        carry: tuple[Array, Array, Array], _: None
    ) -> tuple[tuple[Array, Array, Array], None]:
        left, found, right = carry
        found = found + multiply(left, multiply(found, right))
        return (multiply(left, left), found, multiply(right, right)), None

    return jax.lax.scan(double, (left, middle, right), length=_DOUBLINGS)[0][1]
