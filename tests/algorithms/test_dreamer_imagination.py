"""Imagination, returns and the estimators of the policy's gradient, in worlds known exactly."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dreamer_worlds import CONTINUOUS, DISCRETE, LINEAR

from rlsuite.algorithms.dreamer import (
    Behaviour,
    Config,
    Dynamics,
    Model,
    Outcome,
    behaviour,
    imagine,
)
from rlsuite.algorithms.dreamer.behaviour import Heads, Range
from rlsuite.algorithms.dreamer.dynamics import Imagined, Real, environment_dynamics
from rlsuite.envs.control import Timestep, control
from rlsuite.nets import Network
from rlsuite.ops.distributions import Deterministic

KEY = jax.random.key(0)
START = np.asarray([1.0, -0.5])
GAIN = np.asarray([[-0.4, -0.6]])


def linear_policy(gain):
    def policy(key, features, mask):
        mean = features @ gain.T
        return mean + LINEAR.spread * jax.random.normal(key, mean.shape, mean.dtype)

    return policy


def discounted(rewards):
    return jnp.tensordot(LINEAR.discount ** jnp.arange(len(rewards)), rewards, axes=1)


def sampled(gain, num):
    starts = jnp.broadcast_to(START, (num, 2))
    return imagine(LINEAR.dynamics(), None, linear_policy(gain), KEY, starts, LINEAR.horizon)


def by_path(gain, num):
    """One return for each path; its gradient is the pathwise estimate."""
    return discounted(sampled(gain, num).rewards)


def by_score(gain, num):
    """Its gradient is the score-function estimate, with the return from each action on."""
    imagined = jax.lax.stop_gradient(sampled(gain, num))
    worth = LINEAR.discount ** jnp.arange(LINEAR.horizon)[:, None] * imagined.rewards
    ahead = jnp.cumsum(worth[::-1], axis=0)[::-1]
    apart = (imagined.actions - imagined.features[:-1] @ gain.T) / LINEAR.spread
    return jnp.sum(-0.5 * jnp.sum(apart**2, axis=-1) * ahead, axis=0)


@pytest.fixture(scope="module")
def estimates():
    """Exact return and gradient, sampled returns, and both estimates, path by path."""
    with jax.enable_x64(True):
        num = 20_000

        @jax.jit
        def found(gain):
            exact = jax.value_and_grad(LINEAR.expected_return)(gain, START)
            gradients = [jax.jacfwd(f)(gain, num) for f in (by_path, by_score)]
            return exact, by_path(gain, num), *gradients

        return jax.tree.map(np.asarray, found(jnp.asarray(GAIN)))


def test_the_mean_return_is_the_exact_one(estimates):
    (exact, _), returns, _, _ = estimates
    error = abs(returns.mean() - exact)
    assert error < 4 * returns.std() / np.sqrt(len(returns))
    assert error < 5e-3 * abs(exact)


@pytest.mark.parametrize("which", [2, 3], ids=["pathwise", "score function"])
def test_both_estimates_of_the_gradient_are_unbiased(estimates, which):
    (_, exact), samples = estimates[0], estimates[which]
    error = np.abs(samples.mean(axis=0) - exact)
    assert np.all(error < 4 * samples.std(axis=0) / np.sqrt(len(samples)))


def test_the_pathwise_estimate_varies_a_hundred_times_less(estimates):
    *_, paths, scores = estimates
    assert np.all(scores.var(axis=0) > 100 * paths.var(axis=0))


def test_the_true_pendulum_agrees_with_finite_differences():
    """d(sum of rewards)/d(actions) through the environment itself."""
    with jax.enable_x64(True):
        problem = control("Pendulum-v1")
        dynamics = environment_dynamics(problem, lambda observation: observation)
        inner, timestep = jax.tree.map(
            lambda x: (
                jnp.asarray(x, float) if jnp.result_type(x) == jnp.float32 else jnp.asarray(x)
            ),
            (lambda s, t: (s.inner, t))(*jax.jit(problem.reset)(KEY)),
        )
        horizon = 10
        plan = 0.3 * jnp.sin(jnp.arange(horizon, dtype=jnp.float64))[:, None]

        def total(plan):
            # The policy reads the step off a counter that travels as the features.
            counted = dynamics._replace(
                features=lambda _, state: jax.nn.one_hot(state.inner.time, horizon)
            )

            def follow(key, features, mask):
                return features @ plan

            found = imagine(counted, None, follow, KEY, Real(inner, timestep), horizon)
            return jnp.sum(found.rewards)

        total = jax.jit(total)
        gradient = np.asarray(jax.jit(jax.grad(total))(plan))
        for t in range(horizon):
            h = 1e-5 * np.eye(horizon)[:, t : t + 1]
            slope = (total(plan + h) - total(plan - h)) / 2e-5
            np.testing.assert_allclose(gradient[t, 0], slope, rtol=1e-6, atol=1e-8)
        assert abs(gradient[0, 0]) > 1e-2


class Counting:
    """States are counted on: s' = s + 1 + a; the reward is 10 s'; the end comes with s' = 4."""

    @staticmethod
    def dynamics():
        def outcome(params, state, action, after):
            return Outcome(
                Deterministic(10 * after[..., 0]), Deterministic(1.0 - (after[..., 0] >= 4))
            )

        return Dynamics(
            lambda params, key, s, a: Deterministic(s + 1 + a), outcome, lambda params, s: s
        )


