"""Posteriors of linear dynamics by residuals: the same law, and digits where squares leave none."""

import jax
import jax.numpy as jnp
import numpy as np
from compiled import compiled

from rlsuite.ops import mniw, structured_inference
from rlsuite.ops.gaussian import Moments, Smoothed
from rlsuite.ops.mniw import MNIW

N, M, STEPS = 2, 1, 6
WIDTH = N + M + 1


def law_of(seed=0):
    rng = np.random.default_rng(seed)
    columns = rng.normal(size=(WIDTH, WIDTH))
    return MNIW(
        np.diag([0.5, 0.8]),
        np.asarray(7.3),
        rng.normal(size=(N, WIDTH)),
        columns @ columns.T + np.eye(WIDTH),
    )


def episode(seed=1):
    """Laws of states along an episode: covariances and cross-covariances of one matrix."""
    rng = np.random.default_rng(seed)
    roots = rng.normal(size=((STEPS + 1) * N, (STEPS + 1) * N)) / 4
    whole = (roots @ roots.T).reshape(STEPS + 1, N, STEPS + 1, N)
    spreads = np.stack([whole[t, :, t] for t in range(STEPS + 1)])
    cross = np.stack([whole[t, :, t + 1] for t in range(STEPS)])
    states = Moments(rng.normal(size=(STEPS + 1, N)), spreads)
    return Smoothed(states, cross, np.zeros(())), rng.normal(size=(STEPS, M))


def posterior(law, statistics):
    return mniw.to_moments(mniw.posterior(mniw.to_natural(law), statistics))


def summed(statistics):
    return jax.tree.map(lambda x: jnp.sum(x, axis=0), statistics)


@compiled
def by_squares(law, x, y):
    return posterior(law, mniw.statistics(x, y))


@compiled
def by_residuals(law, x, off):
    return mniw.given_residuals(law, mniw.statistics(x, off))


@compiled
def both_ways(law, states, actions):
    maps = jnp.broadcast_to(law.mean, (STEPS, N, WIDTH))
    squares = structured_inference.step_statistics(states, actions)
    residuals = structured_inference.residual_statistics(states, actions, maps)
    return (
        posterior(law, summed(squares)),
        mniw.given_residuals(law, summed(residuals)),
        posterior(MNIW(*(leaf[None] for leaf in law)), jax.tree.map(lambda x: x[:1], squares)),
        mniw.given_residuals(
            MNIW(*(leaf[None] for leaf in law)), jax.tree.map(lambda x: x[:1], residuals)
        ),
    )


def test_residuals_give_the_posterior():
    """Of states that are known by their laws alone; of all steps together, and of one."""
    whole, found, first, first_found = both_ways(law_of(), *episode())
    for one, other in ((found, whole), (first_found, first)):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), one, other
        )


def test_residuals_keep_digits_of_small_noise():
    """States near 3 with noise of 0.001, which the law before predicts but for a little."""
    rng = np.random.default_rng(2)
    states = 3.0 + 0.02 * rng.normal(size=(40, N))
    actions = rng.normal(size=(40, M))
    x = np.concatenate([states, actions, np.ones((40, 1))], axis=1)
    true = np.asarray([[1.0, 0.1, 0.05, 0.0], [0.0, 1.0, 0.1, 0.1]])
    y = x @ true.T + 1e-3 * rng.normal(size=(40, N))
    law = MNIW(1e-5 * np.eye(N), np.asarray(12.0), true + 0.003, np.eye(WIDTH))
    exact = by_squares(law, x, y)

    def error(how, *given):
        found = how(*jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), given))
        assert found.psi.dtype == np.float32
        return np.abs(found.psi / exact.psi - 1).max()

    assert error(by_residuals, law, x, y - x @ law.mean.T) < 0.02
    assert not error(by_squares, law, x, y) < 0.2  # It may be no number.
