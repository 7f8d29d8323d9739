import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ops import processes

from rlsuite.ops import tabular

METHODS = ("iterate", "newton")
EXACT = 1e-12


@functools.partial(jax.jit, static_argnames="method")
def both(mdp, temperature, method):
    """Hard and soft solutions and the visits of the soft policy, in one program."""
    hard = tabular.value_iteration(mdp, method=method, tolerance=EXACT)
    soft = tabular.value_iteration(mdp, temperature=temperature, method=method, tolerance=EXACT)
    return hard, soft, tabular.visitation(mdp, soft.log_policy)


@jax.jit
def swept(mdp, values):
    return tabular.backup(mdp, tabular.action_values(mdp, values))


CASES = [
    ("slip", 2, "iterate"),
    ("slip", 2, "newton"),
    ("dense", 1, "newton"),
    ("operator", 3, "iterate"),
]


@pytest.mark.parametrize(("kind", "axes", "method"), CASES)
def test_solutions_equal_brute_force(kind, axes, method):
    mdp, probabilities = processes.process(kind, reward_axes=axes)
    hard, soft, visits = both(mdp, 0.7, method)
    best = processes.best_values(mdp, probabilities)
    np.testing.assert_allclose(hard.values, best, rtol=0, atol=1e-10)
    greedy = processes.evaluate(mdp, probabilities, np.exp(hard.log_policy))
    np.testing.assert_allclose(greedy, best, rtol=0, atol=1e-10)
    values, policy = processes.soft_values(mdp, probabilities, 0.7)
    np.testing.assert_allclose(soft.values, values, rtol=0, atol=1e-10)
    np.testing.assert_allclose(np.exp(soft.log_policy), policy, rtol=0, atol=1e-10)
    worth = processes.evaluate(mdp, probabilities, np.exp(soft.log_policy), 0.7)
    np.testing.assert_allclose(worth, values, rtol=0, atol=1e-10)
    expected = processes.visits(mdp, probabilities, policy)
    np.testing.assert_allclose(visits.states, expected, rtol=0, atol=1e-10)


def test_closed_forms():
    """One state: V = τ log Σ exp(r/τ) / (1 − γ). A corridor: V = γ^distance."""
    reward = jnp.array([[1.0, -0.5, 2.0]])
    bandit = tabular.MDP(tabular.Gather(jnp.zeros((1, 3), int)), reward, jnp.ones(1), 0.95)
    corridor = tabular.MDP(
        tabular.Gather(jnp.asarray(processes.grid(1, 9))),
        jnp.zeros(9).at[8].set(1.0),
        jnp.ones(9) / 9,
        0.8,
        terminal=jnp.arange(9) == 8,
    )
    soft = tabular.value_iteration(bandit, temperature=0.3, method="newton", tolerance=EXACT)
    expected = 0.3 * np.log(np.sum(np.exp(np.asarray(reward) / 0.3))) / 0.05
    np.testing.assert_allclose(soft.values, [expected], rtol=1e-11)
    hard = tabular.value_iteration(corridor, tolerance=EXACT)
    np.testing.assert_allclose(hard.values, 0.8 ** np.arange(8, -1, -1), rtol=1e-11)


