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
    return _told(prefixes(joined, _from_the_first(model, potentials), block=block), potentials)


def both_ways(
    model: LinearGaussian, potentials: Potential, block: int
) -> tuple[Filtered, Potential]:
    """The Kalman filter, and what is told of each state from then on, in one scan.

    The one goes from the first step to the last and the other back: beside each other, they take
    as long as one of them, to compile as well as, with cores enough, to run.

    Args:
        model: The model; Q_t positive definite.
        potentials: ψ_t.
        block: See ``scans.prefixes``.

    Returns:
        (what the filter finds, β_t).
    """
    onwards, back = _from_the_first(model, potentials), _to_the_last(model, potentials)
    elements = jax.tree.map(lambda x, y: jnp.stack([x, jnp.flip(y, 0)], 1), onwards, back)

    def beside(first: Element, second: Element) -> Element:
        """Of stretches that are gone through backwards, the second one is the earlier."""
        earlier = jax.tree.map(lambda x, y: jnp.stack([x[0], y[1]]), first, second)
        later = jax.tree.map(lambda x, y: jnp.stack([y[0], x[1]]), first, second)
        return jax.vmap(joined)(earlier, later)

    found = prefixes(beside, elements, block=block)
    told = jax.tree.map(lambda x: jnp.flip(x[:, 1], 0), found.told)
    return _told(jax.tree.map(lambda x: x[:, 0], found), potentials), told


def _from_the_first(model: LinearGaussian, potentials: Potential) -> Element:
    """What happens before each state: it begins, or it is told something and moves."""
    before = jax.tree.map(lambda x: x[:-1], potentials)
    steps = Element(model.transition, model.offset, model.noise, before)
    mean, covariance = model.initial
    nothing = jax.tree.map(lambda x: jnp.zeros_like(x[0]), potentials)
    beginning = Element(jnp.zeros_like(covariance), mean, covariance, nothing)
    return jax.tree.map(lambda x, y: jnp.concatenate([x[None], y]), beginning, steps)


def _told(found: Element, potentials: Potential) -> Filtered:
    """Of what happened before each state, and of what it is told then."""
    predicted = Moments(found.offset, found.noise)
    told = jax.vmap(tell)(predicted, potentials)
    return Filtered(predicted, told.law, found.told.constant[-1] + told.log_integral[-1])


def _to_the_last(model: LinearGaussian, potentials: Potential) -> Element:
    """What happens from each state on, until the next one; from the last one on, nothing."""

    def ended(x: Any, last: Any) -> Any:
        return jnp.concatenate([x, jnp.broadcast_to(last, (1, *x.shape[1:])).astype(x.dtype)])

    return Element(
        ended(model.transition, 0.0),
        ended(model.offset, 0.0),
        ended(model.noise, jnp.eye(model.noise.shape[-1], dtype=model.noise.dtype)),
        potentials,
    )


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
