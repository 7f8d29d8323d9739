import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from ops import processes

from rlsuite.ops import tabular

EXACT = 1e-14
SWEEPS = 300  # 0.8³⁰⁰ is rounding


def weights(*shape):
    return jnp.asarray(np.random.default_rng(7).normal(size=shape))


def summary(values, q, log_policy, evaluated, visits):
    """A number that depends on everything a solution has."""
    finite = jnp.where(jnp.isfinite(log_policy), log_policy, 0)
    return (
        values @ weights(6)
        + jnp.sum(q * weights(6, 3))
        + jnp.sum(finite * weights(6, 3) / 3)
        + evaluated @ weights(6)
        + visits @ weights(6)
    )


def implicit(mdp, temperature):
    solution = tabular.value_iteration(
        mdp, temperature=temperature, method="newton", tolerance=EXACT
    )
    return summary(
        solution.values,
        solution.action_values,
        solution.log_policy,
        tabular.policy_evaluation(mdp, solution.log_policy, temperature=temperature),
        tabular.visitation(mdp, solution.log_policy).states,
    )


def unrolled(mdp, temperature):
    """The same through every sweep."""

    def repeat(sweep):
        return jax.lax.scan(lambda x, _: (sweep(x), None), jnp.zeros(6), None, SWEEPS)[0]

    def lookahead(values):
        return tabular.action_values(mdp, values)

    values = repeat(lambda v: tabular.backup(mdp, lookahead(v), temperature))
    q = lookahead(values)
    log_policy = tabular.log_policy(mdp, q, temperature)
    policy, acting = jnp.exp(log_policy), ~mdp.terminal[:, None]
    bonus = -temperature * jnp.where(policy > 0, log_policy, 0)

    def evaluate(values):
        q = lookahead(values)
        return jnp.where(acting[:, 0], jnp.sum(policy * (q + bonus), axis=1), q[:, 0])

    def push(states):
        flow = jnp.where(acting, states[:, None] * policy, 0)
        return mdp.initial + mdp.discount * tabular.push(mdp.transition, flow)

    return summary(values, q, log_policy, repeat(evaluate), repeat(push))


def masked_slip(dtype=jnp.float64):
    """Parameters of a process with a terminal state and disallowed actions, and how to build it."""
    mdp, _ = processes.process("slip", discount=0.8)
    parameters = {
        "reward": mdp.reward.astype(dtype),
        "initial": mdp.initial.astype(dtype),
        "discount": jnp.asarray(0.8, dtype),
        "slip": jnp.asarray(0.3, dtype),
        "temperature": jnp.asarray(0.7, dtype),
    }
    vector, unravel = ravel_pytree(parameters)

    def build(vector):
        changes = unravel(vector)
        transition = tabular.Gather(mdp.transition.next_states, changes.pop("slip"))
        temperature = changes.pop("temperature")
        return mdp.replace(transition=transition, **changes), temperature

    return vector, build


@functools.cache
def derivatives():
    """The summary's slope, gradient and Hessian-vector product along a direction, compiled."""
    _, build = masked_slip()

    def objective(vector):
        return implicit(*build(vector))

    def derive(vector, direction):
        slope = jax.jvp(objective, (vector,), (direction,))[1]
        return slope, *jax.jvp(jax.grad(objective), (vector,), (direction,))

    return jax.jit(derive)


def along(vector, directions):
    """Points on the lines through ``vector``: steps [n] to points [n, direction, coordinate]."""
    return lambda steps: jnp.asarray(vector + steps[:, None, None] * directions)


def test_gradients_equal_finite_differences():
    vector, build = masked_slip()
    direction = np.random.default_rng(0).normal(size=len(vector)) / 4
    slope, gradient, _ = derivatives()(vector, jnp.asarray(direction))
    values = jax.jit(jax.vmap(jax.vmap(lambda v: implicit(*build(v)))))
    points = along(np.asarray(vector), np.eye(len(vector)))
    expected = processes.derivative(lambda steps: values(points(steps)))
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-8)
    np.testing.assert_allclose(slope, gradient @ direction, rtol=0, atol=1e-8)


