"""What Dreamer is told is done: each setting changes what it says it changes, and by how much."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import compiled
from dreamer_worlds import CONTINUOUS, DISCRETE, small, spec_of

from rlsuite.algorithms import dreamer
from rlsuite.algorithms.dreamer import Behaviour, Dynamics, Model, Outcome, behaviour, imagine
from rlsuite.algorithms.dreamer.agent import Agent, Learner, Row, Update
from rlsuite.algorithms.dreamer.algorithm import learn
from rlsuite.algorithms.dreamer.behaviour import Heads, Range
from rlsuite.algorithms.dreamer.markov import markov_world
from rlsuite.data import replay as replays
from rlsuite.envs.control import Timestep
from rlsuite.nets import Network
from rlsuite.ops.distributions import Bernoulli, Deterministic

KEY = jax.random.key(0)
MARKOV = Model(kind="markov", layers=1, units=5, heads="normal")


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


exact = pytest.mark.usefixtures("x64")

# A world without noise of its own, a linear critic, and a linear policy.
RNG = np.random.default_rng(0)
TURN, PUSH = RNG.normal(size=(2, 2)), np.asarray([[0.7, -0.5]])
POLICY, VALUE, SLOW = (RNG.normal(size=(2, size)) for size in (2, 1, 1))
STATES, REWARDS = RNG.normal(size=(2, 3, 2)), RNG.normal(size=(2, 3))
# One episode is cut off at its second time step, the other one ends at its third.
FIRST = np.asarray([[True, False, True], [True, False, False]])
LAST = np.asarray([[False, True, False], [False, False, True]])
ENDS = np.asarray([[False, False, False], [False, False, True]])
BASE = Behaviour(
    gradient="dynamics", discount=0.9, lambda_=0.8, horizon=4, entropy=0.0,
    normalize_returns=False, slow_scale=0.0, replay_value_scale=0.0,
)  # fmt: skip
SURE = {"min_std": 1e-12, "max_std": 1e-12}


def outcome(params, state, action, after):
    reward = 2 * after[..., 0] - 0.3 * action[..., 0] ** 2
    return Outcome(Deterministic(reward), Deterministic(jax.nn.sigmoid(after[..., 1] + 1)))


WORLD = Dynamics(
    lambda params, key, s, a: Deterministic(jnp.tanh(s @ TURN + a @ PUSH)), outcome, lambda _, s: s
)


@compiled
def judged(settings, past):
    """The losses, the policy's slope, and that of the critic's loss in the replayed states."""
    linear = Network(None, lambda weights, x: x @ weights)

    def found(policy, states):
        return behaviour.losses(
            policy, VALUE, SLOW, None, past, KEY, states,
            Timestep(states, *map(jnp.asarray, (REWARDS, FIRST, LAST, ENDS))), dynamics=WORLD,
            networks=Heads(linear, linear), actions=CONTINUOUS,
            config=small(Model(heads="normal"), settings),
        )  # fmt: skip

    policy, states = jnp.asarray(POLICY), jnp.asarray(STATES)
    of_policy = jax.grad(lambda x: found(x, states).policy)(policy)
    of_states = jax.grad(lambda x: found(policy, x).value)(states)
    return found(policy, states), of_policy, of_states


def judge(past=(0.0, 0.0), **changes):
    return judged(dataclasses.replace(BASE, **changes), Range(*map(np.asarray, past)))


@compiled
def rolled(policies):
    """What several policies imagine, with the same noise as in ``judged``."""

    def one(policy):
        def act(key, x, mask):
            return behaviour.distribution(x @ policy, mask, CONTINUOUS, BASE).sample(key)

        starts = jnp.asarray(STATES).reshape(6, 2)
        return imagine(WORLD, None, act, jax.random.split(KEY)[1], starts, BASE.horizon)

    return jax.vmap(one)(policies)


def returns(seen, value):
    """λ-returns by hand."""
    worth = (seen.features @ value)[..., 0]
    found, following = np.zeros((4, 6)), worth[4]
    for t in reversed(range(4)):
        ahead = following if t == 3 else 0.2 * worth[t + 1] + 0.8 * following
        following = found[t] = seen.rewards[t] + 0.9 * seen.continuations[t] * ahead
    return found


def weights(seen):
    """How much every step counts, by hand; what was dreamt from the end does not."""
    found = np.ones((4, 6)) * ~ENDS.reshape(6)
    for t in range(3):
        found[t + 1] = found[t] * 0.9 * seen.continuations[t]
    return found


def imagined():
    return jax.tree.map(lambda x: x[0], rolled(POLICY[None]))


@exact
def test_dynamics_gradients_are_finite_differences():
    """Along the model and through the values that returns bootstrap from; weights are fixed."""
    steps = 1e-6 * np.eye(4).reshape(4, 2, 2)
    found = rolled(np.concatenate([POLICY + steps, POLICY - steps]))
    weight = weights(imagined())
    worth = [
        np.mean(weight * returns(jax.tree.map(lambda x, i=i: x[i], found), VALUE)) for i in range(8)
    ]
    slope = (np.asarray(worth[:4]) - np.asarray(worth[4:])) / 2e-6
    told, of_policy, _ = judge()
    np.testing.assert_allclose(told.policy, -np.mean(worth), rtol=1e-7)
    np.testing.assert_allclose(of_policy.ravel(), -slope, rtol=1e-6, atol=1e-8)
    assert np.abs(slope).min() > 1e-3


@exact
def test_a_mixture_has_the_mixture_of_both_gradients():
    settings = {"entropy": 0.05, "normalize_returns": True, "range_floor": 0.3}
    slopes = {
        kind: judge(gradient=kind, mix=0.3, **settings)[1]
        for kind in ("dynamics", "reinforce", "mix")
    }
    wanted = 0.3 * slopes["reinforce"] + 0.7 * slopes["dynamics"]
    np.testing.assert_allclose(slopes["mix"], wanted, rtol=1e-9)
    assert np.abs(slopes["reinforce"] - slopes["dynamics"]).min() > 1e-3


@exact
@pytest.mark.parametrize("slow", [False, True])
def test_returns_bootstrap_from_the_critic_that_is_named(slow):
    seen = imagined()
    worth = np.mean(weights(seen) * returns(seen, SLOW if slow else VALUE))
    np.testing.assert_allclose(judge(slow_target=slow)[0].policy, -worth, rtol=1e-9)


@exact
def test_the_range_of_returns_moves_slowly_and_divides_them():
    seen = imagined()
    found = returns(seen, VALUE)
    low, high = np.percentile(found, [5, 95])
    low, high = -1 + 0.01 * (low + 1), 2 + 0.01 * (high - 2)
    told = judge((-1.0, 2.0), normalize_returns=True, range_rate=0.01, range_floor=0.1)[0]
    np.testing.assert_allclose(told.range, [low, high], rtol=1e-9)
    wanted = -np.mean(weights(seen) * found) / (high - low)
    np.testing.assert_allclose(told.policy, wanted, rtol=1e-9)


@exact
def test_a_reach_is_a_shorter_horizon():
    """To all losses; the actions are sure, so that both dream the same."""
    near, far, all_of_it = (
        judge(horizon=h, reach=reach, entropy=0.05, slow_scale=1.0, **SURE)
        for h, reach in ((3, None), (5, 3.0), (5, None))
    )
    for loss in "policy", "value":
        of_near, of_far, of_all = (getattr(told[0], loss) for told in (near, far, all_of_it))
        np.testing.assert_allclose(of_far, of_near, rtol=1e-9)
        assert abs(of_all - of_near) > 1e-3
    np.testing.assert_allclose(far[1], near[1], rtol=1e-8)


@exact
def test_the_model_learns_from_replayed_values():
    """The slope of Σ (v − g)² + ½ (v − v_slow)² in the states that the critic has judged."""
    bootstraps = returns(imagined(), VALUE)[0].reshape(2, 3)
    target = np.zeros((2, 2))
    for i in range(2):
        for t in (1, 0):
            after = bootstraps[i, t + 1] * ~ENDS[i, t + 1]
            if t == 0 and not LAST[i, 1]:
                after = 0.2 * after + 0.8 * target[i, 1]
            target[i, t] = REWARDS[i, t + 1] + 0.9 * after
    values, slow = ((STATES[:, :2] @ x)[..., 0] for x in (VALUE, SLOW))
    error = ~LAST[:, :2] * 2 * (values - target + 0.5 * (values - slow)) / 4
    wanted = np.zeros((2, 3, 2))
    wanted[:, :2] = 0.3 * error[..., None] * VALUE[:, 0]
    of_states = judge(replay_value_scale=0.3, slow_scale=0.5)[2]
    np.testing.assert_allclose(of_states, wanted, rtol=1e-9, atol=1e-12)
    assert np.all(judge()[2] == 0)


@exact
def test_dreams_from_all_states_in_any_order_are_the_same():
    """With sure actions: so each return is put where its start stands in the replay."""
    straight, shuffled = (
        judge(starts=count, replay_value_scale=1.0, slow_scale=1.0, **SURE) for count in (0, 6)
    )
    for name in "policy", "value", "imagined_return":
        values = [getattr(told[0], name) for told in (straight, shuffled)]
        np.testing.assert_allclose(*values, rtol=1e-9)
    np.testing.assert_allclose(straight[2], shuffled[2], rtol=1e-8, atol=1e-12)


def test_some_states_are_dreamt_from_and_only_their_returns_are_put():
    states = {"number": jnp.arange(20.0).reshape(4, 5, 1)}
    terminal = np.random.default_rng(3).uniform(size=(4, 5)) < 0.4
    values = np.random.default_rng(4).normal(size=(4, 5)).astype(np.float32)

    @compiled
    def found(key):
        starts = behaviour.starts_of(key, states, jnp.asarray(terminal), 8)
        return starts, starts.put(100 + starts.states["number"][:, 0], jnp.asarray(values))

    orders = set()
    for n in range(3):
        starts, put = found(jax.random.key(n))
        chosen = starts.chosen
        assert len(set(chosen.tolist())) == 8
        np.testing.assert_array_equal(starts.states["number"][:, 0], chosen)
        np.testing.assert_array_equal(starts.is_terminal, terminal.reshape(-1)[chosen])
        number = np.arange(20.0).reshape(4, 5)
        wanted = np.where(np.isin(number, chosen), 100 + number, values)
        np.testing.assert_array_equal(put, wanted.astype(np.float32))
        orders.add(tuple(chosen.tolist()))
    assert len(orders) == 3


def test_rates_warm_up_and_clipping_are_those_told():
    """The first step of LaProp is the rate, whatever the slope; what it remembers was clipped."""
    config = small(
        MARKOV, learning_rate=0.1, policy_learning_rate=0.2, value_learning_rate=0.4, warmup=10,
        clipping=1e-4,
    )  # fmt: skip
    agent = dreamer.agent(spec_of(3, DISCRETE), config, world=markov_world)
    rng = np.random.default_rng(7)
    seen, rewards = rng.normal(size=(3, 5, 3)), rng.normal(size=(3, 5))
    actions, no = np.eye(2)[rng.integers(0, 2, size=(3, 5))], np.zeros((3, 5), bool)
    rows = Row(Timestep(seen, rewards, no, no, no), actions, seen)

    @compiled
    def found(rows):
        learner = agent.init(KEY)
        return learner, agent.update(KEY, learner, rows)[0]

    rows = jax.tree.map(lambda x: x if x.dtype == bool else x.astype(np.float32), rows)
    before, after = found(rows)
    for name, rate in {"world": 0.01, "policy": 0.02, "value": 0.04}.items():
        old, new = (jax.tree.leaves(getattr(x.weights, name)) for x in (before, after))
        moved = np.concatenate([np.abs(y - x).ravel() for x, y in zip(old, new, strict=True)])
        np.testing.assert_allclose(moved[moved > 0], rate, rtol=1e-3)
        assert np.mean(moved > 0) > 0.5
        _, laprop, _ = getattr(after.optimizer, name)
        # After one update, the mean square is 0.001 g².
        norms = [np.sqrt(1000 * np.sum(x.astype(float))) for x in jax.tree.leaves(laprop.square)]
        most = [1e-4 * max(1e-3, np.linalg.norm(x)) for x in old]
        assert np.all(norms < 1.001 * np.asarray(most))
        assert np.max(norms / np.asarray(most)) > 0.999


@pytest.mark.parametrize("online", [False, True])
def test_fresh_sequences_come_first_if_so_told(online):
    """Of eleven rows, five sequences of three are complete; each begins with the last one's end."""
    config = small(online=online, batch_size=2, sequence_length=2)
    no, one = np.zeros((), bool), np.zeros((), np.float32)
    row = Row(Timestep(one, one, no, no, no), one[None], one[None])

    def update(key, learner, rows):
        told = Update(rows.timestep.reward[0], None, {})
        return learner, rows.state[:, 1:], told

    agent = Agent(None, None, DISCRETE, None, update, None, None)

    @compiled
    def found(keys):
        replay = replays.create(row, 20, 1)
        for n in range(11):
            one = jax.tree.map(lambda x: jnp.asarray(x)[None], row)
            seen = one.timestep._replace(reward=jnp.full(1, 1.0 * n))
            replay = replays.add(replay, one._replace(timestep=seen))
        firsts = []
        for key in keys:
            _, replay, told = learn(agent, config, key, Learner(*4 * [None]), replay)
            firsts.append(told.world_loss)
        return jnp.stack(firsts), replay.online

    firsts, handed_out = found(jax.random.split(KEY, 5))
    in_order = [[n, n + 1, n + 2] for n in (0, 2, 4, 6, 8)]
    assert (firsts.tolist() == in_order) == online
    assert handed_out.tolist() == [10 if online else 0]


