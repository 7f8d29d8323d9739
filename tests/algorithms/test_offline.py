"""BC, IQL and CQL against closed forms, on tables in double precision; and on the point."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.optimize
import scipy.stats

from rlsuite import registry, run
from rlsuite.algorithms import behaviour_cloning, cql, iql
from rlsuite.algorithms.offline import scaling
from rlsuite.configuration import grid
from rlsuite.data.normalizers import Gaussian
from rlsuite.data.offline import offline
from rlsuite.data.transitions import Transitions, draw
from rlsuite.envs.control import control
from rlsuite.envs.episodes import Episode, join
from rlsuite.nets import Network
from rlsuite.ops.distributions import DiagonalNormal, TanhNormal

DISCOUNT = 0.9
PLAIN = Gaussian(jnp.zeros(1), jnp.ones(1))


@pytest.fixture
def exact():
    with jax.enable_x64(True):
        yield


def table(*shape):
    """Parameters, and nothing else."""
    return Network(lambda key, inputs: jnp.zeros(shape), lambda params, inputs: params)


# A chain of four states, seen as their numbers, with actions −½ (stay), 0 (back) and ½ (on).
# On from 2 ends for good; the last transition of the data, on from 1, was cut off.

WHERE = np.asarray([0, 0, 0, 1, 1, 1, 2, 2])
DONE = np.asarray([-0.5, 0.0, 0.5, -0.5, 0.5, 0.5, 0.5, 0.0])
EARNED = np.asarray([0.1, 0.0, -0.2, 0.1, -0.3, -0.3, 1.0, 0.4])
THEN = np.asarray([0, 0, 1, 1, 2, 2, 3, 1])
ENDED = np.asarray([0, 0, 0, 0, 0, 0, 1, 0], bool)


def chain():
    numbers = (jnp.asarray(x, jnp.float64)[:, None] for x in (WHERE, DONE, THEN))
    seen, done, then = numbers
    return Transitions(seen, done, jnp.asarray(EARNED), then, jnp.asarray(ENDED))


def index(x):
    return x[..., 0].astype(int)


def place(actions):
    """Which third of [−1, 1] an action is in: −½, 0 and ½ are in different ones."""
    return jnp.clip(jnp.floor((actions[..., 0] + 1) * 1.5), 0, 2).astype(int)


CRITIC = Network(
    lambda key, inputs: jnp.zeros((2, 4, 3)),
    lambda params, inputs: params[:, index(inputs[0]), place(inputs[1])],
)
VALUE = Network(lambda key, inputs: jnp.zeros(4), lambda params, seen: params[index(seen)])
TABLES = iql.Networks(
    Network(lambda key, seen: jnp.zeros((4, 2)), lambda params, seen: _normal(params, seen)),
    CRITIC,
    VALUE,
)


def _normal(params, seen):
    chosen = params[index(seen)]
    return DiagonalNormal(chosen[:, :1], jnp.exp(chosen[:, 1:]))


def expectile(values, tau):
    def slope(m):
        error = np.asarray(values) - m
        return np.sum(np.where(error < 0, 1 - tau, tau) * error)

    return scipy.optimize.brentq(slope, min(values) - 1, max(values) + 1, xtol=1e-13)


def chain_values(tau):
    """V of the chain's data: expectiles over what was done, to a fixed point."""
    value = np.zeros(4)
    for _ in range(400):
        q = EARNED + DISCOUNT * np.where(ENDED, 0.0, value[THEN])
        value = np.asarray([expectile(q[s == WHERE], tau) for s in range(3)] + [0.0])
    return value, q


def iql_state(networks, config, optimizers):
    params = iql.Params(*(net.init(jax.random.key(0), None) for net in networks))
    return iql.State(params, params.critic, optimizers_of(optimizers, params), PLAIN)


