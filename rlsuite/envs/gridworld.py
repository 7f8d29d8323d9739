"""Gridworlds as tabular MDPs.

A layout says which cells are goals and which are obstacles; `gridworld` turns it into a
:class:`rlsuite.ops.tabular.MDP` with

* states: the cells, row by row, ``state = row * columns + column`` (obstacles keep their number);
* actions: up, down, left, right and, if asked for, stay;
* transition: one cell in the direction of the action; the border, and walls, leave the agent where
  it is. With probability `slip` the action is replaced by one drawn uniformly from all of them;
* reward of a state, collected when acting in it: `goal_reward` at a goal, `obstacle_reward` at an
  obstacle that is a penalty, `step_reward` at every other free cell, 0 inside a wall.

An absorbing goal is terminal: the episode ends on arrival, and the goal's reward is collected once,
V(goal) = goal_reward. Otherwise the goal is a cell like any other: the agent may leave it, and its
reward is collected at every step spent there.
"""

import dataclasses
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from rlsuite.ops import tabular

ACTIONS = ("up", "down", "left", "right", "stay")
"""The actions by number."""

MOVES = np.array([[-1, 0], [1, 0], [0, -1], [0, 1], [0, 0]])
"""The (row, column) steps of the actions."""

Obstacles = Literal["walls", "penalties"]
"""Whether obstacles cannot be entered, or can be at a price."""


@dataclasses.dataclass(frozen=True, eq=False)
class Layout:
    """The cells of a gridworld, or of several of the same size (leading axes).

    Attributes:
        goal: true at goal cells, ``[..., rows, columns]``; every grid has one at least.
        obstacle: true at obstacles, ``[..., rows, columns]``; no goal is one.

    Raises:
        ValueError: if the masks are no booleans or differ in shape, a grid has no goal, or a goal
            is an obstacle.

    Example:
        >>> layout = Layout.parse('''
        ... ..#
        ... .#G
        ... ''')
        >>> layout.rows, layout.columns, layout.obstacle.sum()
        (2, 3, np.int64(2))
    """

    goal: np.ndarray
    obstacle: np.ndarray

    def __post_init__(self) -> None:
        if self.goal.shape != self.obstacle.shape or self.goal.ndim < 2:
            raise ValueError(
                f"goal has the shape {self.goal.shape} and obstacle {self.obstacle.shape}: both "
                "must be [..., rows, columns]"
            )
        if self.goal.dtype != bool or self.obstacle.dtype != bool:
            raise ValueError(
                f"goal is of type {self.goal.dtype} and obstacle {self.obstacle.dtype}: both must "
                "be boolean"
            )
        if not self.goal.any((-2, -1)).all():
            raise ValueError("goal marks no cell: every grid needs one at least")
        if (self.goal & self.obstacle).any():
            raise ValueError("goal and obstacle overlap: a goal cannot be an obstacle")

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.goal.shape[-2]

    @property
    def columns(self) -> int:
        """Number of columns."""
        return self.goal.shape[-1]

    def __getitem__(self, index: int | slice) -> "Layout":
        """One layout, or some, of a batch."""
        if self.goal.ndim == 2:
            raise IndexError("this is one layout: there is no batch axis to index")
        return Layout(self.goal[index], self.obstacle[index])

    @classmethod
    def parse(cls, text: str) -> "Layout":
        """Read a layout from text: '.' is free, 'G' a goal, '#' an obstacle; a line per row.

        Args:
            text: the rows; blank lines and space around lines are ignored.

        Returns:
            The layout; `str` turns it back into text.

        Raises:
            ValueError: if the lines differ in length, or a character means nothing.
        """
        lines = [line.strip() for line in text.split()]
        if len({len(line) for line in lines}) != 1:
            raise ValueError(
                f"text has rows of lengths {[len(line) for line in lines]}: they must be equal"
            )
        cells = np.array([list(line) for line in lines])
        unknown = sorted(set("".join(lines)) - set(".G#"))
        if unknown:
            raise ValueError(f"text contains {unknown}: only '.', 'G' and '#' are allowed")
        return cls(goal=cells == "G", obstacle=cells == "#")

    @classmethod
    def stack(cls, layouts: "list[Layout]") -> "Layout":
        """Stack layouts along a new leading axis.

        Args:
            layouts: layouts of one size.

        Example:
            >>> Layout.stack([Layout.parse("..G"), Layout.parse("G#.")]).goal.shape
            (2, 1, 3)
        """
        return cls(
            np.stack([layout.goal for layout in layouts]),
            np.stack([layout.obstacle for layout in layouts]),
        )

    def __str__(self) -> str:
        if self.goal.ndim > 2:
            return "\n\n".join(str(self[i]) for i in range(len(self.goal)))
        cells = np.select([self.goal, self.obstacle], ["G", "#"], ".")
        return "\n".join("".join(row) for row in cells)


