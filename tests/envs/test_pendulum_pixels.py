"""The pendulum's pictures show its state."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.envs import pendulum_pixels as pixels
from rlsuite.envs.control import Control

SIDE = 32
DRAW = jax.jit(pixels.render, static_argnums=2)


def drawn(theta, torque=0.0, side=SIDE):
    return np.asarray(DRAW(jnp.asarray(theta), jnp.asarray(torque), side)).astype(int)


def positions(mask):
    """Of the pixels' centres, from -1 to 1, with y upwards."""
    row, column = np.nonzero(mask)
    side = mask.shape[0]
    return (column + 0.5) * 2 / side - 1, 1 - (row + 0.5) * 2 / side


def is_red(image):
    return (image[..., 0] > 150) & (image[..., 1] < 150)


@pytest.mark.parametrize("theta", np.linspace(-3.1, 3.1, 9))
def test_the_rod_points_where_the_angle_says(theta):
    x, y = positions(is_red(drawn(theta)))
    pixel = 2 / SIDE
    end = pixels.LENGTH * np.asarray([-np.sin(theta), np.cos(theta)])
    # The rod's round end is WIDTH beyond its line's.
    assert abs(np.hypot(x, y).max() - pixels.LENGTH - pixels.WIDTH) < pixel
    middle = np.asarray([x.mean(), y.mean()])
    assert np.linalg.norm(middle - end / 2) < pixel
    far = np.argmax(x * end[0] + y * end[1])
    assert np.hypot(x[far] - end[0], y[far] - end[1]) < pixels.WIDTH + pixel


def test_upright_and_hanging_are_mirror_images_and_sides_are_told_apart():
    up, down = drawn(0.0), drawn(np.pi)
    np.testing.assert_allclose(up[:28], down[::-1][:28], atol=1)
    left, right = drawn(0.5), drawn(-0.5)
    np.testing.assert_allclose(left, right[:, ::-1], atol=1)
    assert positions(is_red(left))[0].mean() < -0.1


@pytest.mark.parametrize("torque", [-1.0, -0.4, 0.7])
def test_the_bar_is_as_long_as_the_torque(torque):
    image = drawn(np.pi, torque)
    blue = (image[-1, :, 2] > 200) & (image[-1, :, 0] < 150)
    assert abs(blue.sum() * 2 / SIDE - 0.9 * abs(torque)) <= 2 / SIDE
    assert np.sign(np.nonzero(blue)[0].mean() - (SIDE - 1) / 2) == np.sign(torque)


def test_no_torque_no_bar():
    assert (drawn(0.3)[-2:] == 255).all()


def test_the_environment_shows_what_its_state_is():
    problem = Control("pendulum-pixels", *pixels.make(16))
    state, first = problem.reset(jax.random.key(0))
    np.testing.assert_array_equal(first.observation, drawn(state.inner.theta, 0.0, 16))
    after, seen = problem.step(jax.random.key(1), state, jnp.asarray([-0.5]))
    np.testing.assert_array_equal(seen.observation, drawn(after.inner.theta, -0.5, 16))
    assert seen.observation.dtype == jnp.uint8
    assert problem.spec.timestep.observation.shape == (16, 16, 3)


def test_a_side_that_is_too_small_is_refused():
    with pytest.raises(ValueError, match="side is 4; allowed"):
        pixels.make(4)
