import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from rlsuite.envs.gridworld import gridworld, neighbours
from rlsuite.envs.layouts import perfect_maze, random_layout


def regions_and_passages(layout):
    """How many connected regions the free cells form, and how many pairs of them touch."""
    states = layout.rows * layout.columns
    table = neighbours(layout.obstacle)
    here = np.repeat(np.arange(states), table.shape[1])
    graph = coo_array((np.ones(here.size), (here, table.ravel())), shape=(states, states))
    _, labels = connected_components(graph, directed=False)
    free = ~layout.obstacle.ravel()
    passages = (table != np.arange(states)[:, None]).sum() // 2
    return len(np.unique(labels[free])), passages


def test_every_free_cell_of_a_random_layout_is_connected_to_its_one_goal():
    layouts = random_layout(0, 9, 7, density=0.35, count=300)
    assert (layouts.goal.sum((1, 2)) == 1).all()
    assert all(regions_and_passages(layouts[i])[0] == 1 for i in range(300))


def test_density_is_that_of_the_obstacles():
    assert not random_layout(0, 20, 20, density=0.0).obstacle.any()
    share = random_layout(0, 40, 40, density=0.2, count=20).obstacle.mean()
    # Five standard errors below what is drawn; closed-off cells add little above it.
    assert 0.2 - 5 * np.sqrt(0.16 / 32_000) < share < 0.23


def test_even_a_layout_drawn_full_of_obstacles_has_a_goal():
    layouts = random_layout(0, 2, 2, density=0.97, count=50)
    assert (layouts.goal.sum((1, 2)) == 1).all()


@pytest.mark.parametrize("make", [random_layout, perfect_maze])
def test_layouts_are_reproducible_and_differ_by_seed(make):
    assert str(make(3, 11, 15)) == str(make(3, 11, 15))
    assert str(make(3, 11, 15)) != str(make(4, 11, 15))
    many = make(3, 11, 15, count=20)
    assert len({str(many[i]) for i in range(20)}) == 20


def test_a_perfect_maze_is_a_tree():
    mazes = perfect_maze(1, 9, 13, count=50)
    for i in range(50):
        regions, passages = regions_and_passages(mazes[i])
        assert regions == 1
        assert passages == (~mazes[i].obstacle).sum() - 1


def test_a_large_maze_is_a_tree_of_a_hundred_thousand_states():
    layout = perfect_maze(0, 317, 317)
    mdp = gridworld(layout, discount=0.99)
    assert mdp.num_states == 100_489
    assert mdp.transition.next_states.nbytes == 4 * 4 * 100_489
    assert regions_and_passages(layout) == (1, (~layout.obstacle).sum() - 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: random_layout(0, 0, 3), "rows is 0: it must be at least 1"),
        (lambda: random_layout(0, 3, 3, count=0), "count is 0"),
        (lambda: random_layout(0, 3, 3, density=1.0), r"density is 1.0: it must be in \[0, 1\)"),
        (lambda: perfect_maze(0, 9, 10), "columns is 10: a perfect maze needs an odd number"),
    ],
)
def test_bad_sizes_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
