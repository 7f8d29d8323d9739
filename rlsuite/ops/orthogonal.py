r"""Orthogonal decompositions without LAPACK.

On CPUs, XLA hands each of LAPACK's calls of a batch to the threads that also wait for these (jax
0.10.2): two batches at once, such as two layers' initial weights for several seeds, stop a machine
of two cores for ever. What is here are array operations, which XLA compiles with what is around.

    A = Q R,    Qᵀ Q = I,    R upper triangular with a positive diagonal,

is found column by column: what a column has of those before it is taken away, twice, which leaves Q
as orthogonal as rounding allows.

Reference:
    Giraud, Langou, Rozložník, van den Eshof: Rounding error analysis of the classical
    Gram-Schmidt orthogonalization process. Numerische Mathematik 101, 2005.

Example:
    >>> basis, upper = decompose(jnp.array([[3.0, 1.0], [4.0, 2.0]]))
    >>> bool(jnp.allclose(basis, jnp.array([[0.6, -0.8], [0.8, 0.6]])))
    True
    >>> bool(jnp.allclose(upper, jnp.array([[5.0, 2.2], [0.0, 0.4]])))
    True
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def decompose(
    matrix: Float[Array, "rows columns"],
) -> tuple[Float[Array, "rows columns"], Float[Array, "columns columns"]]:
    """Q and R of A = Q R.

    Args:
        matrix: A, with at least as many rows as columns. These are independent, as far as rounding
            tells them apart, but for columns of zeros.

    Returns:
        (Q, R); where a column is zero, so is Q's.

    Raises:
        ValueError: If there are more columns than rows.
    """
    rows, columns = matrix.shape
    if columns > rows:
        raise ValueError(f"matrix has shape {matrix.shape}; allowed: no more columns than rows")

    def column(number: Array, done: tuple[Array, Array]) -> tuple[Array, Array]:
        basis, upper = done
        rest = matrix[:, number]
        first = basis.T @ rest
        rest = rest - basis @ first
        second = basis.T @ rest
        rest = rest - basis @ second
        size = jnp.sqrt(jnp.sum(jnp.square(rest)))
        direction = jnp.where(size > 0, rest / jnp.where(size > 0, size, 1), 0)
        above = (first + second).at[number].set(size)
        return basis.at[:, number].set(direction), upper.at[:, number].set(above)

    start = jnp.zeros_like(matrix), jnp.zeros((columns, columns), matrix.dtype)
    return jax.lax.fori_loop(0, columns, column, start)


def solve_upper(upper: Float[Array, "n n"], right: Float[Array, " n"]) -> Float[Array, " n"]:
    """The x of R x = b, from the last number to the first.

    Args:
        upper: R, upper triangular without zeros on its diagonal.
        right: b.

    Returns:
        x.
    """
    size = len(right)

    def row(number: Array, found: Array) -> Array:
        at = size - 1 - number
        return found.at[at].set((right[at] - upper[at] @ found) / upper[at, at])

    return jax.lax.fori_loop(0, size, row, jnp.zeros_like(right))


def leading(
    matrix: Float[Array, "n n"], count: int, iterations: int = 100
) -> tuple[Float[Array, "n count"], Float[Array, " count"]]:
    """The eigenvectors of the largest eigenvalues of a positive semidefinite matrix.

    Found by orthogonal iteration, Q' R = A Q: the i-th vector's error falls as the ratio of its
    eigenvalue to the next one's, to the power of the number of iterations.

    Args:
        matrix: A, symmetric.
        count: How many, from 1 to n.
        iterations: How many.

    Returns:
        (columns, qᵀ A q of each, about their eigenvalues, the largest first). Columns are
        orthonormal; where A has no further rank, they may be zero.

    Raises:
        ValueError: If ``count`` is out of range.

    Reference:
        Golub, Van Loan: Matrix computations, 4th ed., section 7.3.2.

    Example:
        >>> axes, values = leading(jnp.diag(jnp.array([1.0, 9.0, 4.0])), 2)
        >>> values.round(3).tolist()
        [9.0, 4.0]
    """
    if not 1 <= count <= len(matrix):
        raise ValueError(f"count is {count}; allowed: 1 to {len(matrix)}")
    # Any fixed columns do that are not orthogonal to what is sought.
    rows, columns = jnp.arange(len(matrix))[:, None], jnp.arange(count)
    start = jnp.cos(rows * (1 + 2 * columns) + columns).astype(matrix.dtype)

    def closer(_: Array, basis: Array) -> Array:
        return decompose(matrix @ basis)[0]

    basis = jax.lax.fori_loop(0, iterations, closer, decompose(start)[0])
    return basis, jnp.sum(basis * (matrix @ basis), axis=0)


def positive_part(matrix: Float[Array, "n n"], iterations: int = 60) -> Float[Array, "n n"]:
    r"""The nearest positive semidefinite matrix to a symmetric one: (A + \|A\|) / 2.

    The sign of A is found by Newton's and Schulz' iteration, S' = (3 S − S³) / 2 from A / ‖A‖. It
    leaves eigenvectors as they are and takes each eigenvalue to −1 or 1; those that are too small
    to arrive, below (2/3)^iterations times ‖A‖, change nothing.

    Args:
        matrix: A, symmetric.
        iterations: How many.

    Returns:
        A without its negative eigenvalues.

    Reference:
        Higham: Functions of matrices. SIAM 2008, eq. 5.22.

    Example:
        >>> positive_part(jnp.array([[0.0, 2.0], [2.0, 0.0]])).round(3).tolist()
        [[1.0, 1.0], [1.0, 1.0]]
    """
    size = jnp.sqrt(jnp.sum(jnp.square(matrix)))
    start = matrix / jnp.where(size > 0, size, 1)

    def closer(_: Array, sign: Array) -> Array:
        sign = 1.5 * sign - 0.5 * (sign @ sign @ sign)
        return (sign + sign.T) / 2

    sign = jax.lax.fori_loop(0, iterations, closer, start)
    found = (matrix + matrix @ sign) / 2
    return (found + found.T) / 2
