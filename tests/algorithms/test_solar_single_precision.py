"""What single precision leaves of SOLAR's inference, where noise is small and data are many."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from compiled import compiled

from rlsuite.algorithms import solar
from rlsuite.ops import gaussian, lqr, mniw
from rlsuite.ops import structured_inference as inference
from rlsuite.ops.gaussian import Moments

N, M, STEPS, NOISE = 4, 2, 40, 0.003
FORWARD = np.block(
    [
        [np.eye(2), 0.1 * np.eye(2), np.zeros((2, 3))],
        [np.zeros((2, 2)), 0.95 * np.eye(2), 0.1 * np.eye(2), np.zeros((2, 1))],
    ]
)


@functools.cache
def walks(count):
    """(states, actions) of a point that is pushed about, in double precision."""
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1, 1, size=(count, STEPS, M))
    states = [np.concatenate([rng.normal(size=(count, 2)), np.zeros((count, 2))], axis=1)]
    for t in range(STEPS):
        x = np.concatenate([states[-1], actions[:, t], np.ones((count, 1))], axis=1)
        states.append(x @ FORWARD.T + NOISE * rng.normal(size=(count, N)))
    return np.stack(states, axis=1), actions


def learned():
    """The law of F and Σ after two hundred walks: moments, exact but for their last digits."""
    states, actions = walks(200)
    x = np.concatenate([states[:, :-1], actions, np.ones((*actions.shape[:2], 1))], axis=-1)
    x, y = x.reshape(-1, N + M + 1), states[:, 1:].reshape(-1, N)
    covariance = np.linalg.inv(np.eye(x.shape[1]) + x.T @ x)
    nu = float(len(x))
    law = (NOISE**2 * nu * np.eye(N), np.asarray(nu), y.T @ x @ covariance, covariance)
    return mniw.MNIW(*(np.asarray(part, np.float32) for part in law))


def potentials_of(states):
    """Places are seen, velocities are not."""
    rng = np.random.default_rng(1)
    mean = np.where(np.arange(N) < 2, states + 0.02 * rng.normal(size=states.shape), 0.0)
    variance = np.where(np.arange(N) < 2, 0.02**2, np.exp(8.0))
    variance = np.broadcast_to(variance, mean.shape)
    return gaussian.diagonal(jnp.asarray(mean, jnp.float32), jnp.asarray(variance, jnp.float32))


START = Moments(np.zeros(N, np.float32), np.eye(N, dtype=np.float32))


def test_what_is_not_known_of_the_dynamics_keeps_its_digits():
    law = learned()

    @compiled
    def excess(law):
        along = inference.chain(START, mniw.expected(law), jnp.zeros((STEPS, M)))
        return along.excess.precision

    wanted = N * law.column_covariance[:N, :N]
    assert np.linalg.eigvalsh(wanted).min() < 1e-3  # As small as what velocities are known by.
    np.testing.assert_allclose(excess(law)[0], wanted, rtol=1e-5)


def test_each_round_of_local_inference_raises_the_bound_but_for_rounding():
    states, actions = walks(10)
    fit = functools.partial(solar.fit, rounds=20)
    found = compiled(fit)(learned(), START, potentials_of(states), np.float32(actions))
    bounds = np.asarray(found.bounds, np.float64)
    # Some fifty units in the last place of two thousand nats.
    assert np.diff(bounds).min() > -0.05


def test_a_sure_policy_seen_again_is_as_sure():
    rng = np.random.default_rng(2)
    states = 1.5 + 0.3 * rng.normal(size=(10, STEPS + 1, N))
    gain, sure = rng.normal(size=(STEPS, M, N)), 1e-7
    old = lqr.Policy(gain, np.zeros((STEPS, M)), np.broadcast_to(sure * np.eye(M), (STEPS, M, M)))
    old, states = jax.tree.map(np.float32, (old, states))
    actions = np.einsum("tij,etj->eti", old.gain, states[:, :-1])
    again = compiled(solar.refitted)(old, states, actions)
    least = np.linalg.eigvalsh(np.asarray(again.covariance, np.float64)).min()
    assert least > 0.1 * sure
    np.testing.assert_allclose(again.gain, old.gain, atol=1e-3)
