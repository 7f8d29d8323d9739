"""Dreamer as a whole: what belongs together stays together, and all of it learns."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dreamer_worlds import CONTINUOUS, SMALL, small, spec_of

from rlsuite.algorithms import dreamer
from rlsuite.algorithms.dreamer import Behaviour, Config, Model
from rlsuite.algorithms.dreamer import behaviour as behaviours
from rlsuite.algorithms.dreamer.agent import Row
from rlsuite.algorithms.dreamer.algorithm import learn
from rlsuite.algorithms.dreamer.markov import markov_world
from rlsuite.algorithms.dreamer.world import likely, rssm_world
from rlsuite.core import run
from rlsuite.envs import tabular as environments
from rlsuite.envs.control import Actions, Control, Spec, Timestep, control
from rlsuite.ops import tabular
from rlsuite.problems.episodes import corridor

KEY = jax.random.key(0)
CONFIG = small(num_environments=2, prefill=60, sequence_length=8)


@functools.cache
def cartpole():
    """(agent, state) after random acting in two environments."""
    problem = control("CartPole-v1", max_steps_in_episode=15)
    state = jax.jit(dreamer.make(problem, CONFIG).init)(KEY)
    return dreamer.agent(problem.spec, CONFIG), state


@functools.cache
def learned():
    """(learner, replay, what was told) after one update there, and its (rows, states)."""
    agent, state = cartpole()

    def step(key, learner, replay):
        between = []

        def update(key, learner, rows):
            found = agent.update(key, learner, rows)
            between.append((rows, found[1]))
            return found

        return learn(agent._replace(update=update), CONFIG, key, learner, replay), between[0]

    return jax.jit(step)(KEY, state.learner, state.replay)


def test_the_replay_pairs_states_actions_and_episodes():
    """Every stored state follows from the row before it, and forgets at an episode's start."""
    agent, state = cartpole()
    weights = state.learner.weights
    rows = jax.tree.map(lambda ring: np.asarray(ring)[:60], state.replay.rows)
    first, last = rows.timestep.is_first, rows.timestep.is_last
    np.testing.assert_array_equal(first[1:], last[:-1])
    assert first.sum() >= 6
    before = jax.tree.map(lambda x: x[:-1], (rows.state, rows.action))
    kept = 1.0 - first[1:, :, None]
    blanked = jax.tree.map(lambda x: x * kept, before)
    deter = jax.jit(
        lambda w, latent, action: agent.world.dynamics.transition(w, KEY, latent, action).deter
    )
    expected = deter(weights.world, *blanked)
    np.testing.assert_allclose(rows.state.deter[1:], expected, rtol=1e-4, atol=1e-5)
    off = deter(weights.world, *before)
    assert np.abs(np.asarray(off - expected))[first[1:]].max() > 1e-2


def test_a_sequence_is_inferred_from_the_state_and_action_before_it():
    agent, state = cartpole()
    rows, found = jax.tree.map(np.asarray, learned()[1])
    weights = state.learner.weights.world
    before, rest = (jax.tree.map(lambda x, s=s: x[:, s], rows) for s in (0, slice(1, None)))
    chain = jax.tree.map(
        lambda x, y: np.concatenate([x[:, None], y[:, :-1]], axis=1), before.state, found
    )
    kept = 1.0 - rest.timestep.is_first[..., None]
    chain, actions = jax.tree.map(lambda x: x * kept, (chain, rows.action[:, :-1]))
    expected = jax.jit(lambda w, s, a: agent.world.dynamics.transition(w, KEY, s, a).deter)(
        weights, chain, actions
    )
    np.testing.assert_allclose(found.deter, expected, rtol=1e-4, atol=1e-5)
    assert np.any(rest.timestep.is_first)
    categories = found.stoch.reshape(-1, SMALL.stoch, SMALL.classes)
    np.testing.assert_allclose(categories.sum(axis=-1), 1, atol=1e-6)