def test_time_runs_as_the_timeline_says():
    found = imagine(
        Counting.dynamics(), None, lambda *_: jnp.zeros((1, 1)), KEY, jnp.zeros((1, 1)), 4
    )
    assert found.states[:, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert found.rewards[:, 0].tolist() == [10, 20, 30, 40]
    assert found.continuations[:, 0].tolist() == [1, 1, 1, 0]


def trajectory(rng, time=5, batch=3):
    features = rng.normal(size=(time + 1, batch, 2)).astype(np.float32)
    actions = np.eye(2, dtype=np.float32)[rng.integers(0, 2, size=(time, batch))]
    rewards = rng.normal(size=(time, batch)).astype(np.float32)
    continuations = rng.uniform(0.5, 1, size=(time, batch)).astype(np.float32)
    return Imagined(features, features, None, actions, rewards, continuations)


@pytest.mark.parametrize("reach", [None, 3.0])
def test_returns_of_imagined_trajectories_are_the_explicit_sum(reach):
    rng = np.random.default_rng(0)
    found, values = trajectory(rng), rng.normal(size=(6, 3)).astype(np.float32)
    settings = Behaviour(discount=0.9, lambda_=0.7, horizon=5, reach=reach)
    returns = behaviour.returns_of(found, jnp.asarray(values), settings)
    horizon = int(reach or 5)
    expected = np.zeros((horizon, 3))
    following = values[horizon]
    for t in reversed(range(horizon)):
        ahead = 0.3 * values[t + 1] + 0.7 * following
        ahead = values[t + 1] if t == horizon - 1 else ahead
        following = found.rewards[t] + 0.9 * found.continuations[t] * ahead
        expected[t] = following
    np.testing.assert_allclose(returns[:horizon], expected, rtol=1e-5)


def played(dynamics, settings, policy, values, imagined_from, actions, key=KEY):
    """Losses of a policy that is a table of parameters, from one state, seen by features."""
    networks = Heads(
        Network(None, lambda params, x: x @ params), Network(None, lambda params, x: x @ params)
    )
    states = imagined_from.reshape(-1, 2, imagined_from.shape[-1])
    no = jnp.zeros(states.shape[:2], bool)
    timesteps = Timestep(states, jnp.zeros(states.shape[:2]), no, no, no)
    return behaviour.losses(
        policy, values, values, None, Range(jnp.zeros(()), jnp.zeros(())), key, states, timesteps,
        dynamics=dynamics, networks=networks, actions=actions,
        config=Config(model=Model(heads="normal"), behaviour=settings),
    )  # fmt: skip


SETTINGS = {
    "discount": 0.9,
    "lambda_": 0.8,
    "horizon": 4,
    "entropy": 0.05,
    "policy_unimix": 0.0,
    "slow_scale": 0.0,
    "replay_value_scale": 0.0,
}


def test_the_loss_of_reinforce_is_the_explicit_sum():
    """Action, features, advantage and weight of every step belong together."""
    rng = np.random.default_rng(1)
    policy = jnp.asarray(rng.normal(size=(2, 2)), jnp.float32)
    values = jnp.asarray(rng.normal(size=(2, 1)), jnp.float32)
    turn = jnp.asarray(rng.normal(size=(2, 2)), jnp.float32)

    def outcome(params, state, action, after):
        reward = after[..., 0] + 2 * action[..., 1]
        return Outcome(Deterministic(reward), Deterministic(jax.nn.sigmoid(after[..., 1] + 1)))

    dynamics = Dynamics(
        lambda params, key, s, a: Deterministic(jnp.tanh(s @ turn + a)), outcome, lambda _, s: s
    )
    settings = Behaviour(gradient="reinforce", range_floor=3.0, range_rate=1e-6, **SETTINGS)
    starts = jnp.asarray(rng.normal(size=(6, 2)), jnp.float32)
    of_steps = jax.random.split(KEY)[1]

    def chances(x):
        return behaviour.distribution(x @ policy, None, DISCRETE, settings)

    def act(key, x, mask):
        return chances(x).sample(key)

    @jax.jit
    def both():
        found = played(dynamics, settings, policy, values, starts, DISCRETE)
        return found, imagine(dynamics, None, act, of_steps, starts, 4)

    found, seen = jax.tree.map(np.asarray, both())
    policy, values = np.asarray(policy), np.asarray(values)
    worth = (seen.features @ values)[..., 0]
    policy_loss, value_loss = np.zeros(6), np.zeros(6)
    for i in range(6):
        following, returns = worth[4, i], np.zeros(4)
        for t in reversed(range(4)):
            ahead = following if t == 3 else 0.2 * worth[t + 1, i] + 0.8 * following
            following = seen.rewards[t, i] + 0.9 * seen.continuations[t, i] * ahead
            returns[t] = following
        weight = 1.0
        for t in range(4):
            logits = seen.features[t, i] @ policy
            log_p = logits - np.log(np.sum(np.exp(logits)))
            chosen = log_p @ seen.actions[t, i]
            entropy = -np.sum(np.exp(log_p) * log_p)
            gain = chosen * (returns[t] - worth[t, i]) / 3.0
            policy_loss[i] -= weight * (gain + 0.05 * entropy) / 4
            value_loss[i] += weight * (worth[t, i] - returns[t]) ** 2 / 4
            weight *= 0.9 * seen.continuations[t, i]
    np.testing.assert_allclose(found.policy, policy_loss.mean(), rtol=1e-4)
    np.testing.assert_allclose(found.value, value_loss.mean(), rtol=1e-4)


def test_dynamics_gradients_go_through_discrete_actions():
    """Straight through: the gradient of the probability that pays is there, and points up."""

    def outcome(params, state, action, after):
        return Outcome(Deterministic(after[..., 0]), Deterministic(jnp.ones(after.shape[:-1])))

    dynamics = Dynamics(lambda params, key, s, a: Deterministic(a), outcome, lambda _, s: s)
    settings = Behaviour(gradient="dynamics", **{**SETTINGS, "entropy": 0.0, "lambda_": 1.0})
    starts = jnp.ones((50, 2))

    def loss(policy):
        return played(dynamics, settings, policy, jnp.zeros((2, 1)), starts, DISCRETE).policy

    gradient = np.asarray(jax.jit(jax.grad(loss))(jnp.zeros((2, 2))))
    assert np.all(gradient[:, 0] < -0.05)
    np.testing.assert_allclose(gradient[:, 1], -gradient[:, 0], rtol=1e-5)


def test_all_gradients_have_the_same_mean():
    """Dynamics, REINFORCE and any mixture estimate one gradient of a single step.

    (Of more steps they do not: the dynamics gradient improves the return from every imagined state,
    by the actions before that state, too.)
    """

    def outcome(params, state, action, after):
        reward = -jnp.sum(after**2, axis=-1)
        return Outcome(Deterministic(reward), Deterministic(jnp.ones_like(reward)))

    dynamics = Dynamics(
        lambda params, key, s, a: Deterministic(0.8 * s + 0.5 * a), outcome, lambda _, s: s
    )
    starts = jnp.tile(jnp.asarray([[1.0]]), (40_000, 1))
    policy = jnp.asarray([[0.2, -1.0]])

    def gradient(kind):
        changes = {"entropy": 0.0, "normalize_returns": False, "lambda_": 1.0, "horizon": 1}
        settings = Behaviour(gradient=kind, mix=0.3, **{**SETTINGS, **changes})

        def loss(policy):
            nothing = jnp.zeros((1, 1))
            return played(dynamics, settings, policy, nothing, starts, CONTINUOUS).policy

        return np.asarray(jax.jit(jax.grad(loss))(policy))

    exact = gradient("dynamics")
    assert np.abs(exact).max() > 0.05
    for kind in "reinforce", "mix":
        np.testing.assert_allclose(gradient(kind), exact, atol=0.05 * np.abs(exact).max())


def test_what_is_refused():
    run = inspect.unwrap(imagine)
    with pytest.raises(ValueError, match="horizon is 0; allowed: a whole number at least 1"):
        run(Counting.dynamics(), None, None, KEY, jnp.zeros(1), 0)
    with pytest.raises(ValueError, match="noise is 'some'; allowed: 'all', 'state', 'none'"):
        run(Counting.dynamics(), None, None, KEY, jnp.zeros(1), 1, noise="some")
