"""What each world of pictures is, by closed forms and published figures."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.envs import pixels
from rlsuite.envs.pixels import arm_stacking, car, mechanics, navigation, planar, poles

KEYS = jax.random.split(jax.random.key(0), 2000)


BEGIN = jax.jit(
    lambda environment, keys, params: jax.vmap(environment.start, (0, None))(keys, params),
    static_argnums=0,
)


EXPAND = jax.jit(
    lambda environment, *at_and_params: environment.linear_quadratic(*at_and_params),
    static_argnums=0,
)


def starts(problem):
    """(true states, goals) of 2000 first steps."""
    state = BEGIN(problem.environment, KEYS, problem.params)
    return np.asarray(state.states)[:, -1], np.asarray(state.goal)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def rolled(environment, policy, steps, params, told, keys):
    def step(state, key):
        x = state.states[-1]
        action = jnp.clip(policy(x, state.goal, told), -1, 1)
        after, reward = environment.move(key, state, action, params)
        return after, (x, environment.in_goal(after, params), -reward)

    def walk(key):
        of_start, of_steps = jax.random.split(key)
        state = environment.start(of_start, params)
        end, rows = jax.lax.scan(step, state, jax.random.split(of_steps, steps))
        return jnp.concatenate([rows[0], end.states[-1:]]), *rows[1:]

    return jax.vmap(walk)(keys)


def roll(problem, policy, told=None, keys=KEYS[:200]):
    """Whole episodes of a policy of true states.

    Returns x_0 … x_T, whether x_1 … x_T are in the goal, and what each action costs.
    """
    steps = int(problem.params.max_steps_in_episode)
    found = rolled(problem.environment, policy, steps, problem.params, told, keys)
    return jax.tree.map(np.asarray, found)


def linear(x, goal, gain):
    return gain @ x


def regulator(local, steps):
    """Gains and values to go, the last state's cost included."""
    A, B, size = local.A, local.B, len(local.A)
    Q, R = local.C[:size, :size] / 2, local.C[size:, size:] / 2
    P, gains, values = Q, [], [Q]
    for _ in range(steps):
        K = -np.linalg.solve(R + B.T @ P @ B, B.T @ P @ A)
        P = Q + A.T @ P @ (A + B @ K)
        gains.append(K)
        values.append(P)
    return np.asarray(gains[::-1]), values[::-1]


def test_the_known_cost_of_lqr_comes_from_the_matrices_of_navigation():
    """Two double integrators, Q = (1, .1), R = .01, W = .001 I, from (1.5, −1.5)."""
    environment = navigation.Navigation(2, 8, 1)
    with jax.enable_x64(True):
        params = environment.default_params.replace(
            strength=1.0, action_weight=0.01, noise=np.sqrt(1e-3)
        )
        at = jnp.zeros(4), jnp.zeros(2), jnp.zeros(2)
        local = jax.tree.map(np.asarray, EXPAND(environment, *at, params))
    _, values = regulator(local, 50)
    mean = np.asarray([1.5, -1.5, 0.0, 0.0])
    cost = mean @ values[0] @ mean + 0.01 * np.trace(values[0])
    cost += sum(np.trace(local.W @ P) for P in values[1:])
    np.testing.assert_allclose(cost, 27.8573281562, rtol=1e-9)


@pytest.mark.parametrize("order", [1, 2])
def test_lqr_on_the_true_system_stays_within_the_limits_and_costs_what_it_should(order):
    problem = pixels.pixel_navigation(order, noise=0.01)
    environment, params = problem.environment, problem.params
    size = 2 * order
    zero = jnp.zeros(size), jnp.zeros(2), jnp.zeros(2)
    local = jax.tree.map(np.asarray, EXPAND(environment, *zero, params))
    gains, values = regulator(local, 500)
    gain = gains[0].astype(np.float32)
    states, there, costs = roll(problem, linear, gain)
    assert np.abs(states @ gain.T).max() < 1
    first, last = states[:, 0], states[:, -1]
    paid = costs.sum(axis=1) + np.einsum("bi,ij,bj->b", last, values[0], last)
    noise = 50 * np.trace(local.W @ values[0])
    expected = np.einsum("bi,ij,bj->b", first, values[0], first) + noise
    np.testing.assert_allclose(np.mean(paid), np.mean(expected), rtol=0.01)
    assert there[:, -1].mean() > 0.95


def test_navigation_starts_where_it_should():
    x, goal = starts(pixels.pixel_navigation(2, goal=None))
    np.testing.assert_allclose(x.mean(axis=0), [1.5, -1.5, 0, 0], atol=0.01)
    np.testing.assert_allclose(x.std(axis=0), 0.1, rtol=0.08)
    assert 1.15 < np.abs(goal).max() <= 1.2
    np.testing.assert_allclose(goal.std(axis=0), 1.2 / np.sqrt(3), rtol=0.05)
    _, goal = starts(pixels.pixel_navigation(2, goal=(0.5, 0.25)))
    np.testing.assert_array_equal(goal, np.tile([0.5, 0.25], (2000, 1)))


