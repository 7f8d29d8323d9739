r"""The backward pass of smoothing, as a forward one.

Up to a constant, the density of all states given all that was told is exp Σ_t of

    −½ s_tᵀ Λ_t s_t + k_tᵀ s_t + s_tᵀ K_t s_{t+1},

and expected statistics μ = (E s_t, E s_t s_tᵀ, E s_t s_{t+1}ᵀ) are the gradient of the log evidence
with respect to η = (k_t, −½ Λ_t, K_t). Their Jacobian is its Hessian, which is symmetric: carrying
a cotangent v of μ back gives what μ changes by along η + ε v. So smoothing is differentiated
*forwards*, along

    δF_t = Q_t v_Kᵀ (which moves K_t by v_K),  δJ_t = −2 v_Λ − v_K F_t − (v_K F_t)ᵀ,
    δh_t = v_k + v_K b_t,

of which the last terms take away what δF_t does to Λ_t and k_t. With D_t = P_t⁺, W_t = I − D_t J_t
and e_t = h_t − J_t m_t⁺, filtering changes by

    δD_t = W_t δP_t W_tᵀ − D_t δJ_t D_t,   δm_t⁺ = W_t (δm_t + δP_t e_t) + D_t (δh_t − δJ_t m_t⁺),

and going back is differentiated in the same way: two products of matrices for each step in either
direction, no factor, and nothing stored but what was found. From η to F, b, Q, P_1 and potentials
it is the derivative of the expected log density, which is linear in μ: with δ for the change of
the moments,

    ∂/∂θ { v_log E[log p_θ(s) ψ_θ(s)] + δ E[log p_θ(s) ψ_θ(s)] }.

Reference:
    Wainwright, Jordan: Graphical models, exponential families, and variational inference. 2008,
    section 3.3 (the derivatives of the log normaliser).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rlsuite.ops import positive_definite
from rlsuite.ops.gaussian import kalman
from rlsuite.ops.gaussian.information import Moments, Potential
from rlsuite.ops.gaussian.models import Filtered, LinearGaussian, Smoothed
from rlsuite.ops.matrices import apply, multiply, symmetric, transpose

_Kept = tuple[LinearGaussian, Potential, Filtered, Smoothed]


@jax.custom_vjp
def smoothed(model: LinearGaussian, potentials: Potential) -> Smoothed:
    """The smoother of Rauch, Tung and Striebel, whose backward pass is a forward one.

    Args:
        model: The model; P_1 and Q_t positive definite.
        potentials: ψ_t.

    Returns:
        The smoothed states.
    """
    return _forward(model, potentials)[0]


def _forward(model: LinearGaussian, potentials: Potential) -> tuple[Smoothed, _Kept]:
    passed = kalman.filtered(model, potentials)
    found = kalman.rts(model, passed)
    return found, (model, potentials, passed, found)


def _backward(kept: _Kept, cotangent: Smoothed) -> tuple[LinearGaussian, Potential]:
    model, _, _, found = kept
    change = changed(kept, *_direction(model, found, cotangent))
    return slopes(model, found, cotangent.log_evidence, change)


smoothed.defvjp(_forward, _backward)


def changed(kept: _Kept, turned: Float[Array, "steps n n"], told: Potential) -> Smoothed:
    """What smoothing changes by, along a direction.

    Args:
        kept: The model, potentials, and what they lead to.
        turned: δF_t.
        told: δJ_t and δh_t.

    Returns:
        The change of moments; of the evidence, 0 is said.
    """
    model, potentials, passed, found = kept
    filtered = _filtered(model, potentials, passed.updated, turned, told)
    return _smoothed(model, passed, found, turned, filtered)


def _filtered(
    model: LinearGaussian,
    potentials: Potential,
    updated: Moments,
    turned: Float[Array, "steps n n"],
    told: Potential,
) -> Filtered:
    """What filtering changes by."""
    forward, backward = model.transition, transpose(model.transition)
    mean, spread = updated
    by_told = apply(spread, told.shift - apply(told.precision, mean))
    by_precision = multiply(multiply(spread, told.precision), spread)
    kept = jnp.eye(mean.shape[-1], dtype=mean.dtype) - multiply(spread, potentials.precision)
    surprise = potentials.shift - apply(potentials.precision, mean)
    through = multiply(forward, kept[:-1])
    flow = multiply(multiply(turned, spread[:-1]), backward)
    added = flow + transpose(flow) - multiply(multiply(forward, by_precision[:-1]), backward)
    pushed = apply(forward, by_told[:-1]) + apply(turned, mean[:-1])

    def predict(change: Moments, inputs: tuple[Array, ...]) -> tuple[Moments, Moments]:
        matrix, surprise, added, pushed = inputs
        moved = apply(matrix, change.mean + apply(change.covariance, surprise)) + pushed
        wider = multiply(multiply(matrix, change.covariance), matrix.T) + added
        return (after := Moments(moved, wider)), after

    first = jax.tree.map(lambda x: jnp.zeros_like(x[0]), updated)
    _, later = jax.lax.scan(predict, first, (through, surprise[:-1], added, pushed))
    predicted = jax.tree.map(lambda x, y: jnp.concatenate([x[None], y]), first, later)
    changed = Moments(
        apply(kept, predicted.mean + apply(predicted.covariance, surprise)) + by_told,
        multiply(multiply(kept, predicted.covariance), transpose(kept)) - by_precision,
    )
    return Filtered(predicted, changed, jnp.zeros((), mean.dtype))


def _smoothed(
    model: LinearGaussian,
    passed: Filtered,
    found: Smoothed,
    turned: Float[Array, "steps n n"],
    change: Filtered,
) -> Smoothed:
    """What going back changes by: gains' changes are known before the first step."""
    spread = passed.updated.covariance[:-1]
    later = jax.tree.map(lambda x: x[1:], change.predicted)
    factor = positive_definite.cholesky(passed.predicted.covariance[1:])
    gain = transpose(positive_definite.solve(factor, multiply(model.transition, spread)))
    source = multiply(model.transition, change.updated.covariance[:-1]) + multiply(turned, spread)
    source = source - multiply(later.covariance, transpose(gain))
    gain_change = transpose(positive_definite.solve(factor, source))
    off = found.states.mean[1:] - passed.predicted.mean[1:]
    excess = found.states.covariance[1:] - passed.predicted.covariance[1:]
    half = multiply(gain_change, excess) - multiply(gain, later.covariance) / 2
    half = multiply(half, transpose(gain))
    spreading = change.updated.covariance[:-1] + half + transpose(half)
    shifting = change.updated.mean[:-1] + apply(gain_change, off) - apply(gain, later.mean)

    def back(after: Moments, inputs: tuple[Array, ...]) -> tuple[Moments, Moments]:
        gain, shifting, spreading = inputs
        moved = apply(gain, after.mean) + shifting
        wider = multiply(multiply(gain, after.covariance), gain.T) + spreading
        return (before := Moments(moved, wider)), before

    last = jax.tree.map(lambda x: x[-1], change.updated)
    _, states = jax.lax.scan(back, last, (gain, shifting, spreading), reverse=True)
    states = jax.tree.map(lambda x, y: jnp.concatenate([x, y[None]]), states, last)
    cross = multiply(gain_change, found.states.covariance[1:])
    cross = cross + multiply(gain, states.covariance[1:])
    return Smoothed(states, cross, jnp.zeros_like(found.log_evidence))


