"""iLQR: exact where the problem is linear-quadratic, and swinging up a pendulum."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.ops import lqr

TIME, N, M = 8, 3, 2


def quadratic_task():
    """Linear dynamics and quadratic costs that change with time, as functions."""
    draw = np.random.default_rng(0)
    A, B = draw.normal(size=(TIME, N, N)) / 2, draw.normal(size=(TIME, N, M))
    root = draw.normal(size=(TIME, N + M, N + M)) / 2
    offset, slope = draw.normal(size=(TIME, N)), draw.normal(size=(TIME, N + M))
    A, B, root, offset, slope = map(jnp.asarray, (A, B, root, offset, slope))
    hessian = root @ jnp.swapaxes(root, 1, 2) + 0.1 * jnp.eye(N + M)

    def dynamics(state, action, time):
        return A[time] @ state + B[time] @ action + offset[time]

    def cost(state, action, time):
        both = jnp.concatenate([state, action])
        return both @ hessian[time] @ both / 2 + slope[time] @ both + 0.3

    def terminal(state):
        return state @ state + state[0]

    problem = lqr.Problem(
        lqr.Dynamics(A, B, offset, jnp.zeros((TIME, N, N))),
        lqr.Quadratic(hessian, slope, jnp.full(TIME, 0.3)),
        lqr.Quadratic(2 * jnp.eye(N), jnp.eye(N)[0], jnp.array(0.0)),
    )
    return (dynamics, cost, terminal), problem


def test_a_linear_quadratic_problem_takes_one_iteration():
    task, problem = quadratic_task()
    state, guess = (
        jnp.array([1.0, -2.0, 0.5]),
        jnp.asarray(np.random.default_rng(1).normal(size=(TIME, M))),
    )
    improve = jax.jit(lambda *x: lqr.ilqr(*task, *x, iterations=1))
    found = improve(state, guess)
    exact = jax.jit(lqr.solve)(problem)
    value = jax.tree.map(lambda x: x[0], exact.value)
    still = lqr.Gaussian(state, jnp.zeros((N, N)))
    mean = jax.jit(lqr.law)(problem.dynamics, exact.policy, still).joint.mean
    for one, other in (
        (found.cost, lqr.evaluate(value, state)),
        (found.states[:-1], mean[:, :N]),
        (found.actions, mean[:, N:]),
        (found.gain, exact.policy.gain),
    ):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-10)
    assert found.iterations == 1

    again = improve(state, found.actions)
    assert again.converged
    assert again.iterations == 1


def pendulum(state, action, time):
    speed = state[1] + 0.05 * (15 * jnp.sin(state[0]) + 3 * action[0])
    return jnp.stack([state[0] + 0.05 * speed, speed])


def effort(state, action, time):
    return 0.05 * ((1 - jnp.cos(state[0])) + 0.1 * state[1] ** 2 + 0.02 * action[0] ** 2)


def upright(state):
    return 20 * (1 - jnp.cos(state[0])) + 5 * state[1] ** 2


PENDULUM = pendulum, effort, upright


def total(actions, state):
    def move(state, now):
        action, time = now
        return pendulum(state, action, time), effort(state, action, time)

    last, paid = jax.lax.scan(move, state, (actions, jnp.arange(len(actions))))
    return jnp.sum(paid) + upright(last)


def swing(state, actions, **rest):
    return lqr.ilqr(*PENDULUM, state, actions, tolerance=1e-12, iterations=300, **rest)


def test_a_pendulum_swings_up_to_a_stationary_point():
    """Hanging, the cost is concave in the angle, and the first models have no minimum."""
    states = jnp.array([[jnp.pi, 0.0], [jnp.pi - 0.5, 1.0]])
    guess = 0.1 * jnp.ones((2, 60, 1))
    found = jax.jit(jax.vmap(swing))(states, guess)
    assert np.all(found.converged)
    turns = found.states[:, -1, 0] / (2 * np.pi)
    np.testing.assert_allclose(turns, np.round(turns), atol=0.03)
    slopes = jax.vmap(jax.grad(total))(found.actions, states)
    np.testing.assert_allclose(slopes, 0.0, atol=1e-5)
    np.testing.assert_allclose(found.cost, jax.vmap(total)(found.actions, states), rtol=1e-12)
    assert np.all(found.cost < 0.5 * jax.vmap(total)(guess, states))
    # A batch is a loop, although its elements take different numbers of iterations.
    assert found.iterations[0] != found.iterations[1]
    alone = jax.jit(swing)(states[1], guess[1])
    np.testing.assert_allclose(alone.actions, found.actions[1], rtol=0, atol=1e-9)
    assert alone.iterations == found.iterations[1]


def test_single_precision_swings_up_too():
    state, guess = jnp.array([np.pi, 0.0], jnp.float32), jnp.full((60, 1), 0.1, jnp.float32)
    found = jax.jit(lambda *x: lqr.ilqr(*PENDULUM, *x))(state, guess)
    assert found.converged
    assert found.actions.dtype == jnp.float32
    assert jnp.cos(found.states[-1, 0]) > 0.98


def test_models_are_derivatives_along_the_trajectory():
    task, problem = quadratic_task()
    draw = np.random.default_rng(2)
    states, actions = map(
        jnp.asarray, (draw.normal(size=(TIME + 1, N)), draw.normal(size=(TIME, M)))
    )
    found = jax.jit(lambda *x: lqr.approximate(*task, *x))(states, actions)
    both = jnp.concatenate([states[:-1], actions], axis=-1)
    slope = jnp.sum(problem.cost.hessian * both[:, None], axis=-1) + problem.cost.gradient
    missed = jax.vmap(task[0])(states[:-1], actions, jnp.arange(TIME)) - states[1:]
    for one, other in (
        (found.dynamics.state, problem.dynamics.state),
        (found.dynamics.action, problem.dynamics.action),
        (found.dynamics.offset, missed),
        (found.cost.hessian, problem.cost.hessian),
        (found.cost.gradient, slope),
        (found.cost.constant, lqr.evaluate(problem.cost, both)),
        (found.terminal.gradient, 2 * states[-1] + jnp.eye(N)[0]),
    ):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)


def test_what_is_wrong_is_named():
    state, actions = jnp.zeros(2), jnp.zeros((3, 1))
    with pytest.raises(ValueError, match=r"shapes \(2,\) and \(1, 3, 1\); allowed: \(n,\)"):
        inspect.unwrap(lqr.ilqr)(*PENDULUM, state, actions[None])
    with pytest.raises(ValueError, match="iterations is 0; allowed: a whole number at least 1"):
        lqr.ilqr(*PENDULUM, state, actions, iterations=0)
