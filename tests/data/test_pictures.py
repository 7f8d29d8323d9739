"""Random actions: how they are spread, and how long they last."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import compiled

from rlsuite.data.pictures import wander

SIGMA = 0.2


@pytest.mark.parametrize("rho", [0.0, 0.8])
def test_random_actions_last_as_long_as_they_are_told(rho):
    act, begin = wander(3, SIGMA, rho)

    def walk(key):
        def step(carry, key):
            action, carry = act(key, None, carry)
            return carry, action

        return jax.lax.scan(step, begin, jax.random.split(key, 20))[1]

    drawn = compiled(jax.vmap(walk))(jax.random.split(jax.random.key(0), 3000))
    late = drawn[:, -1]
    assert np.abs(np.mean(late)) <= 0.02 * SIGMA * 2
    spread = SIGMA**2 * (1 - rho ** (2 * np.arange(1, 21)))
    np.testing.assert_allclose(np.var(drawn, axis=(0, 2)), spread, rtol=0.06)
    for lag in (1, 3):
        together = np.mean(late * drawn[:, -1 - lag]) / SIGMA**2
        np.testing.assert_allclose(together, rho**lag, atol=0.03)
    # Numbers of one action have nothing to do with each other.
    assert np.abs(np.corrcoef(late.T)[0, 1]) <= 0.06


def test_random_actions_are_clipped_but_their_walk_is_not():
    act, begin = wander(1, 100.0, 0.5)
    actions, carries = [], [begin]
    for i in range(4):
        action, carry = act(jax.random.key(i), None, carries[-1])
        actions.append(action)
        carries.append(carry)
    np.testing.assert_array_equal(jnp.abs(jnp.stack(actions)), 1.0)
    assert np.all(np.abs(np.stack(carries[1:])) > 1)
