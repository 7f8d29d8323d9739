"""Dreamer that sees pictures, as bytes and as light; and the first Dreamer as a whole."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import compiled
from dreamer_worlds import SMALL, small
from gymnax.environments import environment, spaces

from rlsuite.algorithms import dreamer
from rlsuite.core import run
from rlsuite.envs.control import Control, control
from rlsuite.envs.pixels import pixel_pendulum

KEY = jax.random.key(0)
STEPS = 6  # An episode's.
CONFIG = small(model=dataclasses.replace(SMALL, deter=16), evaluation_length=STEPS + 2)
LIGHT = pixel_pendulum(side=16, steps=STEPS)


class InBytes(environment.Environment):
    """The same pendulum, whose pictures are bytes."""

    @property
    def default_params(self):
        return LIGHT.params

    def action_space(self, params=None):
        return LIGHT.environment.action_space(params)

    def observation_space(self, params):
        return spaces.Box(0, 255, (16, 16, 2), jnp.uint8)

    def is_truncated(self, state, params):
        return LIGHT.environment.is_truncated(state, params)

    def reset_env(self, key, params):
        seen, state = LIGHT.environment.reset_env(key, params)
        return jnp.round(255 * seen).astype(jnp.uint8), state

    def step_env(self, key, state, action, params):
        seen, *rest = LIGHT.environment.step_env(key, state, action, params)
        return jnp.round(255 * seen).astype(jnp.uint8), *rest


PROBLEMS = {"bytes": Control("bytes", InBytes(), LIGHT.params), "light": LIGHT}


@functools.cache
def trained():
    """(state, metrics, evaluations) after three steps on bytes."""
    result = run(dreamer.make, PROBLEMS["bytes"], CONFIG, KEY, 3, progress=False)
    return jax.device_get((result.state, result.metrics, result.evaluations))


@functools.cache
def rows_of(kind):
    """What is remembered, after training on bytes, or of light after acting at random."""
    if kind == "bytes":
        replay = trained()[0].replay
    else:
        replay = compiled(lambda key: dreamer.make(LIGHT, CONFIG).init(key).replay)(KEY)
    return jax.tree.map(lambda ring: ring[: int(replay.written), 0], replay.rows)


@pytest.mark.parametrize(("kind", "count"), [("bytes", 26), ("light", 20)])
def test_the_replay_keeps_what_was_shown(kind, count):
    """The same actions in the pendulum itself, whose episodes all begin upright."""
    rows = rows_of(kind)
    kept = rows.timestep.observation

    def walk(actions):
        def step(now, action):
            state, timestep = now
            return LIGHT.step(KEY, state, action), timestep

        return jax.lax.scan(step, LIGHT.reset(KEY), actions)[1]

    shown = compiled(walk)(jnp.resize(rows.action, (26, 1)))
    shown = jax.tree.map(lambda x: x[:count], shown)
    assert kept.shape == (count, 16, 16, 2)
    assert (kept[1:] != kept[:-1]).any(axis=(1, 2, 3)).all(), "the rod turns"
    if kind == "bytes":
        assert kept.dtype == np.uint8
        assert kept.max() > 200
        assert np.abs(kept - 255 * shown.observation).max() < 0.5 + 1e-3
    else:
        assert kept.dtype == np.float32
        np.testing.assert_allclose(kept, shown.observation, atol=1e-5)
    np.testing.assert_allclose(rows.timestep.reward, shown.reward, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(rows.timestep.is_last, shown.is_last)
    np.testing.assert_array_equal(rows.timestep.is_last, np.arange(count) % 7 == 6)


def test_metrics_and_evaluations_are_numbers():
    _, metrics, evaluations = trained()
    for leaf in jax.tree.leaves((metrics, evaluations)):
        assert np.all(np.isfinite(leaf))
    assert {"reconstruction", "reward", "continuation"} < set(metrics.world)
    np.testing.assert_array_equal(metrics.environment_steps, [22, 24, 26])
    np.testing.assert_array_equal(evaluations.length, STEPS)


def test_acting_alone_sees_bytes_as_acting_in_training_does():
    """Given a whole time step or only its picture; the state goes on with what was done."""
    algorithm = dreamer.make(PROBLEMS["bytes"], CONFIG)
    state, rows = trained()[0], rows_of("bytes")

    def twice(state, timestep, following):
        action, carry = algorithm.act(None, state, timestep, None)
        again, _ = algorithm.act(None, state, timestep.observation, None)
        later, after = algorithm.act(None, state, following.observation, carry)
        return action, again, later, carry[0], after[0]

    first, second = (jax.tree.map(lambda x, t=t: x[t], rows.timestep) for t in (0, 1))
    action, again, later, before, after = compiled(twice)(state, first, second)
    np.testing.assert_array_equal(action, again)
    assert action.shape == later.shape == (1,)
    assert np.all(np.abs([action, later]) <= 1)
    assert np.abs(after.deter - before.deter).max() > 1e-3


def test_an_image_is_learned_by_heart_and_its_loss_is_that_of_its_shares_of_light():
    """The loss is the squared error of bytes over 255, summed over a picture."""
    agent = dreamer.agent(PROBLEMS["bytes"].spec, CONFIG)
    learner, rows = trained()[0].learner, rows_of("bytes")
    batch = jax.tree.map(lambda x: jnp.stack([x[:5], x[7:12]]), rows)
    shares = np.asarray(batch.timestep.observation[:, 1:], float) / 255

    def update(learner, key):
        after, states, told = agent.update(key, learner, batch)
        return after, (
            told.world["reconstruction"],
            agent.world.decode(learner.weights.world, states),
        )

    step, losses = jax.jit(update), []
    for key in jax.random.split(KEY, 30):
        learner, (loss, decoded) = step(learner, key)
        errors = np.asarray(decoded) - shares
        expected = np.sum(errors**2, axis=(-3, -2, -1)).mean()
        np.testing.assert_allclose(loss, expected, rtol=1e-4)
        losses.append(float(loss))
    assert losses[-1] < 0.7 * losses[0]


def test_the_first_dreamer_moves_all_that_it_learns():
    published = dreamer.v1()
    config = dreamer.v1(
        batch_size=3,
        sequence_length=4,
        prefill=20,
        steps_per_update=5,
        updates=4,
        replay_size=200,
        model=dataclasses.replace(published.model, deter=8, hidden=6, units=7, layers=1, stoch=3),
        behaviour=dataclasses.replace(published.behaviour, horizon=3, policy_layers=1),
    )
    algorithm = dreamer.make(control("Pendulum-v1"), config)

    def train(key):
        start = algorithm.init(key)
        keys = jax.random.split(key, 3)
        state, metrics = jax.lax.scan(lambda now, key: algorithm.step(key, now), start, keys)
        return start.learner, state, metrics

    start, state, told = compiled(train)(KEY)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(told))
    for name in ("world", "policy", "value"):
        before, after = (getattr(x.weights, name) for x in (start, state.learner))
        moved = jax.tree.map(lambda x, y: bool(np.any(x != y)), before, after)
        assert all(jax.tree.leaves(moved)), (name, moved)
    np.testing.assert_array_equal(told.environment_steps, [25, 30, 35])
    actions = state.replay.rows.action[:35]
    assert np.abs(actions).max() <= 1, "a hyperbolic tangent has no greater ones"
    assert len(np.unique(actions)) > 25
