r"""Linear-Gaussian models of a sequence, and what is told of its states.

    s_1 ~ N(m_1, P_1),    s_{t+1} = F_t s_t + b_t + w_t,   w_t ~ N(0, Q_t),

and of each state a potential ψ_t(s_t) (see ``information``): the density of a measurement, or what
an encoder says of an image. Everything is conditional on the actions, which act through b_t. The
axes of time are the first ones; callers vmap over sequences. ::

    states        s_1 ──────────► s_2 ──────────► s_3   …   s_T
    potentials    ψ_1             ψ_2             ψ_3       ψ_T
    transitions       F_1, b_1, Q_1   F_2, b_2, Q_2
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rlsuite.ops.gaussian import information
from rlsuite.ops.gaussian.information import Moments, Potential
from rlsuite.ops.matrices import apply, multiply, transpose


class LinearGaussian(NamedTuple):
    """The law of s_1 … s_T before anything is told of them.

    Attributes:
        initial: (m_1, P_1).
        transition: F_t, of T − 1 steps.
        offset: b_t.
        noise: Q_t.
    """

    initial: Moments
    transition: Float[Array, "steps n n"]
    offset: Float[Array, "steps n"]
    noise: Float[Array, "steps n n"]


class Filtered(NamedTuple):
    """What is known of each state from what was told up to its time.

    Attributes:
        predicted: Of s_t, from ψ_1 … ψ_{t−1}.
        updated: Of s_t, from ψ_1 … ψ_t.
        log_evidence: log ∫ p(s_{1:T}) Π_t ψ_t(s_t) ds, in nats.
    """

    predicted: Moments
    updated: Moments
    log_evidence: Float[Array, ""]


class Smoothed(NamedTuple):
    """What is known of each state from all that was told.

    Attributes:
        states: Of s_t.
        cross: Cov(s_t, s_{t+1}).
        log_evidence: log ∫ p(s_{1:T}) Π_t ψ_t(s_t) ds, in nats.
    """

    states: Moments
    cross: Float[Array, "steps n n"]
    log_evidence: Float[Array, ""]


def time_invariant(
    initial: Moments,
    transition: Float[Array, "n n"],
    noise: Float[Array, "n n"],
    offset: Float[Array, "steps n"],
) -> LinearGaussian:
    """A model whose F and Q do not change.

    Args:
        initial: (m_1, P_1).
        transition: F.
        noise: Q.
        offset: b_t, such as B a_t.

    Returns:
        The model.
    """
    shape = (len(offset), *transition.shape)
    return LinearGaussian(
        initial, jnp.broadcast_to(transition, shape), offset, jnp.broadcast_to(noise, shape)
    )


def check(model: LinearGaussian, potentials: Potential) -> None:
    """Refuse what does not fit together.

    Args:
        model: A model.
        potentials: What is told of its states.

    Raises:
        ValueError: If there is not one potential more than transitions, or sizes differ.
    """
    size, count = model.initial.mean.shape[-1], len(potentials.shift)
    if count < 1:
        raise ValueError("potentials have no time step; allowed: at least 1")
    wanted = {
        "transition": (model.transition, (count - 1, size, size)),
        "offset": (model.offset, (count - 1, size)),
        "noise": (model.noise, (count - 1, size, size)),
        "potentials.shift": (potentials.shift, (count, size)),
        "potentials.precision": (potentials.precision, (count, size, size)),
    }
    for name, (array, shape) in wanted.items():
        if array.shape != shape:
            raise ValueError(
                f"{name} has the shape {array.shape}; allowed with {count} potentials and states "
                f"of {size}: {shape}"
            )


def expected_log_joint(
    model: LinearGaussian, potentials: Potential, smoothed: Smoothed
) -> Float[Array, ""]:
    """E[log p(s_{1:T}) + Σ_t log ψ_t(s_t)] under a law of which the moments are given.

    Its derivatives with respect to model and potentials are those of the log evidence, where the
    moments are those given all that was told (Fisher's identity); maximising it with the moments
    held is the M step of expectation maximisation.

    Args:
        model: The model; P_1 and Q_t positive definite.
        potentials: ψ_t.
        smoothed: The moments.

    Returns:
        The expectation, in nats.

    Reference:
        Dempster, Laird, Rubin: Maximum likelihood from incomplete data via the EM algorithm. 1977.
    """
    mean, covariance = smoothed.states
    now, later = jax.tree.map(lambda x: x[:-1], smoothed.states), mean[1:]
    moved = multiply(model.transition, smoothed.cross)
    flow = multiply(multiply(model.transition, now.covariance), transpose(model.transition))
    spread = covariance[1:] - moved - transpose(moved) + flow
    away = later - apply(model.transition, now.mean) - model.offset
    zero = Moments(jnp.zeros_like(away), model.noise)
    steps = jnp.sum(_expected(information.of_moments(zero), Moments(away, spread)))
    first = jax.tree.map(lambda x: x[0], smoothed.states)
    told = jnp.sum(_expected(potentials, smoothed.states))
    return steps + _expected(information.of_moments(model.initial), first) + told


def _expected(potential: Potential, law: Moments) -> Array:
    """E log φ(x)."""
    traces = jnp.sum(potential.precision * law.covariance, axis=(-1, -2))
    return information.log_value(potential, law.mean) - traces / 2