@pytest.mark.parametrize("tau", [0.3, 0.9])
def test_iql_learns_expectiles_of_what_was_done_and_bootstraps_what_was_cut_off(exact, tau):
    config = iql.Config(discount=DISCOUNT, expectile=tau, target_rate=0.5)
    optimizers = iql.Params(optax.sgd(0.0), optax.sgd(4.0), optax.sgd(2.0))
    state = iql_state(TABLES, config, optimizers)

    @jax.jit
    def train(state, batch):
        def step(state, _):
            return iql.update(TABLES, optimizers, config, state, batch)

        return jax.lax.scan(step, state, None, 2000)[0]

    state = train(state, chain())
    value, q = chain_values(tau)
    np.testing.assert_allclose(state.params.value[:3], value[:3], atol=1e-8)
    for critic in (*state.params.critic, *state.target):
        np.testing.assert_allclose(critic[WHERE, place(chain().actions)], q, atol=1e-8)


def test_the_expectiles_tend_to_the_best_of_what_was_done():
    best = np.zeros(4)
    for _ in range(400):
        q = EARNED + DISCOUNT * np.where(ENDED, 0.0, best[THEN])
        best = np.asarray([q[s == WHERE].max() for s in range(3)] + [0.0])
    gaps = [np.max(best - chain_values(tau)[0]) for tau in (0.9, 0.99, 0.999)]
    assert gaps[0] > 5 * gaps[1] > 25 * gaps[2] > 0
    assert gaps[2] < 0.02


def test_a_step_of_iql_is_that_of_its_equations(exact):
    """By hand: slow critics in the advantage, the lesser of them, and a share of the way."""
    config = iql.Config(discount=DISCOUNT, expectile=0.8, temperature=2.0, target_rate=0.1)
    rng = np.random.default_rng(0)
    policy, critic, value, target = (
        rng.normal(size=shape) for shape in ((4, 2), (2, 4, 3), (4,), (2, 4, 3))
    )
    params = iql.Params(*(jnp.asarray(x) for x in (policy, critic, value)))
    optimizers = iql.Params(*(optax.sgd(rate) for rate in (0.1, 0.2, 0.3)))
    state = iql.State(params, jnp.asarray(target), optimizers_of(optimizers, params), PLAIN)
    step = jax.jit(lambda state, batch: iql.update(TABLES, optimizers, config, state, batch))
    state, told = step(state, chain())

    at = np.asarray(place(chain().actions))
    advantage = target.min(axis=0)[WHERE, at] - value[WHERE]
    slope = -2 * np.where(advantage < 0, 0.2, 0.8) * advantage / 8
    expected = value - 0.3 * np.bincount(WHERE, slope, 4)
    np.testing.assert_allclose(state.params.value, expected, atol=1e-12)

    goal = EARNED + DISCOUNT * np.where(ENDED, 0.0, value[THEN])
    moved = critic.copy()
    for i in range(2):
        np.add.at(moved[i], (WHERE, at), 0.2 * (goal - critic[i, WHERE, at]) / 8)
    np.testing.assert_allclose(state.params.critic, moved, atol=1e-12)
    np.testing.assert_allclose(state.target, 0.1 * moved + 0.9 * target, atol=1e-12)

    weights = np.minimum(np.exp(2 * advantage), 100)
    error, variance = DONE - policy[WHERE, 0], np.exp(2 * policy[WHERE, 1])
    slopes = np.stack([-weights * error / variance, weights * (1 - error**2 / variance)]) / 8
    expected = policy - 0.1 * np.stack([np.bincount(WHERE, s, 4) for s in slopes], axis=1)
    np.testing.assert_allclose(state.params.policy, expected, atol=1e-12)
    np.testing.assert_allclose(told.weight, weights.mean(), atol=1e-12)


def optimizers_of(optimizers, params):
    return tuple(rule.init(part) for rule, part in zip(optimizers, params, strict=True))


