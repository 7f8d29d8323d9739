"""What holds of every world of pictures."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.envs import pixels

SMALL = {"side": 24, "steps": 3}
PROBLEMS = {
    "navigation": pixels.pixel_navigation(1, noise=0.01, **SMALL),
    "pushed": pixels.pixel_navigation(2, goal=None, frames=2, **SMALL),
    "car": pixels.pixel_car(noise=0.01, **SMALL),
    "pendulum": pixels.pixel_pendulum("swing-up", **SMALL),
    "cart-pole": pixels.pixel_cart_pole(frames=1, **SMALL),
    "three-link": pixels.pixel_three_link(frames=1, **SMALL),
    "planar": pixels.pixel_planar(noise=0.1, **SMALL),
    "reacher": pixels.pixel_reacher(goal=None, **SMALL),
    "arm-stacking": pixels.pixel_arm_stacking("beside", **SMALL),
}
NAMES = list(PROBLEMS)
EPISODES = 4


class Walk(NamedTuple):
    """Steps of several episodes: where actions are taken, and what comes of them."""

    state: Any
    seen: Any
    image: Any
    cost: Any
    after: Any
    goal_image: Any
    best: Any


@pytest.fixture(scope="module", params=NAMES)
def walked(request):
    """An episode and its end, with auto-reset, of several at once."""
    problem = PROBLEMS[request.param]
    environment, params = problem.environment, problem.params

    def step(carry, key):
        state, seen = carry
        action = jax.random.uniform(key, (environment.action_size,), minval=-1.0, maxval=1.0)
        after = environment.step(key, state, action, params)
        cost = environment.cost(environment.true_state(state), action, state.goal, params)
        return (after[1], after[0]), (state, seen, environment.render(state, params), cost, after)

    def walk(key):
        seen, state = environment.reset(key, params)
        rows = jax.lax.scan(step, (state, seen), jax.random.split(key, SMALL["steps"]))[1]
        best, idle = environment.wanted(state.goal, params), jnp.zeros(environment.action_size)
        there = environment.arrived(best, state.goal, params)
        least = environment.cost(best, idle, state.goal, params)
        return Walk(*rows, environment.goal_image(state, params), (there, least))

    keys = jax.random.split(jax.random.key(0), EPISODES)
    return problem, jax.tree.map(np.asarray, jax.jit(jax.vmap(walk))(keys))


def test_pictures_and_their_frames(walked):
    problem, walk = walked
    environment, seen = problem.environment, walk.seen
    channels, frames = environment.channels, environment.frames
    assert seen.shape == (EPISODES, 3, 24, 24, channels * frames)
    assert seen.shape[2:] == environment.observation_space(problem.params).shape
    assert seen.dtype == jnp.float32
    assert 0 <= float(seen.min()) < float(seen.max()) <= 1
    np.testing.assert_allclose(seen[..., -channels:], walk.image, atol=1e-5)
    assert walk.goal_image.shape == seen.shape[:1] + seen.shape[2:]
    assert np.abs(walk.goal_image - seen[:, 0]).max() > 0.5
    if frames == 2:
        first, second = seen[:, 0], seen[:, 1]
        np.testing.assert_allclose(first[..., :channels], first[..., channels:], atol=1e-5)
        np.testing.assert_allclose(second[..., :channels], first[..., channels:], atol=1e-5)
        assert np.abs(second[..., :channels] - second[..., channels:]).max() > 1e-3


def test_rewards_are_less_the_costs_where_actions_are_taken(walked):
    problem, walk = walked
    assert walk.state.states.shape[-1] == problem.environment.state_size
    np.testing.assert_allclose(walk.after[2], -walk.cost, rtol=1e-5)
    assert np.all(walk.cost > 0)
    there, least = walk.best
    assert np.all(there)
    np.testing.assert_allclose(least, 0, atol=1e-5)


def test_an_episode_is_cut_off_and_its_last_picture_told(walked):
    walk = walked[1]
    seen, following, _, terminated, truncated, info = walk.after
    assert not terminated.any()
    np.testing.assert_array_equal(truncated, [[False, False, True]] * EPISODES)
    np.testing.assert_array_equal(following.time, [[1, 2, 0]] * EPISODES)
    np.testing.assert_array_equal(info["final_observation"][:, :2], seen[:, :2])
    assert np.abs(info["final_observation"][:, 2] - seen[:, 2]).max() > 1e-3
    np.testing.assert_array_equal(info["discount"], 1)
    assert info["in_goal"].shape == (EPISODES, 3)
    np.testing.assert_array_equal(following.goal[:, :2], walk.state.goal[:, 1:])


def test_pictures_change_as_their_gradients_say(walked):
    problem, walk = walked
    environment, params, state = problem.environment, problem.params, walk.state
    x, goal = state.states[0, 1, -1], state.goal[0, 1]
    shape = (24, 24, environment.channels)
    light = np.random.default_rng(0).normal(size=shape)
    with jax.enable_x64(True):
        params, x, goal = jax.tree.map(
            lambda leaf: jnp.asarray(np.asarray(leaf, np.float64)), (params, x, goal)
        )

        @jax.jit
        def both(x):
            def seen(x):
                return jnp.sum(light * environment.draw(x, goal, params))

            changes = 1e-5 * jnp.eye(x.size)
            pairs = jax.vmap(lambda change: seen(x + change) - seen(x - change))(changes)
            return jax.grad(seen)(x), pairs / 2e-5

        gradient, slopes = both(x)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-3, atol=1e-4 * np.abs(slopes).max())
    assert np.count_nonzero(np.abs(gradient) > 1e-3) >= 1


@pytest.mark.parametrize("name", ["pushed", "car", "pendulum", "planar", "arm-stacking"])
def test_the_expansion_touches_the_system(name):
    problem = PROBLEMS[name]
    environment, params = problem.environment, problem.params
    state = jax.tree.map(np.asarray, jax.jit(environment.start)(jax.random.key(2), params))
    x, goal, a = state.states[-1], state.goal, np.full(environment.action_size, 0.3, np.float32)

    @jax.jit
    def found(x, a, goal, change):
        local = environment.linear_quadratic(x, a, goal, params)
        near, act = x + change[: x.size], a + change[x.size :]
        z = jnp.concatenate([near, act])
        price = z @ local.C @ z / 2 + local.c @ z + local.constant
        moved = local.A @ near + local.B @ act + local.offset
        true = environment.advance(near, act, params), environment.cost(near, act, goal, params)
        return (moved, price), true

    change = 1e-2 * np.random.default_rng(0).normal(size=x.size + a.size).astype(np.float32)
    (moved, price), (next_state, cost) = found(x, a, goal, change)
    scale = 1 + np.abs(next_state)
    np.testing.assert_array_less(np.abs(moved - next_state) / scale, 2e-3)
    assert abs(price - cost) < 2e-4 * (1 + abs(cost))


@pytest.mark.parametrize("order", [1, 2])
def test_navigation_is_linear(order):
    problem = pixels.pixel_navigation(order, goal=(0.3, -0.2))
    environment, params = problem.environment, problem.params
    rng = np.random.default_rng(0)
    x, a = (rng.uniform(-1, 1, size) for size in (2 * order, 2))
    if order == 1:
        expected = x + 0.25 * a
    else:
        push = 4.0 * a
        expected = np.concatenate([x[:2] + 0.1 * x[2:] + 0.005 * push, x[2:] + 0.1 * push])
    x, a = jnp.asarray(x, jnp.float32), jnp.asarray(a, jnp.float32)
    np.testing.assert_allclose(jax.jit(environment.advance)(x, a, params), expected, atol=1e-6)
    goal = jnp.asarray([0.3, -0.2])
    local = jax.jit(environment.linear_quadratic)(x, a, goal, params.replace(noise=0.1))
    transition = jax.jit(environment.transition)(params)
    for found, exact in zip((local.A, local.B), transition, strict=True):
        np.testing.assert_allclose(found, exact, atol=1e-6)
    weights = [1.0, 1.0, *([0.1, 0.1] if order == 2 else []), 3.0, 3.0]
    np.testing.assert_allclose(local.C, 2 * np.diag(weights), atol=1e-5)
    linear = np.pad([-0.6, 0.4], (0, local.c.size - 2))
    np.testing.assert_allclose(local.c, linear, atol=1e-4)
    np.testing.assert_allclose(local.constant, 0.13, atol=1e-4)
    np.testing.assert_allclose(local.offset, 0, atol=1e-5)
    np.testing.assert_allclose(local.W, 0.01 * np.eye(2 * order), rtol=1e-5)


def test_environments_are_equal_where_their_numbers_are():
    one, same, other = (pixels.pixel_car(side=side).environment for side in (16, 16, 24))
    assert one == same != other
    assert hash(one) == hash(same)
    assert one != pixels.pixel_car(side=16, frames=2).environment


BUILDERS = [
    pixels.pixel_navigation,
    pixels.pixel_car,
    pixels.pixel_pendulum,
    pixels.pixel_cart_pole,
    pixels.pixel_three_link,
    pixels.pixel_planar,
    pixels.pixel_reacher,
    pixels.pixel_arm_stacking,
]


@pytest.mark.parametrize("build", BUILDERS)
def test_what_no_world_can_have_is_refused(build):
    for name, value in (("side", 7), ("frames", 0), ("noise", -0.1)):
        with pytest.raises(ValueError, match=f"{name} is {value}; allowed: at least"):
            build(**{name: value})
    with pytest.raises(ValueError, match="max_steps_in_episode is 0; allowed: whole, at least 1"):
        build(steps=0)


@pytest.mark.parametrize(
    ("build", "bad", "match"),
    [
        (pixels.pixel_navigation, {"order": 3}, "order is 3; allowed: 1 or 2"),
        (
            pixels.pixel_navigation,
            {"goal": (1.0, np.inf)},
            "goal is .*; allowed: two finite numbers",
        ),
        (pixels.pixel_car, {"goal": (np.nan, 0.0)}, "goal is .*; allowed: two finite numbers"),
        (pixels.pixel_pendulum, {"task": "spin"}, "task is 'spin'; allowed: one of balance"),
        (pixels.pixel_pendulum, {"tilt": -1.0}, r"tilt is -1\.0; allowed"),
        (pixels.pixel_cart_pole, {"tilt": -1.0}, r"tilt is -1\.0; allowed"),
        (pixels.pixel_three_link, {"tilt": -1.0}, r"tilt is -1\.0; allowed"),
        (pixels.pixel_planar, {"goal": (0.0, 5.0)}, r"goal is .*; allowed: from 1\.5 to 38\.5"),
        (pixels.pixel_planar, {"obstacles": [(np.inf, 1)]}, "obstacles is .*; allowed: pairs"),
        (pixels.pixel_planar, {"obstacles": ((1, 2, 3), (4, 5, 6))}, "obstacles is .*; allowed"),
        (pixels.pixel_planar, {"obstacles": (1, 2, 3)}, "obstacles is .*; allowed: pairs"),
        (pixels.pixel_reacher, {"goal": (0.3, 0.0)}, r"goal is .*; allowed: within 0\.01"),
        (pixels.pixel_arm_stacking, {"start": "up"}, "start is 'up'; allowed: one of above"),
    ],
)
def test_what_a_world_cannot_have_is_refused(build, bad, match):
    with pytest.raises(ValueError, match=match):
        build(**bad)


def test_scattered_episodes_begin_evenly_in_a_box_where_the_world_allows_it():
    problem = pixels.pixel_pendulum("swing-up", side=8)
    anywhere = pixels.scattered(problem, (-np.pi, -9.0), (np.pi, 9.0))
    keys = jax.random.split(jax.random.key(0), 2000)
    first = jax.vmap(lambda key: anywhere.reset(key)[0].inner.states)(keys)
    # The frames show a state, and the one that follows it without an action.
    follow = jax.vmap(lambda x: anywhere.environment.advance(x, jnp.zeros(1), anywhere.params))
    np.testing.assert_allclose(first[:, 1], follow(first[:, 0]), rtol=1e-5, atol=1e-5)
    still = pixels.scattered(problem, (-np.pi, -9.0), (np.pi, 9.0), moving=False)
    same = jax.vmap(lambda key: still.reset(key)[0].inner.states)(keys)
    np.testing.assert_array_equal(same, jnp.stack([first[:, 0]] * 2, axis=1))
    for place, most in enumerate((np.pi, 9.0)):
        shares = np.sort((np.asarray(first)[:, 0, place] / most + 1) / 2)
        assert np.max(np.abs(shares - np.linspace(0, 1, 2000))) < 1.63 / np.sqrt(2000)  # p = .01
    state = problem.reset(keys[0])[0].inner.states[0]
    assert state[1] == 0
    assert state[0] > 0.9 * np.pi

    room = pixels.pixel_planar(side=20)
    spread = pixels.scattered(room, (0.0, 0.0), (40.0, 40.0))
    starts = jax.vmap(lambda key: spread.reset(key)[0].inner.states[0])(keys)
    hit = jnp.abs(room.params.obstacles[None] - starts[:, None]).max(-1).min(-1)
    usual = jax.vmap(lambda key: room.reset(key)[0].inner.states[0])(keys)
    away = jnp.linalg.norm(starts - usual, axis=-1)
    assert ((hit > 1.5) | (away < 1e-6)).all()  # an obstacle sends it back to the usual start
    assert (away > 5).mean() > 0.5


def test_a_box_must_be_one():
    with pytest.raises(ValueError, match=r"low is \(0.0,\); allowed: 2 finite numbers"):
        pixels.scattered(pixels.pixel_pendulum(side=8), (0.0,), (1.0, 1.0))
    with pytest.raises(ValueError, match=r"high is .*nan.*; allowed: 2 finite"):
        pixels.scattered(pixels.pixel_pendulum(side=8), (0.0, 0.0), (1.0, np.nan))
    with pytest.raises(ValueError, match=r"low is \(2.0, 0.0\); allowed: at most high"):
        pixels.scattered(pixels.pixel_pendulum(side=8), (2.0, 0.0), (1.0, 1.0))
