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


def test_of_what_is_not_convex_the_best_convex_fit_is_found():
    """By the conditions of Karush, Kuhn and Tucker: H and the loss's slope there are orthogonal."""
    at = points()
    z = at.mean - at.mean.mean(0)
    fresh = lqr.Gaussian(z, 0 * at.covariance)
    hessian = np.asarray([[2.0, 0.3, 0.0], [0.3, -1.0, 0.4], [0.0, 0.4, 0.5]])
    values = evaluate(lqr.Quadratic(hessian, np.ones(3), np.array(0.0)), z) + normal(5, 40)
    found = fit_quadratic(fresh, values, ridge=0.0)
    short = np.linalg.eigvalsh(found.hessian)
    assert short[0] > -1e-10
    assert short[0] < 1e-6 < short[1]  # A bound that is active, and others that are not.
    error = evaluate(found, z) - values
    slope = np.einsum("p,pi,pj->ij", error, z, z) / 80
    assert np.linalg.eigvalsh(slope)[0] > -1e-7
    assert np.abs(slope @ found.hessian).max() < 1e-7
    # Slope and constant are the best for what is left.
    left = values - evaluate(found._replace(gradient=np.zeros(3), constant=0.0), z)
    features = np.concatenate([z, np.ones((40, 1))], axis=1)
    best = np.linalg.lstsq(features, left)[0]
    np.testing.assert_allclose([*found.gradient, found.constant], best, atol=1e-9)


def test_shapes_are_checked():
    at = points()
    with pytest.raises(ValueError, match=r"values has shape \(3,\); allowed: \(40,\)"):
        fit_quadratic(at, np.ones(3))
    with pytest.raises(ValueError, match=r"weights has shape \(2,\); allowed: \(40,\)"):
        fit_quadratic(at, np.ones(40), weights=np.ones(2))
