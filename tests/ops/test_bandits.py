"""Bandits against brute force over all histories, published indices, and closed forms."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import compiled
from scipy import integrate, stats

from rlsuite.ops import bandits as ops

BETA = (np.array([1.0, 2.0]), np.array([3.0, 1.5]))
WEIGHTS = np.array([0.2, 0.5, 0.3])
CHANCES = np.array([[0.9, 0.1, 0.5], [0.2, 0.6, 0.5], [0.4, 0.4, 0.8]])
solve, evaluate = jax.jit(ops.solve), jax.jit(ops.evaluate)
number_of = jax.jit(ops.Lattice.number)
POLICIES = {
    policy.__name__: jax.jit(policy) for policy in (ops.uniform, ops.myopic, ops.ucb1, ops.thompson)
}


def arms_of(name):
    return {
        "uniform": lambda: ops.UniformArms(2),
        "beta": lambda: ops.BetaArms(*BETA),
        "finite": lambda: ops.FiniteArms(CHANCES, WEIGHTS),
        "opposed": lambda: ops.FiniteArms.opposed(),
    }[name]()


def mean(name, counts):
    """The mean of θ by the definition of the posterior; counts as ((s, f), …)."""
    if name == "finite":
        weights = WEIGHTS * np.prod(
            [CHANCES[:, k] ** s * (1 - CHANCES[:, k]) ** f for k, (s, f) in enumerate(counts)], 0
        )
        return weights @ CHANCES / weights.sum()
    if name == "opposed":
        (s, f), (won, lost) = counts
        first = (1 + s + lost) / (2 + s + f + won + lost)
        return np.array([first, 1 - first])
    alpha, beta = BETA if name == "beta" else (np.ones(2), np.ones(2))
    return np.array(
        [(alpha[k] + s) / (alpha[k] + beta[k] + s + f) for k, (s, f) in enumerate(counts)]
    )


def bump(counts, arm, paid):
    changed = [list(pair) for pair in counts]
    changed[arm][1 - paid] += 1
    return tuple(map(tuple, changed))


def best(name, counts, left):
    """Over all histories, without a table."""
    if left == 0:
        return 0.0, None
    chance, values = mean(name, counts), []
    for arm, p in enumerate(chance):
        won, lost = (best(name, bump(counts, arm, paid), left - 1)[0] for paid in (1, 0))
        values.append(p * (1 + won) + (1 - p) * lost)
    return max(values), values


def worth(name, states, policy, counts, time, horizon):
    if time == horizon:
        return 0.0
    successes, failures = np.array(counts).T
    row = policy[time, int(number_of(states, successes, failures))]
    total = 0.0
    for arm, p in enumerate(mean(name, counts)):
        later = [
            worth(name, states, policy, bump(counts, arm, paid), time + 1, horizon)
            for paid in (1, 0)
        ]
        total += row[arm] * (p * (1 + later[0]) + (1 - p) * later[1])
    return total


@pytest.mark.parametrize(("num_arms", "horizon"), [(1, 4), (2, 4), (3, 3)])
def test_every_state_has_a_number_of_its_own(num_arms, horizon):
    states = ops.lattice(num_arms, horizon)
    index = jax.jit(states.number)
    for time in range(horizon):
        rows = [
            row
            for row in itertools.product(range(time + 1), repeat=2 * num_arms)
            if sum(row) == time
        ]
        pairs = np.reshape(rows, (-1, num_arms, 2))
        found = np.asarray(index(jnp.asarray(pairs[..., 0]), jnp.asarray(pairs[..., 1])))
        assert sorted(found.tolist()) == list(range(len(rows)))
        won, lost = states.pulls(jnp.asarray(time))
        np.testing.assert_array_equal(np.asarray(won)[found], pairs[..., 0])
        np.testing.assert_array_equal(np.asarray(lost)[found], pairs[..., 1])
        for arm, paid in itertools.product(range(num_arms), range(2)):
            if time + 1 == horizon:
                continue
            after = pairs.copy()
            after[:, arm, 1 - paid] += 1
            number = index(jnp.asarray(after[..., 0]), jnp.asarray(after[..., 1]))
            np.testing.assert_array_equal(states.after[found, arm, paid], number)


@pytest.mark.parametrize(
    ("name", "horizon"), [("uniform", 5), ("beta", 5), ("finite", 4), ("opposed", 5)]
)
def test_the_best_policy_is_that_of_brute_force(name, horizon):
    arms = arms_of(name)
    start = ((0, 0),) * arms.num_arms
    value, first = best(name, start, horizon)
    solution = solve(arms, ops.lattice(arms.num_arms, horizon))
    np.testing.assert_allclose(solution.values[0, 0], value, rtol=1e-12)
    np.testing.assert_allclose(solution.action_values[0, 0], first, rtol=1e-12)
    assert float(solution.losses.min()) >= 0


@pytest.mark.parametrize("name", ["uniform", "beta", "finite"])
@pytest.mark.parametrize("policy", POLICIES)
def test_what_policies_earn_is_the_sum_over_histories(name, policy):
    arms = arms_of(name)
    states = ops.lattice(arms.num_arms, 4)
    table = POLICIES[policy](arms, states)
    expected = worth(name, states, np.asarray(table), ((0, 0),) * arms.num_arms, 0, 4)
    np.testing.assert_allclose(evaluate(arms, states, table)[0, 0], expected, rtol=1e-12)
    np.testing.assert_allclose(table.sum(axis=-1), 1.0, rtol=1e-12)


def test_thompson_is_the_probability_of_being_the_best():
    arms, states = ops.BetaArms(*BETA), ops.lattice(2, 4)
    table = np.asarray(POLICIES["thompson"](arms, states))
    for counts in [((0, 0), (0, 0)), ((2, 0), (0, 1)), ((0, 1), (1, 1))]:
        one, two = (stats.beta(BETA[0][k] + s, BETA[1][k] + f) for k, (s, f) in enumerate(counts))
        expected = integrate.quad(lambda x, f=one.pdf, g=two.cdf: f(x) * g(x), 0, 1, epsabs=1e-12)[
            0
        ]
        place = states.number(*(jnp.asarray(x) for x in np.array(counts).T))
        found = table[np.sum(counts), int(place), 0]
        np.testing.assert_allclose(found, expected, rtol=1e-6)  # β = 1.5 has a singularity.


def test_the_ladder_of_twenty_pulls():
    """Known numbers: what myopic and Gittins' policies lose, and a random one's ten rewards."""
    arms, states = ops.UniformArms(2), ops.lattice(2, 20)
    value = float(solve(arms, states).values[0, 0])

    def lost(policy):
        return value - float(evaluate(arms, states, policy)[0, 0])

    np.testing.assert_allclose(value, 12.431264905858743, rtol=1e-12)
    np.testing.assert_allclose(lost(POLICIES["uniform"](arms, states)), value - 10, rtol=1e-12)
    np.testing.assert_allclose(lost(POLICIES["myopic"](arms, states)), 0.0659130, atol=1e-7)
    np.testing.assert_allclose(lost(ops.by_index(states, indices())), 0.0107957, atol=1e-7)
    thompson, ucb1 = (lost(POLICIES[name](arms, states)) for name in ("thompson", "ucb1"))
    assert 0.4 < thompson < 0.6 < ucb1 < 1.0


@functools.cache
def indices():
    """Of γ = 0.95, for up to 19 pulls."""
    counts = np.arange(20.0)
    won, lost = np.meshgrid(counts, counts, indexing="ij")
    early = won + lost < 20
    bounds = jax.jit(functools.partial(ops.gittins_bernoulli, depth=90))(
        won[early] + 1, lost[early] + 1, 0.95
    )
    table = np.zeros((20, 20))
    table[early] = bounds.middle
    return jnp.asarray(table)


@pytest.mark.parametrize(("discount", "expected"), [(0.9, 0.7029), (0.95, 0.7614), (0.99, 0.8699)])
def test_indices_of_a_new_arm_are_the_published_ones(discount, expected):
    """Gittins, Glazebrook, Weber 2011, tables of the appendix: α = β = 1."""
    one = jnp.ones(())
    bounds = BERNOULLI(one, one, discount)
    assert float(bounds.lower) <= float(bounds.upper) + 1e-14
    assert float(bounds.lower) - 5e-5 < expected < float(bounds.upper) + 5e-5


BERNOULLI = jax.jit(functools.partial(ops.gittins_bernoulli, depth=400))


def test_bounds_hold_whatever_the_depth():
    """Bounds that are cut off later lie between those that are cut off earlier."""
    alpha, beta = jnp.array([1.0, 3.0, 0.5]), jnp.array([1.0, 1.0, 4.0])
    bound = jax.jit(ops.gittins_bernoulli, static_argnames="depth")
    cut = [bound(alpha, beta, 0.97, depth=depth) for depth in (20, 80, 400)]
    for rough, fine in itertools.pairwise(cut):
        assert np.all(rough.lower <= fine.lower + 1e-14)
        assert np.all(fine.upper <= rough.upper + 1e-14)
    assert np.max(cut[-1].upper - cut[-1].lower) < 1e-7


def test_an_index_makes_one_indifferent():
    """Against value iteration on an arm that may be retired, written down naively."""
    bound = jax.jit(functools.partial(ops.gittins_bernoulli, depth=120))
    bounds = bound(np.array(2.0), np.array(1.0), 0.8)
    reward = float(bounds.middle)
    retire, value = reward / 0.2, {}
    for n in range(120, -1, -1):
        for won in range(n + 1):
            p = (2 + won) / (3 + n)
            later = [value.get((won + paid, n + 1), retire) for paid in (0, 1)]
            going = p * (1 + 0.8 * later[1]) + (1 - p) * 0.8 * later[0]
            value[won, n] = going if n == 0 else max(retire, going)
    np.testing.assert_allclose(value[0, 0], retire, rtol=1e-9)


def normal_indices(first, number, discount, **how):
    """Compiled as users compile: tests' own setting is for programs that hardly run."""
    found = functools.partial(ops.gittins_normal, number=number, **how)
    options = {"xla_backend_optimization_level": "3"}
    return jax.jit(found, compiler_options=options)(first, discount=discount)


