r"""Factors of small positive definite matrices, and what is solved with them, without LAPACK.

Models of few numbers factor thousands of matrices of 2 to 16 rows, one after another in time and
many beside each other. Calls of LAPACK cost more than such matrices need, and their gradients
within a vmapped scan have been seen to hang on CPUs (jax 0.10.2). Up to ``SMALL`` rows, these
functions are a few array operations for each row instead, which XLA compiles with what is around
them; above, they call ``jax.lax.linalg``. Derivatives are closed forms in either case,

    A = L Lᵀ:    dL = L Φ(L⁻¹ dA L⁻ᵀ),        L X = B:    dX = L⁻¹ (dB − dL X),

Φ being the lower triangle with half of the diagonal.

Reference:
    Murray: Differentiation of the Cholesky decomposition. 2016, arXiv:1602.07527, eqs. 7 and 8.

Example:
    >>> matrix = jnp.array([[4.0, 2.0], [2.0, 5.0]])
    >>> factor = cholesky(matrix)
    >>> factor.tolist()
    [[2.0, 0.0], [1.0, 2.0]]
    >>> solve(factor, jnp.array([[8.0], [12.0]])).tolist()
    [[1.0], [2.0]]
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rlsuite.ops.matrices import SMALL, multiply, product, transpose


@jax.jit
def cholesky(matrix: Float[Array, "*batch n n"]) -> Float[Array, "*batch n n"]:
    """The lower triangular L with L Lᵀ = A.

    Args:
        matrix: A, of which the symmetric part counts, positive definite.

    Returns:
        L; not a number where A is not positive definite.
    """
    return _cholesky((matrix + transpose(matrix)) / 2)


@jax.custom_jvp
def _cholesky(matrix: Float[Array, "*batch n n"]) -> Float[Array, "*batch n n"]:
    """Column by column: what remains of A is less the outer product of each."""
    size = matrix.shape[-1]
    if size > SMALL:
        return jax.lax.linalg.cholesky(matrix, symmetrize_input=False)
    rest, columns = matrix, []
    for number in range(size):
        column = rest[..., :1] * jax.lax.rsqrt(rest[..., :1, :1])
        above = [(0, 0, 0)] * (matrix.ndim - 2) + [(number, 0, 0), (0, 0, 0)]
        columns.append(jax.lax.pad(column, jnp.zeros((), column.dtype), above))
        if number + 1 < size:
            below = column[..., 1:, :]
            rest = rest[..., 1:, 1:] - below * transpose(below)
    return jnp.concatenate(columns, axis=-1)


@_cholesky.defjvp
def _cholesky_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    factor = _cholesky(*primals)
    left = solve_lower(factor, tangents[0])
    both = solve_lower(factor, transpose(left))
    half = jnp.tril(both) * (1 - jnp.eye(both.shape[-1], dtype=both.dtype) / 2)
    return factor, product(factor, half)


@jax.jit
def solve_lower(
    factor: Float[Array, "*batch n n"], right: Float[Array, "*batch n m"]
) -> Float[Array, "*batch n m"]:
    """The X with L X = B.

    Args:
        factor: L, of which the lower triangle counts.
        right: B.

    Returns:
        X.
    """
    return _solve_lower(factor, right)


@jax.jit
def solve_upper(
    factor: Float[Array, "*batch n n"], right: Float[Array, "*batch n m"]
) -> Float[Array, "*batch n m"]:
    """The X with Lᵀ X = B.

    Args:
        factor: L, of which the lower triangle counts.
        right: B.

    Returns:
        X.
    """
    return _solve_upper(factor, right)


def solve(
    factor: Float[Array, "*batch n n"], right: Float[Array, "*batch n m"]
) -> Float[Array, "*batch n m"]:
    """The X with A X = B, from the factor of A.

    Args:
        factor: L, with L Lᵀ = A.
        right: B.

    Returns:
        X.
    """
    return solve_upper(factor, solve_lower(factor, right))


def inverse(factor: Float[Array, "*batch n n"]) -> Float[Array, "*batch n n"]:
    """A⁻¹, from the factor of A; exactly symmetric.

    Args:
        factor: L, with L Lᵀ = A.

    Returns:
        L⁻ᵀ L⁻¹.
    """
    identity = jnp.broadcast_to(jnp.eye(factor.shape[-1], dtype=factor.dtype), factor.shape)
    half = solve_lower(factor, identity)
    return multiply(transpose(half), half)


def log_determinant(factor: Float[Array, "*batch n n"]) -> Float[Array, "*batch"]:
    """Log |A|, from the factor of A.

    Args:
        factor: L, with L Lᵀ = A.

    Returns:
        2 Σ log L_ii.
    """
    return 2 * jnp.sum(jnp.log(jnp.diagonal(factor, axis1=-2, axis2=-1)), axis=-1)


@jax.custom_jvp
def _solve_lower(factor: Array, right: Array) -> Array:
    """Row by row, from the first."""
    size = factor.shape[-1]
    if size > SMALL:
        return jax.lax.linalg.triangular_solve(factor, right, left_side=True, lower=True)
    rest, rows = right, []
    for number in range(size):
        column = factor[..., number:, number : number + 1]
        rows.append(rest[..., :1, :] / column[..., :1, :])
        if number + 1 < size:
            rest = rest[..., 1:, :] - column[..., 1:, :] * rows[-1]
    return jnp.concatenate(rows, axis=-2)


@_solve_lower.defjvp
def _solve_lower_jvp(
    primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    found = solve_lower(*primals)
    return found, solve_lower(primals[0], tangents[1] - product(jnp.tril(tangents[0]), found))


@jax.custom_jvp
def _solve_upper(factor: Array, right: Array) -> Array:
    """Row by row, from the last."""
    size = factor.shape[-1]
    if size > SMALL:
        return jax.lax.linalg.triangular_solve(
            factor, right, left_side=True, lower=True, transpose_a=True
        )
    upper = transpose(factor)
    rest, rows = right, []
    for number in reversed(range(size)):
        column = upper[..., : number + 1, number : number + 1]
        rows.append(rest[..., -1:, :] / column[..., -1:, :])
        if number > 0:
            rest = rest[..., :-1, :] - column[..., :-1, :] * rows[-1]
    return jnp.concatenate(rows[::-1], axis=-2)


@_solve_upper.defjvp
def _solve_upper_jvp(
    primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    found = solve_upper(*primals)
    change = product(transpose(jnp.tril(tangents[0])), found)
    return found, solve_upper(primals[0], tangents[1] - change)
