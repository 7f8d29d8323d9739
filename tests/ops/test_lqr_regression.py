"""A quadratic cost from what was paid: exact where it can be, convex always."""

import jax
import numpy as np
import pytest
from compiled import compiled

from rlsuite.ops import lqr

evaluate, fit_quadratic = compiled(lqr.evaluate), compiled(lqr.fit_quadratic)


@pytest.fixture(autouse=True)
def _doubles():
    with jax.enable_x64(True):
        yield


def normal(seed, *shape):
    return np.asarray(jax.random.normal(jax.random.key(seed), shape))


def points(count=40, n=3, spread=0.0):
    root = spread * normal(1, count, n, n)
    return lqr.Gaussian(2 + 3 * normal(0, count, n), root @ root.mT)


def true_cost(n=3):
    root = normal(2, n, n - 1)
    return lqr.Quadratic(root @ root.T, normal(3, n), np.array(0.7))


def assert_close(found, wanted, tolerance):
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, atol=tolerance)


def test_a_convex_quadratic_is_found_exactly():
    at, cost = points(), true_cost()
    found = fit_quadratic(at, evaluate(cost, at.mean), ridge=0.0)
    assert_close(found, cost, 1e-10)


def test_a_point_that_is_not_known_counts_with_its_covariance():
    at, cost = points(spread=0.8), true_cost()
    traces = np.einsum("pij,ij->p", at.covariance, cost.hessian) / 2
    values = evaluate(cost, at.mean) + traces
    assert_close(fit_quadratic(at, values, ridge=0.0), cost, 1e-10)
    blind = fit_quadratic(at._replace(covariance=0 * at.covariance), values, ridge=0.0)
    assert np.abs(blind.hessian - cost.hessian).max() > 0.05


def test_a_weight_is_a_count():
    at, cost = points(), true_cost()
    noisy = evaluate(cost, at.mean) + normal(4, 40)
    twice = jax.tree.map(lambda x: np.concatenate([x, x[:7]]), at)
    repeated = fit_quadratic(twice, np.concatenate([noisy, noisy[:7]]))
    first = np.where(np.arange(40) < 7, 1.0, 0.0)
    assert_close(fit_quadratic(at, noisy, weights=1 + first), repeated, 1e-9)
    none = fit_quadratic(at, np.where(first, 1e6, noisy), weights=1 - first)
    rest = jax.tree.map(lambda x: x[7:], at)
    assert_close(none, fit_quadratic(rest, noisy[7:]), 1e-9)


def test_what_is_not_convex_loses_its_concave_part():
    at = points()
    hessian = np.diag(np.asarray([2.0, -1.0, 0.5]))
    # In coordinates that have these axes, no matter how each is scaled.
    scaled = (at.mean - at.mean.mean(0)) / at.mean.std(0)
    white = np.linalg.solve(np.linalg.cholesky(np.cov(scaled.T, bias=True)), scaled.T).T
    fresh = lqr.Gaussian(white, 0 * at.covariance)
    values = evaluate(lqr.Quadratic(hessian, np.ones(3), np.array(0.0)), white)
    found = fit_quadratic(fresh, values, ridge=0.0)
    np.testing.assert_allclose(found.hessian, np.diag(np.asarray([2.0, 0.0, 0.5])), atol=1e-9)
    # Slope and constant are the best for what is left.
    left = values - evaluate(found._replace(gradient=np.zeros(3), constant=0.0), white)
    features = np.concatenate([white, np.ones((40, 1))], axis=1)
    best = np.linalg.lstsq(features, left)[0]
    np.testing.assert_allclose([*found.gradient, found.constant], best, atol=1e-9)


def test_shapes_are_checked():
    at = points()
    with pytest.raises(ValueError, match=r"values has shape \(3,\); allowed: \(40,\)"):
        fit_quadratic(at, np.ones(3))
    with pytest.raises(ValueError, match=r"weights has shape \(2,\); allowed: \(40,\)"):
        fit_quadratic(at, np.ones(40), weights=np.ones(2))
