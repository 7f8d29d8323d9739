"""MaxEnt IRL: gradients against visits, learning against known optima, the forms of its input."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rlsuite.algorithms import maxent_irl as irl
from rlsuite.core import run
from rlsuite.data.experts import demonstrate, rollout
from rlsuite.data.trajectories import Trajectories
from rlsuite.envs.gridworld import Layout, gridworld
from rlsuite.envs.random_mdp import random_mdp
from rlsuite.nets import Network, from_nnx
from rlsuite.ops import tabular

KEY = jax.random.key(0)


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


def random_world(*, num_states=8, num_actions=3, discount=0.8):
    mdp = random_mdp(0, num_states=num_states, num_actions=num_actions, discount=discount)
    return mdp.replace(reward=mdp.reward[:, 0])


def corridor_world(slip=0.2):
    """A gridworld with walls, slip and a terminal goal."""
    return gridworld(Layout.parse("...#\n.#.G\n...."), slip=slip, step_reward=-0.1)


def one_hot(size):
    """Features that tell every state."""
    return jnp.asarray(np.eye(size))


def random_reward(*shape):
    return 0.3 * np.random.default_rng(0).normal(size=shape)


def sampled(mdp, *, number=20, length=15, horizon=None):
    walks = demonstrate(KEY, mdp, number, length, temperature=0.7)
    return irl.from_trajectories(mdp, walks, horizon=horizon)


CONFIGS = {
    "infinite": irl.Config(tolerance=1e-13, temperature=0.7),
    "newton": irl.Config(tolerance=1e-13, temperature=0.7, solver="newton"),
    "finite": irl.Config(horizon=6, temperature=0.7),
}


@jax.jit
def loss_and_gradient(reward, mdp, demonstrations, config):
    return jax.value_and_grad(irl.loss_of_reward)(reward, mdp, demonstrations, config)


@jax.jit
def expectations(transition, values):
    return jax.vmap(transition.expect, out_axes=-1)(values)


def dense(mdp):
    """P(s'|s,a) as a NumPy array ``[state, action, state]``."""
    return np.asarray(expectations(mdp.transition, np.eye(mdp.num_states)))


def soft_policy(mdp, reward, config):
    """The logarithm of π by plain sweeps, over time on a finite horizon."""
    moves, discount, temperature = dense(mdp), float(mdp.discount), config.temperature
    ended = np.zeros(mdp.num_states, bool) if mdp.terminal is None else np.asarray(mdp.terminal)
    final = np.where(ended, reward, 0) if reward.ndim == 1 else np.zeros(mdp.num_states)
    values, policies = np.zeros(mdp.num_states), []
    for _ in range(config.horizon or 400):
        q = reward.reshape(mdp.num_states, -1) + discount * moves @ values
        soft = temperature * np.log(np.exp(q / temperature).sum(axis=1))
        values = np.where(ended, final, soft)
        policies.append((q - soft[:, None]) / temperature)
    return np.stack(policies[::-1]) if config.horizon else policies[-1]


def visits_from_implied_start(mdp, demonstrations, log_policy):
    """The visits of a policy from the start that demonstrations imply, by plain linear algebra."""
    live = np.ones(mdp.num_states) if mdp.terminal is None else ~np.asarray(mdp.terminal)
    policy = np.exp(np.asarray(log_policy)) * live[:, None]
    moves, discount = dense(mdp), float(mdp.discount)
    states, state_actions = map(np.asarray, demonstrations[:2])

    def ahead(flow):
        return discount * np.einsum("sa,sat->t", flow, moves)

    if states.ndim == 1:
        start = states - ahead(state_actions)
        step = discount * np.einsum("sa,sat->ts", policy, moves)
        visited = np.linalg.solve(np.eye(mdp.num_states) - step, start)
        return visited, visited[:, None] * policy
    totals, flow, expert_flow = [], 0 * state_actions[0], 0 * state_actions[0]
    for t in range(len(states)):
        visited = ahead(flow) + states[t] - ahead(expert_flow)
        flow, expert_flow = visited[:, None] * policy[t], state_actions[t]
        totals.append((visited, flow))
    return tuple(np.sum(part, axis=0) for part in zip(*totals, strict=True))


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("world", [random_world, corridor_world])
def test_gradient_is_the_difference_in_visits(x64, name, world):
    config, mdp = CONFIGS[name], world()
    demonstrations = sampled(mdp, horizon=config.horizon)
    for shape in ((mdp.num_states,), (mdp.num_states, mdp.num_actions)):
        reward = random_reward(*shape)
        _, gradient = loss_and_gradient(reward, mdp, demonstrations, config)
        policy = soft_policy(mdp, reward, config)
        ours = visits_from_implied_start(mdp, demonstrations, policy)[len(shape) - 1]
        theirs = demonstrations.total()[len(shape) - 1]
        np.testing.assert_allclose(config.temperature * gradient, ours - theirs, atol=1e-10)


@pytest.mark.parametrize("name", CONFIGS)
def test_gradient_against_finite_differences(x64, name):
    config, mdp = CONFIGS[name], corridor_world()
    demonstrations = sampled(mdp, horizon=config.horizon)
    reward = random_reward(mdp.num_states)
    direction = np.random.default_rng(1).normal(size=reward.shape)

    def along(step):
        return loss_and_gradient(reward + step * direction, mdp, demonstrations, config)

    def central(step):
        return (along(step)[0] - along(-step)[0]) / (2 * step)

    extrapolated = (4 * central(5e-4) - central(1e-3)) / 3
    np.testing.assert_allclose(along(0.0)[1] @ direction, extrapolated, atol=1e-8)


@pytest.mark.parametrize("name", CONFIGS)
def test_objectives_agree_on_exact_visits(x64, name):
    config, mdp = CONFIGS[name], corridor_world()
    expert = irl.from_expert(mdp, temperature=0.7, horizon=config.horizon)
    visitation = dataclasses.replace(config, objective="visitation")
    for at in (random_reward(mdp.num_states), mdp.reward):
        one, other = (loss_and_gradient(at, mdp, expert, c) for c in (config, visitation))
        np.testing.assert_allclose(one[0], other[0], atol=1e-9)
        np.testing.assert_allclose(one[1], other[1], atol=1e-9)
    np.testing.assert_allclose(one[1], 0, atol=1e-9)


def test_likelihood_is_that_of_the_demonstrated_actions(x64):
    config, mdp = CONFIGS["finite"], random_world(discount=0.9)
    walks = demonstrate(KEY, mdp, 20, 15, temperature=0.7)
    demonstrations = irl.from_trajectories(mdp, walks, horizon=6)
    policy = np.asarray(irl.solve(mdp, config).log_policy)
    states, actions = np.asarray(walks.states), np.asarray(walks.actions)
    by_hand = sum(-(0.9**t) * policy[t, states[:, t], actions[:, t]].sum() for t in range(6))
    loss, _ = loss_and_gradient(mdp.reward, mdp, demonstrations, config)
    np.testing.assert_allclose(loss, by_hand / 20, rtol=1e-12)


def test_trajectory_entropy_follows_the_paper(x64):
    """On deterministic dynamics nothing changes; else visits are those of algorithm 1."""
    causal = irl.Config(tolerance=1e-13, objective="visitation")
    trajectory = irl.Config(tolerance=1e-13, objective="visitation", entropy="trajectory")
    steady, slippery = corridor_world(slip=0.0), corridor_world(slip=0.3)
    for mdp in (steady, slippery):
        demonstrations = sampled(mdp)
        gradients = [
            loss_and_gradient(mdp.reward, mdp, demonstrations, config)[1]
            for config in (causal, trajectory)
        ]
        policy = irl.solve(mdp, trajectory).log_policy
        expected = tabular.visitation(mdp, policy).states - demonstrations.states
        np.testing.assert_allclose(gradients[1], expected, atol=1e-10)
        gap = np.max(np.abs(gradients[0] - gradients[1]))
        assert gap < 1e-10 if mdp is steady else gap > 1e-2


def learn(problem, config, num_steps):
    """The evaluation after training."""
    result = run(irl.make, problem, config, KEY, num_steps, progress=False)
    return jax.tree.map(lambda x: float(x[-1]), result.evaluations)


@functools.cache
def without_evaluation(**callables):
    """A ``make``; the same one for the same callables, so that its programs are found again."""

    def make(problem, config):
        return irl.make(problem, config, **callables)._replace(evaluate=None)

    return make


def train(problem, config, num_steps, **callables):
    """The state and the losses of training, without an evaluation."""
    make = without_evaluation(**callables)
    result = run(make, problem, config, KEY, num_steps, progress=False)
    return result.state, result.metrics.loss


@pytest.mark.parametrize("kind", ["state", "state-action", "finite"])
def test_recovers_an_identifiable_problem(kind):
    mdp = random_mdp(1, num_states=12, num_actions=3, discount=0.9)
    features = one_hot(12)
    if kind == "state-action":
        features = one_hot(36).reshape(12, 3, 36)
    else:  # as a table too: one program finds all experts
        mdp = mdp.replace(reward=jnp.broadcast_to(mdp.reward[:, :1], (12, 3)))
    horizon = 8 if kind == "finite" else None
    expert = irl.from_expert(mdp, temperature=1.0, horizon=horizon)
    problem = irl.build_problem(mdp, features, expert)
    config = irl.Config(learning_rate=0.1, horizon=horizon, tolerance=1e-6)
    evaluation = learn(problem, config, 600)
    assert evaluation.visitation_error < 1e-3
    assert evaluation.policy_kl < 1e-4


def test_deep_reward_recovers_a_maze():
    layout = Layout.parse(".....\n.###.\n.#G..\n.###.\n.....")
    mdp = gridworld(layout)
    walks = demonstrate(KEY, mdp, 50, 20)
    problem = irl.build_problem(mdp, one_hot(25), irl.from_trajectories(mdp, walks))
    config = irl.Config(learning_rate=3e-3, hidden_sizes=(32, 32))
    evaluation = learn(problem, config, 300)
    assert evaluation.expected_value_difference < 1e-3
    assert evaluation.policy_kl < 0.02


def test_every_form_of_reward_network_learns_the_same():
    mdp = random_world()
    problem = irl.build_problem(mdp, one_hot(8), irl.from_expert(mdp, temperature=1.0))
    by_hand = Network(lambda key, x: {"w": jnp.zeros(x.shape[-1])}, lambda p, x: x @ p["w"])

    def build(rngs):
        from flax import nnx

        return nnx.Linear(8, 1, use_bias=False, kernel_init=nnx.initializers.zeros, rngs=rngs)

    columns = from_nnx(build)
    squeezed = Network(columns.init, lambda params, x: columns.apply(params, x)[:, 0])
    config = irl.Config(learning_rate=0.1)
    losses = [
        train(problem, config, 50, **callables)[1]
        for callables in ({}, {"reward": by_hand}, {"reward": squeezed})
    ]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-6)
    np.testing.assert_allclose(losses[2], losses[0], rtol=1e-5)


