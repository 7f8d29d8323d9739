"""Pictures have the areas and middles of what they show, and change smoothly with it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.envs import pixels
from rlsuite.envs.pixels import film, navigation, shapes

CANVAS = shapes.Canvas.of(32, 1.0)


def of_disc(where):
    return shapes.disc(CANVAS, where[:2], 0.3)


def of_capsule(where):
    return shapes.capsule(CANVAS, where[:2] - where[2:], where[:2] + where[2:], 0.15)


def of_box(where):
    return shapes.box(CANVAS, where[:2], (0.4, 0.2), where[2])


AREAS = {
    of_disc: np.pi * 0.3**2,
    of_capsule: np.pi * 0.15**2 + 0.3 * 2 * np.hypot(0.3, 0.2),
    of_box: 4 * 0.4 * 0.2,
}
PLACES = [(0.0, 0.0, 0.3, 0.2), (0.137, -0.211, 0.3, 0.2), (-0.31, 0.29, 0.3, 0.2)]


@jax.jit
def area_and_middle(share):
    weight = share * CANVAS.pixel**2
    total = weight.sum()
    return total, (weight * CANVAS.x).sum() / total, (weight * CANVAS.y).sum() / total


@pytest.mark.parametrize("shape", AREAS)
@pytest.mark.parametrize("where", PLACES)
def test_a_shape_covers_its_area_around_its_middle(shape, where):
    share = shapes.covered(shape(jnp.asarray(where)), CANVAS)
    area, x, y = area_and_middle(share)
    assert abs(area / AREAS[shape] - 1) < 0.015
    assert np.hypot(x - where[0], y - where[1]) < 0.02 * CANVAS.pixel
    assert 0 <= share.min() < share.max() == 1


def test_rows_go_down_and_a_box_turns_counterclockwise():
    assert CANVAS.y[0, 0] == 1 - CANVAS.pixel / 2 == -CANVAS.x[0, 0]
    share = shapes.covered(of_box(jnp.asarray([0.0, 0.0, 0.5])), CANVAS)
    moment = jnp.sum(share * CANVAS.x * CANVAS.y) / jnp.sum(share)
    # Of a rectangle with half sides a and b, turned by t: (a² − b²)/3 sin t cos t.
    np.testing.assert_allclose(moment, (0.4**2 - 0.2**2) / 3 * np.sin(0.5) * np.cos(0.5), rtol=0.02)


@pytest.mark.parametrize("shape", AREAS)
def test_the_gradient_is_that_of_finite_differences(shape):
    with jax.enable_x64(True):
        light = jnp.asarray(np.random.default_rng(0).normal(size=(32, 32)))

        @jax.jit
        def seen(where):
            return jnp.sum(light * shapes.covered(shape(where), CANVAS))

        where, step = jnp.asarray([0.137, -0.211, 0.3, 0.2]), 1e-6
        found = jax.grad(seen)(where)
        for axis in range(4):
            change = step * jnp.eye(4)[axis]
            slope = (seen(where + change) - seen(where - change)) / (2 * step)
            np.testing.assert_allclose(found[axis], slope, rtol=1e-5, atol=1e-6)
        assert jnp.all(jnp.abs(found[:2]) > 0.1)


def test_gradients_are_finite_where_a_distance_is_0():
    middle = shapes.Canvas.of(9, 1.0)

    def seen(where):
        rod = shapes.capsule(middle, where, where, 0.1)
        return jnp.sum(rod + shapes.disc(middle, where, 0.1))

    assert jnp.all(jnp.isfinite(jax.grad(seen)(jnp.zeros(2))))


def test_the_last_layer_lies_on_top():
    full, none, half = (jnp.full((8, 8), level) for level in (1.0, 0.0, 0.5))
    red, blue, white = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (1.0, 1.0, 1.0)
    paint = shapes.paint
    np.testing.assert_array_equal(paint([(full, red), (full, blue)], white)[3, 4], blue)
    np.testing.assert_array_equal(paint([(full, red), (none, blue)], white)[3, 4], red)
    np.testing.assert_array_equal(paint([(half, red)], white)[3, 4], (1.0, 0.5, 0.5))


def test_films_are_of_one_channel_or_three():
    grey, coloured = np.zeros((3, 8, 8, 1)), np.random.default_rng(0).random((3, 8, 8, 3))
    for images in (grey, coloured):
        assert film.animate(images).startswith(b"GIF89a")
    with pytest.raises(ValueError, match=r"images is \(3, 8, 8, 2\); allowed: 1 or 3 channels"):
        film.animate(np.zeros((3, 8, 8, 2)))


@pytest.mark.parametrize("side", [32, 64])
def test_the_point_is_drawn_where_it_is(side):
    problem = pixels.pixel_navigation(side=side)
    pixel = 2 * navigation.REACH / side
    draw = jax.jit(problem.environment.draw)
    empty = np.asarray(draw(jnp.asarray([9.0, 9.0]), jnp.asarray([9.0, 9.0]), problem.params))
    assert empty.max() == 0
    for x in ((0.0, 0.0), (1.234, -0.77), (-1.61, 1.03)):
        image = np.asarray(draw(jnp.asarray(x), jnp.asarray([9.0, 9.0]), problem.params))[..., 0]
        centres = (np.arange(side) + 0.5) * pixel - navigation.REACH
        middle = (image.sum(axis=0) @ centres, -image.sum(axis=1) @ centres) / image.sum()
        assert np.linalg.norm(middle - np.asarray(x)) < 0.1 * pixel
        area = image.sum() * pixel**2
        np.testing.assert_allclose(area, np.pi * navigation.RADIUS**2, rtol=0.15)


def test_the_planar_picture_has_rows_first():
    problem = pixels.pixel_planar(obstacles=())
    image = problem.environment.draw(jnp.asarray([10.0, 30.0]), jnp.zeros(2), problem.params)
    row, column = np.unravel_index(np.argsort(np.asarray(image)[..., 0].ravel())[-4:], (40, 40))
    assert set(row) == {9, 10}
    assert set(column) == {29, 30}
