"""The numbers of worlds of pictures, by hand: what a step does, what it costs, what the goal is."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import compiled

from rlsuite.data.pictures import judge
from rlsuite.envs import pixels
from rlsuite.envs.pixels import arm_stacking

NONE = np.zeros(0)


def paid(problem, x, action, goal=NONE):
    given = (np.asarray(each, np.float32) for each in (x, action, goal))
    return compiled(problem.environment.cost)(*given, problem.params)


def moved(problem, x, action):
    given = (np.asarray(each, np.float32) for each in (x, action))
    return compiled(problem.environment.advance)(*given, problem.params)


def test_costs_are_the_sums_of_their_parts():
    third = np.pi / 3
    found = paid(pixels.pixel_pendulum(), [third, 2.0], [0.5])
    np.testing.assert_allclose(found, 1 + 0.01 * 4 + 0.1 * 0.325**2, rtol=1e-5)
    found = paid(pixels.pixel_three_link(), [third, np.pi / 2, np.pi, 1, 2, 3], [0.1, 0.2, 0.3])
    np.testing.assert_allclose(found, 7 + 0.01 * 14 + 0.01 * 0.14, rtol=1e-5)
    found = paid(pixels.pixel_cart_pole(), [0.5, third, 1.0, 2.0], [0.5])
    np.testing.assert_allclose(found, 0.1 * 0.25 + 1 + 0.01 * 5 + 0.001 * 25, rtol=1e-5)
    found = paid(pixels.pixel_planar(), [10.0, 20.0], [0.5, -1.0], [13.0, 16.0])
    np.testing.assert_allclose(found, (10 * 25 + 1.5**2 + 3.0**2) / 1600, rtol=1e-5)
    arm, goal = pixels.pixel_arm_stacking(), np.asarray(arm_stacking.GOAL, np.float32)
    there = compiled(arm.environment.wanted)(goal, arm.params)
    found = paid(arm, [*there[:2], 0.2, -0.1], [0.5, -0.25], goal)
    np.testing.assert_allclose(found, 0.01 * 0.05 + 0.01 * 0.3125, rtol=1e-4)


@pytest.mark.parametrize(
    ("problem", "states", "goal", "wanted"),
    [
        (
            pixels.pixel_pendulum(side=8),
            [[0.52, 9.0], [-0.52, 0], [0.53, 0], [2 * np.pi - 0.5, 0], [np.pi, 0]],
            NONE,
            [True, True, False, True, False],
        ),
        (
            pixels.pixel_three_link(side=8),
            [[0.5, -0.5, 0.5, 0, 0, 0], [0.0, 0.0, 0.6, 0, 0, 0]],
            NONE,
            [True, False],
        ),
        (
            pixels.pixel_cart_pole(side=8),
            [[9.0, 0.31, 0, 0], [0, -0.31, 0, 0], [0, 0.32, 0, 0], [0, -0.32, 0, 0]],
            NONE,
            [True, True, False, False],
        ),
        (
            pixels.pixel_planar(side=8),
            [[35.01, 37.0], [34.99, 37.0], [35.5, 35.5]],
            [37.0, 37.0],
            [True, False, False],
        ),
    ],
)
def test_goals_are_as_wide_as_is_said(problem, states, goal, wanted):
    arrived = compiled(jax.vmap(problem.environment.arrived, (0, None, None)))
    found = arrived(np.float32(states), np.float32(goal), problem.params)
    np.testing.assert_array_equal(found, wanted)


def test_a_pendulums_step_is_that_of_its_equation():
    """0.1 kg of an even rod of 0.5 m under twice the gravity, by a thousand steps of Euler's."""
    angle, speed = 2.0, 0.3
    for _ in range(1000):
        change = (0.1 * 9.81 * 0.5 * np.sin(angle) - 0.65 * 0.4) / (0.1 * 0.25 / 3)
        angle, speed = angle + 2e-5 * speed, speed + 2e-5 * change
    found = moved(pixels.pixel_pendulum(), [2.0, 0.3], [-0.4])
    np.testing.assert_allclose(found, [angle, speed], rtol=1e-4)


