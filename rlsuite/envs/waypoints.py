r"""A controller that drives a point through a maze of square cells, from anywhere to anywhere.

The way from a cell to a goal's cell is a shortest one, found breadth first. The controller has no
memory: it draws the point to the middle of the next cell on its way, or to the goal itself once it
is in the goal's cell,

    a = clip(P (target − position) − D velocity, −1, 1),    P = 10,  D = 1,

which are the gains of D4RL's controller of mazes (that one waits at each middle until it is close,
and then heads for the next: slower, and not a function of the state alone). Where the way turns,
both targets share a coordinate, so that the point brakes along one axis while it speeds up along
the other.

A maze is an array of walls; its cells have sides of 1, its middle is the origin, and its first row
is the top one, as in gymnasium-robotics' mazes:

    x = column + ½ − columns / 2,    y = rows / 2 − row − ½.

All of it works on NumPy's arrays as it does under jit.

Example:
    >>> walls = np.asarray([[1, 1, 1, 1], [1, 0, 0, 1], [1, 1, 0, 1], [1, 1, 1, 1]], bool)
    >>> start, goal = centre(walls.shape, (1, 1)), centre(walls.shape, (2, 2))
    >>> start, goal
    (array([-0.5,  0.5]), array([ 0.5, -0.5]))
    >>> act(routes(walls), start, np.zeros(2), goal)
    array([1., 0.])
"""

from collections import deque
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

GAIN = 10.0
"""P."""

DAMPING = 1.0
"""D."""

_AROUND = ((0, 1), (1, 0), (0, -1), (-1, 0))


def centre(shape: tuple[int, ...], cell: tuple[int, ...]) -> Float[np.ndarray, " 2"]:
    """The middle of a cell.

    Args:
        shape: (rows, columns) of the maze.
        cell: (row, column).

    Returns:
        (x, y).
    """
    return np.asarray([cell[1] + 0.5 - shape[1] / 2, shape[0] / 2 - cell[0] - 0.5])


def cell_of(shape: tuple[int, ...], position: Any) -> Any:
    """The cell that a point is in, or the nearest one.

    Args:
        shape: (rows, columns) of the maze.
        position: (x, y) along the last axis.

    Returns:
        (row, column) along the last axis.
    """
    xp = position.__array_namespace__()
    row = xp.clip(xp.floor(shape[0] / 2 - position[..., 1]), 0, shape[0] - 1)
    column = xp.clip(xp.floor(position[..., 0] + shape[1] / 2), 0, shape[1] - 1)
    return xp.stack([row, column], axis=-1).astype(int)


def routes(walls: Bool[np.ndarray, "row column"]) -> Float[np.ndarray, "row column row column 2"]:
    """Where to go next, from each cell to each goal's cell.

    Args:
        walls: The maze; its border is wall.

    Returns:
        ``routes[row, column, goal_row, goal_column]`` is the middle of the next cell on a shortest
        way; the cell's own middle where there is none.

    Raises:
        ValueError: If the border has a gap.
    """
    if not (walls[[0, -1]].all() and walls[:, [0, -1]].all()):
        raise ValueError("walls has a gap in its border; allowed: walls all around")
    middles = np.stack([centre(walls.shape, cell) for cell in np.ndindex(walls.shape)])
    table = np.empty((*walls.shape, *walls.shape, 2))
    table[:] = middles.reshape(*walls.shape, 1, 1, 2)
    for goal in np.argwhere(~walls).tolist():
        seen, waiting = {tuple(goal)}, deque([tuple(goal)])
        while waiting:
            near = waiting.popleft()
            for down, right in _AROUND:
                far = near[0] + down, near[1] + right
                if not walls[far] and far not in seen:
                    seen.add(far)
                    waiting.append(far)
                    table[(*far, *goal)] = centre(walls.shape, near)
    return table


def act(table: Any, position: Any, velocity: Any, goal: Any) -> Any:
    """What the controller does.

    Args:
        table: Of ``routes``.
        position: (x, y) of the point, ``[*batch, 2]``.
        velocity: How fast it moves.
        goal: Where it is to go.

    Returns:
        The action, from −1 to 1 along each axis.
    """
    xp = position.__array_namespace__()
    here, there = cell_of(table.shape, position), cell_of(table.shape, goal)
    following = table[here[..., 0], here[..., 1], there[..., 0], there[..., 1]]
    arriving = xp.all(here == there, axis=-1, keepdims=True)
    target = xp.where(arriving, goal, following)
    return xp.clip(GAIN * (target - position) - DAMPING * velocity, -1.0, 1.0)
