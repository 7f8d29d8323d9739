"""Count sketches: unbiased, with the variance that theory gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.ops.projection import count_sketch


def test_inner_products_are_kept_on_average_and_within_the_bound():
    x, y = jax.random.normal(jax.random.key(0), (2, 300))
    size, draws = 32, 2000
    keys = jax.random.split(jax.random.key(1), draws)

    def product(key):
        project = count_sketch(key, 300, size)
        return jnp.vdot(project(x), project(y))

    products = np.asarray(jax.jit(jax.vmap(product))(keys))
    bound = 2 * float(x @ x) * float(y @ y) / size
    assert products.var() < bound
    assert abs(products.mean() - float(x @ y)) < 4 * (products.var() / draws) ** 0.5


def test_a_projection_is_linear_and_maps():
    project = count_sketch(jax.random.key(0), 50, 8)
    xs = jax.random.normal(jax.random.key(1), (3, 50))
    ys = jax.jit(jax.vmap(project))(xs)
    np.testing.assert_allclose(project(2 * xs[0] - xs[1]), 2 * ys[0] - ys[1], atol=1e-12)
    matrix = np.asarray(jax.vmap(project)(jnp.eye(50)))
    assert np.all(np.abs(matrix).sum(axis=1) == 1)


@pytest.mark.parametrize("numbers", [(0, 3), (3, 0)])
def test_bad_numbers_are_named(numbers):
    with pytest.raises(ValueError, match="allowed: a whole number at least 1"):
        count_sketch(jax.random.key(0), *numbers)