def slopes(
    model: LinearGaussian, found: Smoothed, weight: Float[Array, ""], change: Smoothed | None = None
) -> tuple[LinearGaussian, Potential]:
    """The derivatives of w E log p(s) ψ(s) + δ E log p(s) ψ(s) by model and potentials.

    With e = s' − F s − b, those of −½ E eᵀ Q⁻¹ e − ½ log |Q| are Q⁻¹ E e sᵀ, Q⁻¹ E e and
    ½ (Q⁻¹ E e eᵀ Q⁻¹ − Q⁻¹).

    Args:
        model: The model; P_1 and Q_t positive definite.
        found: The moments.
        weight: w.
        change: δ, a change of moments; None: none.

    Returns:
        Of the model, and of potentials.
    """
    if change is None:
        change = jax.tree.map(jnp.zeros_like, found)
    mean, moved = found.states.mean, change.states.mean
    spread = weight * found.states.covariance + change.states.covariance
    cross = transpose(weight * found.cross + change.cross)

    def second(mean: Array, moved: Array, spread: Array) -> Array:
        turned = _outer(moved, mean)
        return spread + weight * _outer(mean, mean) + turned + transpose(turned)

    away = mean[1:] - apply(model.transition, mean[:-1]) - model.offset
    drift = moved[1:] - apply(model.transition, moved[:-1])
    first = weight * away + drift
    with_state = cross - multiply(model.transition, spread[:-1])
    left = spread[1:] - multiply(cross, transpose(model.transition))
    left = left - multiply(model.transition, transpose(with_state))
    with_state = with_state + _outer(first, mean[:-1]) + _outer(away, moved[:-1])
    sure = positive_definite.inverse(positive_definite.cholesky(model.noise))
    start = positive_definite.inverse(positive_definite.cholesky(model.initial.covariance))
    begun = mean[0] - model.initial.mean

    def of_noise(sure: Array, squares: Array) -> Array:
        return (multiply(multiply(sure, squares), sure) - weight * sure) / 2

    of_model = LinearGaussian(
        Moments(
            apply(start, weight * begun + moved[0]),
            of_noise(start, second(begun, moved[0], spread[0])),
        ),
        multiply(sure, with_state),
        apply(sure, first),
        of_noise(sure, second(away, drift, left)),
    )
    return of_model, Potential(
        -second(mean, moved, spread) / 2,
        weight * mean + moved,
        jnp.broadcast_to(weight, mean.shape[:1]),
    )


def _outer(first: Array, second: Array) -> Array:
    return first[..., :, None] * second[..., None, :]


def _direction(
    model: LinearGaussian, found: Smoothed, cotangent: Smoothed
) -> tuple[Float[Array, "steps n n"], Potential]:
    """Where a cotangent of moments points, as a change of F, and of J and h."""
    mean, cross = found.states.mean, cotangent.cross
    both = 2 * symmetric(cotangent.states.covariance)
    shift = cotangent.states.mean - apply(both, mean)
    shift = shift.at[:-1].add(apply(cross, model.offset - mean[1:]))
    shift = shift.at[1:].add(-apply(transpose(cross), mean[:-1]))
    flow = 2 * symmetric(multiply(cross, model.transition))
    precision = (-both).at[:-1].add(-flow)
    turned = multiply(model.noise, transpose(cross))
    return turned, Potential(precision, shift, jnp.zeros_like(shift[:, 0]))
