"""Orthogonal decompositions against NumPy's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.ops import orthogonal


@pytest.mark.parametrize("shape", [(1, 1), (5, 5), (40, 7)])
def test_a_decomposition_is_numpys_with_a_positive_diagonal(shape):
    matrix = np.random.default_rng(0).normal(size=shape)
    q, r = np.linalg.qr(matrix)
    sign = np.sign(np.diagonal(r))
    with jax.enable_x64(True):
        basis, upper = orthogonal.decompose(jnp.asarray(matrix))
        right = jnp.arange(1.0, shape[1] + 1)
        solved = orthogonal.solve_upper(upper, right)
    np.testing.assert_allclose(basis, q * sign, atol=1e-13)
    np.testing.assert_allclose(upper, r * sign[:, None], atol=1e-13)
    np.testing.assert_allclose(upper @ solved, right, rtol=1e-12)


def test_columns_that_are_nearly_alike_are_orthogonal_too():
    """With a condition number of 1e5 in float32, one pass would leave products of 1e-2."""
    rows = np.random.default_rng(1).normal(size=(30, 6))
    left, _, right = np.linalg.svd(rows, full_matrices=False)
    matrix = jnp.asarray(left * np.logspace(0, -5, 6) @ right, jnp.float32)
    basis, upper = orthogonal.decompose(matrix)
    np.testing.assert_allclose(basis.T @ basis, np.eye(6), atol=1e-6)
    np.testing.assert_allclose(basis @ upper, matrix, atol=1e-7)


def test_a_column_of_zeros_stays_one():
    basis, upper = orthogonal.decompose(jnp.asarray([[3.0, 0.0], [4.0, 0.0]]))
    np.testing.assert_allclose(basis, [[0.6, 0], [0.8, 0]], rtol=1e-6)
    np.testing.assert_allclose(upper, [[5, 0], [0, 0]], rtol=1e-6)
    with pytest.raises(ValueError, match=r"matrix has shape \(2, 3\); allowed: no more columns"):
        orthogonal.decompose(jnp.zeros((2, 3)))


@pytest.mark.parametrize(
    "eigenvalues", [[3.0, 1.0, -2.0, -1e-3], [1.0, 1e-6, -1e-6, 0.0], [-1.0] * 4, [0.0] * 4]
)
def test_the_positive_part_has_no_negative_eigenvalues(eigenvalues):
    q, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(4, 4)))
    matrix = q * np.asarray(eigenvalues) @ q.T
    with jax.enable_x64(True):
        found = orthogonal.positive_part(jnp.asarray(matrix))
    np.testing.assert_allclose(found, q * np.maximum(eigenvalues, 0) @ q.T, atol=1e-9)


def test_the_leading_eigenvectors_are_numpys():
    q, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(6, 6)))
    sizes = np.asarray([5.0, 3.0, 1.0, 0.5, 0.0, 0.0])
    matrix = q * sizes @ q.T
    with jax.enable_x64(True):
        axes, values = orthogonal.leading(jnp.asarray(matrix), 3)
    np.testing.assert_allclose(values, sizes[:3], rtol=1e-12)
    np.testing.assert_allclose(np.abs(np.sum(axes * q[:, :3], axis=0)), 1.0, rtol=1e-12)
    with pytest.raises(ValueError, match="count is 7; allowed: 1 to 6"):
        orthogonal.leading(jnp.asarray(matrix), 7)
