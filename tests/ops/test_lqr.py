"""Linear-quadratic control against dense programs, scipy, integrals and known numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
from compiled import compiled

from rlsuite.ops import lqr

solve = compiled(lqr.solve, static_argnames="block")
law = compiled(lqr.law, static_argnames="block")
stationary, evaluate, expected_cost, entropy = map(
    compiled, (lqr.stationary, lqr.evaluate, lqr.expected_cost, lqr.entropy)
)

TIME, N, M = 10, 3, 2
BLOCKS = (None, 4)


def spread(draw, *shape):
    root = draw.normal(size=shape)
    return root @ np.swapaxes(root, -1, -2)


def make(time=TIME, offset=1.0, seed=0):
    """A problem with every term there is."""
    draw = np.random.default_rng(seed)
    size = N + M
    dynamics = lqr.Dynamics(
        np.eye(N) + 0.2 * draw.normal(size=(time, N, N)),
        draw.normal(size=(time, N, M)),
        offset * draw.normal(size=(time, N)),
        0.1 * spread(draw, time, N, N),
    )
    cost = lqr.Quadratic(
        0.3 * np.eye(size) + 0.3 * spread(draw, time, size, size),
        draw.normal(size=(time, size)),
        draw.normal(size=time),
    )
    terminal = lqr.Quadratic(np.eye(N) + spread(draw, N, N), draw.normal(size=N), np.array(0.7))
    return lqr.Problem(dynamics, cost, terminal)


def make_policy(time=TIME, seed=1):
    draw = np.random.default_rng(seed)
    gain, offset = 0.3 * draw.normal(size=(time, M, N)), draw.normal(size=(time, M))
    return lqr.Policy(gain, offset, 0.1 * np.eye(M) + 0.2 * spread(draw, time, M, M))


def first():
    draw = np.random.default_rng(2)
    return lqr.Gaussian(draw.normal(size=N), spread(draw, N, N))


def close(one, other, tolerance=1e-9):
    """Equal, leaf by leaf, relative to the largest number."""
    for this, that in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(this, that, rtol=0, atol=tolerance * max(1, np.abs(that).max()))


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("offset", [1.0, 100.0])
def test_the_solution_is_that_of_the_dense_program_of_all_actions(block, offset):
    problem = make(offset=offset)
    problem = problem._replace(dynamics=problem.dynamics._replace(noise=np.zeros((TIME, N, N))))
    start = first().mean
    # Points are affine in the actions: [z, 1] = map @ [u, 1].
    size = TIME * M
    state = np.concatenate([np.zeros((N, size)), start[:, None]], axis=1)
    total = np.zeros((size + 1, size + 1))

    def pay(quadratic, point):
        point = np.concatenate([point, np.eye(size + 1)[-1:]])
        hessian, slope, constant = quadratic
        corner = np.block([[hessian, slope[:, None]], [slope[None], 2 * constant]])
        return point.T @ corner @ point

    for t in range(TIME):
        action = np.eye(size + 1)[t * M : (t + 1) * M]
        point = np.concatenate([state, action])
        total += pay([each[t] for each in problem.cost], point)
        state = problem.dynamics.state[t] @ state + problem.dynamics.action[t] @ action
        state[:, -1] += problem.dynamics.offset[t]
    total += pay(problem.terminal, state)
    actions = -np.linalg.solve(total[:-1, :-1], total[:-1, -1])
    best = (total[-1, -1] + total[-1, :-1] @ actions) / 2

    found = solve(problem, block=block)
    close(evaluate(jax.tree.map(lambda x: x[0], found.value), start), best)
    still = lqr.Gaussian(start, np.zeros((N, N)))
    taken = law(problem.dynamics, found.policy, still, block=block).joint.mean[:, N:]
    close(taken, actions.reshape(TIME, M))


@pytest.mark.parametrize("time", [1, 2, TIME])
def test_blocks_change_nothing(time):
    problem, policy = make(time, offset=100.0), make_policy(time)
    close(solve(problem, temperature=0.7, block=4), solve(problem, temperature=0.7), 1e-12)
    initial = first()._replace(mean=100 + first().mean)
    close(
        law(problem.dynamics, policy, initial, block=4),
        law(problem.dynamics, policy, initial),
        1e-12,
    )


def test_values_are_expected_costs_less_what_entropy_is_worth():
    problem, initial, temperature = make(), first(), 0.6
    found = solve(problem, temperature=temperature)
    paid = expected_cost(problem, law(problem.dynamics, found.policy, initial))
    value = jax.tree.map(lambda x: x[0], found.value)
    expected = evaluate(value, initial.mean) + np.trace(value.hessian @ initial.covariance) / 2
    close(paid - temperature * np.sum(entropy(found.policy)), expected)
    # At no temperature it draws nothing.
    none, zero = solve(problem), solve(problem, temperature=0.0)
    close(none, zero, 1e-12)
    assert not np.any(none.policy.covariance)
    close(none.policy.gain, found.policy.gain, 1e-12)


def test_one_step_with_entropy_is_a_log_integral():
    problem = lqr.Problem(
        lqr.Dynamics(
            *(np.full((1, 1, 1), x) for x in (1.1, 0.7)),
            np.full((1, 1), 0.3),
            np.full((1, 1, 1), 0.2),
        ),
        lqr.Quadratic(
            np.array([[[1.0, 0.4], [0.4, 0.5]]]), np.array([[0.2, -0.3]]), np.array([0.1])
        ),
        lqr.Quadratic(np.eye(1), np.array([0.5]), np.array(0.2)),
    )
    state, temperature = 0.8, 0.35

    def action_value(action):
        point = np.array([state, action])
        now = point @ problem.cost.hessian[0] @ point / 2 + problem.cost.gradient[0] @ point + 0.1
        after = 1.1 * state + 0.7 * action + 0.3
        return float(now + after**2 / 2 + 0.2 / 2 + 0.5 * after + 0.2)

    def moment(power):
        def weigh(action):
            return action**power * np.exp(-action_value(action) / temperature)

        return scipy.integrate.quad(weigh, -10, 10, epsabs=1e-14, epsrel=1e-13)[0]

    whole, mean, square = (moment(power) for power in range(3))
    found = solve(problem, temperature=temperature)
    value = evaluate(jax.tree.map(lambda x: x[0], found.value), np.array([state]))
    close(value, -temperature * np.log(whole))
    close(found.policy.gain[0, 0, 0] * state + found.policy.offset[0, 0], mean / whole)
    close(found.policy.covariance[0, 0, 0], square / whole - (mean / whole) ** 2)


def test_the_riccati_equation_by_known_numbers_and_scipy():
    A, B = np.array([[1, 0.1], [0, 1]]), np.array([[0.005], [0.1]])
    hessian = scipy.linalg.block_diag(np.diag([1, 0.1]), [[0.01]])
    dynamics = lqr.Dynamics(A, B, np.zeros(2), np.zeros((2, 2)))
    found = stationary(dynamics, lqr.Quadratic(hessian, np.zeros(3), np.array(0.0)))
    known = np.array([[6.022540785845, 1.012422836566], [1.012422836566, 0.609114640746]])
    close(found.value.hessian, known, 1e-12)
    close(found.policy.gain, np.array([[-7.612957972736, -4.584934989172]]), 1e-12)

    problem = endless()
    hessian, discount = problem.cost.hessian, 0.9
    for seed in range(3):
        A = np.sqrt(discount) * (problem.dynamics.state + 0.3 * seed * np.eye(N))
        B = np.sqrt(discount) * problem.dynamics.action
        expected = scipy.linalg.solve_discrete_are(
            A, B, hessian[:N, :N], hessian[N:, N:], s=hessian[:N, N:]
        )
        dynamics = problem.dynamics._replace(state=A / np.sqrt(discount))
        close(stationary(dynamics, problem.cost, discount=discount).value.hessian, expected)


def endless():
    problem = make(1, seed=5)
    dynamics, cost = jax.tree.map(lambda x: x[0], (problem.dynamics, problem.cost))
    return problem._replace(dynamics=dynamics, cost=cost)


@pytest.mark.parametrize("discount", [0.9, 1.0])
def test_a_long_horizon_is_nearly_none(discount):
    problem, temperature, time = endless(), 0.4, 400
    found = stationary(problem.dynamics, problem.cost, discount=discount, temperature=temperature)
    # Costs at the time t count γᵗ; with entropy at a temperature, so would that.
    repeated = jax.tree.map(lambda x: np.broadcast_to(x, (time, *x.shape)), problem)
    weight = discount ** np.arange(time)
    cost = jax.tree.map(lambda x: x * weight.reshape(-1, *[1] * (x.ndim - 1)), repeated.cost)
    nothing = jax.tree.map(np.zeros_like, problem.terminal)
    long = solve(repeated._replace(cost=cost, terminal=nothing))
    close(jax.tree.map(lambda x: x[0], long.policy)[:2], found.policy[:2])
    close((long.value.hessian[0], long.value.gradient[0]), found.value[:2])
    plain = stationary(problem.dynamics, problem.cost, discount=discount)
    per_step = long.value.constant[0] * (1 - discount)
    if discount == 1.0:
        per_step = long.value.constant[0] - long.value.constant[1]
        close(plain.value.constant, 0.0)
    close(plain.rate, per_step)
    close(plain.value.constant * (1 - discount), per_step * float(discount < 1))
    close(found.rate - plain.rate, -temperature * (entropy(found.policy) - M / 2))


def slope(function, step=3e-4):
    """The derivative at zero, by a central difference of the sixth order."""
    weights = {1: 45 / 60, 2: -9 / 60, 3: 1 / 60}
    return sum(w * (function(k * step) - function(-k * step)) for k, w in weights.items()) / step


def weighed(tree):
    """A number that depends on everything."""
    leaves = jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(tree)])
    return leaves @ jnp.cos(jnp.arange(leaves.size, dtype=leaves.dtype))


def direction(tree, seed=3):
    """A change that keeps what is symmetric symmetric."""
    draw = np.random.default_rng(seed)
    drawn = jax.tree.map(lambda x: np.asarray(draw.normal(size=x.shape)), tree)

    def both(quadratic):
        hessian = quadratic.hessian
        return quadratic._replace(hessian=(hessian + np.swapaxes(hessian, -1, -2)) / 2)

    return drawn._replace(cost=both(drawn.cost), terminal=both(drawn.terminal))


def differs(score, problem):
    """The derivative of a score along a direction, and by finite differences."""
    change = direction(problem)
    along = compiled(lambda x: score(jax.tree.map(lambda p, d: p + x * d, problem, change)))
    slopes = compiled(jax.grad(score))(problem)
    pairs = zip(jax.tree.leaves(slopes), jax.tree.leaves(change), strict=True)
    close(sum(np.vdot(one, two) for one, two in pairs), slope(along), 1e-8)


@pytest.mark.parametrize("block", BLOCKS)
def test_gradients_are_those_of_finite_differences(block):
    def score(problem):
        found = lqr.solve(problem, temperature=0.5, block=block)
        return weighed(found)

    differs(score, make(6))


def test_gradients_without_an_end_are_those_of_finite_differences():
    def score(problem):
        found = lqr.stationary(problem.dynamics, problem.cost, discount=0.9, temperature=0.5)
        return weighed(found)

    differs(score, endless())


@pytest.mark.parametrize("block", BLOCKS)
def test_a_batch_is_a_loop(block):
    problems = [make(seed=seed) for seed in range(3)]
    stacked = jax.tree.map(lambda *x: np.stack(x), *problems)
    batch = compiled(jax.vmap(lambda problem: lqr.solve(problem, temperature=0.5, block=block)))
    loop = [solve(problem, temperature=0.5, block=block) for problem in problems]
    close(batch(stacked), jax.tree.map(lambda *x: np.stack(x), *loop), 1e-12)


@pytest.mark.parametrize("block", BLOCKS)
def test_single_precision_keeps_four_digits(block):
    problem = make()
    less, still = jax.tree.map(lambda x: x.astype(np.float32), (problem, endless()))
    found = solve(less, temperature=0.5, block=block)
    close(found, solve(problem, temperature=0.5), 1e-4)
    close(stationary(*still[:2]), stationary(*endless()[:2]), 1e-4)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(found))


def test_what_is_wrong_is_named():
    problem, policy, initial = make(2), make_policy(2), first()
    dynamics, cost = problem.dynamics, problem.cost
    with pytest.raises(ValueError, match="block is 0; allowed: None, or a whole number"):
        solve(problem, block=0)
    with pytest.raises(ValueError, match=r"dynamics.action has shape \(3, 2\); allowed: \(time,"):
        solve(problem._replace(dynamics=jax.tree.map(lambda x: x[0], dynamics)))
    with pytest.raises(ValueError, match=r"dynamics.offset has shape \(2, 2\); allowed: \(2, 3\)"):
        law(dynamics._replace(offset=np.ones((2, 2))), policy, initial)
    with pytest.raises(ValueError, match=r"cost.gradient has shape \(2, 3\); allowed: \(2, 5\)"):
        solve(problem._replace(cost=cost._replace(gradient=np.ones((2, 3)))))
    with pytest.raises(ValueError, match=r"policy.gain has shape \(2, 3, 3\)"):
        law(dynamics, policy._replace(gain=np.ones((2, 3, 3))), initial)
    with pytest.raises(ValueError, match=r"initial.mean has shape \(2,\); allowed: \(3,\)"):
        law(dynamics, policy, initial._replace(mean=np.ones(2)))
    with pytest.raises(ValueError, match=r"discount is 1\.5; allowed: above 0"):
        lqr.stationary(*jax.device_put(endless()[:2]), discount=1.5)
