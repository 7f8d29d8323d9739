"""Bandits and sequences as environments: what is seen, what is paid, and how episodes end."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.envs import prediction
from rlsuite.envs.bandits import bandit, bandits
from rlsuite.envs.prediction import Prediction
from rlsuite.ops.bandits import BetaArms, FiniteArms, NormalArms, UniformArms
from rlsuite.ops.conjugate import DirichletCategorical, Normal

KEY = jax.random.key(0)
ARMS = {
    "uniform": UniformArms(2),
    "three": BetaArms(np.ones(3, np.float32), np.full(3, 2.0, np.float32)),
    "opposed": FiniteArms.opposed(),
    "normal": NormalArms(np.zeros(2, np.float32), np.ones(2, np.float32), 0.5),
}


def walked(problem, length):
    """Time steps of one episode after another, always the last action."""

    def step(now, key):
        state, _ = now
        now = problem.step(key, state, problem.actions.encode(problem.actions.size - 1))
        return now, now

    first = problem.reset(KEY)
    _, (states, seen) = jax.lax.scan(step, first, jax.random.split(KEY, length))
    return first, states, seen


@pytest.mark.parametrize("name", ARMS)
def test_an_episode_of_pulls(name):
    problem = bandit(ARMS[name], 4)
    assert problem == bandit(ARMS[name], 4) or name != "uniform"
    (_, first), states, seen = jax.jit(lambda: walked(problem, 9))()
    np.testing.assert_array_equal(first.observation, 0.0)
    np.testing.assert_array_equal(np.flatnonzero(seen.is_last), [3, 8])
    np.testing.assert_array_equal(seen.is_terminal, seen.is_last)
    np.testing.assert_array_equal(np.flatnonzero(seen.is_first), [4])
    arms = problem.actions.size
    np.testing.assert_array_equal(seen.observation[:4, arms - 1], 1.0)
    np.testing.assert_array_equal(seen.observation[:, -1], seen.reward)
    worth = np.asarray(states.inner.worth)
    assert np.all(worth[:4] == worth[0])
    assert np.all(worth[4:] != worth[0])  # Drawn anew.
    if name != "normal":
        assert set(np.unique(seen.reward)) <= {0.0, 1.0}


@pytest.mark.parametrize("name", ARMS)
def test_arms_pay_what_they_are_worth(name):
    problem = bandit(ARMS[name], 1000)
    _, states, seen = jax.jit(lambda: walked(problem, 999))()
    assert abs(float(seen.reward.mean() - states.inner.worth[0, -1])) < 0.06


def test_tables_stand_beside_the_environment():
    game = bandits(UniformArms(2), 3)
    assert game.losses.shape == (3, 10, 2)
    np.testing.assert_allclose(game.losses[0, 0], 0.0, atol=1e-6)
    assert 1.5 < float(game.best) < 2.0


@pytest.mark.parametrize("name", ARMS)
def test_gymnax_walks_too(name):
    """``step`` of gymnax, which resets by itself."""
    problem = bandit(ARMS[name], 2)
    environment, params = problem.environment, problem.params
    observation, state = environment.reset(KEY, params)
    for expected in (False, True):
        observation, state, _, terminated, truncated, info = environment.step(
            KEY, state, jnp.asarray(0), params
        )
        assert (bool(terminated), bool(truncated)) == (expected, False)
    np.testing.assert_array_equal(observation, 0.0)
    assert info["final_observation"][0] == 1.0


@pytest.mark.parametrize("model", [DirichletCategorical(jnp.ones(3)), Normal(1.0, 0.5, 2.0)])
def test_predictions_are_paid_by_their_log_density(model):
    problem = Prediction(model, 4)
    world = prediction.control(problem)
    state, seen = jax.jit(world.reset)(KEY)
    np.testing.assert_array_equal(seen.observation, 0.0)

    @jax.jit
    def by_hand(x):
        heads = problem.best(x)
        return heads, problem.inputs(x), model.family.log_density(heads, x)

    @jax.jit
    def step(state, head):
        return world.step(KEY, state, world.actions.encode(head))

    for head, code, expected in zip(*map(np.asarray, by_hand(state.inner.x)), strict=True):
        np.testing.assert_allclose(seen.observation, code, rtol=1e-6)
        state, seen = step(state, head)
        np.testing.assert_allclose(seen.reward, expected, rtol=1e-4, atol=1e-5)
    assert bool(seen.is_terminal)


def test_normal_arms_know_their_posterior():
    """Against least squares with the prior as one more observation."""
    arms = NormalArms(jnp.array([1.0, -1.0]), jnp.array([2.0, 0.5]), 0.5)
    found = arms.means(jnp.array([3.0, 0.0]), jnp.array([2, 0]))
    expected = (1.0 / 4 + 3.0 / 0.25) / (1 / 4 + 2 / 0.25)
    np.testing.assert_allclose(found, [expected, -1.0], rtol=1e-6)
    with pytest.raises(ValueError, match="noise is 0"):
        NormalArms(jnp.zeros(2), jnp.ones(2), 0)
    with pytest.raises(ValueError, match="mean and deviation have the shapes"):
        NormalArms(jnp.zeros(2), jnp.ones(3))
