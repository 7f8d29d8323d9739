"""Actions that are replaced: how often, by what, and nothing else."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.envs.control import control
from rlsuite.envs.slippery import slippery

KEYS = jax.random.split(jax.random.key(0), 2000)


def after(problem, action):
    """What the first step leads to, many times, from the same state."""
    state, _ = problem.reset(jax.random.key(1))
    step = jax.jit(jax.vmap(lambda key: problem.transition(key, state.inner, action)[1]))
    return step(KEYS)


def test_actions_are_replaced_as_often_as_said_and_by_any():
    plain = control("Pendulum-v1")
    full = jnp.ones(1)
    wanted = after(plain, full).observation[0]
    seen = np.asarray(after(slippery(plain, 0.3), full).observation)
    slipped = np.any(np.abs(seen - wanted) > 1e-6, axis=1)
    assert abs(slipped.mean() - 0.3) < 4 * np.sqrt(0.3 * 0.7 / len(KEYS))
    # The speed is linear in the torque: of those replaced it is uniform between the extremes.
    low, high = (float(after(plain, sign * full).observation[0, 2]) for sign in (-1, 1))
    shares = (seen[slipped, 2] - low) / (high - low)
    np.testing.assert_allclose(np.quantile(shares, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.06)


def test_at_the_ends_of_the_range_it_is_the_environment_or_chance():
    plain = control("CartPole-v1")
    left = plain.actions.encode(0)
    for same, other in zip(after(slippery(plain, 0.0), left), after(plain, left), strict=True):
        np.testing.assert_array_equal(same, other)
    seen = np.asarray(after(slippery(plain, 1.0), left).observation)
    assert len(np.unique(seen.round(6), axis=0)) == 2
    to_the_left = np.isclose(seen, after(plain, left).observation).all(axis=1)
    assert 0.45 < to_the_left.mean() < 0.55


def test_probabilities_are_a_vector_of_problems():
    plain = control("MountainCar-v0")
    problems = jax.vmap(lambda p: slippery(plain, p).params)(jnp.asarray([0.0, 1.0]))
    assert problems.probability.shape == (2,)
    assert slippery(plain, 0.1).environment == slippery(plain, 0.2).environment
    with pytest.raises(ValueError, match=r"probability is 1\.5; allowed: from 0 to 1"):
        slippery(plain, 1.5)


def test_episodes_are_cut_off_as_ever():
    short = slippery(control("CartPole-v1", max_steps_in_episode=1), 0.0)
    state, _ = short.reset(KEYS[0])
    _, seen = short.step(KEYS[1], state, jnp.asarray([1.0, 0.0]))
    assert seen.is_last
    assert not seen.is_terminal