def test_an_update_writes_its_states_back_and_moves_the_slow_critic():
    state, (learner, replay, told) = jax.tree.map(np.asarray, (cartpole()[1], learned()[0]))
    changed = np.any(replay.rows.state.stoch != state.replay.rows.state.stoch, axis=-1)
    assert 0 < changed.sum() <= CONFIG.batch_size * CONFIG.sequence_length
    for old, new in zip(
        jax.tree.leaves(state.replay.rows._replace(state=None)),
        jax.tree.leaves(replay.rows._replace(state=None)),
        strict=True,
    ):
        np.testing.assert_array_equal(old, new)
    for slow, before, after in zip(
        *map(jax.tree.leaves, (learner.slow, state.learner.slow, learner.weights.value)),
        strict=True,
    ):
        np.testing.assert_allclose(slow, 0.98 * before + 0.02 * after, rtol=1e-5, atol=1e-7)
    assert np.isfinite(told.world_loss)


@pytest.mark.parametrize("gradient", ["dynamics", "reinforce", "mix"])
def test_each_loss_is_of_its_own_parameters(gradient):
    """The policy's must not teach the model to promise more, nor the critic to expect more."""
    model = Model(kind="markov", layers=1, units=5, heads="normal")
    config = small(model, Behaviour(horizon=3, policy_layers=1, gradient=gradient))
    spec = spec_of(3, CONTINUOUS)
    agent = dreamer.agent(spec, config, world=markov_world)
    learner = jax.jit(agent.init)(KEY)
    # Heads that begin at 0 would pass nothing on to anyone.
    of_weights = jax.tree.map(lambda x: x + 0.1 * jnp.ones_like(x), learner.weights)
    seen = jax.random.normal(KEY, (2, 4, 3))
    no, zero = jnp.zeros((2, 4), bool), jnp.zeros((2, 4))
    timesteps = Timestep(seen, zero, no, no, no)

    @jax.jit
    def slopes(weights, slow, states):
        def losses(policy, value, slow, world, states):
            found = behaviours.losses(
                policy,
                value,
                slow,
                world,
                learner.range,
                KEY,
                states,
                timesteps,
                dynamics=agent.world.dynamics,
                networks=agent.networks,
                actions=spec.actions,
                config=config,
            )
            return jnp.stack([found.policy, found.value])

        arguments = weights.policy, weights.value, slow, weights.world, states
        return jax.jacrev(losses, argnums=tuple(range(5)))(*arguments)

    found = slopes(of_weights, of_weights.value, seen)
    size = [
        [max(float(jnp.abs(leaf[row]).max()) for leaf in jax.tree.leaves(part)) for part in found]
        for row in range(2)
    ]
    policy, value = size
    assert policy[0] > 1e-6
    assert policy[1:] == [0, 0, 0, 0]
    assert value[1] > 1e-6
    assert (value[0], value[2], value[3]) == (0, 0, 0)


def test_without_a_key_the_most_probable_state_is_inferred():
    agent, state = cartpole()
    weights, seen = state.learner.weights, jax.tree.map(lambda x: x[0], state.actor.timestep)
    carry = (agent.world.initial, jnp.zeros(2))

    @jax.jit
    def infer():
        def one(key):
            return agent.act(weights, key, seen, carry)[1][0].stoch

        return one(None), jnp.mean(jax.vmap(one)(jax.random.split(KEY, 4000)), axis=0)

    likeliest, shares = map(np.asarray, infer())
    assert shares.max(axis=-1).min() < 0.9  # It is drawn, with a key.
    np.testing.assert_array_equal(likeliest.argmax(axis=-1), shares.argmax(axis=-1))


def test_a_part_of_which_nothing_seems_allowed_is_free():
    logits = jnp.asarray([[-1.0, -2.0, 1.0, -1.0, 2.0], [1.0, -1.0, -1.0, -1.0, -1.0]])
    found = likely(logits, (2, 3))
    wanted = [[True, True, True, False, True], [True, False, True, True, True]]
    np.testing.assert_array_equal(found, wanted)