def test_own_optimizer_takes_its_own_step():
    mdp = random_world()
    problem = irl.build_problem(mdp, one_hot(8), irl.from_expert(mdp, temperature=1.0))
    config = irl.Config(learning_rate=0.05)
    state, _ = train(problem, config, 1, optimizer=optax.sgd)
    _, gradient = loss_and_gradient(np.zeros(8), mdp, problem.demonstrations, config)
    np.testing.assert_allclose(state.params, -0.05 * gradient, rtol=1e-4, atol=1e-7)


def test_penalties_hold_at_the_optimum():
    mdp = random_world()
    demonstrations = irl.from_expert(mdp, temperature=1.0)
    problem = irl.build_problem(mdp, one_hot(8), demonstrations)

    def likelihood(params):
        return loss_and_gradient(params, mdp, demonstrations, irl.Config())[1]

    ridge, _ = train(problem, irl.Config(learning_rate=0.3, l2=0.5), 400, optimizer=optax.sgd)
    np.testing.assert_allclose(likelihood(ridge.params), -0.5 * ridge.params, atol=1e-4)
    lasso, _ = train(problem, irl.Config(learning_rate=0.05, l1=0.05), 800, optimizer=optax.sgd)
    large = np.abs(lasso.params) > 0.05
    assert 0 < large.sum() < 8
    gradient = likelihood(lasso.params)
    np.testing.assert_allclose(gradient[large], -0.05 * np.sign(lasso.params[large]), atol=5e-3)
    assert np.all(np.abs(gradient[~large]) < 0.05 + 5e-3)


