"""PPO's normalisation: moments merge, and rewards are scaled by what they add up to."""

import jax
import jax.numpy as jnp
import numpy as np

from rlsuite.algorithms.ppo import normalization


def test_moments_merge_exactly():
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(n, 2)) * [1, 50] + [3, -70] for n in (1, 7, 40)]
    together = np.concatenate(parts)

    @jax.jit
    def merged():
        seen = normalization.moments((2,))
        for part in parts:
            seen = normalization.merge(seen, jnp.asarray(part, jnp.float32))
        return seen, normalization.normalize(seen, jnp.asarray(together, jnp.float32))

    seen, scaled = jax.tree.map(np.asarray, merged())
    np.testing.assert_allclose(seen.mean, together.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(seen.variance, together.var(axis=0), rtol=1e-4)
    np.testing.assert_allclose(scaled.mean(axis=0), 0.0, atol=1e-4)
    np.testing.assert_allclose(scaled.std(axis=0), 1.0, rtol=1e-4)


def test_rewards_are_scaled_by_the_deviation_of_discounted_returns():
    rewards = jnp.asarray([[1.0], [2.0], [3.0], [4.0]])
    ends = jnp.asarray([[False], [True], [False], [False]])
    scale = jax.jit(normalization.scale_rewards)
    seen, first = scale(normalization.Rewards.unseen(1), rewards[:2], ends[:2], 0.5)
    after, second = scale(seen, rewards[2:], ends[2:], 0.5)
    np.testing.assert_allclose(first[:, 0], [1, 2] / np.std([1, 2.5]), rtol=1e-5)
    np.testing.assert_allclose(second[:, 0], [3, 4] / np.std([1, 2.5, 3, 5.5]), rtol=1e-5)
    np.testing.assert_allclose(after.discounted, [5.5])