def neighbours(
    walls: Bool[np.ndarray, "*batch rows columns"], *, stay: bool = False
) -> Int[np.ndarray, "*batch state action"]:
    """The state that each action leads to, on a grid with walls.

    Args:
        walls: true at cells that cannot be entered (nor left).
        stay: whether there is a fifth action, which does nothing.

    Returns:
        State numbers (int32), one column per action.

    Example:
        >>> neighbours(np.array([[False, False, True]]))
        array([[0, 0, 0, 1],
               [1, 1, 0, 1],
               [2, 2, 2, 2]], dtype=int32)
    """
    rows, columns = walls.shape[-2:]
    row, column = np.indices((rows, columns))
    here = row * columns + column
    tables = []
    for down, right in MOVES[: 5 if stay else 4]:
        next_row = np.clip(row + down, 0, rows - 1)
        next_column = np.clip(column + right, 0, columns - 1)
        blocked = walls | walls[..., next_row, next_column]
        tables.append(np.where(blocked, here, next_row * columns + next_column))
    table = np.stack(tables, axis=-1).astype(np.int32)
    return table.reshape(*walls.shape[:-2], rows * columns, -1)


def gridworld(
    layout: Layout,
    *,
    obstacles: Obstacles = "walls",
    stay: bool = False,
    slip: float | Float[Array, ""] = 0.0,
    absorbing: bool = True,
    goal_reward: float | Float[Array, ""] = 1.0,
    step_reward: float | Float[Array, ""] = 0.0,
    obstacle_reward: float | Float[Array, ""] = -1.0,
    discount: float | Float[Array, ""] = 0.9,
) -> tabular.MDP:
    r"""Build the MDP of a layout; the module's docstring gives its dynamics and rewards.

    Episodes start uniformly in the cells that are no obstacles (goals included); for another start
    use ``mdp.replace(initial=...)``. A batch of layouts gives a stacked MDP: every array has the
    batch's axes in front, ready for `jax.vmap`.

    Args:
        layout: the cells.
        obstacles: "walls" (not to be entered; their states remain in the table, never reached) or
            "penalties" (cells that cost `obstacle_reward`).
        stay: whether there is a fifth action, which does nothing.
        slip: probability in [0, 1] that the action is replaced by one drawn uniformly from all
            actions (the chosen one included).
        absorbing: whether the episode ends at a goal.
        goal_reward: reward of a goal.
        step_reward: reward of every other free cell.
        obstacle_reward: reward of an obstacle that is a penalty.
        discount: discount factor in [0, 1).

    Returns:
        The MDP, with a state reward and a next-state table (no dense transition array).

    Raises:
        ValueError: if `obstacles`, `slip` or `discount` is not as described.

    Example:
        >>> mdp = gridworld(Layout.parse("..G"), discount=0.5)
        >>> tabular.value_iteration(mdp).values.tolist()
        [0.25, 0.5, 1.0]
    """
    if obstacles not in ("walls", "penalties"):
        raise ValueError(f"obstacles is {obstacles!r}: it must be 'walls' or 'penalties'")
    check_probability("slip", slip, closed=True)
    check_probability("discount", discount, closed=False)
    is_wall = layout.obstacle if obstacles == "walls" else np.zeros_like(layout.obstacle)
    batch, states = layout.goal.shape[:-2], layout.rows * layout.columns

    def per_state(cells: np.ndarray) -> np.ndarray:
        return cells.reshape(*batch, states)

    def scalar(value: float | Array) -> Array:
        return jnp.broadcast_to(jnp.asarray(value, dtype=float), batch)

    at_obstacle = 0.0 if obstacles == "walls" else obstacle_reward
    goal, obstacle, free = map(per_state, (layout.goal, layout.obstacle, ~layout.obstacle))
    return tabular.MDP(
        transition=tabular.Gather(
            next_states=jnp.asarray(neighbours(is_wall, stay=stay)), slip=scalar(slip)
        ),
        reward=_rewards(goal, obstacle, goal_reward, at_obstacle, step_reward),
        initial=jnp.asarray(free / free.sum(-1, keepdims=True), dtype=float),
        discount=scalar(discount),
        terminal=jnp.asarray(goal) if absorbing else None,
    )


@jax.jit
def _rewards(goal: Any, obstacle: Any, at_goal: Any, at_obstacle: Any, elsewhere: Any) -> Array:
    """The rewards of states."""
    return jnp.where(goal, at_goal, jnp.where(obstacle, at_obstacle, elsewhere)).astype(float)


def check_probability(name: str, value: float | Array, *, closed: bool) -> None:
    """Refuse a number that is no probability; tracers pass.

    Args:
        name: what the number is called.
        value: the number.
        closed: whether 1 is allowed.

    Raises:
        ValueError: if the number is outside [0, 1], or [0, 1) if not closed.
    """
    if isinstance(value, jax.core.Tracer):
        return
    if not (0.0 <= float(value) < 1.0 or (closed and float(value) == 1.0)):
        raise ValueError(f"{name} is {value}: it must be in {'[0, 1]' if closed else '[0, 1)'}")
