"""Inverse dynamics: which pairs of states they learn from, and the best that can be learned."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import compiled

from rlsuite.algorithms import decision_diffuser as dd
from rlsuite.algorithms.decision_diffuser import networks, training
from rlsuite.core import run
from rlsuite.data.normalizers import Gaussian
from rlsuite.data.offline import offline
from rlsuite.envs.episodes import Episode, join

KEY = jax.random.key(0)
UNSCALED = Gaussian(np.zeros(1, np.float32), np.ones(1, np.float32))


def drawn(config, episodes):
    @compiled
    def pairs(episodes):
        return training.draw_pairs(config, episodes, training.statistics(config, episodes), KEY)

    return pairs(episodes)


def counted(length, *, terminal):
    """States count up from 0; the action at each is a tenth of it."""
    states = np.arange(length + 1.0)[:, None]
    return Episode(states, states[:-1] / 10, np.zeros(length), terminal=terminal)


def test_pairs_are_up_to_a_stride_apart_and_none_reaches_an_unrecorded_state():
    episodes = join([counted(5, terminal=False), counted(4, terminal=True)])
    config = dd.Config(stride=3, transitions=600, horizon=2)
    steps, ahead, off = drawn(config, episodes)
    assert np.all(off == 0)
    np.testing.assert_allclose(np.bincount(steps, minlength=9) / 600, 1 / 9, atol=0.05)
    np.testing.assert_allclose(np.bincount(ahead)[1:] / 600, 1 / 3, atol=0.08)

    steps, ahead = np.asarray([0, 3, 4, 5, 6, 8]), np.asarray([2, 3, 1, 3, 3, 1])
    pairs = training.Pairs(steps, ahead, np.zeros((6, 1)))

    @compiled
    def missed(episodes, pairs):
        asked = {}

        def apply(before, later, ahead):
            asked.update(before=before, later=later, ahead=ahead)
            return before / 10 + 1.0

        return training.inverse_loss(apply, UNSCALED, episodes, pairs), asked

    loss, asked = missed(episodes, pairs)
    np.testing.assert_array_equal(asked["before"][:, 0], [0, 3, 4, 0, 1, 3])
    np.testing.assert_array_equal(asked["later"][:4, 0], [2, 5, 5, 3])
    np.testing.assert_array_equal(asked["ahead"], pairs.ahead)
    assert float(loss) == pytest.approx(1.0)

    def astray(before, later, ahead):
        """Wrong only where the last state of the second episode is reached."""
        return before / 10 + jnp.asarray([0, 0, 0, 0, 1, 1])[:, None]

    strayed = compiled(functools.partial(training.inverse_loss, astray, UNSCALED))
    assert float(strayed(episodes, pairs)) == pytest.approx(0.0)


def test_later_states_may_be_off_by_a_uniform_share_of_a_normal_number():
    """Its variance is that of blur × U × N: blur²/3; its fourth moment 3 blur⁴/5."""
    episodes = join([counted(5, terminal=False)])
    config = dd.Config(blur=0.5, transitions=40_000, horizon=2)
    off = drawn(config, episodes).off
    assert off.mean() == pytest.approx(0.0, abs=0.01)
    assert off.var() == pytest.approx(0.25 / 3, rel=0.03)
    assert np.mean(off**4) == pytest.approx(3 * 0.5**4 / 5, rel=0.1)

    @compiled
    def asked(episodes, pairs):
        later = []

        def apply(before, state, ahead):
            later.append(state)
            return before

        training.inverse_loss(apply, UNSCALED, episodes, pairs)
        return later

    pairs = training.Pairs(np.asarray([0, 3]), np.asarray([1, 1]), np.asarray([[0.1], [-0.2]]))
    np.testing.assert_allclose(asked(episodes, pairs)[0][:, 0], [1.1, 3.8], atol=1e-6)


A = np.asarray([[0.9, 0.2], [-0.1, 0.8]])
B = np.asarray([[0.5, 0.0], [0.2, 0.7]])
NOISE = 0.3


def linear(seed, count, length):
    """Episodes of s' = A s + B a + w, actions and w being normal."""
    rng = np.random.default_rng(seed)
    states, actions = [np.zeros((count, 2))], rng.normal(size=(length, count, 2))
    for action in actions:
        pushed = states[-1] @ A.T + action @ B.T
        states.append(pushed + NOISE * rng.normal(size=(count, 2)))
    paths = np.stack(states, axis=1)
    return join([Episode(paths[n], actions[:, n], np.zeros(length)) for n in range(count)])


def bayes(gain, covariance):
    """The mean variance of a ~ N(0, I), given G a + N(0, C)."""
    posterior = np.linalg.inv(np.eye(2) + gain.T @ np.linalg.solve(covariance, gain))
    return float(np.trace(posterior)) / 2


@pytest.mark.usefixtures("long_running")
def test_on_a_linear_system_the_error_is_bayes_optimal():
    """One step ahead: G = B, C = W. Two: G = A B, C = B Bᵀ + A W Aᵀ + W."""
    config = dd.Config(
        learning_rate=3e-3,
        batch_size=1,
        transitions=512,
        horizon=2,
        stride=2,
        conditions=(),
        average_rate=0.01,
        average_after=100,
        model=dd.Model(kind="mlp", channels=8, multiples=(1,), diffusion_steps=2, inverse_units=64),
    )
    problem = offline("linear", linear(0, 1000, 20))
    state = run(dd.make, problem, config, KEY, 1500, chunk_length=100, progress=False).state
    fresh = linear(1, 1000, 20)
    inverse = networks.inverse_dynamics(problem, config)

    @compiled
    def error(state, fresh, pairs):
        apply = functools.partial(inverse.apply, state.average.inverse)
        return training.inverse_loss(apply, state.statistics.normalizer, fresh, pairs)

    noise = NOISE**2 * np.eye(2)
    bounds = {1: bayes(B, noise), 2: bayes(A @ B, B @ B.T + A @ noise @ A.T + noise)}
    assert bounds[2] > 1.5 * bounds[1]
    # Of the last step two ahead, what was repeated tells as much as one ahead: it is left out.
    steps = np.arange(fresh.num_steps).reshape(1000, 20)[:, :-1].reshape(-1)
    for ahead, bound in bounds.items():
        pairs = training.Pairs(steps, np.full(len(steps), ahead), np.zeros((len(steps), 2)))
        assert bound * 0.98 < error(state, fresh, pairs) < bound * 1.05


def test_where_every_state_is_planned_the_network_is_not_told_how_many_steps_lie_between():
    episodes = join([counted(5, terminal=False)])
    problem, x = offline("counted", episodes), np.zeros(1, np.float32)
    config = dd.Config(horizon=2)
    found = {}
    for stride in (1, 4):
        net = networks.inverse_dynamics(problem, dataclasses.replace(config, stride=stride))
        params = jax.jit(net.init)(KEY, x, x, np.asarray(1))
        apply = compiled(net.apply)
        found[stride] = [float(apply(params, x + 1, x, np.asarray(j))[0]) for j in (1, 3)]
    assert found[1][0] == found[1][1]
    assert found[4][0] != found[4][1]