def test_the_car_drives_as_it_should():
    problem = pixels.pixel_car()
    move = jax.jit(lambda x, a: problem.environment.advance(x, a, problem.params))
    x, a = np.asarray([0.2, -0.4, 0.7, 0.5, 0.3]), np.asarray([0.5, -0.25])
    rates = [0.5 * np.cos(0.7), 0.5 * np.sin(0.7), 0.5 * np.tan(0.3), 1.0, -0.5]
    np.testing.assert_allclose(move(x, a), x + 0.1 * np.asarray(rates), atol=1e-6)
    edge = np.asarray(move(np.asarray([2.29, -2.29, -np.pi / 4, 1.0, 0.78]), np.ones(2)))
    np.testing.assert_allclose(edge[[0, 1, 3, 4]], [2.3, -2.3, 1.0, np.pi / 4], rtol=1e-6)
    x, goal = starts(problem)
    np.testing.assert_allclose(x.mean(axis=0), [1.5, -1.5, np.pi / 2, 0, 0], atol=0.01)
    np.testing.assert_allclose(x.std(axis=0), [0.1, 0.1, 0.1, 0, 0], atol=0.01)
    np.testing.assert_array_equal(goal, np.tile([-2.0, 2.0], (2000, 1)))
    price = jax.jit(problem.environment.cost)(
        np.zeros(5), np.ones(2), np.asarray([3.0, 4.0]), problem.params
    )
    np.testing.assert_allclose(price, 25 + 0.5e-8 * 8, rtol=1e-6)


def test_a_simple_driver_arrives():
    def policy(x, goal, _):
        way = goal - x[:2]
        off = jnp.arctan2(way[1], way[0]) - x[2]
        off = jnp.arctan2(jnp.sin(off), jnp.cos(off))
        wheel = jnp.clip(1.5 * off, -0.6, 0.6)
        speed = jnp.clip(2 * jnp.linalg.norm(way), 0.0, 1.0)
        return jnp.stack([speed - x[3], wheel - x[4]]) * 4

    _, there, _ = roll(pixels.pixel_car(), policy)
    assert there[:, -20:].mean() > 0.95


@pytest.mark.parametrize(
    ("problem", "low", "high"),
    [
        (pixels.pixel_pendulum(), [0, 0], [0, 0]),
        (pixels.pixel_pendulum(tilt=0.2), [-0.2, 0], [0.2, 0]),
        (pixels.pixel_pendulum("swing-up"), [2.827433, 0], [2.984513, 0]),
        (pixels.pixel_cart_pole(), [0, -np.pi / 8, 0, 0], [0, np.pi / 8, 0, 0]),
        (pixels.pixel_three_link(), [*poles.FOLDED, 0, 0, 0], [*poles.FOLDED, 0, 0, 0]),
    ],
)
def test_poles_start_where_pc3s_do(problem, low, high):
    x, _ = starts(problem)
    np.testing.assert_allclose(x.min(axis=0), low, atol=1e-3)
    np.testing.assert_allclose(x.max(axis=0), high, atol=1e-3)
    np.testing.assert_allclose(np.diff(poles.FOLDED), [2.0420352, 1.0367256], rtol=1e-6)


def test_the_pendulum_is_the_sources_and_can_be_swung_up():
    problem = pixels.pixel_pendulum("swing-up")
    environment, params = problem.environment, problem.params

    @jax.jit
    def accelerations(angles, speeds, forces):
        return environment.chain(params).accelerations(angles, speeds, forces)

    exact = (0.1 * 9.81 * 0.5 * np.sin(2.0) + 0.65 * 0.5) / (0.1 * 0.5**2 / 3)
    found = accelerations(*map(np.asarray, ([2.0], [0.0], [0.65 * 0.5])))
    np.testing.assert_allclose(found[0], exact, rtol=1e-5)
    # As hard as can be, it is as fast as may be.
    states, _, _ = roll(problem, linear, np.asarray([[10.0, 10.0]]))
    np.testing.assert_allclose(states[:, :, 1].max(), 3 * np.pi, rtol=1e-6)
    _, there, _ = roll(problem, linear, np.asarray([[-6.0, -0.4]]))
    assert there[:, -20:].mean() > 0.95


def test_a_regulator_balances_what_falls():
    problem = pixels.pixel_cart_pole()
    zero = jnp.zeros(4), jnp.zeros(1), jnp.zeros(0)
    local = EXPAND(problem.environment, *zero, problem.params)
    gain = regulator(jax.tree.map(np.asarray, local), 300)[0][0].astype(np.float32)
    _, kept, _ = roll(problem, linear, gain)
    _, left, _ = roll(problem, linear, 0 * gain)
    assert kept[:, -1].all()
    assert left[:, -1].mean() < 0.5


