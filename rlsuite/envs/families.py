"""Families of generated mazes: goals in or near a few places, obstacles scattered anew."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from rlsuite.envs.gridworld import Layout


class Families(NamedTuple):
    """Layouts with the family that each belongs to.

    Attributes:
        layouts: Stacked, ``[maze, rows, columns]``.
        family: The family's number, ``[maze]``.
        centres: The cell near which a family's goals are, ``[family, 2]``.
    """

    layouts: Layout
    family: Int[np.ndarray, " maze"]
    centres: Int[np.ndarray, "family 2"]


def maze_families(
    seed: int,
    count: int,
    *,
    num_families: int = 5,
    size: int = 10,
    density: float = 0.15,
    spread: int = 0,
) -> Families:
    """Generate mazes whose goals lie within ``spread`` cells of their family's centre.

    Centres are drawn as far apart as the grid allows: each is the cell farthest from those before
    it, after a random first. Obstacles are scattered anew in every maze; where they are walls some
    cells may be cut off from the goal.

    Args:
        seed: Of NumPy's generator; the centres depend on it too.
        count: How many mazes, in turn from each family.
        num_families: How many families.
        size: Rows and columns.
        density: Probability in [0, 1) that a cell which is no goal is an obstacle.
        spread: How far, in rows and in columns, a goal may be from its centre.

    Returns:
        The mazes.

    Raises:
        ValueError: If a number is out of range.

    Example:
        >>> made = maze_families(0, 2000)
        >>> made.layouts.goal.shape, np.bincount(made.family).tolist()
        ((2000, 10, 10), [400, 400, 400, 400, 400])
    """
    for name, value, least in (
        ("count", count, 1),
        ("num_families", num_families, 1),
        ("spread", spread, 0),
        ("size", size, 2 * spread + 1),
    ):
        if value < least:
            raise ValueError(f"{name} is {value}: it must be at least {least}")
    if not 0.0 <= density < 1.0:
        raise ValueError(f"density is {density}: it must be in [0, 1)")
    generator = np.random.default_rng(seed)
    centres = _far_apart(generator, num_families, size, spread)
    family = np.arange(count) % num_families
    goals = centres[family] + generator.integers(-spread, spread + 1, size=(count, 2))
    goal = np.zeros((count, size, size), bool)
    goal[np.arange(count), goals[:, 0], goals[:, 1]] = True
    obstacle = (generator.random(goal.shape) < density) & ~goal
    return Families(Layout(goal, obstacle), family, centres)


def _far_apart(
    generator: np.random.Generator, number: int, size: int, margin: int
) -> Int[np.ndarray, "family 2"]:
    """Cells chosen one after another, each farthest from those before, off the border's margin."""
    cells = np.stack(np.meshgrid(*[np.arange(margin, size - margin)] * 2, indexing="ij"), -1)
    cells = cells.reshape(-1, 2)
    chosen = [cells[generator.integers(len(cells))]]
    while len(chosen) < number:
        gaps = np.abs(cells[:, None] - np.asarray(chosen)).sum(-1).min(axis=1)
        chosen.append(cells[gaps.argmax()])
    return np.asarray(chosen)
