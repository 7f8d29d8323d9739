r"""The same laws by associative operations: parallel in time, in about log T steps.

A stretch of time is an element e = (A, b, C; J, η, c): what it makes of the state at its beginning,
and what it tells of it,

    N(s'; A s + b, C) exp(−½ sᵀ J s + ηᵀ s + c).

The element of one step is (F_t, b_t, Q_t; ψ_t). Two that follow each other are joined by
integrating the state between them out; prefixes of the elements are the Kalman filter, suffixes
the potentials β_t of the two-filter smoother, evidence included.

Reference:
    Särkkä, García-Fernández: Temporal parallelization of Bayesian smoothers. IEEE Transactions on
    Automatic Control 66, 2021, arXiv:1905.13002, section IV (with other elements: theirs move
    first, and leave the evidence out).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rlsuite.ops.gaussian.information import Moments, Potential
from rlsuite.ops.gaussian.kalman import pulled_back
from rlsuite.ops.gaussian.models import Filtered, LinearGaussian
from rlsuite.ops.gaussian.steps import move, tell
from rlsuite.ops.matrices import apply, multiply
from rlsuite.ops.scans import prefixes


class Element(NamedTuple):
    """A stretch of time; see the module.

    Attributes:
        transition: A.
        offset: b.
        noise: C, positive definite.
        told: (J, η, c).
    """

    transition: Float[Array, "*time n n"]
    offset: Float[Array, "*time n"]
    noise: Float[Array, "*time n n"]
    told: Potential


def joined(first: Element, second: Element) -> Element:
    """Two stretches, the first of which ends where the second begins.

    Args:
        first: The earlier one.
        second: The later one.

    Returns:
        Both as one.
    """
    told = tell(Moments(first.offset, first.noise), second.told)
    law = move(told.law, second.transition, second.offset, second.noise)
    back = pulled_back(told, second.told, first.transition, first.offset)
    return Element(
        multiply(multiply(second.transition, told.kept), first.transition),
        law.mean,
        law.covariance,
        jax.tree.map(jnp.add, first.told, back),
    )


def filtered(model: LinearGaussian, potentials: Potential, block: int) -> Filtered:
    """The Kalman filter.

    Args:
        model: The model; Q_t positive definite.
        potentials: ψ_t.
        block: See ``scans.prefixes``.

    Returns:
        Predictions, what they become once told, and the evidence.
    """
    before = jax.tree.map(lambda x: x[:-1], potentials)
    steps = Element(model.transition, model.offset, model.noise, before)
    mean, covariance = model.initial
    nothing = jax.tree.map(lambda x: jnp.zeros_like(x[0]), potentials)
    beginning = Element(jnp.zeros_like(covariance), mean, covariance, nothing)
    elements = jax.tree.map(lambda x, y: jnp.concatenate([x[None], y]), beginning, steps)
    found = prefixes(joined, elements, block=block)
    predicted = Moments(found.offset, found.noise)
    told = jax.vmap(tell)(predicted, potentials)
    return Filtered(predicted, told.law, found.told.constant[-1] + told.log_integral[-1])


def backward_potentials(model: LinearGaussian, potentials: Potential, block: int) -> Potential:
    """β_t, what is told of s_t from then on.

    Args:
        model: The model; Q_t positive definite.
        potentials: ψ_t.
        block: See ``scans.prefixes``.

    Returns:
        β_t.
    """

    def ended(x: Any, last: Any) -> Any:
        return jnp.concatenate([x, jnp.broadcast_to(last, (1, *x.shape[1:])).astype(x.dtype)])

    elements = Element(
        ended(model.transition, 0.0),
        ended(model.offset, 0.0),
        ended(model.noise, jnp.eye(model.noise.shape[-1], dtype=model.noise.dtype)),
        potentials,
    )
    return prefixes(joined, elements, block=block, reverse=True).told


def path(
    gain: Float[Array, "steps n n"],
    offset: Float[Array, "steps n"],
    last: Float[Array, " n"],
    block: int,
) -> Float[Array, "time n"]:
    """s_t = G_t s_{t+1} + g_t, from the last state to the first.

    Args:
        gain: G_t.
        offset: g_t.
        last: s_T.
        block: See ``scans.prefixes``.

    Returns:
        The states.
    """

    def after(first: tuple[Array, Array], second: tuple[Array, Array]) -> tuple[Array, Array]:
        return multiply(first[0], second[0]), apply(first[0], second[1]) + first[1]

    if not len(gain):
        return last[None]
    matrices, offsets = prefixes(after, (gain, offset), block=block, reverse=True)
    return jnp.concatenate([apply(matrices, last) + offsets, last[None]])
