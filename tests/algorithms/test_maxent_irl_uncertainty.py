"""Standard errors against simulation, and identifiability against known counts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import compiled, optimized

from rlsuite.algorithms import maxent_irl as irl
from rlsuite.data.experts import rollout
from rlsuite.data.trajectories import empirical_visitation
from rlsuite.envs.gridworld import Layout, gridworld
from rlsuite.envs.random_mdp import random_mdp
from rlsuite.nets import mlp
from rlsuite.ops import tabular

KEY = jax.random.key(0)
PRECISE = irl.Config(tolerance=1e-13)


@pytest.fixture(autouse=True)
def x64():
    with jax.enable_x64(True):
        yield


def one_hot(size):
    return jnp.asarray(np.eye(size))


def linear_world(discount=0.9):
    """A random MDP whose reward is linear in three features."""
    mdp = random_mdp(3, num_states=8, num_actions=3, discount=discount)
    features = np.random.default_rng(0).normal(size=(8, 3))
    truth = np.asarray([1.0, -0.5, 0.8])
    return mdp.replace(reward=jnp.asarray(features @ truth)), *map(jnp.asarray, (features, truth))


def test_hessian_is_the_covariance_of_scores():
    """Without penalties, at the truth, and without a discount: H = Σ, so cov = H⁻¹/N."""
    mdp, features, truth = linear_world()
    mdp = mdp.replace(discount=jnp.asarray(1.0))
    config = irl.Config(horizon=6)
    expert = irl.from_expert(mdp, temperature=1.0, horizon=6)._replace(number=jnp.asarray(50.0))
    problem = irl.build_problem(mdp, features, expert)

    def loss(params):
        return irl.loss_of_reward(features @ params, mdp, expert, config)

    expected = np.linalg.inv(jax.jit(jax.hessian(loss))(truth)) / 50
    found = irl.uncertainty(problem, config, truth)
    np.testing.assert_allclose(found.covariance, expected, rtol=1e-8)
    np.testing.assert_allclose(found.params, np.sqrt(np.diagonal(expected)), rtol=1e-8)
    by_reward = np.sqrt(np.einsum("si,ij,sj->s", features, expected, features))
    np.testing.assert_allclose(found.rewards, by_reward, rtol=1e-8)


def test_standard_errors_match_simulation():
    """The spread of 200 estimates from 200 trajectories each, discounted, is what is predicted."""
    mdp, features, truth = linear_world()
    policy = tabular.value_iteration(
        mdp, temperature=1.0, tolerance=1e-12, method="newton"
    ).log_policy
    walks = optimized(lambda key: rollout(key, mdp, policy, 200 * 200, 50))(KEY)
    batches = jax.tree.map(lambda x: x.reshape(200, 200, *x.shape[1:]), walks)
    expert = irl.from_expert(mdp, temperature=1.0)._replace(number=jnp.asarray(200.0))

    def loss(params, demonstrations):
        return irl.loss_of_reward(features @ params, mdp, demonstrations, PRECISE)

    scores = compiled(jax.vmap(jax.grad(loss)))
    visits = compiled(jax.vmap(lambda walks: irl.from_visitation(_visits(mdp, walks))))(batches)
    # The expert's Hessian, by differences of the same program's gradients.
    changes = np.zeros((200, 3))
    changes[:6] = 1e-4 * np.concatenate([np.eye(3), -np.eye(3)])
    alike = jax.tree.map(lambda x: np.broadcast_to(x, (200, *x.shape)), expert)
    slopes = scores(truth + changes, alike)
    hessian = (slopes[:3] - slopes[3:6]) / 2e-4
    estimates = np.broadcast_to(truth, (200, 3))
    for _ in range(8):
        estimates = estimates - np.linalg.solve(hessian, scores(estimates, visits).T).T
    predicted = irl.uncertainty(irl.build_problem(mdp, features, expert), PRECISE, truth)
    np.testing.assert_allclose(estimates.std(axis=0) / predicted.params, 1, atol=4 / np.sqrt(400))
    too_large = np.sqrt(np.diagonal(np.linalg.inv(hessian)) / 200)
    assert np.all(too_large > 1.15 * estimates.std(axis=0))


def _visits(mdp, walks):
    return empirical_visitation(walks, mdp.num_states, mdp.num_actions, mdp.discount)


def report(mdp, features, config=PRECISE, params=None, **options):
    expert = irl.from_expert(mdp, temperature=1.0)
    problem = irl.build_problem(mdp, features, expert)
    if params is None:
        params = jnp.asarray(0.1 * np.random.default_rng(1).normal(size=features.shape[-1:]))
    return irl.identifiability(problem, config, params, **options)


def random_world():
    mdp = random_mdp(0, num_states=8, num_actions=3, discount=0.9)
    return mdp.replace(reward=mdp.reward[:, 0])


def test_a_state_reward_is_known_up_to_a_constant():
    found = report(random_world(), one_hot(8))
    assert found[:5] == (8, 7, 0, 1, True)
    np.testing.assert_allclose(np.abs(found.directions[:, 0]), np.full(8, 8**-0.5), atol=1e-6)
    assert "7 of 8 directions" in str(found)
    assert "(a constant among them)" in str(found)


def test_a_state_action_reward_is_known_up_to_a_potential():
    mdp = random_world()
    found = report(mdp, one_hot(24).reshape(8, 3, 24))
    assert found[:5] == (24, 16, 0, 8, True)
    moves = 0.9 * np.asarray(mdp.transition.expect(jnp.arange(8.0))) - np.arange(8.0)[:, None]
    outside = moves.ravel() - found.directions @ (found.directions.T @ moves.ravel())
    np.testing.assert_allclose(outside, 0, atol=1e-6)


def test_a_terminal_state_takes_part_in_the_shaping():
    """A constant potential c costs (1−γ)c a step and c at the end: no longer a constant reward."""
    mdp = gridworld(Layout.parse("....\n...G"), discount=0.75)
    found = report(mdp, one_hot(8))
    assert found[:5] == (8, 7, 0, 1, False)
    direction = np.asarray([0.25] * 7 + [1.0]) / np.sqrt(7 / 16 + 1)
    np.testing.assert_allclose(np.abs(found.directions[:, 0]), direction, atol=1e-6)


def test_what_cannot_be_reached_is_redundant():
    walled = gridworld(Layout.parse("..#.\n.G##"))
    start = jnp.asarray([1.0, 0, 0, 0, 0, 0, 0, 0])
    found = report(walled.replace(initial=start), one_hot(8))
    assert found[:5] == (8, 3, 4, 1, False)


def test_features_that_add_nothing_are_redundant():
    mdp = random_world()
    features = one_hot(8)[:, :3]
    doubled = jnp.concatenate([features, features], axis=1)
    assert report(mdp, doubled)[:5] == (6, 3, 3, 0, False)


def test_parameters_that_are_not_identified_have_infinite_errors():
    mdp = random_world()
    features = one_hot(8)[:, :3]
    doubled = jnp.concatenate([features, features[:, :1]], axis=1)
    expert = irl.from_expert(mdp, temperature=1.0)._replace(number=jnp.asarray(100.0))
    problem = irl.build_problem(mdp, doubled, expert)
    found = irl.uncertainty(problem, PRECISE, jnp.zeros(4)).params
    assert np.isinf(found).tolist() == [True, False, False, True]
    alone = irl.build_problem(mdp, features, expert)
    expected = irl.uncertainty(alone, PRECISE, jnp.zeros(3)).params
    np.testing.assert_allclose(found[1:3], expected[1:], rtol=1e-6)


def test_deep_rewards_have_errors_too():
    mdp, features, _ = linear_world()
    expert = irl.from_expert(mdp, temperature=1.0)._replace(number=jnp.asarray(100.0))
    problem = irl.build_problem(mdp, features, expert)
    network = mlp((4,))
    params = jax.jit(network.init)(KEY, features)
    found = irl.uncertainty(problem, PRECISE, params, reward=network)
    assert jax.tree.structure(found.params) == jax.tree.structure(params)
    assert np.all(np.isfinite(found.rewards))
    assert np.all(np.asarray(found.rewards) > 0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: irl.uncertainty(p, PRECISE, jnp.zeros(8)), "demonstrations.number is inf"),
        (lambda p: irl.identifiability(p, PRECISE, jnp.zeros(5000)), "params has 5000 entries"),
    ],
)
def test_bad_input_is_named(call, message):
    mdp = random_world()
    problem = irl.build_problem(mdp, one_hot(8), irl.from_expert(mdp, temperature=1.0))
    with pytest.raises(ValueError, match=message):
        call(problem)
