"""The last steps of samplers, and schedules of few steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import compiled

from rlsuite.ops import diffusion
from rlsuite.ops import gaussian_diffusion as exact


@pytest.mark.parametrize("variance", ["posterior", "forward"])
def test_no_noise_is_left_on_the_data(variance):
    """The last step gives what was predicted, whatever the variance of those before."""
    for schedule in (diffusion.linear(8), diffusion.cosine(8)):
        sampler = diffusion.ancestral(schedule, variance=variance)
        assert (sampler.carry[-1], sampler.data[-1], sampler.noise[-1]) == pytest.approx((0, 1, 0))
        assert np.all(sampler.noise[:-1] > 0)
        point = exact.Gaussian(np.asarray([0.7]), np.zeros((1, 1)))
        found = exact.law(schedule, sampler, point)
        np.testing.assert_allclose(found.mean, 0.7, rtol=1e-9)
        np.testing.assert_allclose(found.covariance, 0.0, atol=1e-15)


def test_what_a_second_order_step_looks_back_at_is_bounded_too():
    """The network says thrice what it sees, of which at most a half is believed."""
    sampler = diffusion.dpm_solver(diffusion.cosine(20), 6)
    start = np.asarray([0.3, -2.0, 0.01])
    x, before, bounded = start, np.zeros(3), 0
    for _, a, b, c, s in zip(*sampler[:5], strict=True):
        assert s == 0
        data = np.clip(3 * x, -0.5, 0.5)
        bounded += np.sum(data != 3 * x)
        x, before = a * x + b * data + c * before, data
    assert bounded > 6
    found = compiled(
        lambda start: diffusion.walk(
            sampler, lambda x, k: 3 * x, jax.random.key(0), start, bound=jnp.asarray(0.5)
        )
    )(start)
    np.testing.assert_allclose(found, x, rtol=1e-9)


def test_no_number_is_refused_like_a_negative_one():
    schedule = diffusion.cosine(4)
    for value in (-0.1, float("nan")):
        with pytest.raises(ValueError, match=f"eta is {value}; allowed: at least 0"):
            diffusion.ddim(schedule, eta=value)
        with pytest.raises(ValueError, match=f"temperature is {value}; allowed: at least 0"):
            diffusion.cooled(diffusion.ancestral(schedule), value)
