import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ops import processes

from rlsuite.ops import tabular

HORIZON = 4
SMALL = {"states": 4, "actions": 2}


def small(kind, seed=0, reward_axes=1, discount=1.0):
    """Four states of which the last is terminal, and one disallowed action."""
    mdp, probabilities = processes.process(kind, seed, reward_axes, discount, masked=False, **SMALL)
    mask = np.ones((4, 2), bool)
    mask[1, 0] = False
    return mdp.replace(terminal=jnp.arange(4) == 3, actions=jnp.asarray(mask)), probabilities


def tally(found, function, states=4, horizon=HORIZON):
    """Σ over paths of a weight, in all and by the state visited at each time."""
    by_time = np.zeros((horizon + 1, states))
    weights = np.array([function(chance, total) for chance, total, _, _ in found])
    for weight, (_, _, visited, _) in zip(weights, found, strict=True):
        by_time[np.arange(len(visited)), visited] += weight
    return weights.sum(), by_time


@pytest.mark.parametrize("kind", ["dense", "gather", "slip"])
@pytest.mark.parametrize("axes", [1, 2])
def test_the_partition_function_sums_over_paths(kind, axes):
    """exp(V_0/τ) = Σ_paths Π P · exp(return/τ), with entropy "trajectory" (Ziebart 2008)."""
    mdp, probabilities = small(kind, reward_axes=axes)
    final = np.random.default_rng(1).normal(size=4)
    solution = tabular.backward_induction(
        mdp,
        HORIZON,
        temperature=0.8,
        entropy="trajectory",
        final_values=jnp.asarray(final),
    )
    for start in range(4):
        total = 0.0
        for chance, gain, states, actions in processes.paths(mdp, probabilities, HORIZON, start):
            ended = len(actions) < HORIZON
            total += chance * np.exp((gain + (0 if ended else final[states[-1]])) / 0.8)
        np.testing.assert_allclose(
            solution.values[0, start], 0.8 * np.log(total), rtol=0, atol=1e-10
        )


def test_soft_policies_follow_the_distribution_of_paths():
    """Deterministic dynamics: π's chance of a path is exp(return) / Z."""
    mdp, probabilities = small("gather")
    solution = tabular.backward_induction(mdp, HORIZON, temperature=1.0)
    for start in range(3):
        found = processes.paths(mdp, probabilities, HORIZON, start)
        total, by_time = tally(found, lambda chance, gain: np.exp(gain))
        for _, gain, states, actions in found:
            log_chance = sum(
                solution.log_policy[t, s, a]
                for t, (s, a) in enumerate(zip(states, actions, strict=False))
            )
            np.testing.assert_allclose(log_chance, gain - np.log(total), rtol=0, atol=1e-10)
        visits = tabular.finite_visitation(
            mdp.replace(initial=jnp.eye(4)[start]), solution.log_policy
        )
        np.testing.assert_allclose(visits.states, by_time / total, rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", ["dense", "slip"])
def test_evaluation_and_visits_average_over_paths(kind):
    """Of a time-varying policy, discounted."""
    mdp, probabilities = small(kind, reward_axes=2, discount=0.7)
    scores = np.random.default_rng(2).normal(size=(HORIZON, 4, 2))
    log_policy = jnp.stack([tabular.log_policy(mdp, jnp.asarray(q), 1.0) for q in scores])
    policy = np.exp(log_policy)
    values = tabular.finite_policy_evaluation(mdp, log_policy)
    states, flows = np.zeros((HORIZON + 1, 4)), np.zeros((HORIZON, 4, 2))
    for start in range(4):
        gain = 0.0
        for chance, total, visited, actions in processes.paths(mdp, probabilities, HORIZON, start):
            steps = list(zip(range(HORIZON), visited, actions, strict=False))
            chance *= np.prod([policy[step] for step in steps])
            gain += chance * total
            weight = chance * float(mdp.initial[start])
            for t, state in enumerate(visited):
                states[t, state] += 0.7**t * weight
            for step in steps:
                flows[step] += 0.7 ** step[0] * weight
        np.testing.assert_allclose(values[0, start], gain, rtol=0, atol=1e-10)
    visits = tabular.finite_visitation(mdp, log_policy)
    np.testing.assert_allclose(visits.states, states, rtol=0, atol=1e-10)
    np.testing.assert_allclose(visits.state_actions, flows, rtol=0, atol=1e-10)


@pytest.mark.parametrize("temperature", [None, 0.5])
def test_induction_is_worth_what_its_policy_is(temperature):
    mdp, _ = small("slip", reward_axes=3, discount=0.9)
    final = jnp.asarray(np.random.default_rng(1).normal(size=4))
    solution = tabular.backward_induction(mdp, HORIZON, temperature=temperature, final_values=final)
    worth = tabular.finite_policy_evaluation(
        mdp, solution.log_policy, temperature=temperature, final_values=final
    )
    np.testing.assert_allclose(worth, solution.values, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(solution.values[-1], final)


def test_hard_induction_is_the_best_path():
    mdp, probabilities = small("gather")
    solution = tabular.backward_induction(mdp, HORIZON)
    for start in range(4):
        best = max(gain for _, gain, _, _ in processes.paths(mdp, probabilities, HORIZON, start))
        np.testing.assert_allclose(solution.values[0, start], best, rtol=0, atol=1e-12)


def test_a_long_horizon_tends_to_an_infinite_one():
    mdp, _ = processes.process("slip")
    finite = tabular.backward_induction(mdp, 300, temperature=0.5)
    infinite = tabular.value_iteration(mdp, temperature=0.5, tolerance=1e-13)
    np.testing.assert_allclose(finite.values[0], infinite.values, atol=1e-10)
    np.testing.assert_allclose(finite.log_policy[0], infinite.log_policy, atol=1e-10)


def test_derivatives_of_the_log_partition_are_the_moments_of_visits():
    """Deterministic dynamics: ∂ log Z / ∂r are the expected visits, ∂² their covariance."""
    mdp, probabilities = small("gather", seed=3)
    found = processes.paths(mdp, probabilities, HORIZON, 0)
    chance = np.exp([gain for _, gain, _, _ in found])
    chance /= chance.sum()
    # A state's reward is collected by each decision in it, and by ending there; not at the end
    # of the horizon.
    counts = np.array([np.bincount(states[:HORIZON], minlength=4) for _, _, states, _ in found])
    mean = chance @ counts
    covariance = np.einsum("p,pi,pj->ij", chance, counts - mean, counts - mean)

    def log_partition(reward):
        changed = mdp.replace(reward=reward)
        return tabular.backward_induction(changed, HORIZON, temperature=1.0).values[0, 0]

    @functools.partial(jax.jit)
    def moments(reward):
        gradient = jax.grad(log_partition)

        def product(direction):
            return jax.jvp(gradient, (reward,), (direction,))[1]

        return gradient(reward), jax.vmap(product)(jnp.eye(4)), jax.hessian(log_partition)(reward)

    gradient, products, hessian = moments(mdp.reward)
    np.testing.assert_allclose(gradient, mean, rtol=0, atol=1e-10)
    np.testing.assert_allclose(hessian, covariance, rtol=0, atol=1e-8)
    np.testing.assert_allclose(products, covariance, rtol=0, atol=1e-8)