def test_standard_deviations_stay_within_their_bounds():
    settings = Behaviour(min_std=0.2, max_std=0.7)
    outputs = np.asarray([[0.3, -50.0], [0.3, 50.0], [0.3, -2.0]], np.float32)

    @compiled
    def scales(outputs, settings):
        return behaviour.distribution(outputs, None, CONTINUOUS, settings).scale[:, 0]

    np.testing.assert_allclose(scales(outputs, settings), [0.2, 0.7, 0.45], rtol=1e-5)
    squashed = scales(outputs, dataclasses.replace(settings, policy="tanh"))
    np.testing.assert_allclose(squashed[0], 0.2, rtol=1e-5)
    assert squashed[1] > 50


@pytest.mark.parametrize("noise", ["all", "state"])
def test_rewards_are_drawn_only_if_so_told(noise):
    def coin(params, state, action, after):
        return Outcome(Bernoulli(state + jnp.log(0.25)), Deterministic(1 + 0 * state))

    dynamics = Dynamics(
        lambda params, key, s, a: Deterministic(s), coin, lambda _, state: state[..., None]
    )
    rewards = compiled(
        lambda x: imagine(dynamics, None, lambda *_: x[:, None], KEY, x, 4, noise=noise).rewards
    )(np.zeros(1000, np.float32))
    if noise == "state":
        np.testing.assert_allclose(rewards, 0.2, rtol=1e-5)
    else:
        assert set(rewards.ravel().tolist()) == {0, 1}
        assert abs(rewards.mean() - 0.2) < 4 * 0.4 / np.sqrt(4000)


@pytest.mark.parametrize("actions", [DISCRETE, CONTINUOUS], ids=["discrete", "continuous"])
def test_the_first_policy_prefers_nothing(actions):
    """Its outputs are near 0, but not equal."""
    policy = behaviour.heads(actions, small()).policy
    seen = np.random.default_rng(8).normal(size=(200, 6)).astype(np.float32)
    outputs = compiled(lambda x: policy.apply(policy.init(KEY, x[0]), x))(seen)
    assert 1e-4 < np.abs(outputs).max() < 0.05
