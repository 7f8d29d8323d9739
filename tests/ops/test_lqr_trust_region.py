"""Laws of trajectories, controllers that see through noise, and the best policy near another."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
from compiled import compiled

from rlsuite.ops import lqr

law, solve, expected_cost, divergence = map(
    compiled, (lqr.law, lqr.solve, lqr.expected_cost, lqr.divergence)
)
lqg = compiled(lqr.lqg, static_argnames="observed_first")
# With a temperature always given, there is one program for all of them.
constrained = functools.partial(
    compiled(lqr.constrained, static_argnames="multipliers"), temperature=0.0
)

TIME, N, M = 10, 3, 2


def spread(draw, *shape):
    root = draw.normal(size=shape)
    return root @ np.swapaxes(root, -1, -2)


def make(time=TIME, seed=0):
    """A problem with every term there is."""
    draw = np.random.default_rng(seed)
    size = N + M
    dynamics = lqr.Dynamics(
        np.eye(N) + 0.2 * draw.normal(size=(time, N, N)),
        draw.normal(size=(time, N, M)),
        draw.normal(size=(time, N)),
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


class Linear:
    """Random vectors as functions of a common stack of standard normals."""

    def __init__(self, size):
        self.size, self.used = size, 0

    def fixed(self, mean):
        return np.concatenate([np.asarray(mean)[:, None], np.zeros((len(mean), self.size))], 1)

    def draw(self, mean, covariance):
        vector, size = self.fixed(mean), len(mean)
        values, vectors = np.linalg.eigh(covariance)
        root = vectors * np.sqrt(np.maximum(values, 0))
        vector[:, 1 + self.used : 1 + self.used + size] = root
        self.used += size
        return vector

    @staticmethod
    def law(vector):
        return lqr.Gaussian(vector[:, 0], vector[:, 1:] @ vector[:, 1:].T)


def moved(noises, dynamics, t, state, action):
    drift = noises.draw(dynamics.offset[t], dynamics.noise[t])
    return dynamics.state[t] @ state + dynamics.action[t] @ action + drift


def test_laws_are_the_marginals_of_the_joint_law():
    problem, policy, initial = make(5), make_policy(5), first()
    noises = Linear(N + 5 * (N + M))
    state, expected = noises.draw(*initial), []
    for t in range(5):
        action = policy.gain[t] @ state + noises.draw(policy.offset[t], policy.covariance[t])
        expected.append(Linear.law(np.concatenate([state, action])))
        state = moved(noises, problem.dynamics, t, state, action)
    found = law(problem.dynamics, policy, initial)
    close(found.joint, jax.tree.map(lambda *x: np.stack(x), *expected), 1e-12)
    close(found.last, Linear.law(state), 1e-12)


def test_noisy_observations_by_known_numbers():
    pair = functools.partial(np.kron, np.eye(2))
    A, B, Q = pair([[1, 0.1], [0, 1]]), pair([[0.005], [0.1]]), pair(np.diag([1, 0.1]))

    def repeat(array):
        return np.broadcast_to(array, (50, *np.shape(array)))

    hessian = 2 * scipy.linalg.block_diag(Q, 0.01 * np.eye(2))
    problem = lqr.Problem(
        lqr.Dynamics(*map(repeat, (A, B, np.zeros(4), 1e-3 * np.eye(4)))),
        lqr.Quadratic(*map(repeat, (hessian, np.zeros(6), 0.0))),
        lqr.Quadratic(2 * Q, np.zeros(4), np.array(0.0)),
    )
    position = np.eye(4)[[0, 2]]
    seen = lqr.Observation(*map(repeat, (position, np.zeros(2), 0.01 * np.eye(2))))
    initial = lqr.Gaussian(np.array([1.5, 0.0, -1.5, 0.0]), 0.01 * np.eye(4))
    found = lqg(problem, seen, initial)
    close(found.cost, 28.8479203100, 1e-11)
    for policy, cost in (
        (found.policy, 27.8573281562),
        (jax.tree.map(np.zeros_like, found.policy), 252.4245),
    ):
        close(expected_cost(problem, law(problem.dynamics, policy, initial)), cost, 1e-11)


def observed(time):
    draw = np.random.default_rng(6)
    offset, noise = draw.normal(size=(time, M)), spread(draw, time, M, M)
    return lqr.Observation(draw.normal(size=(time, M, N)), offset, noise)


@pytest.mark.parametrize("early", [True, False])
def test_laws_of_a_controller_are_marginals_and_no_other_gain_is_better(early):
    time = 4
    problem, policy, initial, seen = make(time), make_policy(time), first(), observed(time)
    found = lqg(problem, seen, initial, policy=policy, observed_first=early)
    noises = Linear(N + time * (N + 2 * M))
    state, guess, expected = noises.draw(*initial), noises.fixed(initial.mean), []
    for t in range(time):
        view = seen.state[t] @ state + noises.draw(seen.offset[t], seen.noise[t])
        error = view - seen.state[t] @ guess - noises.fixed(seen.offset[t])
        after = guess + found.filter.gain[t] @ error
        action = policy.gain[t] @ (after if early else guess)
        action = action + noises.draw(policy.offset[t], policy.covariance[t])
        expected.append(Linear.law(np.concatenate([state, action])))
        close(Linear.law(state - after).covariance, found.filter.after[t])
        guess = problem.dynamics.state[t] @ after + problem.dynamics.action[t] @ action
        guess = guess + noises.fixed(problem.dynamics.offset[t])
        state = moved(noises, problem.dynamics, t, state, action)
    close(found.trajectory.joint, jax.tree.map(lambda *x: np.stack(x), *expected), 1e-12)
    close(found.trajectory.last, Linear.law(state), 1e-12)

    def cost(policy, *given):
        return lqr.lqg(*given, policy=policy, observed_first=early).cost

    slopes = compiled(jax.grad(cost))(solve(problem).policy, problem, seen, initial)
    close(slopes[:2], jax.tree.map(np.zeros_like, slopes[:2]), 1e-11)


def walk():
    """The scalar problem of the known numbers, its old policy and its first law."""

    def repeat(*rows):
        return np.broadcast_to(np.array(rows), (3, *np.shape(rows)))

    dynamics = lqr.Dynamics(repeat([1.1]), repeat([0.7]), repeat(0.0), repeat([0.05]))
    cost = lqr.Quadratic(repeat([1.0, 0.0], [0.0, 0.1]), repeat(0.3, 0.0), np.zeros(3))
    terminal = lqr.Quadratic(np.zeros((1, 1)), np.zeros(1), np.array(0.0))
    old = lqr.Policy(repeat([-0.2]), repeat(0.1), repeat([0.25]))
    return lqr.Problem(dynamics, cost, terminal), old, lqr.Gaussian(np.ones(1), 0.2 * np.eye(1))


@pytest.mark.parametrize(
    ("bound", "multiplier", "cost"),
    [(0.1, 2.1575137322, 2.6242145283), (1.0, 0.4647826741, 1.8406134274)],
)
def test_the_bound_by_known_numbers(bound, multiplier, cost):
    found = constrained(*walk(), bound)
    close((found.multiplier, found.cost), (multiplier, cost), 1e-10)
    close(found.divergence, bound, 1e-11)
    less = constrained(*jax.tree.map(lambda x: x.astype(np.float32), walk()), bound)
    assert less.cost.dtype == jnp.float32
    close((less.multiplier, less.cost), (multiplier, cost), 1e-4)


def test_no_other_policy_within_the_bound_is_better():
    problem, old, initial = jax.device_put(walk())
    bound = 0.5

    def policy(numbers):
        gain, offset, log_scale = numbers.reshape(3, 3)
        return lqr.Policy(gain[:, None, None], offset[:, None], jnp.exp(log_scale)[:, None, None])

    def cost(numbers):
        return lqr.expected_cost(problem, lqr.law(problem.dynamics, policy(numbers), initial))

    def slack(numbers):
        laws = lqr.law(problem.dynamics, policy(numbers), initial)
        return bound - jnp.sum(lqr.divergence(policy(numbers), old, laws))

    start = np.concatenate([old.gain.ravel(), old.offset.ravel(), np.log(old.covariance).ravel()])
    cost, slack, slack_slope = map(compiled, (jax.value_and_grad(cost), slack, jax.grad(slack)))
    best = scipy.optimize.minimize(
        cost,
        start,
        jac=True,
        method="SLSQP",
        constraints={"type": "ineq", "fun": slack, "jac": slack_slope},
        options={"ftol": 1e-14, "maxiter": 200},
    )
    found = constrained(problem, old, initial, bound)
    close(found.cost, best.fun, 1e-9)
    close(jax.tree.leaves(found.policy), jax.tree.leaves(compiled(policy)(best.x)), 1e-5)


def test_divergences_are_those_of_whole_trajectories():
    time = 3
    problem, initial = make(time), first()
    new, old = make_policy(time), make_policy(time, seed=4)

    def joint(policy):
        noises = Linear(N + time * (N + M))
        state, whole = noises.draw(*initial), []
        for t in range(time):
            action = policy.gain[t] @ state + noises.draw(policy.offset[t], policy.covariance[t])
            whole += [state, action]
            state = moved(noises, problem.dynamics, t, state, action)
        return Linear.law(np.concatenate([*whole, state]))

    one, two = joint(new), joint(old)
    shift = one.mean - two.mean
    expected = np.trace(np.linalg.solve(two.covariance, one.covariance)) - len(shift)
    expected += shift @ np.linalg.solve(two.covariance, shift)
    expected += np.linalg.slogdet(two.covariance)[1] - np.linalg.slogdet(one.covariance)[1]
    laws = law(problem.dynamics, new, initial)
    close(np.sum(divergence(new, old, laws)), expected / 2)
    assert not np.any(np.abs(divergence(new, new, laws)) > 1e-12)


@pytest.mark.parametrize("block", [None, 4])
def test_a_batch_is_a_loop_with_a_multiplier_each(block):
    """The costs of the last one are concave: without a multiplier there is no best policy."""
    problems = [make(seed=seed) for seed in range(3)]
    concave = problems[-1].cost
    concave = concave._replace(hessian=concave.hessian - 1.5 * np.eye(N + M))
    problems[-1] = problems[-1]._replace(cost=concave)
    stacked = jax.tree.map(lambda *x: np.stack(x), *problems)
    bounds = np.array([0.3, 2.0, 0.05])
    old, initial = jax.device_put((make_policy(), first()))
    if block is not None:  # In blocks, the costs have to be convex.
        stacked, bounds = jax.tree.map(lambda x: x[:2], (stacked, bounds))
    batch = compiled(
        jax.vmap(lambda problem, bound: lqr.constrained(problem, old, initial, bound, block=block))
    )(stacked, bounds)
    close(batch.divergence, bounds, 1e-10)
    assert np.all(batch.cost < batch.old_cost)
    assert len(np.unique(batch.multiplier)) == len(bounds)
    for number, bound in enumerate(bounds):
        alone = constrained(problems[number], old, initial, bound)
        close(jax.tree.map(lambda x, n=number: x[n], batch), alone)


def test_a_slack_bound_has_no_multiplier():
    problem, old, initial = walk()
    temperature = 0.3
    found = constrained(problem, old, initial, 100.0, temperature=temperature)
    free = solve(problem, temperature=temperature).policy
    assert found.multiplier == 0
    close(found.policy, free, 1e-12)
    close(found.cost, expected_cost(problem, law(problem.dynamics, free, initial)), 1e-12)
    assert constrained(problem, old, initial, 1.0, temperature=temperature).multiplier > 0
    # Without entropy, the least multiplier takes the place of zero.
    loose = constrained(problem, old, initial, 100.0)
    close(loose.multiplier, 1e-8, 1e-20)
    assert np.all(loose.policy.covariance > 0)


def test_where_no_multiplier_is_enough_the_old_policy_stays():
    problem, old, initial = walk()
    found = constrained(problem, old, initial, 0.1, multipliers=(1e-8, 1e-2))
    close(found.policy, old, 1e-15)
    close((found.divergence, found.cost), (0.0, found.old_cost), 1e-15)


def test_what_is_wrong_is_named():
    problem, old, initial = jax.device_put(walk())
    with pytest.raises(ValueError, match=r"bound is 0\.0; allowed: above 0"):
        lqr.constrained(problem, old, initial, 0.0)
    with pytest.raises(ValueError, match=r"multipliers is \(1\.0, 0\.5\); allowed: two rising"):
        lqr.constrained(problem, old, initial, 1.0, multipliers=(1.0, 0.5))
    with pytest.raises(ValueError, match=r"old.gain has shape \(10, 2, 3\); allowed: \(3, 1, 1\)"):
        constrained(problem, make_policy(), initial, 1.0)
    problem, initial = make(2), first()
    with pytest.raises(ValueError, match=r"observation.state has shape \(4, 2, 3\)"):
        lqg(problem, observed(2)._replace(state=observed(4).state), initial)
