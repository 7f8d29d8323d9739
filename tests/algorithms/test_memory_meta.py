"""Agents with a memory: when they forget, V-trace across episodes, learning to be Bayesian."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from compiled import compiled

from rlsuite.algorithms import memory_meta
from rlsuite.algorithms.memory_meta import experience, impala, prediction
from rlsuite.core import run
from rlsuite.envs.bandits import bandit, bandits
from rlsuite.envs.control import control
from rlsuite.envs.prediction import Prediction
from rlsuite.ops import bandits as ops
from rlsuite.ops.conjugate import BetaBernoulli, DirichletCategorical, HiddenMarkov, Normal
from rlsuite.ops.returns import lambda_returns, n_step_returns

KEY = jax.random.key(0)
PULLS, LENGTH, WIDTH = 3, 9, 4
CONFIG = memory_meta.Config(batch_size=WIDTH, memory_size=8, rollout_length=LENGTH)
MEMORIES = ("lstm", "gru", "rnn", "linear", "transformer")


@functools.cache
def game():
    return bandits(ops.UniformArms(2), PULLS)


@functools.cache
def rolled(memory):
    """Two rollouts one after the other, of which the second begins within an episode."""
    config = memory_meta.Config(
        batch_size=WIDTH, memory_size=8, rollout_length=LENGTH, memory=memory, context=8
    )
    network = impala.default_network(game().control, config)

    @compiled
    def collect(key):
        keys = jax.random.split(key, 4)
        walkers = experience.start(game().control, network, keys[0], WIDTH)
        params = network.init(keys[1], walkers.timestep.observation)

        def one(walkers, key):
            return experience.collect(game().control, network, params, key, walkers, LENGTH)

        return params, jax.lax.scan(one, walkers, keys[2:])[1]

    params, rollouts = collect(KEY)
    return network, params, [jax.tree.map(lambda x, n=n: x[n], rollouts) for n in range(2)]


@compiled
def valid_and_ends(rollout):
    return rollout.is_valid, rollout.ends


@functools.cache
def heads_of(memory):
    """Logits and values along a rollout, as the loss computes them."""
    return compiled(rolled(memory)[0].apply)


@compiled
@functools.partial(jax.value_and_grad, has_aux=True)
def whole_loss(params, rollout):
    """((the loss with λ = 1, its parts), its gradient)."""
    return impala.loss(
        rolled("lstm")[0],
        params,
        rollout,
        discount=1.0,
        lambda_=1.0,
        clip_rho=1.0,
        clip_c=1.0,
        value_weight=0.5,
        entropy_weight=0.0,
    )


@pytest.mark.parametrize("memory", MEMORIES)
def test_ratios_are_one_before_the_first_update_across_episodes(memory):
    """A memory that is reset one step early or late would act differently from how it learns."""
    _, params, rollouts = rolled(memory)
    for rollout in rollouts:
        seen = rollout.timesteps
        assert seen.is_first.sum() >= WIDTH  # Episodes begin within each.
        _, heads = heads_of(memory)(params, rollout.carry, seen.observation, seen.is_first)
        logs = scipy.special.log_softmax(heads[:-1, :, :-1], axis=-1)
        ratios = np.exp(np.sum(logs * rollout.actions, axis=-1) - rollout.log_probs)
        np.testing.assert_allclose(ratios, 1.0, rtol=0, atol=2.4e-7 if memory != "linear" else 1e-6)
        shifted = np.roll(seen.is_first, 1, axis=0)
        _, wrong = heads_of(memory)(params, rollout.carry, seen.observation, shifted)
        assert np.abs(wrong - heads).max() > 1e-3


def test_the_conventions_of_time():
    _, _, (rollout, _) = rolled("lstm")
    seen, (valid, ends) = rollout.timesteps, valid_and_ends(rollout)
    assert np.all(seen.is_first[0])
    np.testing.assert_array_equal(seen.is_last[PULLS], True)
    np.testing.assert_array_equal(valid[PULLS], False)
    np.testing.assert_array_equal(seen.is_first[PULLS + 1], True)
    np.testing.assert_array_equal(ends[PULLS - 1], True)
    np.testing.assert_array_equal(seen.observation[0], 0.0)
    # What is seen after a pull is the pull and its reward.
    np.testing.assert_array_equal(seen.observation[1, :, :2], rollout.actions[0])
    np.testing.assert_array_equal(seen.observation[1, :, 2], seen.reward[1])
    total = seen.reward[1 : PULLS + 1].sum(axis=0)
    np.testing.assert_array_equal(rollout.episode_returns[PULLS - 1], total)


@compiled
@functools.partial(jax.vmap, in_axes=1, out_axes=1)
def whole_returns(rewards, discounts, values, ends):
    return n_step_returns(rewards, discounts, values, LENGTH, ends=ends)


@pytest.mark.parametrize("cut_off", [False, True])
def test_on_policy_targets_are_n_step_returns_and_stop_at_ends(cut_off):
    """What the loss is made of, rebuilt from returns of single episodes."""
    _, params, (rollout, _) = rolled("lstm")
    seen = rollout.timesteps
    seen = seen._replace(is_terminal=seen.is_terminal & (not cut_off))
    rollout = rollout._replace(timesteps=seen)
    _, heads = heads_of("lstm")(params, rollout.carry, seen.observation, seen.is_first)
    values, (valid, ends) = heads[..., -1], valid_and_ends(rollout)
    returns = whole_returns(seen.reward[1:], 1.0 - seen.is_terminal[1:], values[1:], ends)
    expected = np.where(valid, np.square(returns - values[:-1]), 0)
    (_, losses), _ = whole_loss(params, rollout)
    np.testing.assert_allclose(losses.value_loss, 0.5 * np.sum(expected) / valid.sum(), rtol=1e-5)
    assert float(losses.kl) < 1e-6


@pytest.mark.parametrize("terminal", [True, False])
def test_nothing_leaks_from_one_episode_into_another(terminal):
    """Rewards and values after an end change no gradient of what came before it."""
    _, params, (rollout, _) = rolled("lstm")
    seen = rollout.timesteps._replace(is_terminal=rollout.timesteps.is_last & terminal)
    late = np.arange(LENGTH + 1)[:, None] > PULLS

    def early_gradient(change):
        reward = seen.reward + np.float32(change) * late
        observation = seen.observation + np.float32(change) * late[..., None]
        changed = rollout._replace(timesteps=seen._replace(reward=reward, observation=observation))
        # Of the later transitions nothing counts.
        last = changed.timesteps.is_last | late
        changed = changed._replace(timesteps=changed.timesteps._replace(is_last=last))
        return whole_loss(params, changed)[1]

    for one, other in zip(*map(jax.tree.leaves, map(early_gradient, (0.0, 5.0))), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_what_was_cut_off_is_bootstrapped_from_the_last_observation():
    _, params, (rollout, _) = rolled("lstm")
    cut = rollout.timesteps._replace(is_terminal=np.zeros_like(rollout.timesteps.is_terminal))
    _, heads = heads_of("lstm")(params, rollout.carry, cut.observation, cut.is_first)
    values = heads[:, 0, -1]
    returns = compiled(lambda_returns)(
        cut.reward[1 : PULLS + 1, 0], np.ones(PULLS), values[1 : PULLS + 1], 1.0
    )
    total = float(cut.reward[1 : PULLS + 1, 0].sum() + values[PULLS])
    np.testing.assert_allclose(returns[0], total, rtol=1e-6)
    ended, went_on = (
        float(whole_loss(params, rollout._replace(timesteps=t))[0][1].value_loss)
        for t in (rollout.timesteps, cut)
    )
    assert ended != went_on


def test_a_lag_makes_data_off_policy():
    """The actor of update n has the parameters after update n − lag."""
    config = memory_meta.Config(
        batch_size=WIDTH, memory_size=8, rollout_length=LENGTH, lag=2, learning_rate=0.05
    )
    algorithm = memory_meta.make(game().control, config)
    state, step = jax.jit(algorithm.init)(KEY), jax.jit(algorithm.step)
    kept, ratios = [state.params], []
    for n in range(4):
        state, metrics = step(jax.random.key(n), state)
        kept.append(state.params)
        ratios.append(float(metrics.losses.kl))
    actor, _ = compiled(impala._actor)(state)
    jax.tree.map(np.testing.assert_array_equal, actor, kept[2])
    assert ratios[0] < 1e-9
    assert ratios[2] > 1e-5


def test_what_is_lost_is_what_is_not_earned():
    """A random agent's exact loss, by play, against the table's; and its returns."""
    network = impala.default_network(game().control, CONFIG)
    arms, states = ops.UniformArms(2), game().states

    @compiled
    def found(key):
        params = network.init(key, jnp.zeros(3))
        params["head"] = jax.tree.map(jnp.zeros_like, params["head"])
        worth = ops.evaluate(arms, states, ops.uniform(arms, states))
        return memory_meta.play(game(), network, params, key, 4000), worth[0, 0]

    played, worth = found(KEY)
    expected = game().best - worth
    np.testing.assert_allclose(played.losses.sum(axis=0).mean(), expected, atol=0.01)
    np.testing.assert_array_equal(played.chances, 0.5)
    assert played.numbers.max() < len(states.counts)


# Its second state alone can show a 1, and it is there at every second step.
ALTERNATING = HiddenMarkov(
    np.asarray([0.5, 0.5], np.float32),
    np.asarray([[0, 1], [1, 0]], np.float32),
    np.asarray([[1, 0], [0.5, 0.5]], np.float32),
)


@pytest.mark.parametrize(
    "model", [BetaBernoulli(1.0, 2.0), DirichletCategorical(jnp.ones(3)), ALTERNATING]
)
def test_the_exact_divergence_is_the_mean_over_sequences(model):
    problem = Prediction(model, 5)
    config = memory_meta.Config(memory_size=8)
    network = prediction.default_network(problem, config)

    @compiled
    def found(key):
        x = problem.samples(key, 4000)
        params = network.init(key, problem.inputs(x[:, 0]))
        exact = memory_meta.exact_divergence(problem, network, params)
        return exact, memory_meta.divergences(problem, network, params, x)

    exact, sampled = found(KEY)
    error = np.std(sampled, axis=1) / np.sqrt(4000)
    assert np.all(np.abs(np.mean(sampled, axis=1) - exact) <= 5 * error + 1e-6)
    assert exact.shape == (5,)


def test_an_agent_that_is_bayes_has_no_divergence():
    problem = Prediction(BetaBernoulli(), 6)

    def apply(params, carry, inputs, is_first):
        def step(statistics, now):
            x, begins = now
            fresh = jnp.broadcast_to(problem.model.initial, statistics.shape)
            seen = problem.model.update(statistics, (x[..., 0] > 0).astype(int))
            statistics = jnp.where((x[..., :1] == 0) | begins[..., None], fresh, seen)
            return statistics, problem.model.predictive(statistics)

        return jax.lax.scan(step, carry, (inputs, is_first))

    def initial(batch):
        return jnp.broadcast_to(problem.model.initial, (*batch, 2))

    agent = memory_meta.Agent(lambda *_: (), apply, initial)
    exact = jax.jit(lambda: memory_meta.exact_divergence(problem, agent, ()))()
    np.testing.assert_allclose(exact, 0.0, atol=1e-7)


def test_a_trace_is_what_is_remembered():
    problem = Prediction(BetaBernoulli(), 6)
    network = prediction.default_network(problem, CONFIG)

    @compiled
    def found(key):
        x = problem.samples(key, 5)
        inputs = problem.inputs(x)
        params = network.init(key, inputs)
        memories, heads = memory_meta.trace(network, params, inputs)
        back = memory_meta.flat(memory_meta.unflat(network, memories[-1]))
        return memories, heads, memory_meta.predict(problem, network, params, x), back

    memories, heads, said, back = found(KEY)
    np.testing.assert_allclose(heads, said, rtol=1e-5)
    assert memories.shape == (6, 5, 16)
    np.testing.assert_array_equal(back, memories[-1])


@pytest.mark.parametrize("memory", MEMORIES)
def test_each_memory_learns_to_predict(memory):
    """Six tosses; without what was seen 0.07 nats are lost, with it a hundredth of that."""
    problem = Prediction(BetaBernoulli(), 6)
    config = memory_meta.Config(
        batch_size=32, memory_size=8, memory=memory, annealing_steps=500, learning_rate=1e-2,
        layers=1, context=8, evaluation_episodes=200,
    )  # fmt: skip
    result = run(memory_meta.make, problem, config, KEY, 500, progress=False)
    assert float(result.evaluations.divergence[-1]) < 2e-3


def test_a_short_bandit_is_learned():
    """Three pulls: what is lost falls below a tenth of what random pulls lose."""
    config = memory_meta.Config(
        batch_size=64, memory_size=16, rollout_length=4, annealing_steps=400, learning_rate=1e-2
    )
    result = run(memory_meta.make, game(), config, KEY, 400, progress=False)
    first = game().best - 1.5
    assert float(result.evaluations.greedy_value_lost[-1]) < 0.1 * first
    assert float(result.metrics.episode_return[-1]) > 1.5


def test_acting_is_what_the_agent_does():
    algorithm = memory_meta.make(game().control, CONFIG)
    state = jax.jit(algorithm.init)(KEY)
    _, seen = game().control.reset(KEY)
    act = jax.jit(algorithm.act)
    action, _ = act(None, state, seen, None)
    assert action.sum() == 1.0
    again, _ = act(None, state, seen.observation, None)
    np.testing.assert_array_equal(action, again)
    problem = Prediction(Normal(), 4)
    algorithm = memory_meta.make(problem, CONFIG)
    state = jax.eval_shape(algorithm.init, KEY)
    head, _ = jax.eval_shape(lambda state: algorithm.act(None, state, jnp.zeros(1), None), state)
    assert head.shape == (2,)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: memory_meta.make(control("Pendulum-v1")), "allowed: one category"),
        (lambda: memory_meta.Config(memory="transformer", memory_size=12), "multiple of 8"),
        (lambda: bandit(ops.UniformArms(2), 0), "horizon is 0; allowed"),
        (lambda: Prediction(Normal(), 0), "length is 0; allowed"),
        (
            lambda: memory_meta.exact_divergence(
                Prediction(Normal(), 3), impala.default_network(game().control, CONFIG), None
            ),
            "problem is Normal over 3 steps; allowed: classes",
        ),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
