import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from rlsuite.envs.gridworld import Layout
from rlsuite.envs.objectworld import objectworld
from rlsuite.io.grids import Panel, animate_rollout, draw_grid, draw_panels

LAYOUT = Layout.parse("""
    ...#
    .#..
    ...G
""")
WALL, FREE, INK, WHITE = "#3A3D44", "#F3F1EC", "#1E1F22", "#FFFFFF"
STAR, TRAIL = "#F0E442", "#D55E00"
HIGH, LOW = (0.15, 0.37, 0.66), (1.0, 1.0, 0.85)
# Beside whatever is drawn in the middle of a cell.
ASIDE = (0.36, 0.36)


def pixels(figure):
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3] / 255


def at(axes, image, row, column):
    """The colour of a point of the grid."""
    x, y = axes.transData.transform((column, row))
    return image[image.shape[0] - 1 - int(y), int(x)]


def is_colour(colour, expected, tolerance=0.1):
    return np.abs(colour - np.array(to_rgb(expected))).max() < tolerance


def one_panel(**options):
    figure = draw_panels([Panel(LAYOUT, **options)])
    return figure.axes[0], pixels(figure)


def test_walls_are_dark_free_cells_are_light_and_goals_have_a_star():
    axes, image = one_panel()
    for row, column in np.ndindex(3, 4):
        colour = at(axes, image, row + ASIDE[0], column + ASIDE[1])
        assert is_colour(colour, WALL if LAYOUT.obstacle[row, column] else FREE, 0.02)
    assert is_colour(at(axes, image, 2, 3), STAR)
    assert axes.get_aspect() == 1


def test_the_heat_map_shows_each_cells_own_value_and_no_walls():
    values = np.zeros(12)
    values[1 * 4 + 2] = 1.0
    # A wall's value must not stretch the scale.
    values[LAYOUT.obstacle.ravel()] = 100.0
    axes, image = one_panel(values=values, label="reward")
    for row, column in np.ndindex(3, 4):
        colour = at(axes, image, row + ASIDE[0], column + ASIDE[1])
        if LAYOUT.obstacle[row, column]:
            assert is_colour(colour, WALL, 0.02)
        else:
            assert is_colour(colour, HIGH if (row, column) == (1, 2) else LOW)
    (bar,) = axes.child_axes
    assert bar.get_ylim() == (0, 1)
    assert bar.get_ylabel() == "reward"


def test_values_of_both_signs_are_centred_on_white():
    values = np.array([-1.0, 0, 0, 0, 0, 0, 0, 4.0, 0, 0, 0, 0])
    axes, image = one_panel(values=jnp.asarray(values))
    red, green, blue = at(axes, image, 0.36, 0.36)
    assert red > green
    assert red > blue
    red, green, blue = at(axes, image, 1.36, 3.36)
    assert blue > green > red
    assert is_colour(at(axes, image, 2.36, 0.36), WHITE)
    assert axes.child_axes[0].get_ylim() == (-4, 4)


def test_penalties_are_hatched_over_their_value():
    values = LAYOUT.obstacle.astype(float)
    axes, image = one_panel(values=values, obstacles="penalties")
    x = np.linspace(0.6, 1.4, 40)
    inside = np.array([at(axes, image, row, column) for row in x for column in x])
    dark = sum(is_colour(colour, WALL) for colour in inside)
    shown = sum(is_colour(colour, HIGH) for colour in inside)
    assert dark > 100
    assert shown > 400
    assert [text.get_text() for text in axes.figure.legends[0].get_texts()] == ["goal", "penalty"]


@pytest.mark.parametrize(
    ("action", "direction"), [(0, (-1, 0)), (1, (1, 0)), (2, (0, -1)), (3, (0, 1)), (4, (0, 0))]
)
def test_arrows_point_where_the_policy_goes(action, direction):
    policy = np.full((12, 5), -np.inf)
    policy[:, action] = 0.0
    axes, image = one_panel(log_policy=policy)
    # A free cell away from the goal: the centre of mass of the ink lies in the action's direction.
    offsets = np.linspace(-0.48, 0.48, 60)
    ink = np.array(
        [
            (down, right)
            for down in offsets
            for right in offsets
            if is_colour(at(axes, image, 1 + down, 2 + right), INK)
        ]
    )
    assert len(ink) > 50
    centre = ink.mean(0)
    expected = np.array(direction)
    assert np.abs(centre - 0.22 * np.abs(expected) * expected).max() < 0.08


