"""The maps against their formulas, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.data.normalizers import Cdf, Gaussian, Limits

FIT = jax.jit(Cdf.fit)


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


def _samples():
    """A skewed column, a constant one, one of few values, and one with most of it in one place."""
    rng = np.random.default_rng(0)
    few = rng.integers(0, 4, 2001) * 1.0
    heap = np.where(rng.random(2001) < 0.6, 3.0, rng.normal(size=2001))
    columns = [np.exp(2 * rng.normal(size=2001)), np.full(2001, -7.3), few, heap]
    return jnp.asarray(np.stack(columns, axis=1))


@pytest.mark.parametrize("kind", [Gaussian, Limits, Cdf])
def test_there_and_back(kind):
    values = _samples()
    scale = FIT(values) if kind is Cdf else kind.fit(values)
    there = scale.normalize(values)
    # Quantiles are looked up where the data lie: a table of 1,000 does not hold all 2,001.
    np.testing.assert_allclose(scale.denormalize(there), values, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(there[:, 1], 0.0, atol=1e-12)
    one_by_one = jax.vmap(jax.vmap(scale.normalize))(values[:20].reshape(4, 5, 4))
    np.testing.assert_allclose(one_by_one, there[:20].reshape(4, 5, 4), atol=1e-12)


def test_gaussian_has_no_mean_and_unit_deviation():
    values = _samples()
    there = Gaussian.fit(values).normalize(values)
    np.testing.assert_allclose(jnp.mean(there, axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(jnp.std(there, axis=0), [1.0, 0.0, 1.0, 1.0], atol=1e-12)


def test_a_constant_with_rounding_is_a_constant():
    values = jnp.asarray([[1e3], [1e3 * (1 + 1e-12)]])
    for kind in (Gaussian, Limits, Cdf):
        assert float(jnp.max(jnp.abs(kind.fit(values).normalize(values)))) < 1e-8


def test_limits_are_reached():
    values = _samples()
    there = Limits.fit(values).normalize(values)
    np.testing.assert_allclose(jnp.min(there, axis=0), [-1.0, 0.0, -1.0, -1.0], atol=1e-12)
    np.testing.assert_allclose(jnp.max(there, axis=0), [1.0, 0.0, 1.0, 1.0], atol=1e-12)


def test_cdf_makes_uniform():
    values = _samples()
    there = np.sort(FIT(values).normalize(values)[:, 0])
    np.testing.assert_allclose(there, np.linspace(-1, 1, len(there)), atol=2e-3)


def test_cdf_of_two_samples_is_a_line():
    scale = Cdf.fit(jnp.asarray([[1.0], [5.0]]))
    x = jnp.linspace(1.0, 5.0, 9)[:, None]
    np.testing.assert_allclose(scale.normalize(x), (x - 3) / 2, atol=1e-12)


def test_cdf_keeps_order_and_is_cut_off():
    values = _samples()
    scale = FIT(values)
    x = jnp.linspace(-10.0, 5000.0, 5001)[:, None] * jnp.ones(4)
    there = scale.normalize(x)
    assert np.all(np.diff(there, axis=0) >= 0)
    varying = jnp.asarray([0, 2, 3])
    np.testing.assert_array_equal(there[0, varying], -1.0)
    np.testing.assert_array_equal(there[-1, varying], 1.0)
    beyond = scale.denormalize(jnp.full((1, 4), 3.0))[0]
    np.testing.assert_allclose(beyond[varying], jnp.max(values, axis=0)[varying])
    # Half of the heap lies at one value: its level is the middle of its steps.
    below, above = np.mean(values[:, 3] < 3.0), np.mean(values[:, 3] > 3.0)
    level = scale.normalize(jnp.full((1, 4), 3.0))[0, 3]
    np.testing.assert_allclose(level, below - above, atol=2e-3)


def test_refuses_a_table_of_one():
    with pytest.raises(ValueError, match="num_quantiles is 1; allowed: at least 2"):
        Cdf.fit(jnp.ones((3, 1)), 1)