def test_a_straight_line_through_the_obstacles_is_in_the_goal_as_long_as_published():
    free = pixels.pixel_planar(obstacles=())
    keys = jax.random.split(jax.random.key(1), 2000)

    _, there, _ = roll(free, pixels.straight_line, free.params, keys)
    np.testing.assert_allclose(there.mean(), 0.760, atol=0.003)
    _, blocked, _ = roll(pixels.pixel_planar(), pixels.straight_line, free.params, keys)
    assert blocked.mean() < 0.7


def test_the_robot_stays_off_obstacles_and_walls():
    problem = pixels.pixel_planar(noise=0.5)
    rng = np.random.default_rng(0)
    gain = 10 * rng.normal(size=(2, 2)).astype(np.float32)
    states, _, _ = roll(problem, lambda x, goal, gain: jnp.sin(gain @ x) + 0.3, gain)
    apart = np.abs(states[:, :, None] - np.asarray(planar.OBSTACLES)).max(axis=-1)
    assert apart.min() > 1.5
    assert states.min() >= 1.5
    assert states.max() <= 38.5
    params, move = problem.params, jax.jit(problem.environment.advance)
    stay = move(np.float32([17.5, 5.5]), np.float32([1.0, 0.0]), params)
    np.testing.assert_array_equal(stay, [17.5, 5.5])
    np.testing.assert_allclose(move(stay, np.float32([-0.5, 0.1]), params), [16.0, 5.8], rtol=1e-6)
    x, goals = starts(problem)
    assert 2.99 < x.min() < 3.1 < 6.9 < x.max() < 7.01
    rows, counts = np.unique(goals, axis=0, return_counts=True)
    assert {tuple(row) for row in rows.tolist()} == set(planar.GOALS)
    assert counts.min() > 550


def test_the_reacher_reaches():
    problem = pixels.pixel_reacher(goal=None)
    environment, params = problem.environment, problem.params
    x, goal = starts(problem)
    np.testing.assert_allclose(x[:, :2], np.pi / 2, rtol=1e-6)
    assert 0.0049 < np.abs(x[:, 2:]).max() <= 0.005
    distance = np.linalg.norm(goal, axis=1)
    assert 0.02 < distance.min() < distance.max() < 0.21
    tip, cost = jax.jit(environment.tip), jax.jit(environment.cost)
    np.testing.assert_allclose(tip(x[0], params), [0.21, 0], atol=1e-6)
    price = cost(x[0], np.asarray([0.1, 0.2]), np.zeros(2), params)
    np.testing.assert_allclose(price, np.hypot(0.21, 0.01) - 0.01 + 0.05, rtol=1e-5)

    def policy(x, goal, _):
        far = environment.wanted(goal, params)[:2] - x[:2]
        far = jnp.arctan2(jnp.sin(far), jnp.cos(far))
        joints = mechanics.of_joints(far), mechanics.of_joints(x[2:])
        return (60 * joints[0] - 15 * joints[1]) / 200

    _, there, _ = roll(problem, policy)
    assert there[:, -1].mean() > 0.95


def towards(x, goal, lift):
    """The block goes straight to the goal, or first to as much above it as it is beside it."""
    middle = arm_stacking.held(x)
    above = jnp.clip(2 * jnp.abs(middle[0] - goal[0]) - 0.05, 0, lift)
    slope = jax.jacfwd(arm_stacking.held)(x)[:, :2]
    (a, b), (c, d) = slope
    inverse = jnp.stack([jnp.stack([d, -b]), jnp.stack([-c, a])]) / (a * d - b * c)
    return inverse @ (3 * (goal + above * jnp.asarray([0.0, 1.0]) - middle)) / 0.8


@jax.jit
def held(x):
    """Where the block is in each of many states."""
    return jnp.vectorize(arm_stacking.held, signature="(n)->(m)")(x)


@pytest.mark.parametrize("start", arm_stacking.STARTS)
def test_stacking_is_harder_from_beside(start):
    problem = pixels.pixel_arm_stacking(start)
    x, _ = starts(problem)
    places = np.asarray(held(x))
    np.testing.assert_allclose(places.mean(axis=0), arm_stacking.STARTS[start], atol=0.005)

    _, straight, _ = roll(problem, towards, 0.0)
    assert (straight[:, -1].mean() > 0.95) == (start != "beside")
    states, there, _ = roll(problem, towards, 0.35)
    assert there[:, -1].mean() > 0.95
    middles = np.asarray(held(states))
    apart = np.abs(middles - np.asarray(arm_stacking.OTHER)).max(axis=-1)
    assert apart.min() >= 2 * arm_stacking.HALF - 1e-5
    assert middles[..., 1].min() >= arm_stacking.HALF - 1e-5


def test_walls_of_the_car_hold_under_noise():
    states, _, _ = roll(pixels.pixel_car(noise=0.3), lambda x, goal, told: jnp.ones(2))
    assert np.abs(states[:, 1:, :2]).max() <= 2.3 + 1e-6
    assert np.abs(states[:, 1:]).max() > car.REACH
