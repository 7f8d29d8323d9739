"""CQL where policies depend on states and actions have two numbers: draws, goals, gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from compiled import compiled

from rlsuite.algorithms import cql
from rlsuite.data.transitions import Transitions
from rlsuite.nets import Network
from rlsuite.ops.distributions import TanhNormal

KEY = jax.random.key(0)
LOC = np.asarray([[1.5, -1.0], [0.5, 0.2]], np.float32)


def proposed(loc, key=KEY):
    """π(·|s) is far from π(·|s')."""
    now, later = TanhNormal(loc, jnp.full((2, 2), 0.1)), TanhNormal(-loc, jnp.full((2, 2), 0.3))
    return now, later, cql.propose(now, later, key, 3)


def test_draws_come_with_the_densities_that_they_have():
    """Uniform ones, those of the policy, and those of the policy a step later."""

    @compiled
    def drawn(loc):
        now, later, draws = proposed(loc)
        return draws, now.log_prob(draws.now), *(p.log_prob(draws.actions) for p in (now, later))

    draws, of_now, by_now, by_later = drawn(LOC)
    np.testing.assert_allclose(draws.log_prob, of_now, rtol=1e-3)
    np.testing.assert_allclose(np.arctanh(draws.now), LOC, atol=0.5)
    np.testing.assert_allclose(np.arctanh(draws.later), -LOC, atol=1.2)
    assert draws.later[0, 0] < 0 < draws.now[0, 0]
    assert draws.actions.shape == (9, 2, 2)
    np.testing.assert_allclose(draws.log_densities[:3], -2 * np.log(2), rtol=1e-6)
    np.testing.assert_allclose(draws.log_densities[3:6], by_now[3:6], atol=1e-2)
    np.testing.assert_allclose(draws.log_densities[6:], by_later[6:], atol=1e-2)
    # All are draws of their own.
    assert len(np.unique([draws.now[0], *draws.actions[3:6, 0]], axis=0)) == 4


def test_gradients_flow_through_what_the_policy_learns_from_and_no_further():
    @compiled
    @jax.jacobian
    def changes(loc):
        draws = proposed(loc)[2]
        through = jnp.sum(draws.now), jnp.sum(draws.log_prob)
        return *through, jnp.sum(draws.actions), jnp.sum(draws.log_densities)

    of_now, of_log_prob, of_actions, of_densities = changes(LOC)
    assert np.all(of_now > 0)
    assert np.all(of_log_prob != 0)
    np.testing.assert_array_equal(of_actions, 0)
    np.testing.assert_array_equal(of_densities, 0)


# Q_i = c_i (10 s + a₁ + 2 a₂), and a policy that hardly leaves chance a way: tanh (w s, 0).

NETWORKS = cql.Networks(
    Network(
        None,
        lambda w, seen: TanhNormal(
            jnp.concatenate([w * seen, 0 * seen], axis=-1), jnp.full((*seen.shape[:-1], 2), 1e-3)
        ),
    ),
    Network(
        None,
        lambda c, pairs: jnp.multiply.outer(
            c, 10 * pairs[0][..., 0] + pairs[1] @ jnp.asarray([1.0, 2.0])
        ),
    ),
)
BATCH = Transitions(
    np.asarray([[0.2], [0.4]], np.float32),
    np.asarray([[0.1, -0.3], [0.5, 0.2]], np.float32),
    np.asarray([1.0, -2.0], np.float32),
    np.asarray([[0.7], [0.9]], np.float32),
    np.asarray([False, True]),
)
W, CRITIC, TARGET = 0.8, np.asarray([1.0, 1.2], np.float32), np.asarray([3.0, 2.0], np.float32)


def parameters(log_temperature=-20.0, log_multiplier=0.0):
    numbers = (jnp.asarray(x, jnp.float32) for x in (W, CRITIC, log_temperature, log_multiplier))
    return cql.Params(*numbers)


def loss(params, config):
    batch, target = jax.tree.map(jnp.asarray, (BATCH, TARGET))
    return cql.loss(NETWORKS, config, params, target, KEY, batch)


told = compiled(lambda params, config: loss(params, config)[1])
slopes = compiled(lambda params, config: jax.grad(lambda p: loss(p, config)[0])(params))


def test_a_goal_is_what_the_policy_does_in_the_next_state_is_worth_there():
    """To the lesser of the slow critics; the second transition ends for good."""
    after = 2.0 * (10 * 0.7 + np.tanh(0.8 * 0.7))
    goal = np.asarray([1.0 + 0.9 * after, -2.0])
    plain = 10 * BATCH.observations[:, 0] + BATCH.actions @ [1.0, 2.0]
    wanted = 0.5 * sum(np.mean((goal - c * plain) ** 2) for c in CRITIC)
    found = told(parameters(), cql.Config(discount=0.9, num_actions=1))
    np.testing.assert_allclose(found.critic_loss, wanted, rtol=2e-3)


def test_the_policy_climbs_the_lesser_critic_where_it_is_and_nothing_else_moves_it():
    """Not what is worth more a step later, and not the penalty; the critics do not move for it."""
    found = slopes(parameters(), cql.Config(discount=0.9, num_actions=5, penalty_weight=7.0))
    seen = BATCH.observations[:, 0]
    wanted = -np.mean(seen * (1 - np.tanh(W * seen) ** 2))
    np.testing.assert_allclose(found.policy, wanted, rtol=0.02)
    plain = 10 * seen + BATCH.actions @ [1.0, 2.0]
    goal = np.asarray([1.0 + 0.9 * 2.0 * (7 + np.tanh(0.56)), -2.0])
    wanted = [-np.mean((goal - c * plain) * plain) for c in CRITIC]
    found = slopes(parameters(), cql.Config(discount=0.9, num_actions=1, penalty_weight=0.0))
    np.testing.assert_allclose(found.critic, wanted, rtol=5e-3)


def test_the_temperature_aims_at_an_entropy_of_minus_the_numbers_of_an_action():
    config = cql.Config(num_actions=1)
    found = told(parameters(), config)
    slope = slopes(parameters(), config).log_temperature
    np.testing.assert_allclose(slope, found.entropy + 2, rtol=1e-5)


@pytest.mark.parametrize("lagrange", [False, True])
def test_the_multiplier_weighs_the_penalty_and_moves_only_if_it_is_to(lagrange):
    tripled = parameters(log_multiplier=np.log(3.0))
    how = {"lagrange": lagrange, "num_actions": 2, "gap": 0.5}
    by_multiplier = slopes(tripled, cql.Config(penalty_weight=2.0, **how))
    by_weight = slopes(parameters(), cql.Config(penalty_weight=6.0, **how))
    unweighted = slopes(parameters(), cql.Config(penalty_weight=2.0, **how))
    np.testing.assert_allclose(by_multiplier.critic, by_weight.critic, rtol=1e-4)
    assert np.abs(by_weight.critic - unweighted.critic).min() > 0.1
    excess = told(tripled, cql.Config(**how)).penalty
    wanted = -3.0 * (excess - 0.5) if lagrange else 0.0
    np.testing.assert_allclose(by_multiplier.log_multiplier, wanted, rtol=1e-4)


def test_the_multiplier_has_a_greatest_size_and_comes_down_from_it():
    """By a rate of 10⁻⁷ its logarithm moves by a tenth of what the penalty exceeds the gap by."""
    still, slow = optax.sgd(0.0), optax.sgd(1e-7)
    optimizers = cql.Params(still, still, still, slow)
    params = parameters(log_multiplier=np.log(1e6))
    kept = tuple(rule.init(part) for rule, part in zip(optimizers, params, strict=True))
    state = cql.State(params, jnp.asarray(TARGET), kept, None)

    @compiled
    def moved(config):
        batch = jax.tree.map(jnp.asarray, BATCH)
        return cql.update(NETWORKS, optimizers, config, KEY, state, batch)[0].params.log_multiplier

    penalty = float(told(params, cql.Config(num_actions=2)).penalty)
    for gap, change in ((penalty - 1, 0.0), (penalty + 1, -0.1)):
        found = moved(cql.Config(lagrange=True, num_actions=2, gap=gap))
        np.testing.assert_allclose(found - np.log(1e6), change, atol=1e-3)
