import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.envs.gridworld import ACTIONS, Layout, gridworld, neighbours
from rlsuite.ops import tabular

LAYOUT = Layout.parse("""
    ..#..
    .#..G
    ...#.
    G....
""")


def table(mdp):
    """P(s'|s,a), whatever the transition is."""
    states = jnp.eye(mdp.num_states)
    return np.asarray(jax.vmap(mdp.transition.expect, out_axes=-1)(states))


def moved(row, column, action, walls):
    down, right = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1), "stay": (0, 0)}[
        action
    ]
    to = row + down, column + right
    inside = 0 <= to[0] < walls.shape[0] and 0 <= to[1] < walls.shape[1]
    return to if inside and not walls[to] and not walls[row, column] else (row, column)


def distance_to_goal(layout):
    """Number of steps to the nearest goal around the walls, by relaxation; inf if there is none."""
    distance = np.where(layout.goal, 0.0, np.inf).ravel()
    nearest = neighbours(layout.obstacle)
    for _ in range(distance.size):
        distance = np.minimum(distance, 1 + distance[nearest].min(1))
    return np.where(layout.obstacle.ravel(), np.inf, distance)


@pytest.mark.parametrize("stay", [False, True])
def test_neighbours_follow_the_definition_cell_by_cell(stay):
    next_states = neighbours(LAYOUT.obstacle, stay=stay)
    assert next_states.shape == (20, 5 if stay else 4)
    for row, column in np.ndindex(4, 5):
        for action in range(next_states.shape[1]):
            to = moved(row, column, ACTIONS[action], LAYOUT.obstacle)
            assert next_states[row * 5 + column, action] == to[0] * 5 + to[1]


def test_layouts_are_read_from_text_and_written_back():
    text = "..#..\n.#..G\n...#.\nG...."
    assert str(LAYOUT) == text
    assert (LAYOUT.rows, LAYOUT.columns) == (4, 5)
    assert np.argwhere(LAYOUT.goal).tolist() == [[1, 4], [3, 0]]
    assert np.argwhere(LAYOUT.obstacle).tolist() == [[0, 2], [1, 1], [2, 3]]
    both = Layout.stack([LAYOUT, LAYOUT])
    assert str(both[1]) == text
    assert str(both) == f"{text}\n\n{text}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("..G\n..", r"rows of lengths \[3, 2\]"),
        ("", r"rows of lengths \[\]"),
        (".xG", r"contains \['x'\]: only '.', 'G' and '#'"),
        ("..#", "goal marks no cell"),
    ],
)
def test_bad_text_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        Layout.parse(text)


def test_bad_masks_are_refused():
    cells = np.ones((2, 2), dtype=bool)
    with pytest.raises(ValueError, match="goal and obstacle overlap"):
        Layout(cells, cells)
    with pytest.raises(ValueError, match=r"shape \(2, 2\) and obstacle \(2,\)"):
        Layout(cells, cells[0])
    with pytest.raises(ValueError, match="goal is of type int64 and obstacle bool"):
        Layout(cells.astype(int), cells)
    with pytest.raises(IndexError, match="no batch axis"):
        LAYOUT[0]


@pytest.mark.parametrize("slip", [0.0, 0.3])
@pytest.mark.parametrize("obstacles", ["walls", "penalties"])
def test_transitions_are_those_of_the_grid(obstacles, slip):
    mdp = gridworld(LAYOUT, obstacles=obstacles, slip=slip, stay=True)
    walls = LAYOUT.obstacle & (obstacles == "walls")
    expected = np.zeros((20, 5, 20))
    for row, column in np.ndindex(4, 5):
        for executed in range(5):
            to = moved(row, column, ACTIONS[executed], walls)
            expected[row * 5 + column, :, to[0] * 5 + to[1]] += slip / 5
            expected[row * 5 + column, executed, to[0] * 5 + to[1]] += 1 - slip
    np.testing.assert_allclose(table(mdp), expected, atol=1e-6)
    tabular.check(mdp)


def test_walls_stay_in_the_table_but_are_never_reached():
    mdp = gridworld(LAYOUT)
    walls = LAYOUT.obstacle.ravel()
    into_walls = table(mdp)[~walls][..., walls]
    assert into_walls.max() == 0
    np.testing.assert_allclose(mdp.initial, np.where(walls, 0, 1 / 17), rtol=1e-6)
    assert np.isfinite(tabular.value_iteration(mdp, temperature=0.1).values).all()
    visits = tabular.visitation(mdp, tabular.value_iteration(mdp).log_policy)
    np.testing.assert_array_equal(visits.states[walls], 0)


def test_rewards_lie_where_they_should():
    options = {"goal_reward": 5.0, "step_reward": -0.5, "obstacle_reward": -2.0}
    cells = np.array(list(str(LAYOUT).replace("\n", "")))
    walls = gridworld(LAYOUT, **options)
    np.testing.assert_array_equal(
        walls.reward, np.select([cells == "G", cells == "#"], [5.0, 0.0], -0.5)
    )
    penalties = gridworld(LAYOUT, obstacles="penalties", **options)
    np.testing.assert_array_equal(
        penalties.reward, np.select([cells == "G", cells == "#"], [5.0, -2.0], -0.5)
    )
    np.testing.assert_array_equal(walls.terminal, cells == "G")


def test_value_of_an_absorbing_goal_is_the_discount_to_the_power_of_the_distance():
    values = tabular.value_iteration(gridworld(LAYOUT, discount=0.8)).values
    distance = distance_to_goal(LAYOUT)
    np.testing.assert_allclose(values, np.where(np.isinf(distance), 0, 0.8**distance), rtol=1e-6)


def test_a_goal_that_does_not_absorb_pays_for_ever():
    mdp = gridworld(LAYOUT, discount=0.8, absorbing=False, stay=True)
    assert mdp.terminal is None
    distance = distance_to_goal(LAYOUT)
    expected = np.where(np.isinf(distance), 0, 0.8**distance / 0.2)
    np.testing.assert_allclose(tabular.value_iteration(mdp).values, expected, rtol=1e-5)


def test_a_batch_of_layouts_is_the_stack_of_the_single_ones(assert_trees_equal):
    other = Layout.parse("G....\n##...\n.....\n...#.")
    batch = gridworld(Layout.stack([LAYOUT, other]), slip=0.1)
    for i, layout in enumerate([LAYOUT, other]):
        assert_trees_equal(jax.tree.map(lambda x, i=i: x[i], batch), gridworld(layout, slip=0.1))
    values = jax.vmap(lambda mdp: tabular.value_iteration(mdp).values)(batch)
    np.testing.assert_allclose(
        values[1], tabular.value_iteration(gridworld(other, slip=0.1)).values, rtol=1e-5
    )


def test_float_options_can_be_traced():
    def value(discount, goal_reward):
        mdp = gridworld(LAYOUT, discount=discount, goal_reward=goal_reward)
        return tabular.value_iteration(mdp).values[1]

    distance = distance_to_goal(LAYOUT)[1]
    slope = jax.grad(value, argnums=1)(jnp.float32(0.8), jnp.float32(3.0))
    np.testing.assert_allclose(slope, 0.8**distance, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"slip": 1.5}, r"slip is 1.5: it must be in \[0, 1\]"),
        ({"slip": -0.1}, "slip is -0.1"),
        ({"discount": 1.0}, r"discount is 1.0: it must be in \[0, 1\)"),
        ({"discount": float("nan")}, "discount is nan"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        gridworld(LAYOUT, **options)
