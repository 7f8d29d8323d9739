r"""An audit of diffusion samplers: the exact law that they produce from Gaussian data.

For data N(μ, Σ) the best prediction is affine in what it sees,

    E[x_0 | x_k] = μ + √ᾱ_k Σ (ᾱ_k Σ + (1 − ᾱ_k) I)⁻¹ (x_k − √ᾱ_k μ).

A sampler of ``rlsuite.ops.diffusion`` is affine, too, in x and in its predictions; so are guidance
and composition, and inpainting. What a whole chain gives is therefore Gaussian, and its mean and
covariance follow step by step. No network, no sampling and no seed stand between a setting and the
law it leads to: ``audit`` compares that law with the one that was meant,

    p(x) Π_i (p(x | y_i) / p(x))^{w_i},   given the entries that are known.

The two differ in general: guided chains sample the sharpened product only if all covariances are
equal, up to what the schedule resolves, and inpainting alone does not sample the conditional law.

References:
    Ho, Salimans: Classifier-free diffusion guidance. 2022, arXiv:2207.12598.
    Bradley, Nakkiran: Classifier-free guidance is a predictor-corrector. 2024, arXiv:2408.09000.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from rlsuite.ops.diffusion import Known, Sampler, Schedule


class Gaussian(NamedTuple):
    """N(mean, covariance).

    Attributes:
        mean: μ.
        covariance: Σ, symmetric, with no negative eigenvalue.
    """

    mean: Float[np.ndarray, " n"]
    covariance: Float[np.ndarray, "n n"]


class Affine(NamedTuple):
    """x ↦ matrix x + offset."""

    matrix: Float[np.ndarray, "m n"]
    offset: Float[np.ndarray, " m"]


class Audit(NamedTuple):
    """What a setting leads to, and what was meant.

    Attributes:
        law: What the chain gives.
        meant: The sharpened product, given what is known.
        distance: Wasserstein's, of order 2, between them, in units of the data.
    """

    law: Gaussian
    meant: Gaussian
    distance: float


def prediction(schedule: Schedule, data: Gaussian, step: int) -> Affine:
    """The best prediction of the data.

    Args:
        schedule: The schedule.
        data: Their law.
        step: k.

    Returns:
        x_k ↦ E[x_0 | x_k].
    """
    signal = schedule.signal[step]
    seen = signal * data.covariance + (1 - signal) * np.eye(len(data.mean))
    gain = np.sqrt(signal) * np.linalg.solve(seen, data.covariance).T
    return Affine(gain, data.mean - np.sqrt(signal) * gain @ data.mean)


def law(
    schedule: Schedule,
    sampler: Sampler,
    data: Gaussian,
    conditions: Sequence[Gaussian] = (),
    weights: Sequence[float] = (),
    known: Known | None = None,
) -> Gaussian:
    """The law of what a sampler gives with the best predictions, guided and inpainted.

    Args:
        schedule: The schedule.
        sampler: The sampler.
        data: The law without a condition.
        conditions: The laws given each condition.
        weights: w_i, as for ``diffusion.guided``.
        known: What is written over x.

    Returns:
        Its mean and covariance.

    Raises:
        ValueError: If there are not as many weights as conditions.

    Example:
        >>> from rlsuite.ops import diffusion
        >>> schedule, data = diffusion.cosine(100), Gaussian(np.ones(1), 0.25 * np.eye(1))
        >>> found = law(schedule, diffusion.ancestral(schedule), data)
        >>> found.mean.round(3).tolist(), found.covariance.round(3).tolist()
        ([1.0], [[0.233]])
    """
    if len(conditions) != len(weights):
        raise ValueError(
            f"weights has {len(weights)} entries; allowed: one for each of {len(conditions)} "
            f"conditions"
        )
    size = len(data.mean)
    identity, zero = np.eye(size), np.zeros((size, size))
    put = _put(known, size)
    mean, covariance = np.zeros(2 * size), np.zeros((2 * size, 2 * size))  # of x and the last x̂
    covariance[:size, :size] = sampler.start**2 * identity
    for step, carry, now, before, noise in zip(*sampler[:5], strict=True):
        guess = _guided(schedule, data, conditions, weights, int(step))
        whole = carry * identity + now * guess.matrix
        moved = np.block(
            [[whole @ put.matrix, before * identity], [guess.matrix @ put.matrix, zero]]
        )
        offset = np.concatenate(
            [whole @ put.offset + now * guess.offset, guess.matrix @ put.offset + guess.offset]
        )
        mean = moved @ mean + offset
        covariance = moved @ covariance @ moved.T
        covariance[:size, :size] += noise**2 * identity
    return Gaussian(
        put.matrix @ mean[:size] + put.offset, put.matrix @ covariance[:size, :size] @ put.matrix.T
    )


def _guided(
    schedule: Schedule,
    data: Gaussian,
    conditions: Sequence[Gaussian],
    weights: Sequence[float],
    step: int,
) -> Affine:
    plain = prediction(schedule, data, step)
    matrix, offset = plain
    for weight, condition in zip(weights, conditions, strict=True):
        other = prediction(schedule, condition, step)
        matrix = matrix + weight * (other.matrix - plain.matrix)
        offset = offset + weight * (other.offset - plain.offset)
    return Affine(matrix, offset)


def _put(known: Known | None, size: int) -> Affine:
    if known is None:
        return Affine(np.eye(size), np.zeros(size))
    where, values = (np.asarray(leaf).reshape(-1) for leaf in known)
    return Affine(np.diag(~where * 1.0), np.where(where, values, 0.0))


def product(data: Gaussian, conditions: Sequence[Gaussian], weights: Sequence[float]) -> Gaussian:
    """p(x) Π_i (p(x | y_i) / p(x))^{w_i}, normalised.

    Args:
        data: p(x).
        conditions: p(x | y_i).
        weights: w_i.

    Returns:
        The product.

    Raises:
        ValueError: If there is none: the weights leave a direction without bound.
    """
    inverse = np.linalg.inv(data.covariance)
    precision, shift = inverse, inverse @ data.mean
    for weight, condition in zip(weights, conditions, strict=True):
        other = np.linalg.inv(condition.covariance)
        precision = precision + weight * (other - inverse)
        shift = shift + weight * (other @ condition.mean - inverse @ data.mean)
    least = float(np.linalg.eigvalsh(precision)[0])
    if least <= 0:
        raise ValueError(
            f"weights are {tuple(weights)}, with which the least precision is {least:.3g}; "
            f"allowed: such that it stays positive"
        )
    covariance = np.linalg.inv(precision)
    return Gaussian(covariance @ shift, covariance)


def given(data: Gaussian, known: Known) -> Gaussian:
    """The law given some entries.

    Args:
        data: The law.
        known: The entries.

    Returns:
        The conditional law of all entries; the known ones do not vary.
    """
    where, values = (np.asarray(leaf).reshape(-1) for leaf in known)
    mean, covariance = np.where(where, values, data.mean), np.zeros_like(data.covariance)
    if where.any() and not where.all():
        gain = np.linalg.solve(
            data.covariance[np.ix_(where, where)], data.covariance[np.ix_(where, ~where)]
        ).T
        mean[~where] += gain @ (values[where] - data.mean[where])
        covariance[np.ix_(~where, ~where)] = (
            data.covariance[np.ix_(~where, ~where)] - gain @ data.covariance[np.ix_(where, ~where)]
        )
    elif not where.any():
        covariance = data.covariance
    return Gaussian(mean, covariance)


def distance(one: Gaussian, other: Gaussian) -> float:
    """Wasserstein's distance of order 2.

    Args:
        one: A law.
        other: Another.

    Returns:
        √(|μ − μ'|² + tr(Σ + Σ' − 2 (Σ^½ Σ' Σ^½)^½)).

    Example:
        >>> distance(Gaussian(np.zeros(1), np.eye(1)), Gaussian(np.zeros(1), 4 * np.eye(1)))
        1.0
    """
    root = _root(one.covariance)
    both = _root(root @ other.covariance @ root)
    apart = float(np.sum(np.square(one.mean - other.mean)))
    trace = float(np.trace(one.covariance + other.covariance - 2 * both))
    return float(np.sqrt(max(apart + trace, 0.0)))


def _root(matrix: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"]:
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)


def audit(
    schedule: Schedule,
    sampler: Sampler,
    data: Gaussian,
    conditions: Sequence[Gaussian] = (),
    weights: Sequence[float] = (),
    known: Known | None = None,
) -> Audit:
    """What a setting leads to on Gaussian data, and how far that is from what was meant.

    Bounds of x̂_0 and starts from a guess are no part of it: with them, nothing is Gaussian.

    Args:
        schedule: The schedule.
        sampler: The sampler, ``cooled`` or not; what is meant is at temperature 1.
        data: The law without a condition.
        conditions: The laws given each condition.
        weights: w_i.
        known: What is written over x.

    Returns:
        The audit.

    Raises:
        ValueError: As ``law`` and ``product``.
    """
    found = law(schedule, sampler, data, conditions, weights, known)
    meant = product(data, conditions, weights)
    if known is not None:
        meant = given(meant, known)
    return Audit(found, meant, distance(found, meant))