def test_trajectory_entropy_solves_its_own_equation():
    mdp, probabilities = processes.process("dense", masked=False)
    solution = tabular.value_iteration(
        mdp, temperature=0.5, entropy="trajectory", method="newton", tolerance=EXACT
    )
    values = np.zeros(6)
    for _ in range(1000):
        future = 0.5 * np.log(probabilities @ np.exp(values / 0.5))
        q = np.asarray(mdp.reward) + 0.9 * future
        values = 0.5 * np.log(np.exp(q / 0.5).sum(axis=1))
    np.testing.assert_allclose(solution.values, values, rtol=0, atol=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_invariances(method):
    mdp, _ = processes.process("slip")
    mdp = mdp.replace(terminal=jnp.zeros(6, bool), actions=jnp.ones((6, 3), bool))

    def solve(mdp, temperature):
        return both(mdp, temperature, method)

    hard, soft, visits = jax.tree.map(np.asarray, solve(mdp, 0.7))

    def same(one, other):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-10)

    # Potential-based shaping (Ng 1999) shifts the values by the potential, and nothing else.
    potential = jnp.asarray(np.random.default_rng(0).normal(size=6))
    ahead = jax.jit(mdp.transition.expect)(potential)
    reward, potential = np.asarray(mdp.reward), np.asarray(potential)
    shaping = 0.9 * np.asarray(ahead) - potential[:, None]
    shaped = solve(mdp.replace(reward=jnp.asarray(reward + shaping)), 0.7)
    same(shaped[0].values, hard.values - potential)
    same(shaped[1].values, soft.values - potential)
    same(shaped[1].log_policy, soft.log_policy)

    # A constant shifts them by c / (1 − γ).
    raised = solve(mdp.replace(reward=jnp.asarray(reward + 3.0)), 0.7)
    same(raised[0].values, hard.values + 30.0)
    same(raised[1].values, soft.values + 30.0)
    same(raised[1].log_policy, soft.log_policy)

    # V(c r, c τ) = c V(r, τ).
    scaled = solve(mdp.replace(reward=jnp.asarray(4 * reward)), 2.8)
    same(scaled[0].values, 4 * hard.values)
    same(scaled[1].values, 4 * soft.values)
    same(scaled[1].log_policy, soft.log_policy)
    same(scaled[2].states, visits.states)


def test_a_mirrored_grid_has_mirrored_solutions():
    """Mirrored left to right: states are permuted, and the actions left and right swapped."""
    rng = np.random.default_rng(0)
    walls = rng.random((5, 6)) < 0.2
    reward = rng.normal(size=(5, 6))

    def solve(walls, reward):
        mdp = tabular.MDP(
            tabular.Gather(jnp.asarray(processes.grid(5, 6, walls.ravel()))),
            jnp.asarray(reward.ravel()),
            jnp.ones(30) / 30,
            0.9,
        )
        hard, soft, visits = both(mdp, 0.7, "newton")
        return [np.asarray(x) for x in (hard.values, soft.values, soft.log_policy, visits.states)]

    mirror = np.arange(30).reshape(5, 6)[:, ::-1].ravel()
    swap = [0, 1, 3, 2, 4]
    for one, other in zip(
        solve(walls, reward), solve(walls[:, ::-1], reward[:, ::-1]), strict=True
    ):
        permuted = one[mirror] if one.ndim == 1 else one[mirror][:, swap]
        np.testing.assert_allclose(other, permuted, rtol=0, atol=1e-10)


