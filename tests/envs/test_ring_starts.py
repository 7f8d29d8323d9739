"""Where episodes in the ring start, and what each step of a demonstration earns."""

import jax
import numpy as np

from rlsuite.envs import ring


def test_episodes_start_evenly_within_the_margins_and_all_around():
    """Over an area, the square of the distance is uniform: its deciles are evenly spaced."""
    start = jax.jit(jax.vmap(ring.ring().reset))
    _, first = start(jax.random.split(jax.random.key(0), 4000))
    x, y = np.asarray(first.observation).T
    square = x**2 + y**2
    assert square.min() >= 0.75**2 - 1e-6
    assert square.max() <= 0.95**2 + 1e-6
    shares = np.linspace(0, 1, 11)
    wanted = 0.75**2 + shares * (0.95**2 - 0.75**2)
    np.testing.assert_allclose(np.quantile(square, shares), wanted, atol=0.015)
    np.testing.assert_allclose(np.histogram(np.arctan2(y, x), 8)[0] / 4000, 1 / 8, atol=0.025)


def test_every_step_that_ends_within_the_ring_earns_one_and_no_other():
    """Steps into the hole are of one kind of demonstrations, steps out of the disc of the other."""
    found = jax.tree.map(
        np.asarray, ring.demonstrations(jax.random.key(2), 200, memory=8.0, both=False)
    )
    distance = np.linalg.norm(found.next_observations, axis=1)
    np.testing.assert_array_equal(found.rewards, (distance >= 0.7) & (distance <= 1.0))
    assert (distance < 0.7).any()
    assert (distance > 1.0).any()
    moved = found.observations + 0.2 * found.actions
    np.testing.assert_allclose(moved, found.next_observations, atol=1e-5)
