"""A quadratic cost from what was paid: exact where it can be, convex always."""

import jax
import jax.numpy as jnp
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


def episodes(count=60, steps=5, n=2):
    """Points that move on from step to step, each step's near each other."""
    middle = np.linspace(-2.0, 2.0, steps)[:, None] * np.ones(n)
    at = middle + 0.05 * normal(7, count, steps, n)
    return at, lqr.Gaussian(at, np.zeros((count, steps, n, n)))


FLAT = lqr.Quadratic(np.diag([1.0, 0.5]), np.array([0.3, -1.0]), np.array(0.2))


def test_slopes_are_those_of_what_was_paid_at_each_step():
    """Of a quartic cost, whose slope a plane through all points would miss by 30."""
    at, points_ = episodes()
    fitted = compiled(lqr.fit_slopes, static_argnames="near")
    found = fitted(FLAT, points_, np.sum(at**4, axis=-1), strength=0.0, near=0)
    middle = at.mean(axis=0)
    slope = np.einsum("tij,tj->ti", found.hessian, middle) + found.gradient
    np.testing.assert_allclose(slope, 4 * middle**3, atol=0.4)
    level = evaluate(found, middle)
    np.testing.assert_allclose(level, np.mean(np.sum(at**4, axis=-1), axis=0), rtol=0.02, atol=0.02)


def test_a_cost_that_explains_all_has_the_same_slopes_everywhere():
    """Also where points are known by their covariances alone."""
    at, points_ = episodes()
    spread = points_._replace(covariance=points_.covariance + np.diag([0.3, 0.7]))
    paid = evaluate(FLAT, at) + (0.3 * 1.0 + 0.7 * 0.5) / 2
    found = compiled(lqr.fit_slopes)(FLAT, spread, paid)
    every = jax.tree.map(lambda x: np.broadcast_to(x, (5, *x.shape)), FLAT)
    assert_close(found, every, 1e-9)


def test_a_strong_belief_keeps_slopes_and_a_weak_one_is_least_squares():
    at, points_ = episodes()
    paid = evaluate(FLAT, at) + at[..., 0] ** 3 + 0.1 * normal(8, *at.shape[:2])
    fitted = compiled(lqr.fit_slopes, static_argnames="near")
    strong = fitted(FLAT, points_, paid, strength=1e9, near=1)
    np.testing.assert_allclose(strong.gradient - FLAT.gradient, 0.0, atol=1e-5)
    weak = fitted(FLAT, points_, paid, strength=0.0, near=1)
    for step, span in ((0, slice(0, 2)), (3, slice(2, 5))):
        rows = at[:, span].reshape(-1, 2)
        left = (paid - evaluate(FLAT, at))[:, span].ravel()
        design = np.concatenate([rows, np.ones((len(rows), 1))], axis=1)
        slope = np.linalg.lstsq(design, left, rcond=None)[0]
        np.testing.assert_allclose(weak.gradient[step] - FLAT.gradient, slope[:2], rtol=1e-6)
        np.testing.assert_allclose(weak.constant[step] - FLAT.constant, slope[2], rtol=1e-6)


def test_slopes_need_costs_of_all_points():
    at, points_ = jax.tree.map(jnp.asarray, episodes())
    with pytest.raises(ValueError, match=r"values has shape .*; allowed: \(60, 5\)"):
        lqr.fit_slopes(FLAT, points_, jnp.zeros((60, 4)))
    with pytest.raises(ValueError, match=r"points.covariance has shape .*; allowed: "):
        lqr.fit_slopes(FLAT, points_._replace(covariance=at[..., None]), jnp.zeros((60, 5)))