def test_the_state_holds_the_values_of_its_own_reward():
    mdp = corridor_world()
    problem = irl.build_problem(mdp, one_hot(12), sampled(mdp))
    config = irl.Config(learning_rate=0.1)
    state, _ = train(problem, config, 20)
    fresh = irl.solve(mdp.replace(reward=state.params), config)
    np.testing.assert_allclose(state.values, fresh.values, rtol=3e-5)


@pytest.mark.parametrize("horizon", [None, 5])
def test_act_draws_from_the_soft_optimal_policy(horizon):
    mdp = random_world()
    expert = irl.from_expert(mdp, temperature=1.0, horizon=horizon)
    problem = irl.build_problem(mdp, one_hot(8), expert)
    config = irl.Config(learning_rate=0.1, horizon=horizon)
    state, _ = train(problem, config, 50)
    algorithm = irl.make(problem, config)
    policy = irl.solve(mdp.replace(reward=state.params), config).log_policy
    time = 0 if horizon is None else 3
    row = np.asarray(policy)[2 if horizon is None else (3, 2)]

    @jax.jit
    def draw(keys):
        return jax.vmap(lambda key: algorithm.act(key, state, jnp.int32(2), jnp.int32(time)))(keys)

    actions, carry = draw(jax.random.split(KEY, 20_000))
    frequencies = np.bincount(actions, minlength=3) / 20_000
    np.testing.assert_allclose(frequencies, np.exp(row), atol=4 * 0.5 / np.sqrt(20_000))
    assert np.all(carry == time + 1)
    assert algorithm.act(KEY, state, jnp.int32(2), None)[1] == 1