def test_the_weighted_likelihood_is_greatest_at_weighted_means_and_variances(exact):
    """In one state, whose actions are worth Q: mean Σ w a / Σ w, with w = exp(B (Q − V))."""
    done, worth, level = np.asarray([-0.8, -0.1, 0.5, 0.9]), np.asarray([0.0, 1.0, 0.5, 3.0]), 0.7
    networks = iql.Networks(
        Network(TABLES.policy.init, TABLES.policy.apply),
        Network(TABLES.critic.init, lambda params, inputs: params),
        VALUE,
    )
    batch = Transitions(
        jnp.zeros((4, 1)), jnp.asarray(done)[:, None], jnp.zeros(4), jnp.zeros((4, 1)), done > 2
    )
    weights = np.exp(1.5 * (worth - level))
    mean = weights @ done / weights.sum()
    log_scale = 0.5 * np.log(weights @ (done - mean) ** 2 / weights.sum())
    critic = jnp.stack([jnp.asarray(worth), jnp.asarray(worth) + 1])  # The lesser counts.

    def loss(policy):
        params = iql.Params(policy, critic, jnp.full(4, level))
        config = iql.Config(temperature=1.5)
        return iql.loss(networks, config, params, critic, batch)[0]

    at = jnp.zeros((4, 2)).at[0].set(jnp.asarray([mean, log_scale]))
    np.testing.assert_allclose(jax.jit(jax.grad(loss))(at), 0.0, atol=1e-12)


# Conservative values. The policy is fixed, and prefers what the critics prefer, to go on.

CONSERVATIVE = cql.Networks(
    Network(
        lambda key, seen: jnp.zeros(2),
        lambda params, seen: TanhNormal(
            jnp.broadcast_to(1.0 + params[0], (len(seen), 1)), jnp.full((len(seen), 1), 0.9)
        ),
    ),
    CRITIC,
)


@functools.cache
def policy_shares():
    """How often the policy acts in each third."""
    edges = (np.arctanh([-1 / 3, 1 / 3]) - 1.0) / 0.9
    return np.diff(scipy.stats.norm.cdf([-np.inf, *edges, np.inf]))


def cql_state(optimizers, critic):
    params = cql.Params(jnp.zeros(2), critic, jnp.zeros(()), jnp.zeros(()))
    return cql.State(params, critic, optimizers_of(optimizers, params), PLAIN)


def whole_chain():
    """All states but the last with all actions, each as often: no doubt about any of them."""
    where, at = (x.ravel() for x in np.mgrid[:3, :3])
    then = np.clip(where + np.asarray([0, -1, 1])[at], 0, 3)
    earned = np.where(then == 3, 1.0, 0.1 * at)
    seen, done, later = (jnp.asarray(x, jnp.float64)[:, None] for x in (where, (at - 1) / 2, then))
    return Transitions(seen, done, jnp.asarray(earned), later, jnp.asarray(then == 3))


def value_of_policy(batch):
    """Q of the fixed policy, exactly."""
    then, q = np.asarray(index(batch.next_observations)), np.zeros((4, 3))
    for _ in range(400):
        later = np.where(batch.terminals, 0.0, (q @ policy_shares())[then])
        q[:3] = (np.asarray(batch.rewards) + DISCOUNT * later).reshape(3, 3)
    return q[:3]


def conservative(penalty_weights):
    """Critics of the fixed policy, learned from the whole chain."""
    still = optax.sgd(0.0)
    optimizers = cql.Params(still, optax.sgd(optax.cosine_decay_schedule(1.0, 2000)), still, still)
    base = cql.Config(discount=DISCOUNT, num_actions=10, target_rate=0.2)

    @jax.jit
    @jax.vmap
    def train(config):
        def step(state, key):
            return cql.update(CONSERVATIVE, optimizers, config, key, state, whole_chain())

        start = cql_state(optimizers, jnp.zeros((2, 4, 3)))
        return jax.lax.scan(step, start, jax.random.split(jax.random.key(0), 2000))[0].target

    one = grid(base, penalty_weight=penalty_weights)
    many = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, len(penalty_weights)), one)
    return np.asarray(train(many))[:, 0, :3]


def test_conservative_values_are_lower_bounds(exact):
    """Theorem 3.2, of the policy's expected Q; without a penalty it is the policy's own."""
    exact_q = value_of_policy(whole_chain())
    none, slightly, strongly = conservative([0.0, 0.2, 1.0])
    np.testing.assert_allclose(none, exact_q, atol=0.02)
    assert np.all(slightly @ policy_shares() < exact_q @ policy_shares() - 0.005)
    assert np.all(strongly @ policy_shares() < slightly @ policy_shares() - 0.02)


