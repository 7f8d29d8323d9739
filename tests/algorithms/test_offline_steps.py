"""What BC, IQL and CQL share: batches and acting; and at what rate each of their parts moves."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from compiled import compiled

from rlsuite.algorithms import behaviour_cloning, cql, iql
from rlsuite.algorithms.offline import acting, evaluation, sample
from rlsuite.data.normalizers import Gaussian
from rlsuite.data.offline import offline
from rlsuite.data.transitions import draw
from rlsuite.envs import navigation_gymnax
from rlsuite.envs.control import Control
from rlsuite.envs.episodes import Episode, join
from rlsuite.nets import Network
from rlsuite.ops.distributions import DiagonalNormal, TanhNormal

KEY = jax.random.key(0)
SCALE = Gaussian(np.asarray([3.0, -1.0], np.float32), np.asarray([5.0, 0.5], np.float32))


def small():
    """Eleven steps of two numbers, whose actions tell them apart."""
    rng = np.random.default_rng(0)
    return join(
        [
            Episode(rng.normal(3, 5, size=(n + 1, 2)), rng.uniform(size=(n, 1)), np.arange(n), end)
            for n, end in ((4, True), (7, False))
        ]
    )


def test_batches_are_on_the_networks_scale_and_rewards_are_multiplied_then_shifted():
    problem = offline("small", small())
    batch = compiled(lambda key: sample(key, problem, SCALE, 50, reward_scale=2, reward_shift=-1))
    plain = compiled(lambda key: draw(key, problem.episodes, 50))
    found, wanted = batch(KEY), plain(KEY)
    mean, deviation = SCALE
    for name in ("observations", "next_observations"):
        scaled = (getattr(wanted, name) - mean) / deviation
        np.testing.assert_allclose(getattr(found, name), scaled, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.rewards, 2 * wanted.rewards - 1)
    np.testing.assert_array_equal(found.actions, wanted.actions)
    np.testing.assert_array_equal(found.terminals, wanted.terminals)


def test_actions_are_those_of_scaled_observations_within_their_bounds():
    """Without a key the likeliest, with one a draw."""
    policy = Network(None, lambda mix, seen: DiagonalNormal(seen @ mix, jnp.full(2, 0.2)))
    mix = np.asarray([[1.0, 0.3], [0.5, -1.0]], np.float32)
    params = behaviour_cloning.Params(mix)
    state = behaviour_cloning.State(params, (), SCALE)

    def act(key, seen):
        return acting(policy)(key, state, seen, None)[0]

    likely = compiled(act)
    seen = np.asarray([5.0, -1.2], np.float32)
    likeliest = ((seen - SCALE.mean) / SCALE.deviation) @ mix
    assert np.abs(likeliest).max() < 1
    np.testing.assert_allclose(likely(None, seen), likeliest, rtol=1e-5)
    draws = compiled(jax.vmap(act, (0, None)))(jax.random.split(KEY, 2000), seen)
    np.testing.assert_allclose(draws.mean(axis=0), likeliest, atol=0.03)
    np.testing.assert_allclose(draws.std(axis=0), 0.2, atol=0.02)
    far = np.asarray([53.0, -1.0], np.float32)
    np.testing.assert_array_equal(likely(None, far), [1.0, 1.0])


def test_an_evaluation_acts_without_chance():
    """Two steps of half a unit of speed, straight away from the goal."""
    control = Control("point", *navigation_gymnax.make(jnp.asarray([0.4, 0.0])))
    walk = Episode(np.zeros((3, 2)), np.zeros((2, 2)), np.zeros(2))
    problem = offline("point", join([walk]), control, random_return=-2.0, expert_return=0.0)

    def act(key, state, observation, carry):
        return jnp.asarray([-0.5 if key is None else 1.0, 0.0]), carry

    found = evaluation(problem, act, 3, 2)(KEY, None)
    earned = -(0.45**2) - 0.5**2
    np.testing.assert_allclose(found.episode_return, earned, rtol=1e-5)
    np.testing.assert_allclose(found.score, 100 * (earned + 2) / 2, rtol=1e-5)


@pytest.mark.parametrize("algorithm", [behaviour_cloning, iql])
def test_a_policy_is_of_the_kind_that_the_config_names(algorithm):
    """A deterministic one has no deviation, and draws what is likeliest."""
    problem, seen = offline("small", small()), np.zeros(2, np.float32)
    for kind, drawn in (("deterministic", False), ("gaussian", True)):
        made = algorithm.make(problem, algorithm.Config(policy=kind, hidden_sizes=(4,)))

        @compiled
        def actions(key, seen, made=made):
            state = made.init(key)
            return [made.act(given, state, seen, None)[0] for given in (None, key)]

        likeliest, other = actions(KEY, seen)
        assert (np.abs(likeliest - other) > 1e-3).any() == drawn


def steady(rate):
    """An optimiser that goes down by its learning rate, whatever the gradient is."""
    same = optax.stateless(lambda updates, _: jax.tree.map(jnp.ones_like, updates))
    return optax.chain(same, optax.sgd(rate))


SCALAR = Network(
    lambda key, inputs: jnp.full(2, 5.0),
    lambda params, inputs: jnp.add.outer(params, 0 * inputs[0][..., 0]),
)


def states_after(make, steps):
    """What training leaves after each of its first steps."""

    @compiled
    def train(key):
        def step(state, key):
            state, _ = make.step(key, state)
            return state, (state.params, state.target)

        return jax.lax.scan(step, make.init(key), jax.random.split(key, steps))[1]

    return train(KEY)


def test_the_policys_rate_of_iql_alone_falls_like_a_cosine():
    networks = iql.Networks(
        Network(lambda key, seen: jnp.zeros(1), lambda p, x: DiagonalNormal(p + 0 * x[:, :1], 1)),
        SCALAR,
        Network(lambda key, seen: jnp.zeros(()), lambda params, seen: params + 0 * seen[:, 0]),
    )
    config = iql.Config(learning_rate=0.1, annealing_steps=4, target_rate=0.25)
    made = iql.make(offline("small", small()), config, networks=networks, optimizer=steady)
    params, target = states_after(made, 6)
    rates = 0.1 * np.asarray([1, 0.5 + np.sqrt(0.125), 0.5, 0.5 - np.sqrt(0.125), 0, 0])
    np.testing.assert_allclose(params.policy[:, 0], -np.cumsum(rates), rtol=1e-5)
    np.testing.assert_allclose(params.value, -0.1 * np.arange(1, 7), rtol=1e-5)
    critic = 5 - 0.1 * np.arange(1, 7)
    np.testing.assert_allclose(params.critic, np.stack([critic, critic], axis=1), rtol=1e-5)
    slow = [5.0]
    for fast in critic:
        slow.append(0.75 * slow[-1] + 0.25 * fast)
    np.testing.assert_allclose(target[:, 0], slow[1:], rtol=1e-5)
    kept = iql.make(
        offline("small", small()),
        iql.Config(learning_rate=0.1, annealing_steps=None),
        networks=networks,
        optimizer=steady,
    )
    np.testing.assert_allclose(states_after(kept, 6)[0].policy, params.value[:, None], rtol=1e-5)


def test_each_part_of_cql_moves_at_its_own_rate():
    policy = Network(
        lambda key, seen: jnp.zeros(1),
        lambda loc, seen: TanhNormal(loc + 0 * seen[:, :1], jnp.ones((len(seen), 1))),
    )
    config = cql.Config(
        learning_rate=0.1, policy_learning_rate=0.01, target_rate=0.25, lagrange=True
    )
    networks = cql.Networks(policy, SCALAR)
    made = cql.make(offline("small", small()), config, networks=networks, optimizer=steady)
    params, target = states_after(made, 2)
    for part, rate in (("policy", 0.01), ("log_temperature", 0.01), ("log_multiplier", 0.1)):
        moved = np.ravel(getattr(params, part))
        np.testing.assert_allclose(moved, [-rate, -2 * rate], rtol=1e-5)
    np.testing.assert_allclose(params.critic[:, 0], [4.9, 4.8], rtol=1e-5)
    first = 0.75 * 5 + 0.25 * 4.9
    np.testing.assert_allclose(target[:, 0], [first, 0.75 * first + 0.25 * 4.8], rtol=1e-5)


def one_step(algorithm, networks, **changes):
    """The critics, at first zero, after one step of rate 1 on one transition that ends for good."""
    episode = Episode(np.zeros((2, 2)), np.zeros((1, 1)), np.asarray([3.0]), terminal=True)
    config = algorithm.Config(reward_scale=2.0, reward_shift=-0.5, learning_rate=1.0, **changes)
    made = algorithm.make(
        offline("one", join([episode])), config, networks=networks, optimizer=optax.sgd
    )
    return states_after(made, 1)[0].critic[0]


NOUGHT = SCALAR._replace(init=lambda key, inputs: jnp.zeros(2))


def test_what_is_earned_is_scaled_as_the_config_says():
    """Half the squared error of each critic: a step of rate 1 is the whole way, to 2·3 − ½."""
    normal = Network(
        lambda key, seen: jnp.zeros(1), lambda p, x: DiagonalNormal(p + 0 * x[:, :1], 1)
    )
    value = Network(lambda key, seen: jnp.zeros(()), lambda params, seen: params + 0 * seen[:, 0])
    found = one_step(iql, iql.Networks(normal, NOUGHT, value))
    np.testing.assert_allclose(found, [5.5, 5.5], rtol=1e-6)
    tanh = Network(
        lambda key, seen: jnp.zeros(1),
        lambda loc, seen: TanhNormal(loc + 0 * seen[:, :1], jnp.ones((len(seen), 1))),
    )
    found = one_step(cql, cql.Networks(tanh, NOUGHT), penalty_weight=0.0, num_actions=1)
    np.testing.assert_allclose(found, [5.5, 5.5], rtol=1e-6)
