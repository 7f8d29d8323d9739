"""Memory, from what the compiler allocates, and many processes at once."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ops import processes

from rlsuite.ops import tabular


def grid(size, discount=0.99):
    next_states = processes.grid(size, size).astype(np.int32)
    states = size * size
    return tabular.MDP(
        tabular.Gather(jnp.asarray(next_states)),
        jnp.asarray(np.random.default_rng(0).normal(size=states)),
        jnp.ones(states) / states,
        discount,
        terminal=jnp.arange(states) == 0,
    )


def compiled(function, *arguments):
    return jax.jit(function).lower(*arguments).compile().memory_analysis()


@pytest.mark.parametrize("method", ["iterate", "newton"])
def test_memory_of_the_gradient_does_not_grow_with_the_iterations(method):
    mdp = grid(30)

    def temporaries(max_iterations):
        def start_value(reward):
            solution = tabular.value_iteration(
                mdp.replace(reward=reward),
                temperature=1.0,
                method=method,
                max_iterations=max_iterations,
            )
            return mdp.initial @ solution.values

        return compiled(jax.value_and_grad(start_value), mdp.reward).temp_size_in_bytes

    few, many = temporaries(2), temporaries(100_000)
    assert abs(many - few) <= 0.05 * few
    assert many <= 40 * mdp.num_states * mdp.num_actions * 8


def test_a_million_states_fit_in_two_gigabytes():
    """Solved, and 10⁵ with the gradient too; nothing is run here."""
    shapes = jax.eval_shape(functools.partial(jax.tree.map, jnp.asarray), grid(2))

    def sized(states):
        def scale(leaf):
            if leaf.shape[:1] != (4,):
                return leaf
            return jax.ShapeDtypeStruct((states, *leaf.shape[1:]), leaf.dtype)

        return jax.tree.map(scale, shapes)

    def total(analysis):
        return (
            analysis.argument_size_in_bytes
            + analysis.output_size_in_bytes
            + analysis.temp_size_in_bytes
        )

    def start_value(mdp):
        values = tabular.value_iteration(mdp, temperature=1.0, method="newton").values
        return mdp.initial @ values

    solve = functools.partial(tabular.value_iteration, temperature=1.0, method="newton")
    assert total(compiled(solve, sized(10**6))) < 1e9
    gradient = jax.grad(lambda reward, mdp: start_value(mdp.replace(reward=reward)))
    assert total(compiled(gradient, sized(10**5).reward, sized(10**5))) < 1e8


def test_4096_mazes_in_one_program():
    rng = np.random.default_rng(0)
    walls = rng.random((4096, 16)) < 0.3
    walls[:, 0] = False
    tables = np.stack([processes.grid(4, 4, wall) for wall in walls])

    @jax.jit
    @jax.vmap
    def solve(table, reward):
        mdp = tabular.MDP(
            tabular.Gather(table), reward, jnp.ones(16) / 16, 0.95, jnp.arange(16) == 0
        )
        solution = tabular.value_iteration(mdp, temperature=0.5, method="newton")
        visits = tabular.visitation(mdp, solution.log_policy)
        return solution, visits

    rewards = rng.normal(size=(4096, 16))
    solution, visits = solve(jnp.asarray(tables), jnp.asarray(rewards))
    assert np.max(solution.residual) <= 1e-8
    for i in (0, 100, 4095):
        mdp = tabular.MDP(None, rewards[i], np.ones(16) / 16, 0.95, np.arange(16) == 0)
        probabilities = processes.dense_probabilities(tables[i])
        values, policy = processes.soft_values(mdp, probabilities, 0.5)
        np.testing.assert_allclose(solution.values[i], values, atol=1e-6)
        expected = processes.visits(mdp, probabilities, policy)
        np.testing.assert_allclose(visits.states[i], expected, atol=1e-6)