def test_arrows_grow_with_the_probability_and_vanish_where_nothing_is_done():
    policy = np.log(np.tile([[0.0, 0.7, 0.01, 0.29]], (12, 1)) + 1e-30)
    axes, image = one_panel(log_policy=policy)

    def ink(row, column):
        offsets = np.linspace(-0.48, 0.48, 60)
        return np.array(
            [
                (down, right)
                for down in offsets
                for right in offsets
                if is_colour(at(axes, image, row + down, column + right), INK, 0.06)
            ]
        ).reshape(-1, 2)

    drawn = ink(1, 2)
    down = (drawn[:, 0] > 0.08).sum()
    right = (drawn[:, 1] > 0.08).sum()
    assert down > 1.5 * right > 0
    # None to the left or up; half the width of the head of the arrow down is 0.14.
    assert (drawn > -0.15).all()
    # At a wall there is none, and at the goal only the outline of the star.
    assert len(ink(1, 1)) == 0
    assert is_colour(at(axes, image, 2, 3), STAR)


def test_a_path_goes_through_the_cells_in_order():
    axes, image = one_panel(path=[0, 1, 2, 6, 7, 11])
    for row, column in [(0, 0.5), (0, 1.5), (0.5, 2), (1, 2.5), (1.5, 3)]:
        assert is_colour(at(axes, image, row, column), TRAIL)
    assert is_colour(at(axes, image, 0, 0), WHITE)
    assert is_colour(at(axes, image, 2, 3), TRAIL)
    assert is_colour(at(axes, image, 1, 0), FREE)


def test_objects_wear_their_colours():
    world = objectworld(0, 8)
    objects = (world.positions, world.outer, world.inner)
    figure = draw_panels([Panel((8, 8), objects=objects)])
    axes, image = figure.axes[0], pixels(figure)
    colours = ["#E69F00", "#56B4E9"]
    for (row, column), outer, inner in zip(*map(np.asarray, objects), strict=True):
        assert is_colour(at(axes, image, row, column), colours[inner])
        assert is_colour(at(axes, image, row + 0.35, column), colours[outer])


def test_panels_stand_side_by_side_with_one_key():
    panels = [Panel(LAYOUT, title=str(i)) for i in range(5)]
    figure = draw_panels([*panels, Panel((2, 2), path=[0, 1])], columns=3)
    assert [axes.get_title() for axes in figure.axes] == ["0", "1", "2", "3", "4", ""]
    figure.canvas.draw()
    boxes = [axes.get_position() for axes in figure.axes]
    assert boxes[0].x1 < boxes[1].x0
    assert boxes[1].x1 < boxes[2].x0
    assert boxes[3].y1 < boxes[0].y0
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["goal", "wall", "start", "end"]
    assert not draw_panels([Panel((2, 2))]).legends


def test_the_animation_shows_the_agent_in_every_state_of_the_path(tmp_path):
    # The agent waits once (a bump into the wall), and that frame counts too.
    path = [4, 0, 1, 1, 2, 6]
    panel = Panel(LAYOUT, title="maze", path=path)
    animate_rollout(tmp_path / "walk.gif", panel)
    axes = draw_panels([panel._replace(path=None)]).axes[0]
    axes.figure.canvas.draw()
    with Image.open(tmp_path / "walk.gif") as animation:
        assert animation.n_frames == len(path)
        assert animation.info["duration"] == 250
        for t in range(len(path)):
            animation.seek(t)
            image = np.asarray(animation.convert("RGB")) / 255
            for state in set(range(12)) - {11}:
                colour = at(axes, image, *divmod(state, 4))
                # Cells that were left show the trail, the others nothing of either.
                assert is_colour(colour, TRAIL, 0.15) == (state in path[: t + 1])
            beside = {
                s
                for s in range(11)
                if is_colour(at(axes, image, s // 4 + 0.2, s % 4 + 0.1), TRAIL, 0.15)
            }
            assert beside == {path[t]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"values": np.zeros(11)}, "values has 11 entries for 12 cells"),
        ({"log_policy": np.zeros((12, 3))}, r"log_policy has the shape \(12, 3\)"),
        ({"path": [0, 12]}, "path must be a list of states between 0 and 11"),
        ({"path": []}, "path must be a list of states"),
        ({"layout": Layout.stack([LAYOUT] * 2)}, "layout is a batch"),
    ],
)
def test_what_does_not_fit_the_grid_is_refused(options, message, tmp_path):
    panel = Panel(**{"layout": LAYOUT, "path": [0], **options})
    with pytest.raises(ValueError, match=message):
        draw_panels([panel])
    with pytest.raises(ValueError, match=message):
        animate_rollout(tmp_path / "walk.gif", panel)
    assert not list(tmp_path.iterdir())


def test_nothing_to_draw_is_refused(tmp_path):
    with pytest.raises(ValueError, match="panels is empty"):
        draw_panels([])
    with pytest.raises(ValueError, match=r"panel\.path is None"):
        animate_rollout(tmp_path / "walk.gif", Panel(LAYOUT))


def test_a_grid_can_be_drawn_into_axes_of_ones_own():
    figure = draw_panels([Panel((1, 1)), Panel((1, 1))])
    draw_grid(figure.axes[1], Panel(LAYOUT, title="mine"))
    image = pixels(figure)
    assert figure.axes[1].get_title() == "mine"
    assert is_colour(at(figure.axes[1], image, 0.3, 3.3), WALL)
