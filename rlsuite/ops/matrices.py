"""Products of small matrices, without a library.

Models of few numbers multiply thousands of matrices of 2 to 16 rows, one after another in time and
many beside each other. Up to ``SMALL`` columns these products are sums that XLA compiles with what
is around them; above, they are calls of a library.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

SMALL = 16
"""Matrices of so many rows need no library."""


def transpose(matrix: Float[Array, "*batch n m"]) -> Float[Array, "*batch m n"]:
    """The matrices the other way round."""
    return jnp.swapaxes(matrix, -1, -2)


def symmetric(matrix: Float[Array, "*batch n n"]) -> Float[Array, "*batch n n"]:
    """The symmetric part: rounding would grow in the other one where a recursion is unstable."""
    return (matrix + transpose(matrix)) / 2


def multiply(
    left: Float[Array, "*#batch n k"], right: Float[Array, "*#batch k m"]
) -> Float[Array, "*#batch n m"]:
    """Products of small matrices, which XLA compiles with what is around them.

    Calls of a library would cost more than the products, and round to fewer digits on a GPU.

    Args:
        left: A.
        right: B.

    Returns:
        A B.
    """
    if left.shape[-1] > SMALL:
        return product(left, right)
    return _sum_of_products(left, right)


def apply(
    matrix: Float[Array, "*#batch n m"], vector: Float[Array, "*#batch m"]
) -> Float[Array, "*#batch n"]:
    """Products of small matrices and vectors.

    Args:
        matrix: A.
        vector: x.

    Returns:
        A x.
    """
    return multiply(matrix, vector[..., None])[..., 0]


def product(
    left: Float[Array, "*#batch n k"], right: Float[Array, "*#batch k m"]
) -> Float[Array, "*#batch n m"]:
    """Products for what derivatives are carried back through.

    The sums of ``multiply`` transpose into sums along rows, which are many times slower.

    Args:
        left: A.
        right: B.

    Returns:
        A B.
    """
    return jnp.matmul(left, right, precision=jax.lax.Precision.HIGHEST)


@jax.custom_jvp
def _sum_of_products(left: Array, right: Array) -> Array:
    return jnp.sum(left[..., :, :, None] * right[..., None, :, :], axis=-2)


@_sum_of_products.defjvp
def _sum_of_products_jvp(
    primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    (left, right), (left_moved, right_moved) = primals, tangents
    change = product(left_moved, right) + product(left, right_moved)
    return _sum_of_products(left, right), change
