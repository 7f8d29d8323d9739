"""The controller of mazes takes shortest ways."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.envs import waypoints

WALLS = np.asarray(
    [[c == "#" for c in row] for row in ("######", "#  # #", "## # #", "#    #", "######")]
)


def test_positions_and_cells_are_inverses():
    for cell in np.ndindex(WALLS.shape):
        middle = waypoints.centre(WALLS.shape, cell)
        for shift in ((0, 0), (0.49, -0.49), (-0.49, 0.49)):
            assert tuple(waypoints.cell_of(WALLS.shape, middle + np.asarray(shift))) == cell
    assert waypoints.cell_of(WALLS.shape, np.asarray([-99.0, -99.0])).tolist() == [4, 0]


def test_ways_are_as_short_as_all_pairs_say():
    free = [tuple(cell) for cell in np.argwhere(~WALLS)]
    apart = np.asarray([[abs(a[0] - b[0]) + abs(a[1] - b[1]) for b in free] for a in free])
    length = np.where(apart <= 1, apart, np.inf)
    for middle in range(len(free)):
        length = np.minimum(length, length[:, middle, None] + length[middle])
    table = waypoints.routes(WALLS)
    for a, start in enumerate(free):
        for b, goal in enumerate(free):
            cell, steps = start, 0
            while cell != goal:
                after = tuple(waypoints.cell_of(WALLS.shape, table[(*cell, *goal)]))
                assert abs(after[0] - cell[0]) + abs(after[1] - cell[1]) == 1
                assert not WALLS[after]
                cell, steps = after, steps + 1
            assert steps == length[a, b]


def test_it_acts_alike_on_arrays_of_numpy_and_of_jax_and_on_batches():
    table = waypoints.routes(WALLS)
    draw = np.random.default_rng(0)
    position, goal = draw.uniform(-2, 2, (2, 20, 2))
    velocity = draw.normal(size=(20, 2))
    batch = waypoints.act(table, position, velocity, goal)
    alone = [waypoints.act(table, *x) for x in zip(position, velocity, goal, strict=True)]
    np.testing.assert_allclose(batch, alone)
    jitted = jax.jit(waypoints.act)(*map(jnp.asarray, (table, position, velocity, goal)))
    np.testing.assert_allclose(jitted, batch, atol=1e-4)


def test_a_gap_in_the_border_is_refused():
    with pytest.raises(ValueError, match="walls has a gap"):
        waypoints.routes(np.zeros((3, 3), bool))
