"""Filtering, smoothing, sampling and evidence, sequential or parallel in time."""

import functools
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.ops import scans
from rlsuite.ops.gaussian import adjoint, kalman, parallel
from rlsuite.ops.gaussian.information import Potential
from rlsuite.ops.gaussian.models import (
    Filtered,
    LinearGaussian,
    Smoothed,
    check,
)
from rlsuite.ops.matrices import apply

Method = Literal["scan", "associative"]
"""How time is gone through: step by step, or in blocks that are joined by a tree."""

Backward = Literal["steps", "forward"]
"""How derivatives of smoothing are carried back."""


def filter(  # noqa: A001
    model: LinearGaussian,
    potentials: Potential,
    *,
    method: Method = "scan",
    block: int = scans.BLOCK,
) -> Filtered:
    """The Kalman filter.

    Args:
        model: The model, with P_1 positive definite; with "associative", Q_t too.
        potentials: ψ_t, positive semidefinite.
        method: How time is gone through.
        block: How long a block is, with "associative".

    Returns:
        Predictions, what they become once told, and the evidence.

    Raises:
        ValueError: If sizes do not fit together, or the method is unknown.
    """
    _check(model, potentials, method)
    if method == "scan":
        return kalman.filtered(model, potentials)
    return parallel.filtered(model, potentials, block)


def smooth(
    model: LinearGaussian,
    potentials: Potential,
    *,
    by: Literal["rts", "two-filter"] | None = None,
    method: Method = "scan",
    block: int = scans.BLOCK,
    backward: Backward = "steps",
) -> Smoothed:
    """The law of every state, and of every two that follow each other, given all that was told.

    Args:
        model: The model, with P_1 positive definite; Q_t too but with "rts".
        potentials: ψ_t, positive semidefinite.
        by: Which smoother: "rts" (Rauch, Tung, Striebel), for "scan" only, whose it is by default,
            or "two-filter".
        method: How time is gone through.
        block: How long a block is, with "associative".
        backward: How derivatives are carried back. "steps": through all that was computed.
            "forward": by what smoothing changes by in one direction (``adjoint``), which takes
            half the time and less memory; for "rts" only, P_1 and Q_t positive definite, and no
            ``jax.jvp``.

    Returns:
        Means, covariances, cross-covariances, and the evidence.

    Raises:
        ValueError: If sizes do not fit together, or smoother, method or backward are unknown.

    Reference:
        Särkkä 2013, theorem 8.2.
    """
    _check(model, potentials, method)
    by = by or ("rts" if method == "scan" else "two-filter")
    allowed = ("rts", "two-filter") if method == "scan" else ("two-filter",)
    if by not in allowed:
        raise ValueError(f"by is {by!r}; allowed with the method {method!r}: {', '.join(allowed)}")
    ways = ("steps", "forward") if by == "rts" else ("steps",)
    if backward not in ways:
        raise ValueError(
            f"backward is {backward!r}; allowed with the smoother {by!r}: {', '.join(ways)}"
        )
    if backward == "forward":
        return adjoint.smoothed(model, potentials)
    if method == "associative":
        return kalman.two_filter(model, *parallel.both_ways(model, potentials, block))
    found = kalman.filtered(model, potentials)
    if by == "rts":
        return kalman.rts(model, found)
    return kalman.two_filter(model, found, kalman.backward_potentials(model, potentials))


def sample(
    key: PRNGKeyArray,
    model: LinearGaussian,
    found: Filtered,
    *,
    method: Method = "scan",
    block: int = scans.BLOCK,
) -> Float[Array, "time n"]:
    """Draw states, given all that was told: the last one first.

    Args:
        key: Key.
        model: The model, with Q_t positive definite.
        found: What the filter found.
        method: How time is gone through; both give the same draw.
        block: How long a block is, with "associative".

    Returns:
        s_1 … s_T, differentiable in everything.

    Raises:
        ValueError: If the method is unknown.

    Reference:
        Frühwirth-Schnatter: Data augmentation and dynamic linear models. 1994.
    """
    _known(method)
    gain, law = kalman.backward_laws(model, found)
    last = jax.tree.map(lambda x: x[-1], found.updated)
    offset, drawn = kalman.noise_of(key, law, last)
    if method == "associative":
        return parallel.path(gain, offset, drawn, block)

    def step(later: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        state = apply(inputs[0], later) + inputs[1]
        return state, state

    states = jax.lax.scan(step, drawn, (gain, offset), reverse=True)[1]
    return jnp.concatenate([states, drawn[None]])


def log_evidence(
    model: LinearGaussian,
    potentials: Potential,
    *,
    method: Method = "scan",
    block: int = scans.BLOCK,
) -> Float[Array, ""]:
    """Log ∫ p(s_{1:T}) Π_t ψ_t(s_t) ds, whose derivatives are expected statistics.

    By Fisher's identity its gradient is that of :func:`expected_log_joint` at the smoothed moments:
    one pass of a smoother, in which nothing is differentiated.

    Args:
        model: The model, with P_1 and Q_t positive definite.
        potentials: ψ_t, positive semidefinite.
        method: How time is gone through.
        block: How long a block is, with "associative".

    Returns:
        The evidence, in nats: where potentials are densities of measurements, their log likelihood.

    Raises:
        ValueError: If sizes do not fit together, or the method is unknown.
    """
    return _log_evidence(method, block, model, potentials)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _log_evidence(method: Method, block: int, model: LinearGaussian, told: Potential) -> Array:
    return filter(model, told, method=method, block=block).log_evidence


def _forward(
    method: Method, block: int, model: LinearGaussian, told: Potential
) -> tuple[Array, tuple[LinearGaussian, Potential]]:
    return _log_evidence(method, block, model, told), (model, told)


def _backward(
    method: Method, block: int, kept: tuple[LinearGaussian, Potential], cotangent: Array
) -> tuple[LinearGaussian, Potential]:
    return adjoint.slopes(kept[0], smooth(*kept, method=method, block=block), cotangent)


_log_evidence.defvjp(_forward, _backward)


def _check(model: LinearGaussian, potentials: Potential, method: str) -> None:
    check(model, potentials)
    _known(method)


def _known(method: str) -> None:
    if method not in ("scan", "associative"):
        raise ValueError(f"method is {method!r}; allowed: 'scan', 'associative'")