def test_three_rods_are_pushed_as_their_masses_say():
    """From upright and at rest, where gravity does not pull yet."""
    size = 0.1 * 0.25
    mass = size * np.asarray([[7 / 3, 1.5, 0.5], [1.5, 4 / 3, 0.5], [0.5, 0.5, 1 / 3]])
    push = 0.004 * np.asarray([1.0, -2.0, 3.0])
    wanted = 0.02 * np.linalg.solve(mass, push - np.append(push[1:], 0.0))
    problem = pixels.pixel_three_link()
    found = moved(problem, np.zeros(6), push)
    np.testing.assert_allclose(found[3:], wanted, rtol=0.02)
    chain = problem.environment.chain(problem.params)
    height = compiled(chain.energy)(np.zeros(3), np.zeros(3))
    np.testing.assert_allclose(height, 9.81 * 0.1 * (0.25 + 0.75 + 1.25), rtol=1e-5)
    fast = moved(problem, [0, 0, 0, 2.0, 5.0, 4.5], np.zeros(3))[3:]
    np.testing.assert_allclose(fast, np.pi / 2 * np.asarray([1, 2, 1.7]), atol=0.25)
    assert np.all(np.abs(np.diff(fast, prepend=0.0)) <= np.pi / 2 + 1e-5)


def test_a_cart_is_pushed_as_its_masses_say():
    """From rest and upright, φ̈ = −(3/4) ẍ / ℓ and (M + m) ẍ + m ℓ φ̈ = u a."""
    problem, change = pixels.pixel_cart_pole(), 10 * 0.5 / (1.1 - 0.05 * 1.5)
    found = moved(problem, np.zeros(4), [0.5])
    wanted = [2e-4 * change, -3e-4 * change, 0.02 * change, -0.03 * change]
    np.testing.assert_allclose(found, wanted, rtol=5e-3)
    fast = moved(problem, [0.0, 1.5, 5.99, 6.28], [1.0])[2:]
    np.testing.assert_allclose(fast, [6.0, 2 * np.pi], rtol=1e-6)


def test_servos_of_the_arm_follow_half_way():
    arm = pixels.pixel_arm_stacking()
    begin = np.asarray(compiled(arm.environment.start)(jax.random.key(0), arm.params).states[-1])
    found = moved(arm, [*begin[:2], 0.2, -0.1], [0.5, -0.25])
    np.testing.assert_allclose(found[2:], [0.3, -0.15], rtol=1e-5)
    np.testing.assert_allclose(found[:2], begin[:2] + np.asarray([0.03, -0.015]), rtol=1e-5)


def test_motors_and_friction_of_the_reacher_act_on_its_joints():
    """Next to rotors of inertia 1 the links weigh nothing: q̈ = 200 a − q̇ in each joint."""
    joints, push = np.asarray([1.0, -2.0]), 200 * np.asarray([0.1, -0.05])
    wanted = joints * np.exp(-0.02) + push * (1 - np.exp(-0.02))
    found = moved(pixels.pixel_reacher(), [0.4, 1.1, *np.cumsum(joints)], push / 200)
    np.testing.assert_allclose(np.diff(found[2:], prepend=0.0), wanted, rtol=5e-3)


def test_actions_beyond_the_limits_are_those_at_the_limits():
    problem = pixels.pixel_navigation(2, side=8)
    environment, params = problem.environment, problem.params

    @compiled
    def after(action):
        key = jax.random.key(0)
        _, state = environment.reset_env(key, params)
        _, later, reward, *_ = environment.step_env(key, state, action, params)
        return later.states, reward

    for beyond, limit in zip(after(np.float32([3, -9])), after(np.float32([1, -1])), strict=True):
        np.testing.assert_array_equal(beyond, limit)


def test_what_acts_is_judged_by_its_cost_and_by_where_it_comes():
    """From the middle of the goal, 0.3 wide, by 0.2 a step: one of four states is in it."""
    problem = pixels.pixel_navigation(1, side=8, goal=(1.5, -1.5), steps=4)
    params = problem.params.replace(spread=jnp.float32(0), goal_radius=jnp.float32(0.3))
    problem = dataclasses.replace(problem, params=params)

    def act(key, seen, carry):
        return jnp.asarray([-0.8, 0.0]), carry

    judged = compiled(lambda key: judge(problem, act, (), key, 3, 4))
    score, share = judged(jax.random.key(0))
    np.testing.assert_allclose(score, -(0.04 * (0 + 1 + 4 + 9) + 4 * 3 * 0.64), rtol=1e-5)
    np.testing.assert_allclose(share, 0.25)
