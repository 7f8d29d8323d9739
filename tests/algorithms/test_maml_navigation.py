"""Navigation as a distribution of tasks: what its loss is, and that a gradient step finds goals."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import compiled

from rlsuite.algorithms import maml
from rlsuite.algorithms.maml import navigation as maml_navigation
from rlsuite.core import run
from rlsuite.envs import navigation
from rlsuite.problems.maml import ENTRY, halved_after_one

KEY = jax.random.key(0)
GOAL = jnp.asarray([0.3, -0.2])
SMALL = maml.gaussian_policy((16,))
TASKS = maml.Navigation(num_trajectories=4, horizon=30)


@pytest.fixture(scope="module")
def params():
    return jax.jit(SMALL.init)(KEY, TASKS.inputs)


@pytest.fixture(scope="module")
def paths():
    """Trajectories of different lengths."""

    def act(key, positions):
        return GOAL - positions + 0.02 * jax.random.normal(key, positions.shape)

    paths = compiled(lambda: navigation.rollout(KEY, act, GOAL, num_trajectories=6, horizon=30))()
    lengths = paths.alive.sum(axis=1)
    assert lengths.min() < lengths.max()
    return paths


def test_goals_fill_their_square():
    goals = np.asarray(jax.vmap(TASKS.sample)(jax.random.split(KEY, 20_000)).query)
    assert goals.min() >= -0.5
    assert goals.max() <= 0.5
    np.testing.assert_allclose(goals.mean(axis=0), 0.0, atol=0.01)
    np.testing.assert_allclose(goals.std(axis=0), 12**-0.5, rtol=0.02)


def test_log_densities_integrate_to_one():
    policy = maml.Gaussian(jnp.asarray([0.1, -0.3]), jnp.asarray([-1.0, 0.2]))
    grid = np.linspace(-8, 8, 801, dtype=np.float32)
    points = np.stack(np.meshgrid(grid, grid), axis=-1)
    log_probs = compiled(lambda points: policy.log_prob(points))(points)
    np.testing.assert_allclose(np.exp(log_probs).sum() * (grid[1] - grid[0]) ** 2, 1.0, rtol=1e-4)
    many = policy._replace(mean=np.broadcast_to(policy.mean, (100_000, 2)))
    drawn = compiled(lambda policy: policy.sample(KEY))(many)
    np.testing.assert_allclose(drawn.std(axis=0), np.exp(policy.log_std), rtol=0.02)


def test_advantages_are_residuals_of_a_regression_normalised(paths):
    alive = paths.alive
    returns = np.zeros(alive.shape)
    for t in reversed(range(alive.shape[1])):
        later = returns[:, t + 1] if t + 1 < alive.shape[1] else 0.0
        returns[:, t] = paths.rewards[:, t] + 0.99 * later
    time = np.broadcast_to(np.arange(alive.shape[1]) / 100, alive.shape)
    position = np.asarray(paths.positions, np.float64)
    features = np.concatenate(
        [position, position**2, np.stack([time**k for k in (1, 2, 3, 0)], axis=-1)], axis=-1
    )[alive]
    ridge = 1e-5 * np.eye(8)
    weights = np.linalg.solve(features.T @ features + ridge, features.T @ returns[alive])
    left = returns[alive] - features @ weights
    found = compiled(TASKS.advantages)(paths)
    np.testing.assert_allclose(found[alive], (left - left.mean()) / left.std(), atol=0.02)
    np.testing.assert_array_equal(found[~alive], 0.0)


@pytest.mark.parametrize("estimator", ["likelihood-ratio", "log-likelihood"])
def test_the_loss_is_the_negative_return_with_the_policy_gradient(params, estimator):
    tasks = maml.Navigation(num_trajectories=4, horizon=30, estimator=estimator, memory=1.0)
    loss, gradient = compiled(jax.value_and_grad(functools.partial(tasks.loss, SMALL.apply)))(
        params, GOAL, KEY
    )
    walks = jax.jit(functools.partial(tasks.walk, SMALL.apply))(params, GOAL, KEY)
    np.testing.assert_allclose(loss, -np.mean(walks.returns()), rtol=1e-5)

    def weighted(params):
        log_probs = SMALL.apply(params, walks.positions).log_prob(walks.velocities)
        return -jnp.sum(log_probs * tasks.advantages(walks)) / jnp.sum(walks.alive)

    expected = compiled(jax.grad(weighted))(params)
    for found, known in zip(*map(jax.tree.leaves, (gradient, expected)), strict=True):
        np.testing.assert_allclose(found, known, rtol=2e-3, atol=1e-5)


def test_rates_halve_after_the_first_step():
    rule = halved_after_one(0.8)
    state, updates = rule.init(jnp.zeros(())), []
    for _ in range(3):
        update, state = rule.update(jnp.ones(()), state)
        updates.append(float(update))
    np.testing.assert_allclose(updates, [-0.8, -0.4, -0.4])


def test_baselines_are_in_order():
    baselines = ENTRY.problems["navigation"].baselines(maml.Navigation())
    assert 0 < baselines["optimal"] < 1
    np.testing.assert_allclose(baselines["no adaptation"], 100 / 6, rtol=1e-6)
    assert baselines["random"] > baselines["no adaptation"]


def test_one_update_finds_the_goal_after_meta_learning():
    tasks = maml.Navigation(num_trajectories=10, horizon=20)
    config = maml.Config(
        inner_rate=0.2, outer_rate=0.01, num_tasks=20, evaluation_steps=2, evaluation_tasks=100
    )
    make = functools.partial(
        maml.make, network=maml.gaussian_policy((32,)), inner_optimizer=halved_after_one
    )
    result = run(make, tasks, config, KEY, 60, progress=False)
    before, after = result.evaluations.before[0], result.evaluations.after_one[0]
    assert after < 0.5 * before


def test_elimination_solves_what_lapack_solves():
    """The baseline's normal equations, without a call that can hang inside a vmapped scan."""
    generator = np.random.default_rng(0)
    features = generator.normal(size=(200, 7))
    matrix, vector = features.T @ features, generator.normal(size=7)
    ours = compiled(maml_navigation._solve)(matrix, vector)
    np.testing.assert_allclose(ours, np.linalg.solve(matrix, vector), rtol=1e-4, atol=1e-7)
