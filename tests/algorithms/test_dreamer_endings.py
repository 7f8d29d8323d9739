"""Episodes that are cut off and such that end, and what models are told about their losses."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import compiled
from dreamer_worlds import DISCRETE, SMALL, spec_of

from rlsuite.algorithms.dreamer import Behaviour, Model, behaviour
from rlsuite.algorithms.dreamer.markov import markov_world
from rlsuite.algorithms.dreamer.world import divergences, rssm_world
from rlsuite.envs.control import Timestep
from rlsuite.ops.distributions import OneHotCategorical

KEY = jax.random.key(0)


def sequences():
    """Two of five time steps; one is cut off at its third, the other ends at its fourth."""
    rng = np.random.default_rng(0)
    seen = rng.normal(size=(2, 5, 3)).astype(np.float32)
    rewards = rng.normal(size=(2, 5)).astype(np.float32)
    first, last, terminal = np.zeros((3, 2, 5), bool)
    first[:, 0] = first[0, 3] = first[1, 4] = True
    last[0, 2] = last[1, 3] = terminal[1, 3] = True
    return Timestep(seen, rewards, first, last, terminal)


def test_replayed_returns_bootstrap_where_episodes_are_cut_off():
    """At an end, the reward alone; at a cut, and in the last row, what the state is worth, too."""
    steps, settings = sequences(), Behaviour(discount=0.9, lambda_=0.7)
    worth = np.random.default_rng(1).normal(size=(2, 5)).astype(np.float32)
    found = compiled(behaviour.replayed_returns)(steps, worth, settings)
    reward = steps.reward
    expected = np.zeros((2, 4))
    for i in range(2):
        for t in reversed(range(4)):
            after = worth[i, t + 1]
            if t < 3 and not steps.is_last[i, t + 1]:
                after = 0.3 * after + 0.7 * expected[i, t + 1]
            if steps.is_terminal[i, t + 1]:
                after = 0.0
            expected[i, t] = reward[i, t + 1] + 0.9 * after
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(found[0, 1], reward[0, 2] + 0.9 * worth[0, 2], rtol=1e-5)
    np.testing.assert_allclose(found[1, 2], reward[1, 3], rtol=1e-5)


MARKOV = Model(kind="markov", layers=1, units=5, heads="normal")


@pytest.mark.parametrize("make", [rssm_world, markov_world])
def test_models_learn_that_episodes_go_on_where_they_are_cut_off(make):
    """The continuation's loss is − mean log p of going on, and of the end at the end alone."""
    world = make(spec_of(3, DISCRETE), SMALL if make is rssm_world else MARKOV)
    steps, rng = sequences(), np.random.default_rng(2)
    actions = np.eye(2, dtype=np.float32)[rng.integers(0, 2, size=(2, 5))]

    @compiled
    def found(steps, actions):
        params = world.init(KEY)
        before = jax.tree.map(lambda x: jnp.zeros((2, *x.shape)), world.initial)
        inferred = world.infer(params, KEY, before, actions, steps, before)
        earlier = jax.tree.map(
            lambda x, xs: jnp.concatenate([x[:, None], xs[:, :-1]], axis=1),
            before, inferred.states,
        )  # fmt: skip
        said = world.dynamics.outcome(params, earlier, actions, inferred.states)
        return inferred.losses["continuation"], said.continuation.mean()

    loss, p = found(steps, actions)
    assert np.ptp(p) > 1e-2
    chances = np.where(steps.is_terminal, 1 - p, p)
    # A Markov model learns from what an action joins.
    counted = np.ones_like(p, bool) if make is rssm_world else ~steps.is_first
    np.testing.assert_allclose(loss, -np.mean(np.log(chances[counted])), rtol=1e-4)


def test_both_divergences_have_their_weights():
    rng = np.random.default_rng(5)
    q, p = rng.normal(size=(2, 4, 3, 5))
    logs = [x - np.log(np.sum(np.exp(x), axis=-1, keepdims=True)) for x in (q, p)]
    kl = np.mean(np.sum(np.exp(logs[0]) * (logs[0] - logs[1]), axis=(1, 2)))
    model = Model(free_nats=0.0, dynamics_scale=0.7, representation_scale=0.2)

    @compiled
    def found(q, p):
        return divergences(model, OneHotCategorical(q), OneHotCategorical(p))

    told = found(q.astype(np.float32), p.astype(np.float32))
    np.testing.assert_allclose(told["dynamics"], 0.7 * kl, rtol=1e-5)
    np.testing.assert_allclose(told["representation"], 0.2 * kl, rtol=1e-5)


def test_no_latent_is_less_probable_than_its_share():
    world = rssm_world(spec_of(3, DISCRETE), dataclasses.replace(SMALL, unimix=0.3))

    @compiled
    def chances():
        params = jax.tree.map(lambda x: 1e3 * x, world.init(KEY))
        before = jax.tree.map(lambda x: jnp.ones((8, *x.shape)), world.initial)
        actions = jax.random.normal(KEY, (8, 2))
        return world.dynamics.transition(params, KEY, before, actions).stoch.probs

    found = chances()
    np.testing.assert_allclose(found.min(), 0.1, rtol=1e-4)
    np.testing.assert_allclose(found.max(), 0.8, rtol=1e-4)


def symlog(x):
    return np.sign(x) * np.log1p(np.abs(x))


def test_recurrent_models_see_and_predict_symlogs():
    """With symlog they are, of x, what the others are of symlog(x)."""
    rng = np.random.default_rng(6)
    seen = (10 * rng.normal(size=(2, 3, 4))).astype(np.float32)
    actions = rng.normal(size=(2, 3, 2)).astype(np.float32)
    no, zero = np.zeros((2, 3), bool), np.zeros((2, 3), np.float32)
    told = []
    for on, observation in ((True, seen), (False, symlog(seen))):
        # With normal latents, what is inferred says what was seen.
        model = dataclasses.replace(SMALL, symlog=on, classes=0)
        world = rssm_world(spec_of(4, DISCRETE), model)

        @compiled
        def found(steps, actions, world=world):
            params = world.init(KEY)
            before = jax.tree.map(lambda x: jnp.zeros((2, *x.shape)), world.initial)
            inferred = world.infer(params, KEY, before, actions, steps, before)
            return inferred, world.decode(params, inferred.states)

        told.append(found(Timestep(observation, zero, no, no, no), actions))
    (with_it, decoded), (without, prediction) = told
    np.testing.assert_allclose(with_it.states.stoch, without.states.stoch, rtol=1e-4, atol=1e-5)
    for name, loss in with_it.losses.items():
        np.testing.assert_allclose(loss, without.losses[name], rtol=1e-4, err_msg=name)
    np.testing.assert_allclose(symlog(decoded), prediction, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("on", [False, True])
def test_markov_models_show_symlogs(on):
    world = markov_world(spec_of(2, DISCRETE), dataclasses.replace(MARKOV, symlog=on))
    seen = np.asarray([[-30.0, 0.5]], np.float32)
    found = compiled(lambda x: world.dynamics.features(None, x))(seen)
    np.testing.assert_allclose(found, symlog(seen) if on else seen, rtol=1e-5)
