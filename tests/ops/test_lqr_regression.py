"""A quadratic cost from what was paid: exact where it can be, convex always."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.ops import lqr


@pytest.fixture(autouse=True)
def _doubles():
    with jax.enable_x64(True):
        yield


def points(count=40, n=3, spread=0.0):
    mean = 2 + 3 * jax.random.normal(jax.random.key(0), (count, n))
    root = spread * jax.random.normal(jax.random.key(1), (count, n, n))
    return lqr.Gaussian(mean, root @ root.mT)


def true_cost(n=3):
    root = jax.random.normal(jax.random.key(2), (n, n - 1))
    return lqr.Quadratic(
        root @ root.T, jax.random.normal(jax.random.key(3), (n,)), jnp.float64(0.7)
    )


def assert_close(found, wanted, tolerance):
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, atol=tolerance)


def test_a_convex_quadratic_is_found_exactly():
    at, cost = points(), true_cost()
    found = lqr.fit_quadratic(at, lqr.evaluate(cost, at.mean), ridge=0.0)
    assert_close(found, cost, 1e-10)


def test_a_point_that_is_not_known_counts_with_its_covariance():
    at, cost = points(spread=0.8), true_cost()
    traces = jnp.einsum("pij,ij->p", at.covariance, cost.hessian) / 2
    values = lqr.evaluate(cost, at.mean) + traces
    assert_close(lqr.fit_quadratic(at, values, ridge=0.0), cost, 1e-10)
    blind = lqr.fit_quadratic(at._replace(covariance=0 * at.covariance), values, ridge=0.0)
    assert np.abs(blind.hessian - cost.hessian).max() > 0.05


def test_a_weight_is_a_count():
    at, cost = points(), true_cost()
    noisy = lqr.evaluate(cost, at.mean) + jax.random.normal(jax.random.key(4), (40,))
    twice = jax.tree.map(lambda x: jnp.concatenate([x, x[:7]]), at)
    repeated = lqr.fit_quadratic(twice, jnp.concatenate([noisy, noisy[:7]]))
    first = jnp.where(jnp.arange(40) < 7, 1.0, 0.0)
    assert_close(jax.jit(lqr.fit_quadratic)(at, noisy, weights=1 + first), repeated, 1e-9)
    none = lqr.fit_quadratic(at, noisy.at[:7].set(1e6), weights=1 - first)
    rest = jax.tree.map(lambda x: x[7:], at)
    assert_close(none, lqr.fit_quadratic(rest, noisy[7:]), 1e-9)


def test_what_is_not_convex_loses_its_concave_part():
    at = points()
    hessian = jnp.diag(jnp.asarray([2.0, -1.0, 0.5]))
    # In coordinates that have these axes, no matter how each is scaled.
    scaled = (at.mean - at.mean.mean(0)) / at.mean.std(0)
    white = jnp.linalg.solve(jnp.linalg.cholesky(jnp.cov(scaled.T, bias=True)), scaled.T).T
    fresh = lqr.Gaussian(white, 0 * at.covariance)
    values = lqr.evaluate(lqr.Quadratic(hessian, jnp.ones(3), jnp.float64(0.0)), white)
    found = lqr.fit_quadratic(fresh, values, ridge=0.0)
    np.testing.assert_allclose(found.hessian, jnp.diag(jnp.asarray([2.0, 0.0, 0.5])), atol=1e-9)
    # Slope and constant are the best for what is left.
    left = values - lqr.evaluate(found._replace(gradient=jnp.zeros(3), constant=0.0), white)
    features = jnp.concatenate([white, jnp.ones((40, 1))], axis=1)
    best = jnp.linalg.lstsq(features, left)[0]
    np.testing.assert_allclose([*found.gradient, found.constant], best, atol=1e-9)


def test_shapes_are_checked():
    at = points()
    with pytest.raises(ValueError, match=r"values has shape \(3,\); allowed: \(40,\)"):
        lqr.fit_quadratic(at, jnp.ones(3))
    with pytest.raises(ValueError, match=r"weights has shape \(2,\); allowed: \(40,\)"):
        lqr.fit_quadratic(at, jnp.ones(40), weights=jnp.ones(2))