def test_vmap_equals_one_at_a_time():
    mdp, probabilities = processes.process("slip")

    def solve(temperature, discount):
        return both(mdp.replace(discount=discount), temperature, "iterate")

    cases = [(0.1, 0.5), (1.0, 0.9), (3.0, 0.99)]
    found = jax.vmap(solve)(*map(jnp.asarray, np.transpose(cases)))
    hard, soft, visits = jax.tree.map(np.asarray, found)
    for i, (temperature, discount) in enumerate(cases):
        one = mdp.replace(discount=discount)
        best = processes.best_values(one, probabilities)
        values, policy = processes.soft_values(one, probabilities, temperature, 4000)
        expected = processes.visits(one, probabilities, policy)
        np.testing.assert_allclose(hard.values[i], best, rtol=0, atol=1e-9)
        np.testing.assert_allclose(soft.values[i], values, rtol=0, atol=1e-9)
        np.testing.assert_allclose(visits.states[i], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_the_residual_is_true_and_bounds_the_error(method):
    mdp, probabilities = processes.process("dense", discount=0.95)
    exact = processes.best_values(mdp, probabilities)
    few = 1 if method == "newton" else 7
    for tolerance, limit in ((1e-2, 100_000), (1e-6, 100_000), (1e-12, few)):
        solution = tabular.value_iteration(
            mdp,
            method=method,
            tolerance=tolerance,
            max_iterations=limit,
            initial_values=jnp.zeros(6),
        )
        values = np.asarray(solution.values)
        residual = np.max(np.abs(np.asarray(swept(mdp, solution.values)) - values))
        np.testing.assert_allclose(solution.residual, residual, rtol=1e-6, atol=1e-15)
        error_bound = float(solution.error_bound)
        np.testing.assert_allclose(error_bound, float(solution.residual) / 0.05, rtol=1e-12)
        assert np.max(np.abs(values - exact)) <= error_bound + 1e-13
        assert solution.iterations <= limit
        assert solution.residual <= tolerance or limit == few


@pytest.mark.parametrize("method", METHODS)
def test_a_warm_start_takes_one_sweep(method):
    mdp, _ = processes.process("dense", discount=0.95)

    def solve(values):
        return tabular.value_iteration(mdp, method=method, initial_values=values)

    cold = solve(jnp.zeros(6))
    warm = solve(cold.values)
    assert cold.iterations > warm.iterations
    assert warm.iterations <= 1
    assert warm.residual <= cold.residual


@pytest.mark.parametrize(("method", "temperature"), [("iterate", 0.1), ("newton", None)])
def test_float32_stops_where_rounding_does(method, temperature):
    """A tolerance out of reach is not spun for, and the residual says how far it came."""
    mdp, probabilities = processes.process("slip", discount=0.99)
    exact = (
        processes.best_values(mdp, probabilities)
        if temperature is None
        else processes.soft_values(mdp, probabilities, temperature, 5000)[0]
    )
    single = jax.tree.map(
        lambda x: x.astype(jnp.float32) if jnp.issubdtype(x.dtype, jnp.floating) else x,
        jax.tree.map(jnp.asarray, mdp),
    )
    solution = tabular.value_iteration(
        single, temperature=temperature, method=method, tolerance=1e-12
    )
    assert solution.values.dtype == jnp.float32
    assert solution.iterations < 3000
    ulp = np.finfo(np.float32).eps * np.max(np.abs(exact))
    assert float(solution.residual) <= 8 * ulp
    error = np.max(np.abs(np.asarray(solution.values) - exact))
    assert error <= float(solution.error_bound) + 8 * ulp


def open_grid(size, discount):
    rng = np.random.default_rng(0)
    goal = np.arange(size * size) == size * size // 2 + size // 2
    walls = (rng.random(size * size) < 0.2) & ~goal
    return tabular.MDP(
        tabular.Gather(jnp.asarray(processes.grid(size, size, walls)), 0.1),
        jnp.asarray(np.where(goal, 0.0, -1 - rng.random(size * size))),
        jnp.ones(size * size) / size**2,
        discount,
        terminal=jnp.asarray(goal),
    )


@pytest.mark.parametrize("temperature", [None, 0.1])
def test_newton_needs_few_steps_near_a_discount_of_one(temperature):
    solution = tabular.value_iteration(
        open_grid(40, 0.9999), temperature=temperature, method="newton"
    )
    assert solution.iterations <= 50
    assert solution.residual <= 1e-8


def test_newton_falls_back_on_sweeps():
    """A reward seen only along a path of 120 cells, where Newton's steps alone go astray."""
    walls = np.zeros((16, 15), bool)
    walls[1::2] = True
    walls[1::4, -1] = walls[3::4, 0] = False
    goal = np.arange(walls.size) == 0
    mdp = tabular.MDP(
        tabular.Gather(jnp.asarray(processes.grid(16, 15, walls.ravel()))),
        jnp.asarray(goal.astype(float)),
        jnp.ones(walls.size) / walls.size,
        0.9,
    )
    solution = tabular.value_iteration(mdp, method="newton", tolerance=1e-13)
    assert solution.residual <= 1e-13
    next_states = np.asarray(mdp.transition.next_states)
    distance = np.where(goal, 0.0, np.inf)
    for _ in range(walls.size):
        distance = np.minimum(distance, 1 + distance[next_states].min(axis=1))
    assert np.max(distance[np.isfinite(distance)]) > 100
    np.testing.assert_allclose(solution.values, 0.9**distance / 0.1, rtol=0, atol=1e-11)


def test_policy_evaluation_solves_its_linear_system():
    for kind, temperatures in (("slip", (None,)), ("dense", (0.6,))):
        mdp, probabilities = processes.process(kind, reward_axes=1)
        policy = np.random.default_rng(0).gamma(1.0, size=(6, 3)) * np.asarray(mdp.actions)
        policy[:5] /= policy[:5].sum(axis=1, keepdims=True)
        with np.errstate(divide="ignore"):
            log_policy = jnp.asarray(np.log(policy))
        for temperature in temperatures:
            np.testing.assert_allclose(
                tabular.policy_evaluation(mdp, log_policy, temperature=temperature),
                processes.evaluate(mdp, probabilities, policy, temperature or 0.0),
                rtol=0,
                atol=1e-10,
            )
