"""Markov models: what they are fitted to, and ensembles of them."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from dreamer_worlds import DISCRETE, spec_of

from rlsuite.algorithms.dreamer import Model
from rlsuite.algorithms.dreamer.dynamics import imagine
from rlsuite.algorithms.dreamer.markov import markov_world
from rlsuite.envs.control import Timestep

KEY = jax.random.key(0)


def test_a_markov_model_is_fitted_to_transitions_within_episodes():
    """Its loss is the explicit sum over pairs of rows that an action joins."""
    model = Model(kind="markov", layers=1, units=5, members=2, heads="normal", symlog=False)
    world = markov_world(spec_of(3, DISCRETE), model)
    params = jax.jit(world.init)(KEY)
    rng = np.random.default_rng(0)
    seen = rng.normal(size=(2, 4, 3)).astype(np.float32)
    before = rng.normal(size=(2, 3)).astype(np.float32)
    actions = np.eye(2, dtype=np.float32)[rng.integers(0, 2, size=(2, 4))]
    first = np.zeros((2, 4), bool)
    first[0, 2] = True
    no = np.zeros((2, 4), bool)
    rewards = rng.normal(size=(2, 4)).astype(np.float32)
    timesteps = Timestep(seen, rewards, first, no, no)
    found = jax.jit(world.infer)(params, KEY, before, actions, timesteps, None)
    only = markov_world(spec_of(3, DISCRETE), dataclasses.replace(model, members=1))
    guess, outcome = jax.jit(only.dynamics.transition), jax.jit(world.dynamics.outcome)
    members = [
        {**params, "step": jax.tree.map(lambda x, k=k: np.asarray(x)[k : k + 1], params["step"])}
        for k in range(2)
    ]
    transition, reward = [], []
    for i, t in np.argwhere(~first):
        state = before[i] if t == 0 else seen[i, t - 1]
        action, after = actions[i, t], seen[i, t]
        for alone in members:
            normal = jax.tree.map(np.asarray, guess(alone, KEY, state, action))
            z = (after - normal.loc) / normal.scale
            log_prob = -0.5 * z**2 - np.log(normal.scale) - 0.5 * np.log(2 * np.pi)
            transition.append(np.sum(log_prob))
        mean = outcome(params, state, action, after).reward.mean()
        reward.append((np.asarray(mean) - rewards[i, t]) ** 2)
    np.testing.assert_allclose(found.losses["transition"], -sum(transition) / 7, rtol=1e-4)
    np.testing.assert_allclose(found.losses["reward"], np.mean(reward), rtol=1e-4)
    np.testing.assert_array_equal(found.states, seen)


def test_an_ensemble_is_a_mixture():
    """Draws are of one member each; the mean is that of their means, whatever the key."""
    model = Model(kind="markov", layers=1, units=5, members=3, heads="normal", symlog=False)
    world = markov_world(spec_of(3, DISCRETE), model)
    params = jax.jit(world.init)(KEY)
    state, action = jnp.asarray([0.3, -1.0, 0.7]), jnp.asarray([0.0, 1.0])

    @jax.jit
    def look(params):
        said = world.dynamics.transition(params, KEY, state, action)
        draws = jax.vmap(said.sample)(jax.random.split(KEY, 20_000))
        return said.members, said.mean(), said.mode(), draws

    members, mean, mode, draws = jax.tree.map(np.asarray, look(params))
    assert np.ptp(members.loc, axis=0).min() > 1e-3
    np.testing.assert_allclose(mean, members.loc.mean(axis=0), rtol=1e-5)
    np.testing.assert_array_equal(mode, mean)
    variance = np.mean(members.scale**2, axis=0) + np.var(members.loc, axis=0)
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=float(4 * variance.max() / 141))
    np.testing.assert_allclose(draws.var(axis=0), variance, rtol=0.05)

    def still(key, features, mask):
        return jnp.broadcast_to(action, (*features.shape[:-1], 2))

    @functools.partial(jax.jit, static_argnames="noise")
    def ahead(key, noise):
        return imagine(world.dynamics, params, still, key, state, 4, noise=noise).states

    one, other = (ahead(jax.random.key(n), noise="none") for n in (1, 2))
    np.testing.assert_array_equal(one, other)
    one, other = (ahead(jax.random.key(n), noise="state") for n in (1, 2))
    assert np.abs(one - other).max() > 1e-3
