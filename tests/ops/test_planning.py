"""Plans against linear-quadratic control, and against SciPy where bounds hold."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.optimize

from rlsuite.ops import lqr, planning

HORIZON = 6
START = np.asarray([1.0, -0.4])
A, B = np.asarray([[1.0, 0.2], [0.0, 0.9]]), np.asarray([[0.05], [0.3]])


def cost(actions, weight=0.2):
    """Of a rollout from START; quadratic in the actions."""

    def step(x, a):
        return jnp.asarray(A) @ x + jnp.asarray(B) @ a, x @ x + weight * (a @ a)

    last, paid = jax.lax.scan(step, jnp.asarray(START), actions)
    return jnp.sum(paid) + last @ last


@functools.cache
def best():
    """LQR's actions without noise."""
    every = functools.partial(jnp.broadcast_to, shape=(HORIZON, 2, 2))
    hessian = jnp.diag(jnp.asarray([2.0, 2.0, 0.4]))
    problem = lqr.Problem(
        lqr.Dynamics(
            every(jnp.asarray(A)),
            jnp.broadcast_to(jnp.asarray(B), (HORIZON, 2, 1)),
            jnp.zeros((HORIZON, 2)),
            jnp.zeros((HORIZON, 2, 2)),
        ),
        lqr.Quadratic(
            jnp.broadcast_to(hessian, (HORIZON, 3, 3)), jnp.zeros((HORIZON, 3)), jnp.zeros(HORIZON)
        ),
        lqr.Quadratic(2 * jnp.eye(2), jnp.zeros(2), jnp.zeros(())),
    )
    policy = jax.jit(lqr.solve)(problem).policy
    x, actions = START, []
    for gain, offset in zip(policy.gain, policy.offset, strict=True):
        actions.append(np.asarray(gain @ x + offset))
        x = A @ x + B @ actions[-1]
    return np.stack(actions)


@functools.cache
def bounded(low, high):
    """The best actions within bounds, by L-BFGS-B."""
    paid = jax.jit(jax.value_and_grad(lambda flat: cost(flat.reshape(HORIZON, 1))))
    found = scipy.optimize.minimize(
        lambda x: tuple(np.asarray(y) for y in paid(x)),
        np.zeros(HORIZON),
        jac=True,
        bounds=[(low, high)] * HORIZON,
        options={"ftol": 1e-16, "gtol": 1e-12},
    )
    return found.x[:, None]


def descend(low, high):
    return planning.gradient_descent(
        cost, jnp.zeros((HORIZON, 1)), iterations=400, optimizer=optax.sgd(0.2), low=low, high=high
    )


@pytest.mark.parametrize("bound", [5.0, 0.5])
def test_gradients_reach_the_optimum(bound):
    plan = jax.jit(descend)(-bound, bound)
    wanted = best() if bound == 5.0 else bounded(-bound, bound)
    assert np.any(np.abs(best()) > 0.5)
    np.testing.assert_allclose(plan.actions, wanted, atol=1e-7 if bound == 0.5 else 1e-10)
    np.testing.assert_allclose(plan.cost, cost(jnp.asarray(wanted)), rtol=1e-10)


@jax.jit
def searched(keys, bound):
    """What the cross-entropy method finds, of each key."""
    many = {"iterations": 60, "samples": 300, "elites": 30, "momentum": 0.1}
    mean = jnp.zeros((HORIZON, 1))
    return jax.vmap(
        lambda key: planning.cross_entropy(key, cost, mean, 1.0, low=-bound, high=bound, **many)
    )(keys)


@pytest.mark.parametrize("bound", [5.0, 0.5])
def test_cross_entropy_reaches_the_optimum(bound):
    found, law = searched(jax.random.split(jax.random.key(0), 4), bound)
    wanted = best() if bound == 5.0 else bounded(-bound, bound)
    np.testing.assert_allclose(found.cost, np.full(4, cost(jnp.asarray(wanted))), rtol=1e-6)
    np.testing.assert_allclose(found.actions, np.broadcast_to(wanted, (4, 6, 1)), atol=2e-3)
    np.testing.assert_allclose(law.deviation, 0, atol=1e-3)
    assert np.all(np.abs(found.actions) <= bound)


def test_an_iteration_is_that_of_its_equations():
    key, mean = jax.random.key(3), jnp.full((HORIZON, 1), 0.1)
    few = {"iterations": 1, "samples": 20, "elites": 4, "momentum": 0.3, "min_deviation": 0.45}
    once = jax.jit(lambda key, mean: planning.cross_entropy(key, cost, mean, 0.7, **few))
    found, law = once(key, mean)
    noise = jax.random.normal(jax.random.split(key, 1)[0], (20, HORIZON, 1))
    drawn = np.clip(0.1 + 0.7 * np.asarray(noise), -1, 1)
    price = jax.jit(jax.vmap(cost))
    paid = np.asarray(price(jnp.asarray(drawn)))
    elites = drawn[np.argsort(paid)[:4]]
    np.testing.assert_allclose(law.mean, 0.03 + 0.7 * elites.mean(axis=0), rtol=1e-12)
    spread = np.maximum(0.21 + 0.7 * elites.std(axis=0), 0.45)
    np.testing.assert_allclose(law.deviation, spread, rtol=1e-12)
    assert found.cost <= min(paid.min(), *price(jnp.stack([mean, law.mean]))) + 1e-12


def test_what_costs_no_number_is_never_chosen():
    def holed(actions):
        return jnp.where(actions[0, 0] > 0, jnp.nan, cost(actions))

    @jax.jit
    def both(key):
        found, _ = planning.cross_entropy(key, holed, jnp.zeros((HORIZON, 1)), 1.0)
        start, rule = jnp.full((1, 1), 0.5), optax.sgd(0.1)
        return found, planning.gradient_descent(
            lambda a: jnp.sqrt(jnp.sum(a)), start, optimizer=rule
        )

    found, plan = both(jax.random.key(0))
    assert np.isfinite(found.cost)
    assert found.actions[0, 0] <= 0
    assert 0 <= plan.cost < 0.5


def test_a_plan_that_begins_with_the_last_one_is_found_sooner():
    search = functools.partial(planning.cross_entropy, cost=cost, deviation=0.05, iterations=2)
    few = jax.jit(lambda mean: search(jax.random.key(1), mean=mean, low=-5.0, high=5.0))
    cold, _ = few(jnp.zeros((HORIZON, 1)))
    before = jnp.concatenate([jnp.zeros((1, 1)), jnp.asarray(best())[:-1]])
    np.testing.assert_array_equal(planning.shifted(before)[:-1], best()[:-1])
    warm, _ = few(planning.shifted(before))
    assert warm.cost < cold.cost


@pytest.mark.parametrize("wrong", [{"iterations": 0}, {"elites": 0}, {"samples": 5, "elites": 6}])
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="allowed"):
        planning.cross_entropy(jax.random.key(0), cost, jnp.zeros((2, 1)), 1.0, **wrong)
    with pytest.raises(ValueError, match="iterations is 0"):
        planning.gradient_descent(cost, jnp.zeros((2, 1)), iterations=0)
