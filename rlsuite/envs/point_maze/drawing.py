"""Pictures of plans and walks through a maze."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from rlsuite.envs.pictures import gif
from rlsuite.envs.point_maze import world

_WALL, _GOAL, _BALL = "0.82", "#dc6803", "0.1"


def draw_plan(
    walls: Bool[np.ndarray, "row column"],
    states: Float[np.ndarray, "plan time n"],
    goal: Float[np.ndarray, " 2"] | None = None,
    title: str = "",
) -> Any:
    """Plans in their maze, from dark to light.

    Args:
        walls: The maze.
        states: Their first two numbers are x and y.
        goal: Where the goal is; None for none.
        title: What the picture is to be called.

    Returns:
        The figure.
    """
    figure, axes = _maze(walls, goal, title)
    colours = np.linspace(0, 1, states.shape[1])
    for plan in states:
        axes.scatter(*plan[:, :2].T, c=colours, cmap="viridis", s=4, linewidths=0, zorder=3)
        axes.plot(*plan[0, :2], "o", color=_BALL, markersize=4, zorder=4)
    return figure


def animate_plan(
    walls: Bool[np.ndarray, "row column"],
    states: Float[np.ndarray, "plan time n"],
    goal: Float[np.ndarray, " 2"] | None = None,
    title: str = "",
    frames: int = 60,
) -> bytes:
    """The same, as it is walked.

    Args:
        walls: The maze.
        states: Their first two numbers are x and y.
        goal: Where the goal is; None for none.
        title: What the picture is to be called.
        frames: How many moments are shown, at most.

    Returns:
        A GIF.
    """
    figure, axes = _maze(walls, goal, title)
    figure.set_dpi(70)
    lines = [axes.plot([], [], color="#2563eb", linewidth=1, alpha=0.7)[0] for _ in states]
    balls = axes.plot([], [], "o", color=_BALL, markersize=5, zorder=4)[0]
    times = np.unique(np.linspace(0, states.shape[1] - 1, frames).round().astype(int))

    def update(frame: int) -> None:
        time = times[frame]
        for line, plan in zip(lines, states, strict=True):
            line.set_data(*plan[: time + 1, :2].T)
        balls.set_data(*states[:, time, :2].T)

    return gif(figure, update, len(times))


def _maze(
    walls: Bool[np.ndarray, "row column"], goal: Float[np.ndarray, " 2"] | None, title: str
) -> tuple[Any, Any]:
    """An empty maze."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Circle

    rows, columns = walls.shape
    figure = Figure(figsize=(0.42 * columns, 0.42 * rows + 0.3), layout="constrained")
    axes = figure.subplots()
    extent = (-columns / 2, columns / 2, -rows / 2, rows / 2)
    shade = np.where(walls[..., None], float(_WALL), np.ones(3))
    axes.imshow(shade, extent=extent, interpolation="nearest")
    if goal is not None:
        reach = Circle(tuple(goal), world.REACH, color=_GOAL, alpha=0.2, linewidth=0)
        axes.add_patch(reach)
        axes.plot(*goal, "*", color=_GOAL, markersize=8, zorder=4)
    axes.set(xticks=[], yticks=[], xlim=extent[:2], ylim=extent[2:])
    axes.set_title(title, fontsize=9)
    axes.spines[:].set_visible(False)
    return figure, axes