def test_normal_indices_by_splines():
    """Those of γ = 0.5, times n √(1 − γ) as Gittins, Glazebrook, Weber 2011 scale them.

    The numbers are those of a separate computation: V_n right of its zero a quintic spline, its
    expectation by Gauss and Legendre's rule on 200 pieces. 200 and 400 knots, 30 and 45 pulls
    agree within 1e-12; lines between points of a grid, extrapolated, agree within 2e-6.
    """
    bounds = normal_indices(1.0, 3, 0.5, depth=60)
    scaled = np.arange(1, 4) * np.sqrt(0.5) * np.asarray(bounds.middle)
    np.testing.assert_allclose(scaled, [0.1454301073224, 0.1720948803917, 0.1852198621257], 1e-11)
    assert float(np.max(bounds.upper - bounds.lower)) < 1e-12


def test_normal_indices_by_a_grid():
    """V on a grid of means with linear interpolation, which errs upwards by a little."""
    discount, depth, first = 0.9, 80, 1.0
    bounds = normal_indices(first, 2, discount, depth=200)
    means = np.linspace(-3, 5, 801)
    nodes = np.linspace(-6, 6, 241)
    weights = stats.norm.pdf(nodes)
    value = np.maximum(0, means) / (1 - discount)
    for n in first + np.arange(depth)[::-1]:
        reached = means[:, None] + nodes / np.sqrt(n * (n + 1))
        ahead = np.interp(reached, means, value)
        ahead = np.where(reached > 5, reached / (1 - discount), ahead)
        going = means + discount * ahead @ weights / weights.sum()
        value = np.maximum(0, going)
    np.testing.assert_allclose(-np.interp(0, going, means), bounds.middle[0], atol=1e-3)
    more = normal_indices(first, 2, discount, depth=200, points=160)
    np.testing.assert_allclose(more.middle, bounds.middle, rtol=1e-10)
    assert np.all(bounds.upper - bounds.lower < 1e-8)


