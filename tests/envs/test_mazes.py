import jax
import numpy as np
import pytest

from rlsuite.envs.gridworld import gridworld, neighbours
from rlsuite.envs.mazes import LAYOUTS, maze, mazes
from rlsuite.ops import tabular


def across(row, first, last):
    return {(row, column) for column in range(first, last + 1)}


def down(column, first, last):
    return {(row, column) for row in range(first, last + 1)}


OBSTACLES = {
    "s0": across(5, 0, 2),
    "s1": across(5, 1, 3),
    "s2": across(5, 2, 4),
    "L": down(1, 1, 9) | across(1, 1, 3) | down(3, 1, 7) | across(7, 3, 5) | across(9, 1, 5),
    "invL": down(8, 1, 9) | across(1, 6, 8) | down(6, 1, 7) | across(7, 4, 6) | across(9, 4, 8),
    "UR": down(1, 1, 9)
    | down(3, 1, 7)
    | across(7, 3, 6)
    | down(6, 1, 7)
    | across(1, 6, 8)
    | down(8, 1, 9)
    | across(9, 1, 8),
    "tiL": across(1, 0, 8)
    | down(0, 1, 5)
    | across(3, 2, 8)
    | down(2, 3, 5)
    | down(6, 3, 5)
    | down(8, 1, 5),
}
GOALS = {
    "s0": (4, 4),
    "s1": (4, 4),
    "s2": (4, 4),
    "L": (2, 2),
    "invL": (2, 7),
    "UR": (2, 7),
    "tiL": (2, 7),
}


@pytest.mark.parametrize("name", OBSTACLES)
def test_cells_are_those_of_the_experiments(name):
    layout = LAYOUTS[name]
    assert layout.goal.shape == (10, 10)
    assert {tuple(cell) for cell in np.argwhere(layout.goal).tolist()} == {GOALS[name]}
    assert {tuple(cell) for cell in np.argwhere(layout.obstacle).tolist()} == OBSTACLES[name]


def test_there_are_these_seven_in_this_order():
    assert list(LAYOUTS) == ["s0", "s1", "s2", "L", "invL", "UR", "tiL"]


def test_inv_l_is_the_mirror_image_of_l():
    np.testing.assert_array_equal(LAYOUTS["invL"].obstacle, LAYOUTS["L"].obstacle[:, ::-1])
    np.testing.assert_array_equal(LAYOUTS["invL"].goal, LAYOUTS["L"].goal[:, ::-1])
    values = {name: tabular.value_iteration(maze(name)) for name in ("L", "invL")}
    mirrored = values["invL"].values.reshape(10, 10)[:, ::-1].ravel()
    np.testing.assert_array_equal(values["L"].values, mirrored)
    # Mirroring exchanges the actions left and right.
    q = values["invL"].action_values.reshape(10, 10, 4)[:, ::-1, [0, 1, 3, 2]]
    np.testing.assert_array_equal(values["L"].action_values, q.reshape(100, 4))


@pytest.mark.parametrize("name", OBSTACLES)
def test_every_free_cell_is_connected_to_the_goal(name):
    layout = LAYOUTS[name]
    reached = layout.goal.ravel()
    for _ in range(100):
        reached = reached | reached[neighbours(layout.obstacle)].any(1)
    np.testing.assert_array_equal(reached, ~layout.obstacle.ravel())


def test_episodes_start_uniformly_in_the_free_cells():
    mdp = maze("UR")
    free = ~LAYOUTS["UR"].obstacle.ravel()
    np.testing.assert_allclose(mdp.initial, free / free.sum(), rtol=1e-6)
    tabular.check(mdp)


def test_all_seven_stacked_are_the_single_ones(assert_trees_equal):
    stacked = mazes(discount=0.95, stay=True)
    for i, name in enumerate(LAYOUTS):
        one = jax.tree.map(lambda x, i=i: x[i], stacked)
        assert_trees_equal(one, gridworld(LAYOUTS[name], discount=0.95, stay=True))


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="name is 'l': the mazes are s0, s1, s2, L, invL, UR, tiL"):
        maze("l")