def test_the_penalty_and_its_gradient_are_those_of_sums(exact):
    """Q is constant within thirds, whose widths are ⅔: log ∫ exp Q = log Σ ⅔ exp Q."""
    rng = np.random.default_rng(1)
    critic, batch = jnp.asarray(rng.normal(size=(2, 4, 3))), whole_chain()
    still = optax.sgd(0.0)
    optimizers = cql.Params(still, optax.sgd(1.0), still, still)

    @jax.jit
    def step(config):
        state = cql_state(optimizers, critic)
        return cql.update(CONSERVATIVE, optimizers, config, jax.random.key(2), state, batch)

    (with_it, told), (without, _) = (
        step(cql.Config(discount=DISCOUNT, penalty_weight=weight, num_actions=20_000))
        for weight in (2.0, 0.0)
    )
    q = np.asarray(critic)
    soft = np.log(np.sum(2 / 3 * np.exp(q[:, :3]), axis=-1))
    expected = np.mean(soft - q[:, :3].mean(axis=-1))
    np.testing.assert_allclose(told.penalty, expected, atol=0.005)
    gradient = (np.exp(q[:, :3]) / np.exp(q[:, :3]).sum(axis=-1, keepdims=True) - 1 / 3) / 3
    found = (without.params.critic - with_it.params.critic) / 2.0
    np.testing.assert_allclose(found[:, :3], gradient, atol=0.003)


def test_a_terminal_of_cql_is_worth_its_reward_and_slow_critics_are_asked(exact):
    target = jnp.full((2, 4, 3), 7.0).at[1].set(5.0)
    params = cql.Params(jnp.zeros(2), jnp.zeros((2, 4, 3)), jnp.zeros(()), jnp.zeros(()))
    config = cql.Config(discount=DISCOUNT)
    _, told = jax.jit(
        lambda batch: cql.loss(CONSERVATIVE, config, params, target, jax.random.key(0), batch)
    )(chain())
    goal = EARNED + DISCOUNT * np.where(ENDED, 0.0, 5.0)
    np.testing.assert_allclose(told.critic_loss, np.mean(goal**2), atol=1e-12)


def test_the_multiplier_grows_where_the_penalty_exceeds_the_gap(exact):
    critic = jnp.zeros((2, 4, 3))  # Of which the penalty is log 2.

    @jax.jit
    @jax.grad
    def slope(log_multiplier, config):
        params = cql.Params(jnp.zeros(2), critic, jnp.zeros(()), log_multiplier)
        key = jax.random.key(0)
        return cql.loss(CONSERVATIVE, config, params, critic, key, whole_chain())[0]

    found = [
        slope(jnp.asarray(0.5), cql.Config(lagrange=True, gap=gap, num_actions=500))
        for gap in (0.0, 2.0)
    ]
    np.testing.assert_allclose(found, np.exp(0.5) * (np.asarray([0.0, 2.0]) - np.log(2)), atol=0.03)


def test_the_policy_follows_entropy_and_the_lesser_critic(exact):
    """Of Q₁ = 2 a and Q₂ = 3 a, whose lesser has a bend at 0; against quadrature."""
    networks = cql.Networks(
        CONSERVATIVE.policy,
        Network(CRITIC.init, lambda slopes, inputs: jnp.multiply.outer(slopes, inputs[1][..., 0])),
    )
    number, temperature = 40_000, 0.6
    batch = Transitions(*(jnp.zeros((number, n)) for n in (1, 1)), *3 * (jnp.zeros(number),))
    batch = batch._replace(next_observations=batch.observations)
    u = np.linspace(-12.0, 12.0, 200_001)

    @jax.jit
    def entropy(loc):
        return TanhNormal(loc * jnp.ones(1), jnp.full(1, 0.9)).entropy()

    def expected(loc):
        density = scipy.stats.norm.pdf(u, loc, 0.9)
        worth = np.minimum(2 * np.tanh(u), 3 * np.tanh(u))
        return -temperature * float(entropy(loc)) - np.trapezoid(density * worth, u)

    @jax.jit
    @jax.grad
    def slopes(params):
        config = cql.Config(num_actions=1)
        key = jax.random.key(0)
        return cql.loss(networks, config, params, params.critic, key, batch)[0]

    logs = jnp.log(temperature) * jnp.ones(()), jnp.zeros(())
    found = slopes(cql.Params(jnp.zeros(2), jnp.asarray([2.0, 3.0]), *logs))
    slope = (expected(1.0 + 1e-4) - expected(1.0 - 1e-4)) / 2e-4
    np.testing.assert_allclose(found.policy[0], slope, atol=0.02)
    np.testing.assert_allclose(found.log_temperature, entropy(1.0) + 1, atol=0.02)