def test_tables_have_gradients():
    """∂V/∂α against finite differences."""

    @jax.jit
    def value(alpha):
        arms = ops.BetaArms(jnp.stack([alpha, jnp.asarray(2.0)]), jnp.asarray(BETA[1]))
        return ops.solve(arms, ops.lattice(2, 6)).values[0, 0]

    slope = jax.grad(value)(jnp.asarray(1.2))
    steps = (value(jnp.asarray(1.2 + 1e-5)) - value(jnp.asarray(1.2 - 1e-5))) / 2e-5
    np.testing.assert_allclose(slope, steps, rtol=1e-8)


def test_draws_follow_the_prior():
    keys = jax.random.split(jax.random.key(0), 4000)
    for name in ("uniform", "beta", "finite", "opposed"):
        arms = arms_of(name)
        assert isinstance(arms, ops.Arms)
        nothing = ((0, 0),) * arms.num_arms
        drawn = compiled(jax.vmap(arms.draw))(keys)
        np.testing.assert_allclose(drawn.mean(axis=0), mean(name, nothing), atol=0.03)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ops.lattice(2, 0), "horizon is 0; allowed: a whole number at least 1"),
        (lambda: ops.lattice(6, 60), "states; allowed: at most 20,000,000"),
        (lambda: ops.UniformArms(0), "num_arms is 0; allowed"),
        (lambda: ops.BetaArms(np.ones(2), np.ones(3)), "alpha and beta have the shapes"),
        (lambda: ops.BetaArms(np.zeros(2), np.ones(2)), "alpha is .* allowed: numbers above 0"),
        (lambda: ops.FiniteArms(CHANCES, WEIGHTS[:2]), "allowed: \\(m, K\\) and \\(m,\\)"),
        (lambda: ops.FiniteArms(CHANCES, WEIGHTS / 2), "(?s)weights is .* sum to 1"),
        (lambda: ops.FiniteArms(CHANCES + 0.1, WEIGHTS), "(?s)chances is .* below 1"),
        (lambda: ops.solve(ops.UniformArms(3), ops.lattice(2, 2)), "states are of 2 arms"),
        (
            lambda: ops.evaluate(ops.UniformArms(2), ops.lattice(2, 2), jnp.ones((1, 4, 2))),
            r"policy has the shape \(1, 4, 2\); allowed: \(2, 4, 2\)",
        ),
        (lambda: ops.by_index(ops.lattice(2, 3), jnp.ones((2, 3))), "indices has the shape"),
        (lambda: ops.gittins_bernoulli(jnp.ones(1), jnp.ones(1), 1.0), "discount is 1.0; allowed"),
        (lambda: ops.gittins_normal(1.0, 1, 0.5, depth=0), "depth is 0; allowed"),
        (lambda: ops.gittins_normal(1.0, 0, 0.5), "number is 0; allowed"),
    ],
)
def test_what_is_out_of_range_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
