"""Navigation: rewards and ends by hand, and the gymnax environment against the pure rollout."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.envs import navigation, navigation_gymnax

GOAL = jnp.asarray([0.25, -0.05])
KEY = jax.random.key(0)


def towards(key, positions):
    """Mostly to the goal, and never the same way."""
    return GOAL - positions + 0.02 * jax.random.normal(key, positions.shape)


def test_the_straight_way_pays_what_it_must():
    paths = navigation.rollout(KEY, lambda _, at: GOAL - at, GOAL, num_trajectories=2, horizon=6)
    np.testing.assert_allclose(
        paths.positions[0, :4], [[0, 0], [0.1, -0.05], [0.2, -0.05], [0.25, -0.05]], atol=1e-7
    )
    np.testing.assert_allclose(paths.rewards[0], [-(0.15**2), -(0.05**2), 0, 0, 0, 0], atol=1e-7)
    np.testing.assert_array_equal(paths.alive[0], [1, 1, 1, 0, 0, 0])
    np.testing.assert_allclose(paths.returns(), -0.025, atol=1e-7)


def test_the_environment_and_the_rollout_agree_until_the_end():
    paths = navigation.rollout(KEY, towards, GOAL, num_trajectories=8, horizon=60)
    environment, params = navigation_gymnax.make(GOAL, max_steps_in_episode=60)
    step = jax.jit(environment.step_env)
    lengths = np.asarray(paths.alive.sum(axis=1))
    assert lengths.min() < lengths.max() < 60
    for n, length in enumerate(lengths):
        observation, state = environment.reset(KEY, params)
        for t in range(length):
            np.testing.assert_allclose(observation, paths.positions[n, t], atol=1e-6)
            action = paths.velocities[n, t]
            observation, state, reward, terminated, _ = step(KEY, state, action, params)
            np.testing.assert_allclose(reward, paths.rewards[n, t], atol=1e-6)
            assert bool(terminated) == (t + 1 == length)


def test_an_episode_that_is_cut_off_is_truncated_and_starts_anew():
    environment, params = navigation_gymnax.make(jnp.ones(2), max_steps_in_episode=3)
    observation, state = environment.reset(KEY, params)
    for t in range(3):
        observation, state, _, terminated, truncated, info = environment.step(
            KEY, state, jnp.asarray([5.0, -0.02]), params
        )
        assert not terminated
        assert bool(truncated) == (t == 2)
    np.testing.assert_allclose(info["final_observation"], [0.3, -0.06], atol=1e-6)
    np.testing.assert_array_equal(observation, 0.0)
    assert environment.action_space(params).contains(jnp.asarray([0.1, -0.1]))


def test_an_impossible_horizon_is_refused():
    with pytest.raises(ValueError, match="max_steps_in_episode is 0"):
        navigation_gymnax.make(GOAL, max_steps_in_episode=0)
