"""Worlds that are planned in from pictures: how hard they are, and where episodes begin."""

import dataclasses

import jax
import jax.numpy as jnp

from rlsuite.algorithms import latent_models
from rlsuite.envs.pixels import pixel_planar
from rlsuite.envs.pixels.planar import GOALS
from rlsuite.problems.latent_planning import (
    BALANCE,
    CAR,
    CART_POLE,
    REACHER,
    SWING_UP,
    anywhere,
    at_any_angle,
    balance,
    car,
    cart_pole,
    driving_anywhere,
    in_any_pose,
    reacher,
    swing_up,
    tilted,
)
from rlsuite.problems.true_systems import balance_returns, planned_returns


def test_a_pendulum_left_alone_falls_and_lqr_of_the_true_state_holds_it():
    found = balance_returns(balance())
    assert -0.2 < found["lqr"] < 0  # a hundred steps of noise of .01
    assert found["idle"] < -150
    assert found["random"] < found["idle"]


def test_its_config_plans_from_two_pictures():
    def begun(config):
        algorithm = latent_models.make_planner(balance(), config)
        return jax.eval_shape(algorithm.init, jax.random.key(0))

    state = begun(BALANCE)
    assert state.episodes.images.shape == (120, 101, 24, 24, 2)
    assert state.episodes.images.dtype == jnp.uint8
    assert state.learner.params.start.shape == (4,)
    numbers = begun(dataclasses.replace(BALANCE, as_bytes=False))
    assert numbers.episodes.images.dtype == jnp.float32


def test_plans_with_the_true_system_swing_the_pendulum_up():
    """Hanging all the time costs about 4 a step; it takes some twenty to be up."""
    found = planned_returns(swing_up(), SWING_UP.model)
    assert found["random"] < -250
    assert -100 < found["planned"] < -30


def test_plans_with_the_true_system_bring_the_arm_to_its_goal():
    """Staying where it is costs the 0.326 that it is away, fifty times."""
    found = planned_returns(reacher(), REACHER.model)
    assert -6.5 < found["planned"] < -4
    assert found["random"] < -14


def test_swinging_up_is_learned_from_any_angle_and_done_from_below():
    problem = swing_up()

    def begun(problem, key):  # as ``run`` does it: the problem is traced
        return latent_models.make_planner(problem, SWING_UP, first=at_any_angle).init(key)

    shapes = jax.eval_shape(begun, problem, jax.random.key(0)).episodes
    assert shapes.images.shape == (140, 101, 32, 32, 2)
    keys = jax.random.split(jax.random.key(0), 100)
    first = jax.vmap(lambda key: at_any_angle(problem).reset(key)[0].inner.states[0])(keys)
    assert (jnp.abs(first).max(0) > jnp.array([2.8, 8.5])).all()
    assert (jnp.abs(first).max(0) <= jnp.array([3.15, 9.43])).all()
    assert 0.3 < jnp.mean(jnp.cos(first[:, 0]) > 0) < 0.7  # half of them in the upper half


def test_the_arm_is_seen_in_any_pose_at_first():
    keys = jax.random.split(jax.random.key(0), 200)
    first = jax.vmap(lambda key: in_any_pose(reacher()).reset(key)[0].inner.states[0])(keys)
    most = jnp.array([jnp.pi, jnp.pi, 3.0, 3.0])
    assert (jnp.abs(first) <= most).all()
    assert (jnp.abs(first).max(0) > 0.95 * most).all()
    assert (jnp.abs(first.mean(0)) < 0.2 * most).all()


def test_the_pole_is_seen_tilted_either_way_and_plans_with_the_true_system_hold_it():
    keys = jax.random.split(jax.random.key(0), 200)
    first = jax.vmap(lambda key: tilted(cart_pole()).reset(key)[0].inner.states[0])(keys)
    most = jnp.array([0.8, 0.5, 1.0, 1.5])
    assert (jnp.abs(first) <= most).all()
    assert (jnp.abs(first).max(0) > 0.95 * most).all()
    found = planned_returns(cart_pole(), CART_POLE.model)
    assert found["random"] < -25
    assert -6 < found["planned"] < 0


def test_the_car_is_seen_driving_anywhere_and_plans_with_the_true_system_bring_it_there():
    keys = jax.random.split(jax.random.key(0), 200)
    first = jax.vmap(lambda key: driving_anywhere(car()).reset(key)[0].inner.states[0])(keys)
    most = jnp.array([2.3, 2.3, jnp.pi, 1.0, jnp.pi / 4])
    assert (jnp.abs(first) <= most).all()
    assert (jnp.abs(first).max(0) > 0.95 * most).all()
    found = planned_returns(car(), CAR.model)
    assert found["random"] < -2000  # Standing still costs 100 · (3.5² + 3.5²) = 2450.
    assert -600 < found["planned"] < -500


def test_the_robot_is_seen_anywhere_at_first():
    room = pixel_planar(goal=GOALS[0])
    keys = jax.random.split(jax.random.key(0), 200)
    first = jax.vmap(lambda key: anywhere(room).reset(key)[0].inner.states[0])(keys)
    corners = jnp.sign(first - 20).astype(int)
    assert len({tuple(corner) for corner in corners.tolist()}) == 4
    assert ((first >= 1.5) & (first <= 38.5)).all()