def test_implicit_derivatives_equal_unrolled_ones():
    vector, build = masked_slip()
    direction = jnp.asarray(np.random.default_rng(0).normal(size=len(vector)) / 4)

    @jax.jit
    def reference(vector):
        gradient = jax.grad(lambda v: unrolled(*build(v)))
        return jax.jvp(gradient, (vector,), (direction,))

    _, *ours = derivatives()(vector, direction)
    for one, other in zip(ours, reference(vector), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-8)


def test_derivatives_in_the_probabilities():
    """Of every entry of a dense kernel, with the entropy of trajectories."""
    mdp, _ = processes.process("dense", reward_axes=1, discount=0.8)

    def objective(probabilities):
        changed = mdp.replace(transition=tabular.Dense(probabilities))
        solution = tabular.value_iteration(
            changed, temperature=0.7, entropy="trajectory", tolerance=EXACT
        )
        visits = tabular.visitation(changed, solution.log_policy)
        return solution.values @ weights(6) + visits.states @ weights(6)

    probabilities = mdp.transition.probabilities
    gradient = jax.jit(jax.grad(objective))(probabilities)
    directions = np.random.default_rng(0).normal(size=(8, *probabilities.shape)) / 20
    values = jax.jit(jax.vmap(jax.vmap(objective)))

    def at(steps):
        return values(probabilities + steps[:, None, None, None, None] * directions)

    expected = processes.derivative(at)
    np.testing.assert_allclose(
        np.einsum("dsat,sat->d", directions, gradient), expected, rtol=0, atol=1e-8
    )


def test_an_operator_may_close_over_parameters():
    """Differentiated through the user's function, as through the same kernel given densely."""
    mdp, one = processes.process("dense", discount=0.8)
    other = jnp.asarray(processes.random_probabilities(9))

    def objective(share, build):
        changed = mdp.replace(transition=build((1 - share) * jnp.asarray(one) + share * other))
        solution = tabular.value_iteration(changed, temperature=0.7, tolerance=EXACT)
        visits = tabular.visitation(changed, solution.log_policy)
        return solution.values @ weights(6) + visits.states @ weights(6)

    def operator(probabilities):
        return tabular.Operator(lambda values: probabilities @ values, 6, 3)

    ours, dense = (
        jax.jit(jax.value_and_grad(lambda share, build=build: objective(share, build)))(0.3)
        for build in (operator, tabular.Dense)
    )
    np.testing.assert_allclose(ours, dense, rtol=1e-11)
    assert np.abs(dense[1]) > 0.1


def test_hard_derivatives():
    """Away from ties the policy does not move, and values are linear in the reward."""
    vector, build = masked_slip()

    def objective(vector):
        mdp, _ = build(vector)
        solution = tabular.value_iteration(mdp, tolerance=EXACT)
        return solution.values @ weights(6) + jnp.sum(solution.action_values * weights(6, 3))

    gradient = jax.jit(jax.grad(objective))(vector)
    points = along(np.asarray(vector), np.eye(len(vector)))
    values = jax.jit(jax.vmap(jax.vmap(objective)))
    expected = processes.derivative(lambda steps: values(points(steps)), step=0.002)
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-8)


def test_no_gradient_flows_into_the_initial_values():
    mdp, _ = processes.process("slip")

    def objective(initial_values):
        solution = tabular.value_iteration(
            mdp, temperature=0.5, initial_values=initial_values, max_iterations=3
        )
        return jnp.sum(solution.values) + solution.residual + solution.error_bound

    gradient = jax.grad(objective)(weights(6))
    np.testing.assert_array_equal(gradient, np.zeros(6))


def test_nothing_is_nan_in_float32():
    """Masks of −inf, a terminal state without actions, and logits that under- and overflow."""
    vector, build = masked_slip(jnp.float32)

    def objective(vector):
        mdp, temperature = build(vector)
        solution = tabular.value_iteration(mdp, temperature=temperature)
        visits = tabular.visitation(mdp, solution.log_policy)
        return jnp.sum(solution.values + visits.states)

    @jax.jit
    def derive(vector):
        return objective(vector), *jax.jvp(jax.grad(objective), (vector,), (jnp.ones_like(vector),))

    for temperature in (0.7, 1e-3):
        for result in derive(vector.at[-1].set(temperature)):
            assert result.dtype == jnp.float32
            assert np.all(np.isfinite(result))
