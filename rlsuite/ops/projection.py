r"""Random projections: few numbers that keep the inner products of many.

A count sketch (Charikar, Chen and Farach-Colton 2002) adds every coordinate of x ∈ ℝᵈ, with a
random sign, to one of k random buckets. Inner products are kept in expectation,

    E ⟨Sx, Sy⟩ = ⟨x, y⟩,    Var ⟨Sx, Sy⟩ ≤ 2 ‖x‖² ‖y‖² / k,

and it costs O(d), where a dense Gaussian matrix costs O(d k) and as much memory (Weinberger et al.
2009, lemma 2).

References:
    Charikar, Chen, Farach-Colton: Finding frequent items in data streams. ICALP 2002.
    Weinberger, Dasgupta, Langford, Smola, Attenberg: Feature hashing for large scale multitask
    learning. ICML 2009, arXiv:0902.2206.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray


class Projection(NamedTuple):
    """A count sketch S; call it on vectors.

    Attributes:
        signs: ±1 of every coordinate, ``[dimension]``.
        buckets: Which bucket it is added to, ``[dimension]``.
        like: Zeros ``[size]``.
    """

    signs: Float[Array, " dimension"]
    buckets: Int[Array, " dimension"]
    like: Float[Array, " size"]

    def __call__(self, x: Float[Array, " dimension"]) -> Float[Array, " size"]:
        """S x."""
        return self.like.astype(x.dtype).at[self.buckets].add(self.signs.astype(x.dtype) * x)


def count_sketch(key: PRNGKeyArray, dimension: int, size: int) -> Projection:
    """Draw a projection from ``dimension`` numbers to ``size``.

    Args:
        key: A key.
        dimension: d, at least 1.
        size: k, at least 1. Cosines are kept to about 1/√k.

    Returns:
        The projection.

    Raises:
        ValueError: If a number is below 1.

    Example:
        >>> project = count_sketch(jax.random.key(0), 10_000, 256)
        >>> x, y = jax.random.normal(jax.random.key(1), (2, 10_000))
        >>> error = jnp.vdot(project(x), project(y)) - jnp.vdot(x, y)
        >>> bool(jnp.abs(error) < 4 * (2 / 256) ** 0.5 * jnp.linalg.norm(x) * jnp.linalg.norm(y))
        True
    """
    for name, value in (("dimension", dimension), ("size", size)):
        if value < 1:
            raise ValueError(f"{name} is {value}; allowed: a whole number at least 1")
    sign_key, bucket_key = jax.random.split(key)
    return Projection(
        jax.random.rademacher(sign_key, (dimension,), float),
        jax.random.randint(bucket_key, (dimension,), 0, size),
        jnp.zeros(size),
    )
