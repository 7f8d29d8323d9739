"""Entropies of samples against those of the laws that they are drawn from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from rlsuite.ops.entropy import entropy, surprise

RNG = np.random.default_rng(0)
NORMAL = RNG.normal(size=(1500, 3))


@pytest.mark.parametrize("neighbour", [1, 4])
def test_a_normal_law_has_its_own_entropy(neighbour):
    mix = np.asarray([[2.0, 0.0, 0.0], [0.5, 1.0, 0.0], [0.0, -0.3, 0.5]])
    exact = stats.multivariate_normal(cov=mix @ mix.T).entropy()
    found = jax.jit(entropy, static_argnames="neighbour")(
        jnp.asarray(NORMAL @ mix.T), neighbour=neighbour
    )
    np.testing.assert_allclose(found, exact, atol=0.1)


def test_it_is_the_explicit_sum():
    points = RNG.uniform(size=(7, 2))
    apart = np.linalg.norm(points[:, None] - points, axis=-1)
    third = np.sort(apart, axis=1)[:, 3]  # The first is the point itself.
    harmonic = sum(1 / i for i in range(3, 7))  # psi(7) - psi(3)
    wanted = harmonic + np.log(np.pi) + 2 * np.log(third).mean()
    np.testing.assert_allclose(entropy(jnp.asarray(points)), wanted, rtol=1e-5)
    more = jnp.concatenate([jnp.asarray(points), jnp.zeros((5, 2))])
    np.testing.assert_allclose(entropy(more, where=jnp.arange(12) < 7), wanted, rtol=1e-5)


def test_scaling_adds_logarithms_and_equal_points_stay_finite():
    points = jnp.asarray(NORMAL[:50])
    np.testing.assert_allclose(entropy(4 * points) - entropy(points), 3 * np.log(4), rtol=1e-4)
    assert np.isfinite(entropy(jnp.zeros((9, 2))))


def test_what_lies_far_away_surprises_by_its_density():
    others = jnp.asarray(NORMAL)
    points = jnp.asarray([[0.0, 0.0, 0.0], [1.0, 1.0, 0.0], [2.0, 1.0, -1.0]])
    exact = -stats.norm.logpdf(np.asarray(points)).sum(axis=1)
    np.testing.assert_allclose(surprise(points, others, neighbour=10), exact, atol=0.6)
    half = jnp.arange(len(NORMAL)) < 700
    np.testing.assert_allclose(
        surprise(points, others, neighbour=10, where=half),
        surprise(points, others[:700], neighbour=10),
        rtol=1e-5,
    )


def test_what_is_among_the_others_is_not_its_own_neighbour():
    points, some = NORMAL[:60], np.asarray([3, 41, 7, 20, 55])
    found = surprise(
        jnp.asarray(points), jnp.asarray(points[some]), neighbour=2, same=jnp.asarray(some)
    )
    apart = np.linalg.norm(points[:, None] - points[some], axis=-1)
    apart[some, np.arange(5)] = np.inf
    second = np.sort(apart, axis=1)[:, 1]
    known = np.isin(np.arange(60), some)
    harmonic = np.where(known, sum(1 / i for i in range(2, 5)), sum(1 / i for i in range(2, 6)))
    wanted = harmonic + np.log(4 / 3 * np.pi) + 3 * np.log(second)
    np.testing.assert_allclose(found, wanted, rtol=1e-4)
    fresh = surprise(jnp.asarray(points[:3]), jnp.asarray(points[some]), neighbour=2)
    np.testing.assert_allclose(fresh, found[:3], rtol=1e-6)


def test_points_that_are_as_good_as_the_same():
    same = jnp.asarray([[0.0, 0.0], [0.001, 0.0], [0.0, 0.002], [3.0, 0.0]])
    found = surprise(same, same, neighbour=1, same=jnp.arange(4), least=0.01)
    np.testing.assert_allclose(found[:3], 11 / 6 + np.log(np.pi) + 2 * np.log(0.01), rtol=1e-5)


def test_neighbours_are_counted():
    with pytest.raises(ValueError, match="neighbour is 3; allowed: from 1 to 2"):
        entropy(jnp.zeros((3, 2)))
    with pytest.raises(ValueError, match="neighbour is 0; allowed: from 1 to 4"):
        surprise(jnp.zeros((3, 2)), jnp.ones((4, 2)), neighbour=0)
