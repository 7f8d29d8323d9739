import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ops import processes
from ops.processes import KINDS

from rlsuite.ops import tabular
from rlsuite.ops.tabular.transitions import log_expect_exp


@pytest.mark.parametrize("kind", KINDS)
def test_operators_equal_their_dense_probabilities(kind):
    transition, probabilities = processes.kernel(kind, seed=1)
    rng = np.random.default_rng(0)
    values, flow = rng.normal(size=6), rng.normal(size=(6, 3))
    reward = rng.normal(size=(6, 3, 6))
    for actual, expected in [
        (transition.expect(jnp.asarray(values)), probabilities @ values),
        (
            tabular.push(transition, jnp.asarray(flow)),
            np.einsum("sat,sa->t", probabilities, flow),
        ),
        (
            tabular.expected_reward(transition, jnp.asarray(reward)),
            (probabilities * reward).sum(axis=2),
        ),
        (
            log_expect_exp(transition, jnp.asarray(values)),
            np.log(probabilities @ np.exp(values)),
        ),
    ]:
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_samples_follow_the_probabilities(kind):
    transition, probabilities = processes.kernel(kind, seed=3)
    number = 20_000
    keys = jax.random.split(jax.random.key(0), number)
    draw = jax.jit(jax.vmap(transition.sample, in_axes=(0, None, None)))
    reached = draw(keys, jnp.asarray(2), jnp.asarray(1))
    row = probabilities[2, 1]
    counts = np.bincount(np.asarray(reached), minlength=6)
    assert counts[row == 0].sum() == 0
    seen = row > 0
    chi_squared = np.sum((counts - number * row)[seen] ** 2 / (number * row[seen]))
    assert chi_squared < 20.5  # 99.9 % of a chi-squared variable with 5 degrees of freedom


@pytest.mark.parametrize("kind", ["dense", "slip"])
def test_log_expect_exp_neither_overflows_nor_underflows(kind):
    transition, probabilities = processes.kernel(kind, seed=1)
    values = 1e5 * np.random.default_rng(0).normal(size=6)
    # So far apart, only the largest value that can be reached counts.
    reachable = np.where(probabilities > 0, values, -np.inf)
    best = np.argmax(reachable, axis=2)
    chance = np.take_along_axis(probabilities, best[:, :, None], axis=2)[:, :, 0]
    actual = log_expect_exp(transition, jnp.asarray(values))
    np.testing.assert_allclose(actual, values[best] + np.log(chance), rtol=1e-14)


def test_log_expect_exp_of_an_operator_stays_finite():
    transition, _ = processes.kernel("operator", seed=1)
    values = jnp.asarray([0.0, -1e5, -1e5, -1e5, -1e5, -1e5])
    assert np.all(np.isfinite(log_expect_exp(transition, values)))
    gradient = jax.grad(lambda v: log_expect_exp(transition, v).sum())(values)
    assert np.all(np.isfinite(gradient))


def test_log_expect_exp_is_differentiable_in_a_slip_of_zero():
    next_states = processes.table(0)
    values = np.random.default_rng(0).normal(size=6)

    def at(slip):
        return log_expect_exp(tabular.Gather(jnp.asarray(next_states), slip), jnp.asarray(values))

    slope = jax.jacfwd(at)(jnp.asarray(0.0))
    reached = values[next_states]
    ratio = np.mean(np.exp(reached), axis=1, keepdims=True) / np.exp(reached)
    np.testing.assert_allclose(slope, ratio - 1, atol=1e-13)


def test_transitions_are_recognised():
    for kind in KINDS:
        assert isinstance(processes.kernel(kind, seed=0)[0], tabular.Transition)
    assert not isinstance(np.eye(3), tabular.Transition)
