r"""Entropies of what was seen, from distances between neighbours.

Of N points in d dimensions, ε_i being the distance from the i-th to its k-th nearest other one and
V_d = π^{d/2} / Γ(d/2 + 1) the volume of the unit ball,

    Ĥ = ψ(N) − ψ(k) + log V_d + (d/N) Σ_i log ε_i    nats,

whose error vanishes as N grows. A single point x is surprising by −log p̂(x) in the same way. No
density is fitted, and nothing is learned.

References:
    Kozachenko and Leonenko: Sample estimate of the entropy of a random vector. Problems of
    Information Transmission 23, 1987.
    Kraskov, Stögbauer, Grassberger: Estimating mutual information. Physical Review E 69, 2004,
    eq. 20.

Example:
    >>> points = jax.random.normal(jax.random.key(0), (1000, 2))
    >>> exact = jnp.log(2 * jnp.pi * jnp.e)
    >>> bool(jnp.abs(entropy(points) - exact) < 0.1)
    True
"""

import math

import jax
import jax.numpy as jnp
from jax.scipy.special import digamma
from jaxtyping import Array, Bool, Float, Int

_AT_ONCE = 1024
_LEAST = 1e-6  # Points that are the same have a distance, too.


def entropy(
    points: Float[Array, "point n"],
    *,
    neighbour: int = 3,
    where: Bool[Array, " point"] | None = None,
) -> Float[Array, ""]:
    """The differential entropy of the law that points are drawn from; see the module.

    Args:
        points: The points.
        neighbour: k, at least 1 and below the number of points.
        where: Which points count; all by default.

    Returns:
        Ĥ, in nats.

    Raises:
        ValueError: If k is out of range.
    """
    where = jnp.ones(len(points), bool) if where is None else where
    apart = _nearest(points, points, neighbour, where, own=True)
    count = jnp.sum(where).astype(points.dtype)
    mean = jnp.sum(jnp.where(where, jnp.log(apart), 0.0)) / jnp.maximum(count, 1.0)
    return _volume(count, neighbour, points.shape[-1]) + points.shape[-1] * mean


def surprise(
    points: Float[Array, "point n"],
    others: Float[Array, "other n"],
    *,
    neighbour: int = 3,
    where: Bool[Array, " other"] | None = None,
) -> Float[Array, " point"]:
    """How unlikely points are under the law that others are drawn from: −log p̂(x).

    Args:
        points: The points, none of them among the others.
        others: What they are compared with.
        neighbour: k, at least 1 and at most the number of others.
        where: Which others count; all by default.

    Returns:
        ψ(N) − ψ(k) + log V_d + d log ε(x), in nats, with N others.

    Raises:
        ValueError: If k is out of range.
    """
    where = jnp.ones(len(others), bool) if where is None else where
    apart = _nearest(points, others, neighbour, where, own=False)
    count = jnp.sum(where).astype(points.dtype)
    size = points.shape[-1]
    return _volume(count, neighbour, size) + size * jnp.log(apart)


def _volume(count: Float[Array, ""], neighbour: int, size: int) -> Float[Array, ""]:
    """ψ(N) − ψ(k) + log V_d."""
    ball = size / 2 * math.log(math.pi) - math.lgamma(size / 2 + 1)
    return digamma(count) - digamma(jnp.asarray(neighbour, count.dtype)) + ball


def _nearest(
    points: Float[Array, "point n"],
    others: Float[Array, "other n"],
    neighbour: int,
    where: Bool[Array, " other"],
    *,
    own: bool,
) -> Float[Array, " point"]:
    """The distance to the k-th nearest of the others that count, a point itself left out."""
    most = len(others) - own
    if not 1 <= neighbour <= most:
        raise ValueError(f"neighbour is {neighbour}; allowed: from 1 to {most}")

    def distance(point: Float[Array, " n"], index: Int[Array, ""]) -> Float[Array, ""]:
        squared = jnp.sum(jnp.square(others - point), axis=-1)
        counts = where & (jnp.arange(len(others)) != index) if own else where
        nearest, _ = jax.lax.top_k(-jnp.where(counts, squared, jnp.inf), neighbour)
        return jnp.maximum(jnp.sqrt(-nearest[-1]), _LEAST)

    pairs = (points, jnp.arange(len(points)))
    return jax.lax.map(lambda pair: distance(*pair), pairs, batch_size=min(len(points), _AT_ONCE))
