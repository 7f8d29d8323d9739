"""The seven 10×10 mazes of task-clustering meta inverse reinforcement learning.

Three of them (s0, s1, s2) have the goal (4, 4) and a short wall on row 5, moved by one column from
one to the next; L, invL (its mirror image), UR and tiL (a tilted L) are named after their walls.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from rlsuite.envs.gridworld import Layout, gridworld
from rlsuite.ops import tabular


def _short_wall(first_column: int) -> Layout:
    rows = ["." * 10] * 10
    rows[4] = "....G....."
    rows[5] = ("." * first_column + "###").ljust(10, ".")
    return Layout.parse("\n".join(rows))


LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "s0": _short_wall(0),
        "s1": _short_wall(1),
        "s2": _short_wall(2),
        "L": Layout.parse("""
            ..........
            .###......
            .#G#......
            .#.#......
            .#.#......
            .#.#......
            .#.#......
            .#.###....
            .#........
            .#####....
        """),
        "invL": Layout.parse("""
            ..........
            ......###.
            ......#G#.
            ......#.#.
            ......#.#.
            ......#.#.
            ......#.#.
            ....###.#.
            ........#.
            ....#####.
        """),
        "UR": Layout.parse("""
            ..........
            .#.#..###.
            .#.#..#G#.
            .#.#..#.#.
            .#.#..#.#.
            .#.#..#.#.
            .#.#..#.#.
            .#.####.#.
            .#......#.
            .########.
        """),
        "tiL": Layout.parse("""
            ..........
            #########.
            #......G#.
            #.#######.
            #.#...#.#.
            #.#...#.#.
            ..........
            ..........
            ..........
            ..........
        """),
    }
)
"""The layouts of the seven mazes by name."""


def maze(name: str, **options: Any) -> tabular.MDP:
    """Build one of the seven mazes.

    Args:
        name: a key of `LAYOUTS`.
        **options: as for :func:`rlsuite.envs.gridworld.gridworld`.

    Returns:
        Its MDP: 100 states, the start uniform over the cells that are no obstacles.

    Raises:
        ValueError: if there is no maze of that name, or an option is not allowed.

    Example:
        >>> maze("invL", discount=0.95).num_states
        100
    """
    if name not in LAYOUTS:
        raise ValueError(f"name is {name!r}: the mazes are {', '.join(LAYOUTS)}")
    return gridworld(LAYOUTS[name], **options)


def mazes(**options: Any) -> tabular.MDP:
    """Build all seven mazes as one stacked MDP, its leading axis in the order of `LAYOUTS`.

    Args:
        **options: as for :func:`rlsuite.envs.gridworld.gridworld`.

    Example:
        >>> mazes().initial.shape
        (7, 100)
    """
    return gridworld(Layout.stack(list(LAYOUTS.values())), **options)
