"""Two lamps: their picture, and the best that can be earned with them."""

import jax
import jax.numpy as jnp
import numpy as np

from rlsuite.envs.lamps import best_return, lamps


def earned(problem, gains, count=500):
    """The mean return of u = gain (½ − x), of each gain."""

    def episode(gain, key):
        def step(now, _):
            state, seen = now
            light = seen.observation[0, jnp.asarray([0, 7]), 0]
            state, after = problem.transition(key, state.inner, gain * (0.5 - light))
            return (state, after), after.reward

        return jax.lax.scan(step, problem.reset(key), length=8)[1].sum()

    keys = jax.random.split(jax.random.key(0), count)
    every = jax.vmap(jax.vmap(episode, (None, 0)), (0, None))
    return np.mean(jax.jit(every)(jnp.asarray(gains), keys), axis=1)


def test_each_half_of_the_picture_is_a_lamp():
    problem = lamps()
    state, first = problem.reset(jax.random.key(0))
    assert first.observation.shape == (8, 8, 1)
    np.testing.assert_array_equal(first.observation[:, :4], float(state.inner.light[0]))
    np.testing.assert_array_equal(first.observation[:, 4:], float(state.inner.light[1]))
    _, after = problem.transition(jax.random.key(1), state.inner, jnp.asarray([-1.0, 1.0]))
    moved = after.observation[0, jnp.asarray([0, 7]), 0] - state.inner.light
    np.testing.assert_allclose(moved, [-0.15, 0.15], atol=1e-6)


def test_no_proportional_law_earns_more_than_the_best_and_one_nearly_does():
    problem = lamps()
    best = best_return(problem)
    returns = earned(problem, (0.0, 1.0, 2.0, 3.0, 4.0, 6.0))
    assert max(returns) < best + 0.15  # The mean of 500 starts is that near.
    assert max(returns) > 1.05 * best
    assert min(returns) < 3 * best