def test_evaluation_by_hand():
    mdp = gridworld(Layout.parse("..G"), discount=0.5).replace(initial=one_hot(3)[0])
    walks = Trajectories(jnp.asarray([[0, 1, 2]]), jnp.asarray([[3, 3, -1]]), jnp.asarray([3]))
    problem = irl.build_problem(mdp, one_hot(3), irl.from_trajectories(mdp, walks))

    @jax.jit
    def evaluate(params):
        return irl.evaluate_reward(lambda features: features @ params, problem, irl.Config())

    right, wrong = evaluate(np.asarray([0.0, 0.0, 9.0])), evaluate(np.asarray([9.0, 0.0, 0.0]))
    np.testing.assert_allclose(right.expected_value_difference, 0, atol=1e-6)
    np.testing.assert_allclose(wrong.expected_value_difference, 0.25, rtol=1e-6)
    uniform = jax.jit(irl.policy_kl)(problem.demonstrations, np.full((3, 4), -np.log(4.0)))
    np.testing.assert_allclose(uniform, np.log(4.0), rtol=1e-6)


def test_value_difference_does_not_see_shaping():
    mdp = corridor_world()
    terminal, reward, discount = map(np.asarray, (mdp.terminal, mdp.reward, mdp.discount))
    potential = np.where(terminal, 0.0, np.arange(12.0))
    moves = discount * dense(mdp) @ potential - potential[:, None]
    arrival = discount * dense(mdp) @ np.where(terminal, reward, 0.0)
    worth = mdp.replace(reward=jnp.asarray(reward[:, None] + arrival))
    difference = jax.jit(irl.value_difference)
    assert difference(worth, worth.reward + moves) < 1e-4
    assert difference(worth, -worth.reward) > 0.1


def test_forms_of_demonstrations_agree():
    mdp = random_world(discount=0.5)
    policy = tabular.value_iteration(mdp, temperature=1.0).log_policy
    walks = rollout(KEY, mdp, policy, 4000, 30)
    visits = tabular.visitation(mdp, policy)
    exact, expert = irl.from_visitation(visits), irl.from_expert(mdp, temperature=1.0)
    walked = irl.from_trajectories(mdp, walks)
    counted = irl.from_counts(mdp, 1000 * visits.state_actions)
    np.testing.assert_allclose(expert.states, exact.states, rtol=1e-4)
    np.testing.assert_allclose(counted.state_actions, exact.state_actions, rtol=1e-4)
    np.testing.assert_allclose(walked.state_actions, exact.state_actions, atol=0.02)
    assert float(walked.number) == 4000
    assert np.isinf(float(exact.number))


def test_visits_over_time_sum_to_the_total():
    mdp = corridor_world()
    over_time, total = sampled(mdp, horizon=15), sampled(mdp)
    np.testing.assert_allclose(over_time.total().states, total.states, rtol=1e-5)
    np.testing.assert_allclose(over_time.total().state_actions, total.state_actions, rtol=1e-5)


BAD = {
    "features of mdp have shape": lambda mdp, d: irl.build_problem(mdp, one_hot(7), d),
    "features of mdp have values that are not finite": lambda mdp, d: irl.build_problem(
        mdp, jnp.full((8, 8), jnp.nan), d
    ),
    "demonstrations have the shapes": lambda mdp, d: irl.build_problem(
        mdp, one_hot(8), d._replace(states=d.states[:-1])
    ),
    "demonstrations.states has values that are negative": lambda mdp, d: irl.build_problem(
        mdp, one_hot(8), d._replace(states=-d.states)
    ),
    "features of transfer have shape": lambda mdp, d: irl.build_problem(
        mdp, one_hot(8), d, transfer=(mdp, one_hot(9))
    ),
    "counts has shape": lambda mdp, _: irl.from_counts(mdp, jnp.ones((2, 2))),
    "counts has values": lambda mdp, _: irl.from_counts(mdp, jnp.zeros((8, 3))),
    "tail is 'repeat'": lambda mdp, _: irl.from_trajectories(
        mdp, Trajectories(*jnp.zeros((2, 1, 3), int), jnp.asarray([3])), horizon=3, tail="repeat"
    ),
    "config field 'temperature' is 0.0; allowed: a number above 0": lambda *_: irl.Config(
        temperature=0.0
    ),
    "config field 'hidden_sizes'": lambda *_: irl.Config(hidden_sizes=(0,)),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_named(message):
    mdp = random_world()
    with pytest.raises(ValueError, match=message):
        BAD[message](mdp, irl.from_expert(mdp, temperature=1.0))