# Imitation, data and shapes


def test_behaviour_cloning_is_least_squares(exact):
    rng = np.random.default_rng(0)
    seen, done = rng.normal(size=(50, 3)), rng.normal(size=(50, 2))
    solution, *_ = np.linalg.lstsq(seen, done, rcond=None)
    policy = Network(
        lambda key, x: jnp.zeros((3, 2)), lambda w, x: DiagonalNormal(x @ w, jnp.ones(2))
    )
    batch = Transitions(*(jnp.asarray(x) for x in (seen, done)), *3 * (jnp.zeros(50),))

    @jax.jit
    @jax.grad
    def slope(w):
        return behaviour_cloning.loss(policy, behaviour_cloning.Params(w), batch)

    np.testing.assert_allclose(slope(jnp.asarray(solution)), 0.0, atol=1e-14)
    assert np.abs(slope(jnp.asarray(solution) + 0.01)).min() > 1e-4


def small():
    rng = np.random.default_rng(0)
    return join(
        [
            Episode(
                rng.normal(3.0, 5.0, size=(n + 1, 2)), rng.uniform(size=(n, 1)), np.ones(n), end
            )
            for n, end in ((4, True), (7, False))
        ]
    )


def test_transitions_are_drawn_evenly_and_whole():
    episodes = small()
    drawn = jax.jit(lambda key: draw(key, episodes, 20_000))(jax.random.key(0))
    which = np.argmin(np.abs(np.asarray(episodes.actions) - np.asarray(drawn.actions).T), axis=0)
    np.testing.assert_allclose(np.bincount(which) / 20_000, np.full(11, 1 / 11), atol=0.01)
    np.testing.assert_array_equal(drawn.observations, episodes.observations[which])
    np.testing.assert_array_equal(drawn.next_observations, episodes.next_observations[which])
    np.testing.assert_array_equal(drawn.terminals, which == 3)


def test_observations_get_mean_zero_and_deviation_one_or_stay():
    problem = offline("small", small())
    seen = problem.episodes.observations
    scaled = scaling(problem, normalize=True).normalize(seen)
    np.testing.assert_allclose(scaled.mean(axis=0), 0.0, atol=1e-6)
    np.testing.assert_allclose(scaled.std(axis=0), 1.0, atol=1e-6)
    np.testing.assert_array_equal(scaling(problem, normalize=False).normalize(seen), seen)


@pytest.mark.parametrize("algorithm", [behaviour_cloning, iql, cql])
def test_without_an_environment_there_is_no_evaluation_and_categories_are_refused(algorithm):
    assert algorithm.make(offline("small", small())).evaluate is None
    episodes = join([Episode(np.zeros((2, 4)), np.zeros((1, 2)), np.ones(1))])
    cartpole = offline("cartpole", episodes, control("CartPole-v1"))
    with pytest.raises(ValueError, match="categories; allowed: vectors"):
        algorithm.make(cartpole)


def test_imitation_follows_the_majority_where_values_do_not():
    """The contract's test tells that IQL and CQL come to more than 90 from these episodes."""
    entry = registry.algorithms()["bc"]
    mixed = entry.problems["point-mixed"]
    result = run(
        entry.make,
        mixed.build(),
        mixed.config,
        jax.random.key(3),
        mixed.num_steps,
        num_seeds=8,
        chunk_length=4,
        progress=False,
    )
    assert float(np.max(result.evaluations.score[:, -1])) < 0
