r"""Kalman filter, smoothers and samples, one time step after another.

Filtering tells each prediction its potential and moves on. Smoothing goes back: by what the next
state turned out to be (Rauch, Tung, Striebel), with the gain G_t = P_t⁺ F_tᵀ P_{t+1}⁻¹,

    m̂_t = m_t⁺ + G_t (m̂_{t+1} − m_{t+1}),   P̂_t = P_t⁺ + G_t (P̂_{t+1} − P_{t+1}) G_tᵀ,
    Cov(s_t, s_{t+1}) = G_t P̂_{t+1};

or by what all that came later tells of a state, as one potential β_t, which is then told to the
prediction (two filters).

References:
    Kalman: A new approach to linear filtering and prediction problems. 1960.
    Rauch, Tung, Striebel: Maximum likelihood estimates of linear dynamic systems. 1965.
    Särkkä: Bayesian filtering and smoothing. 2013, chapters 4 and 8.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.ops import positive_definite
from rlsuite.ops.gaussian import information
from rlsuite.ops.gaussian.information import Moments, Potential
from rlsuite.ops.gaussian.models import Filtered, LinearGaussian, Smoothed
from rlsuite.ops.gaussian.steps import Told, move, tell, told_covariance
from rlsuite.ops.matrices import apply, multiply, transpose


def filtered(model: LinearGaussian, potentials: Potential) -> Filtered:
    """The Kalman filter.

    Args:
        model: The model.
        potentials: ψ_t.

    Returns:
        Predictions, what they become once told, and the evidence.
    """

    def step(
        predicted: Moments, inputs: tuple[Potential, Array, Array, Array]
    ) -> tuple[Moments, tuple[Moments, Moments, Array]]:
        potential, *transition = inputs
        told = tell(predicted, potential)
        return move(told.law, *transition), (predicted, told.law, told.log_integral)

    before = jax.tree.map(lambda x: x[:-1], potentials)
    steps = (before, model.transition, model.offset, model.noise)
    final, (predicted, updated, told) = jax.lax.scan(step, model.initial, steps)
    last = tell(final, jax.tree.map(lambda x: x[-1], potentials))
    return Filtered(
        _appended(predicted, final), _appended(updated, last.law), jnp.sum(told) + last.log_integral
    )


def rts(model: LinearGaussian, found: Filtered) -> Smoothed:
    """The smoother of Rauch, Tung and Striebel.

    Args:
        model: The model; predictions have positive definite covariances.
        found: What the filter found.

    Returns:
        The smoothed states.
    """
    now = jax.tree.map(lambda x: x[:-1], found.updated)
    later = jax.tree.map(lambda x: x[1:], found.predicted)
    factor = positive_definite.cholesky(later.covariance)
    gain = transpose(positive_definite.solve(factor, multiply(model.transition, now.covariance)))

    def step(
        smoothed: Moments, inputs: tuple[Moments, Moments, Array]
    ) -> tuple[Moments, tuple[Moments, Array]]:
        updated, predicted, gain = inputs
        mean = updated.mean + apply(gain, smoothed.mean - predicted.mean)
        change = smoothed.covariance - predicted.covariance
        covariance = updated.covariance + multiply(multiply(gain, change), gain.T)
        found = Moments(mean, covariance)
        return found, (found, multiply(gain, smoothed.covariance))

    last = jax.tree.map(lambda x: x[-1], found.updated)
    _, (states, cross) = jax.lax.scan(step, last, (now, later, gain), reverse=True)
    return Smoothed(_appended(states, last), cross, found.log_evidence)


def backward_potentials(model: LinearGaussian, potentials: Potential) -> Potential:
    """β_t(s_t) = ∫ Π_{u ≥ t} ψ_u(s_u) p(s_{t+1:T} | s_t) ds: what is told of s_t from then on.

    Args:
        model: The model; Q_t positive definite.
        potentials: ψ_t.

    Returns:
        β_t.
    """

    def step(
        later: Potential, inputs: tuple[Potential, Array, Array, Array]
    ) -> tuple[Potential, Potential]:
        potential, transition, offset, noise = inputs
        told = tell(Moments(offset, noise), later)
        found = information.product(potential, pulled_back(told, later, transition, offset))
        return found, found

    last = jax.tree.map(lambda x: x[-1], potentials)
    before = jax.tree.map(lambda x: x[:-1], potentials)
    steps = (before, model.transition, model.offset, model.noise)
    return _appended(jax.lax.scan(step, last, steps, reverse=True)[1], last)


def pulled_back(
    told: Told, later: Potential, transition: Float[Array, "n n"], offset: Float[Array, " n"]
) -> Potential:
    """∫ N(s'; F s + b, Q) φ(s') ds', as a potential of s.

    Args:
        told: N(b, Q), told φ.
        later: φ.
        transition: F.
        offset: b.

    Returns:
        The potential.
    """
    held = multiply(later.precision, told.kept)
    shift = apply(told.kept.T, later.shift) - apply(held, offset)
    return Potential(
        multiply(multiply(transition.T, held), transition),
        apply(transition.T, shift),
        told.log_integral,
    )


def two_filter(model: LinearGaussian, found: Filtered, backward: Potential) -> Smoothed:
    """The two-filter smoother: predictions, told of all that is told from then on.

    Args:
        model: The model.
        found: What the filter found.
        backward: β_t.

    Returns:
        The smoothed states.
    """
    told = jax.vmap(tell)(found.predicted, backward)
    updated = found.updated.covariance[:-1]
    cross = multiply(multiply(updated, transpose(model.transition)), transpose(told.kept[1:]))
    return Smoothed(told.law, cross, found.log_evidence)


def backward_laws(
    model: LinearGaussian, found: Filtered
) -> tuple[Float[Array, "steps n n"], Moments]:
    """s_t given s_{t+1} and all that was told: N(G_t s_{t+1} + g_t, R_t).

    Args:
        model: The model; Q_t positive definite.
        found: What the filter found.

    Returns:
        (G_t, (g_t, R_t)).
    """
    now = jax.tree.map(lambda x: x[:-1], found.updated)
    factor = positive_definite.cholesky(model.noise)
    weighed = transpose(positive_definite.solve(factor, model.transition))  # Fᵀ Q⁻¹
    known = multiply(weighed, model.transition)
    spread, kept, _ = jax.vmap(told_covariance)(now.covariance, known)
    gain = multiply(spread, weighed)
    offset = apply(kept, now.mean) - apply(gain, model.offset)
    return gain, Moments(offset, spread)


def noise_of(key: PRNGKeyArray, law: Moments, last: Moments) -> tuple[Array, Array]:
    """What is drawn for a path: of each backward law, and of the last state.

    Args:
        key: Key.
        law: (g_t, R_t).
        last: The law of s_T.

    Returns:
        (g_t + noise, s_T).
    """
    of_steps, of_last = jax.random.split(key)
    return information.sample(of_steps, law), information.sample(of_last, last)


def _appended(first: Any, last: Any) -> Any:
    return jax.tree.map(lambda x, y: jnp.concatenate([x, y[None]]), first, last)