def batch_of(spec, model, world, batch=4, time=6):
    """Rows that show one pattern, which a model can learn by heart."""
    rng = np.random.default_rng(0)

    def noise(leaf):
        shape = (batch, time, *leaf.shape)
        if leaf.dtype == jnp.uint8:
            return jnp.asarray(np.broadcast_to(rng.integers(0, 256, leaf.shape), shape), jnp.uint8)
        if leaf.dtype == jnp.bool_:
            return jnp.zeros(shape, bool)
        return jnp.asarray(np.broadcast_to(rng.integers(0, 2, leaf.shape), shape), jnp.float32)

    timesteps = jax.tree.map(noise, spec.timestep)
    if timesteps.mask is not None:
        mask = rng.uniform(size=timesteps.mask.shape) < 0.5
        mask[..., 0] = mask[..., -1] = True
        timesteps = timesteps._replace(mask=jnp.asarray(mask))
    state = jax.tree.map(
        lambda x: jnp.zeros((batch, time, *x.shape), x.dtype), world(spec, model).initial
    )
    action = jnp.asarray(rng.uniform(size=(batch, time, spec.actions.size)), jnp.float32)
    return Row(timesteps, action, state)


EVERYTHING = Spec(
    Timestep(
        {
            "vector": jax.ShapeDtypeStruct((3,), jnp.float32),
            "grid": jax.ShapeDtypeStruct((4, 4, 2), jnp.float32),
            "board": jax.ShapeDtypeStruct((3, 2), jnp.float32),
            "image": jax.ShapeDtypeStruct((16, 16, 3), jnp.uint8),
        },
        jax.ShapeDtypeStruct((), jnp.float32),
        *(jax.ShapeDtypeStruct((), jnp.bool_) for _ in range(3)),
        jax.ShapeDtypeStruct((5,), jnp.bool_),
    ),
    None,
    Actions(sizes=(2, 3)),
)
KINDS = {
    "everything at once": (EVERYTHING, small(model=dataclasses.replace(SMALL, deter=16))),
    "the first Dreamer": (
        spec_of(3, Actions(low=-1.0, high=1.0, shape=(2,))),
        small(
            model=dataclasses.replace(dreamer.v1().model, deter=8, hidden=8, units=8, stoch=4),
            behaviour=dataclasses.replace(dreamer.v1().behaviour, horizon=3, policy_layers=1),
        ),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_learns_a_batch_by_heart(kind):
    """Whatever there is to see and to do, every part of the loss goes down."""
    spec, config = KINDS[kind]
    agent = dreamer.agent(spec, config)
    rows = batch_of(spec, config.model, rssm_world)

    def step(learner, key):
        learner, _, told = agent.update(key, learner, rows)
        return learner, told

    @jax.jit
    def training():
        start = agent.init(KEY)
        learner, told = jax.lax.scan(step, start, jax.random.split(KEY, 150))
        return told, jax.tree.map(lambda a, b: jnp.any(a != b), start.weights, learner.weights)

    told, moved = training()
    for name in set(told.world) - {"dynamics", "representation"}:
        loss = np.asarray(told.world[name])
        assert loss[-10:].mean() < 0.8 * loss[:3].mean(), name
    assert all(jax.tree.leaves(moved))


def test_a_recurrent_model_learns_the_corridor():
    config = Config(
        learning_rate=1e-2, warmup=0, batch_size=4, sequence_length=4, num_environments=2,
        prefill=20, replay_size=1000, evaluation_episodes=4, evaluation_length=8,
        model=Model(deter=16, stoch=2, classes=4, blocks=2, hidden=16, units=16, layers=1),
        behaviour=Behaviour(horizon=4, policy_layers=1, discount=0.95, slow_rate=0.1),
    )  # fmt: skip
    result = run(dreamer.make, corridor(), config, KEY, 250, chunk_length=125, progress=False)
    np.testing.assert_allclose(result.evaluations.episode_return[-1], 0.7, atol=1e-5)
    assert result.metrics.environment_steps[-1] == 2 * (20 + 2 * 250)
    assert result.metrics.imagined_return[-50:].mean() > 0.4


@pytest.mark.usefixtures("long_running")
def test_a_policy_learns_in_the_true_environment():
    """Nothing is modelled; along the pendulum's own gradient, it is soon swung up."""
    config = Config(
        learning_rate=3e-3, warmup=0, batch_size=16, sequence_length=4, prefill=40,
        replay_size=2000, evaluation_length=200,
        model=Model(kind="environment", units=16),
        behaviour=Behaviour(gradient="dynamics", policy_layers=1, discount=0.95),
    )  # fmt: skip
    result = run(dreamer.make, control("Pendulum-v1"), config, KEY, 800, progress=False)
    assert result.evaluations.episode_return[-1] > -300


def ring():
    """Three states; the action that goes on pays 1; in state 1 it is not allowed."""
    mdp = tabular.MDP(
        tabular.Gather(jnp.asarray([[1, 0], [2, 1], [0, 2]])),
        jnp.asarray([[1.0, 0.0], [0.0, 0.2], [1.0, 0.0]]),
        jnp.full(3, 1 / 3),
        0.9,
        actions=jnp.asarray([[True, True], [False, True], [True, True]]),
    )
    return Control("ring", *environments.make(mdp, max_steps_in_episode=4))


def test_masks_are_kept_to_and_predicted():
    config = small(
        model=Model(kind="markov", layers=1, units=16, heads="normal"), prefill=40, updates=2
    )
    problem = ring()
    result = run(dreamer.make, problem, config, KEY, 120, chunk_length=60, progress=False)
    rows = jax.tree.map(lambda x: np.asarray(x)[: int(result.state.replay.written)],
                        result.state.replay.rows)  # fmt: skip
    allowed = np.sum(rows.action * rows.timestep.mask, axis=-1)
    np.testing.assert_array_equal(allowed, 1)
    world = markov_world(problem.spec, config.model)
    predicted = jax.jit(world.dynamics.mask)(result.state.learner.weights.world, jnp.eye(3))
    np.testing.assert_array_equal(predicted, problem.params.mdp.actions)


def test_act_carries_what_it_infers():
    """Stepping through ``act`` chooses what the agent's own functions choose."""
    problem = control("CartPole-v1")
    algorithm, (agent, state) = dreamer.make(problem, CONFIG), cartpole()
    weights = state.learner.weights
    seen = np.asarray([0.1, 0.2, -0.1, 0.3], np.float32)

    @jax.jit
    def both():
        first, carry = algorithm.act(None, state, seen, None)
        latent, last = carry
        _, (after, _) = algorithm.act(None, state, seen, carry)
        features = agent.world.dynamics.features(weights.world, latent)
        logits = agent.networks.policy.apply(weights.policy, features)
        following = agent.world.dynamics.transition(weights.world, KEY, latent, last)
        return first, last, logits, after.deter, following.deter

    action, last, logits, after, following = both()
    np.testing.assert_array_equal(action, last)
    np.testing.assert_array_equal(action, np.eye(2)[np.argmax(logits)])
    np.testing.assert_allclose(after, following, rtol=1e-5, atol=1e-6)


def test_what_is_refused():
    with pytest.raises(ValueError, match="'prefill' is 10; allowed: at least sequence_length"):
        Config(prefill=10)
    with pytest.raises(ValueError, match="'replay_size' is 100; allowed: at least 130"):
        Config(replay_size=100, num_environments=2)
    with pytest.raises(ValueError, match="'deter' is 20; allowed: a multiple of 'blocks', 8"):
        Model(deter=20)
    with pytest.raises(ValueError, match="size is '2m'; allowed: 1m, 12m"):
        dreamer.v3.__wrapped__("2m")
    with pytest.raises(ValueError, match=r"'markov' and observations have shapes"):
        markov_world(EVERYTHING, Model(kind="markov"))
    odd = EVERYTHING._replace(
        timestep=EVERYTHING.timestep._replace(observation=jnp.zeros((20, 16, 3), jnp.uint8))
    )
    with pytest.raises(ValueError, match=r"image has shape \(20, 16, 3\); allowed: sides"):
        rssm_world(odd, Model())
    assert CONFIG.train_ratio == 3 * 8 / (2 * 2)
