"""Random layouts: scattered obstacles, and perfect mazes.

A perfect maze is a minimum spanning tree of a grid of rooms under random weights: between any two
free cells there is exactly one path. Both generators make any number of layouts at once with
array operations only, so that thousands of small ones, or one with a million cells, take seconds.
"""

import numpy as np
from jaxtyping import Bool, Shaped

from rlsuite.envs.gridworld import Layout


def random_layout(
    seed: int, rows: int, columns: int, *, density: float = 0.3, count: int | None = None
) -> Layout:
    """Scatter obstacles and put the goal into a random cell.

    Each cell is an obstacle with probability `density`; then every cell outside the largest
    connected region becomes one too, so that the goal can be reached from every free cell. The
    final share of obstacles is therefore a little above `density` (much above it beyond 0.4, where
    the free cells of a square grid stop hanging together).

    Args:
        seed: seed of NumPy's generator.
        rows: number of rows.
        columns: number of columns.
        density: probability in [0, 1) of an obstacle.
        count: how many layouts to make; None makes one without a leading axis.

    Returns:
        The layout, or the layouts stacked.

    Raises:
        ValueError: if a size or `density` is not as described.

    Example:
        >>> print(random_layout(34, 4, 6))
        #.#...
        ......
        .#...#
        G.#...
        >>> random_layout(0, 10, 10, count=2000).goal.shape
        (2000, 10, 10)
    """
    from scipy import ndimage

    _check_sizes(rows, columns, count)
    if not 0.0 <= density < 1.0:
        raise ValueError(f"density is {density}: it must be in [0, 1)")
    generator = np.random.default_rng(seed)
    obstacle = generator.random((count or 1, rows, columns)) < density
    # A grid without any free cell gets one, for the goal to stand in.
    full = obstacle.all((1, 2))
    obstacle[full, 0, 0] = False

    four_neighbours = np.zeros((3, 3, 3), dtype=bool)
    four_neighbours[1] = ndimage.generate_binary_structure(2, 1)
    region, num_regions = ndimage.label(~obstacle, structure=four_neighbours)
    size = np.bincount(region.ravel(), minlength=num_regions + 1)
    size[0] = 0
    largest = np.take_along_axis(
        region.reshape(len(region), -1),
        size[region].reshape(len(region), -1).argmax(1)[:, None],
        axis=1,
    )
    free = region == largest[:, :, None]
    return _layout(_one_cell_each(generator, free), ~free, count)


def perfect_maze(seed: int, rows: int, columns: int, *, count: int | None = None) -> Layout:
    """Carve a maze in which exactly one path joins any two free cells.

    Rooms are the cells with even row and column; between neighbouring rooms is a cell that is
    either wall or passage. The goal is in a random room.

    Args:
        seed: seed of NumPy's generator.
        rows: number of rows, odd.
        columns: number of columns, odd.
        count: how many mazes to make; None makes one without a leading axis.

    Returns:
        The layout, or the layouts stacked.

    Raises:
        ValueError: if a size is not as described.

    Example:
        >>> print(perfect_maze(5, 5, 9))
        G#.#.....
        .#.#.####
        .........
        ##.#####.
        ...#.....
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import minimum_spanning_tree

    _check_sizes(rows, columns, count)
    for name, value in (("rows", rows), ("columns", columns)):
        if value % 2 == 0:
            raise ValueError(f"{name} is {value}: a perfect maze needs an odd number")
    generator = np.random.default_rng(seed)
    shape = (count or 1, (rows + 1) // 2, (columns + 1) // 2)
    room = np.arange(np.prod(shape)).reshape(shape)
    first = np.concatenate([room[:, :-1].ravel(), room[:, :, :-1].ravel()])
    second = np.concatenate([room[:, 1:].ravel(), room[:, :, 1:].ravel()])
    # csgraph takes a weight of zero for no edge.
    weights = 1.0 - generator.random(first.size)
    graph = coo_array((weights, (first, second)), shape=(room.size, room.size)).tocsr()
    tree = minimum_spanning_tree(graph).tocoo()

    free = np.zeros((count or 1, rows, columns), dtype=bool)
    free[:, ::2, ::2] = True
    maze, row, column = np.unravel_index(tree.row, shape)
    _, next_row, next_column = np.unravel_index(tree.col, shape)
    free[maze, row + next_row, column + next_column] = True
    rooms = np.zeros_like(free)
    rooms[:, ::2, ::2] = True
    return _layout(_one_cell_each(generator, rooms), ~free, count)


def _check_sizes(rows: int, columns: int, count: int | None) -> None:
    for name, value in (("rows", rows), ("columns", columns), ("count", count)):
        if value is not None and value < 1:
            raise ValueError(f"{name} is {value}: it must be at least 1")


def _one_cell_each(
    generator: np.random.Generator, allowed: Bool[np.ndarray, "batch rows columns"]
) -> Bool[np.ndarray, "batch rows columns"]:
    """Mark one allowed cell, drawn uniformly, in every grid."""
    score = np.where(allowed, generator.random(allowed.shape), -1.0).reshape(len(allowed), -1)
    chosen = np.zeros(score.shape, dtype=bool)
    np.put_along_axis(chosen, score.argmax(1)[:, None], values=True, axis=1)
    return chosen.reshape(allowed.shape)


def _layout(
    goal: Shaped[np.ndarray, "batch rows columns"],
    obstacle: Shaped[np.ndarray, "batch rows columns"],
    count: int | None,
) -> Layout:
    layouts = Layout(goal, obstacle)
    return layouts[0] if count is None else layouts
