"""Expectiles, weights and soft maxima, against their closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from rlsuite.ops.distributions import TanhNormal
from rlsuite.ops.offline import advantage_weights, expectile_loss, log_integral


@pytest.mark.parametrize("tau", [0.1, 0.5, 0.9, 0.99])
def test_the_expectile_of_a_uniform_number_minimises_the_loss(tau):
    # τ (1 − m)² = (1 − τ) m², of which 0 ≤ m ≤ 1 is this root.
    exact = np.sqrt(tau) / (np.sqrt(tau) + np.sqrt(1 - tau))
    points, weights = (jnp.asarray(x) for x in np.polynomial.legendre.leggauss(200))

    def mean(m, low, high):
        x = low + (high - low) * (points + 1) / 2
        return (high - low) / 2 * jnp.sum(weights * expectile_loss(x - m, tau))

    # Two integrals, since the loss has a bend at m.
    slope = jax.jit(jax.grad(lambda m: mean(m, 0.0, exact) + mean(m, exact, 1.0)))
    np.testing.assert_allclose(slope(exact), 0.0, atol=1e-12)
    assert slope(exact - 0.05) < 0 < slope(exact + 0.05)


def test_half_is_the_mean_and_one_nearly_the_maximum():
    x = jnp.asarray([-3.0, 0.0, 1.0, 5.0])

    def found(tau):
        slope = jax.grad(lambda m: jnp.sum(expectile_loss(x - m, tau)))
        return scipy.optimize.brentq(lambda m: float(slope(m)), -4.0, 6.0, xtol=1e-12)

    np.testing.assert_allclose(found(0.5), 0.75, atol=1e-10)
    # Above 1 only one number is left: τ (5 − m) = (1 − τ) Σ_i (m − x_i).
    np.testing.assert_allclose(found(0.99), (0.99 * 5 - 0.01 * 2) / (0.99 + 0.03), atol=1e-10)


def test_weights_are_exponentials_up_to_the_greatest():
    advantage = jnp.asarray([-2.0, 0.0, 1.0, 1.7, 1e6])
    expected = [np.exp(-6.0), 1.0, np.exp(3.0), 100.0, 100.0]
    np.testing.assert_allclose(advantage_weights(advantage, 3.0), expected, rtol=1e-12)
    slopes = jax.grad(lambda a: jnp.sum(advantage_weights(a, 3.0)))(advantage)
    np.testing.assert_allclose(slopes, [3 * np.exp(-6.0), 3, 3 * np.exp(3.0), 0, 0], rtol=1e-12)


def q(u):
    """Of an action; nothing special."""
    return 3 * jnp.sin(2 * u) - 4 * jnp.square(u - 0.3)


def test_the_soft_maximum_of_midpoints_is_that_of_quadrature():
    points, weights = np.polynomial.legendre.leggauss(100)
    exact = np.log(np.sum(weights * np.exp(q(points))))
    middles = jnp.linspace(-1.0, 1.0, 4001)[1:] - 1 / 4000
    found = log_integral(q(middles), jnp.full(4000, -np.log(2.0)))
    np.testing.assert_allclose(found, exact, atol=1e-6)


def test_actions_of_any_density_estimate_the_same_integral():
    """Without its density, what a policy draws would count as often as it is drawn."""
    points, weights = np.polynomial.legendre.leggauss(100)
    exact = np.log(np.sum(weights * np.exp(q(points))))
    policy = TanhNormal(jnp.full((200_000, 1), 0.5), jnp.full((200_000, 1), 0.8))
    actions, log_probs = policy.sample_with_log_prob(jax.random.key(0))
    values = q(actions[:, 0])
    np.testing.assert_allclose(log_integral(values, log_probs), exact, atol=0.01)
    assert abs(log_integral(values, jnp.full_like(log_probs, -np.log(2.0))) - exact) > 0.1


def test_its_gradient_is_the_mean_under_the_soft_maximum():
    middles = jnp.linspace(-1.0, 1.0, 4001)[1:] - 1 / 4000
    shape = jnp.stack([middles, jnp.square(middles)])

    def soft(theta):
        return log_integral(theta @ shape, jnp.full(4000, -np.log(2.0)))

    theta = jnp.asarray([1.3, -2.0])
    points, weights = np.polynomial.legendre.leggauss(100)
    features = np.stack([points, points**2])
    density = weights * np.exp(np.asarray(theta) @ features)
    expected = features @ density / density.sum()
    np.testing.assert_allclose(jax.jit(jax.grad(soft))(theta), expected, atol=1e-6)


def test_a_draw_has_the_density_that_it_comes_with():
    policy = TanhNormal(jnp.asarray([0.3, -1.0]), jnp.asarray([0.5, 1.2]))
    action, log_prob = jax.jit(lambda k: policy.sample_with_log_prob(k))(jax.random.key(3))
    np.testing.assert_array_equal(action, policy.sample(jax.random.key(3)))
    np.testing.assert_allclose(log_prob, policy.log_prob(action), rtol=1e-9)


def test_a_draw_that_rounds_to_one_keeps_a_finite_density():
    policy = TanhNormal(jnp.asarray([15.0], jnp.float32), jnp.asarray([0.1], jnp.float32))
    action, log_prob = policy.sample_with_log_prob(jax.random.key(0))
    # XLA's tanh of 15 is one, or the number before the one below it.
    assert float(action[0]) == pytest.approx(1.0, abs=2.5e-7)
    # − log σ √(2πe^ε²) + 2 u − 2 log 2, of u within some deviations of 15.
    assert 27.0 < float(log_prob) < 33.0
