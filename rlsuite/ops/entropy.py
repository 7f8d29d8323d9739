r"""Entropies of what was seen, from distances between neighbours.

Of N points in d dimensions, ε_i being the distance from the i-th to its k-th nearest other one and
V_d = π^{d/2} / Γ(d/2 + 1) the volume of the unit ball,

    Ĥ = ψ(N) − ψ(k) + log V_d + (d/N) Σ_i log ε_i    nats,

whose error vanishes as N grows. A single point x is surprising by −log p̂(x) in the same way, N − 1
being the number of the others. No density is fitted, and nothing is learned. Points that are the
same have a distance, too: the least that is told apart.

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


def entropy(
    points: Float[Array, "point n"],
    *,
    neighbour: int = 3,
    where: Bool[Array, " point"] | None = None,
    least: float = 1e-6,
) -> Float[Array, ""]:
    """The differential entropy of the law that points are drawn from; see the module.

    Args:
        points: The points.
        neighbour: k, at least 1 and below the number of points.
        where: Which points count; all by default.
        least: Points that are nearer to each other count as so far apart.

    Returns:
        Ĥ, in nats; infinite where some points count, but no more than k.

    Raises:
        ValueError: If k is out of range.
    """
    where = jnp.ones(len(points), bool) if where is None else where
    own = jnp.arange(len(points))
    each = surprise(points, points, neighbour=neighbour, where=where, same=own, least=least)
    count = jnp.sum(where).astype(points.dtype)
    return jnp.sum(jnp.where(where, each, 0.0)) / jnp.maximum(count, 1.0)


def surprise(
    points: Float[Array, "point n"],
    others: Float[Array, "other n"],
    *,
    neighbour: int = 3,
    where: Bool[Array, " other"] | None = None,
    same: Int[Array, " other"] | None = None,
    least: float = 1e-6,
) -> Float[Array, " point"]:
    """How unlikely points are under the law that others are drawn from: −log p̂(x).

    Args:
        points: The points.
        others: What they are compared with.
        neighbour: k, at least 1 and at most the number of others.
        where: Which others count; all by default.
        same: Which of the points each of them is, and is not compared with; by default they are
            others, all of them.
        least: Points that are nearer to each other count as so far apart.

    Returns:
        ψ(N) − ψ(k) + log V_d + d log ε(x), in nats, with N − 1 others.

    Raises:
        ValueError: If k is out of range.
    """
    most = len(others) - (same is not None)
    if not 1 <= neighbour <= most:
        raise ValueError(f"neighbour is {neighbour}; allowed: from 1 to {most}")
    where = jnp.ones(len(others), bool) if where is None else where
    size = points.shape[-1]
    ball = size / 2 * math.log(math.pi) - math.lgamma(size / 2 + 1)  # log V_d

    def one(point: Float[Array, " n"], index: Int[Array, ""]) -> Float[Array, ""]:
        counts = where if same is None else where & (same != index)
        squared = jnp.sum(jnp.square(others - point), axis=-1)
        nearest, _ = jax.lax.top_k(-jnp.where(counts, squared, jnp.inf), neighbour)
        apart = jnp.maximum(jnp.sqrt(-nearest[-1]), least)
        number = jnp.sum(counts).astype(points.dtype) + 1
        shares = digamma(number) - digamma(jnp.asarray(neighbour, number.dtype))
        return shares + ball + size * jnp.log(apart)

    pairs = (points, jnp.arange(len(points)))
    return jax.lax.map(lambda pair: one(*pair), pairs, batch_size=min(len(points), _AT_ONCE))
