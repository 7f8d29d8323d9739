"""Pictures and animations of gridworlds: rewards, values, policies, rollouts.

A :class:`Panel` says what to show of one grid; `draw_panels` draws some side by side, `draw_grid`
draws one into axes of your own, and `animate_rollout` writes a GIF of an agent walking over one.
Figures are made without pyplot: they need no display, and nothing has to be closed. Save one with
``figure.savefig(path)``.
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Int

from rlsuite.envs.gridworld import MOVES, Layout, Obstacles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ArrayLike = jax.Array | np.ndarray | Sequence[float]
"""Numbers in any of the usual forms."""

_Coordinate = float | np.integer

# Okabe and Ito's colours, which people with any colour vision can tell apart.
_PALETTE = ("#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#F0E442", "#0072B2", "#D55E00", "#999999")
_WALL, _FREE, _INK, _PAPER, _LABEL = "#3A3D44", "#F3F1EC", "#1E1F22", "#FFFFFF", "#6B6E76"
_GOAL, _TRAIL = "#F0E442", "#D55E00"
# Without their darkest ends, which would be taken for walls.
_SEQUENTIAL, _DIVERGING = ("YlGnBu", 0.0, 0.8), ("RdBu", 0.12, 0.88)
_DPI = 120


class Panel(NamedTuple):
    """What to show of one grid.

    Attributes:
        layout: the layout, or (rows, columns) of a grid without goals and obstacles.
        title: title of the panel.
        values: a number for each state, shown as a heat map: blue is high and pale is low; where
            both signs occur, blue is positive, white is zero and red is negative.
        log_policy: log π(a|s), shown as arrows as long as the action is probable (a dot for
            staying); none at goals.
        path: the states of a rollout, in order.
        objects: (positions, outer colours, inner colours) of the objects of an objectworld.
        obstacles: "walls" are filled; "penalties" are hatched, and their values shown.
        label: what the heat map shows, written beside its colour bar.
    """

    layout: Layout | tuple[int, int]
    title: str = ""
    values: ArrayLike | None = None
    log_policy: ArrayLike | None = None
    path: ArrayLike | None = None
    objects: tuple[ArrayLike, ArrayLike, ArrayLike] | None = None
    obstacles: Obstacles = "walls"
    label: str = ""

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns."""
        if isinstance(self.layout, Layout):
            return self.layout.rows, self.layout.columns
        return self.layout

    @property
    def goal(self) -> Bool[np.ndarray, "rows columns"]:
        """True at goals."""
        return self.layout.goal if isinstance(self.layout, Layout) else np.zeros(self.shape, bool)

    @property
    def obstacle(self) -> Bool[np.ndarray, "rows columns"]:
        """True at obstacles."""
        if isinstance(self.layout, Layout):
            return self.layout.obstacle
        return np.zeros(self.shape, bool)


def draw_panels(panels: Sequence[Panel], *, columns: int = 4) -> "Figure":
    """Draw grids side by side, with one key to their signs.

    Args:
        panels: what to draw, left to right.
        columns: how many panels stand in a row at most.

    Returns:
        The figure.

    Raises:
        ValueError: if there is no panel, or one does not fit its grid.

    Example:
        >>> from rlsuite.envs.mazes import LAYOUTS
        >>> figure = draw_panels([Panel(layout, name) for name, layout in LAYOUTS.items()])
        >>> [axes.get_title() for axes in figure.axes[:3]]
        ['s0', 's1', 's2']
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not panels:
        raise ValueError("panels is empty: there is nothing to draw")
    across = min(columns, len(panels))
    down = -(-len(panels) // across)
    width = float(np.clip(0.15 * max(panel.shape[1] for panel in panels), 2.7, 5.0))
    height = width * max(panel.shape[0] / panel.shape[1] for panel in panels)
    size = (width + 0.6) * across, (height + 0.2) * down + 0.5
    figure = Figure(figsize=size, dpi=_DPI, facecolor=_PAPER)
    FigureCanvasAgg(figure)
    figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.08)
    every = figure.subplots(down, across, squeeze=False).ravel()
    for axes, panel in zip(every, panels, strict=False):
        draw_grid(axes, panel)
    for axes in every[len(panels) :]:
        axes.remove()
    handles = _key(panels)
    if handles:
        figure.legend(
            handles=handles,
            loc="outside lower center",
            ncols=min(len(handles), 3 * across),
            frameon=False,
            fontsize=8,
            labelcolor=_INK,
        )
    return figure


def draw_grid(axes: "Axes", panel: Panel) -> None:
    """Draw one grid into axes, for a figure of one's own.

    Args:
        axes: where to draw.
        panel: what to draw.

    Raises:
        ValueError: if a part of the panel does not fit its grid.

    Example:
        >>> from matplotlib.figure import Figure
        >>> axes = Figure().add_subplot()
        >>> draw_grid(axes, Panel((3, 5), title="an empty grid"))
        >>> axes.get_title()
        'an empty grid'
    """
    _check(panel)
    rows, columns = panel.shape
    axes.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5), aspect="equal")
    _draw_cells(axes, panel)
    if panel.objects is not None:
        _draw_objects(axes, panel)
    if panel.log_policy is not None:
        _draw_policy(axes, panel)
    _draw_goals(axes, panel)
    if panel.path is not None:
        row, column = np.divmod(np.asarray(panel.path), columns)
        _draw_trail(axes, row, column)
        size = _sign(panel, 0.2)
        _add_disc(axes, row[0], column[0], size, facecolor=_PAPER, edgecolor=_TRAIL)
        _add_disc(axes, row[-1], column[-1], size, facecolor=_TRAIL, edgecolor=_PAPER)
    axes.set_title(panel.title, fontsize=10, color=_INK)
    axes.tick_params(length=0, labelsize=7, labelcolor=_LABEL)
    axes.locator_params(integer=True, nbins=6)
    for spine in axes.spines.values():
        spine.set(color=_WALL, linewidth=0.8)


def animate_rollout(
    path: str | os.PathLike[str], panel: Panel, *, frames_per_second: int = 4
) -> None:
    """Write a GIF of an agent walking the panel's path, one frame for each state.

    Args:
        path: the file to write.
        panel: the grid, with the path to walk.
        frames_per_second: speed.

    Raises:
        ValueError: if the panel has no path, or does not fit its grid.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     animate_rollout(f"{directory}/walk.gif", Panel((1, 3), path=[0, 1, 2]))
    """
    from matplotlib.animation import PillowWriter

    if panel.path is None:
        raise ValueError("panel.path is None: there is no rollout to animate")
    _check(panel)
    row, column = np.divmod(np.asarray(panel.path), panel.shape[1])
    figure = draw_panels([panel._replace(path=None)])
    axes = figure.axes[0]
    trail = _draw_trail(axes, row[:0], column[:0])
    agent = _add_disc(
        axes, row[0], column[0], _sign(panel, 0.3), facecolor=_TRAIL, edgecolor=_PAPER
    )
    # Otherwise the layout would be worked out anew for every frame, and tremble.
    figure.canvas.draw()
    figure.set_layout_engine("none")
    writer = PillowWriter(fps=frames_per_second)
    with writer.saving(figure, os.fspath(path), dpi=_DPI):
        for t in range(len(row)):
            trail.set_data(column[: t + 1], row[: t + 1])
            agent.set_center((column[t], row[t]))
            # The count also keeps the writer from merging the frames of an agent that waits.
            axes.set_title(f"{panel.title}   step {t} of {len(row) - 1}".strip())
            writer.grab_frame()


def _check(panel: Panel) -> None:
    if isinstance(panel.layout, Layout) and panel.layout.goal.ndim > 2:
        raise ValueError("layout is a batch: draw one of it, layout[i], at a time")
    states = panel.shape[0] * panel.shape[1]
    if panel.values is not None and np.size(panel.values) != states:
        raise ValueError(f"values has {np.size(panel.values)} entries for {states} cells")
    if panel.log_policy is not None:
        shape = np.shape(panel.log_policy)
        if shape not in ((states, 4), (states, 5)):
            raise ValueError(f"log_policy has the shape {shape}: allowed is [{states}, 4 or 5]")
    if panel.path is not None:
        path = np.asarray(panel.path)
        if path.ndim != 1 or path.size == 0 or path.min() < 0 or path.max() >= states:
            raise ValueError(f"path must be a list of states between 0 and {states - 1}, not empty")


def _draw_cells(axes: "Axes", panel: Panel) -> None:
    """The heat map, the obstacles, and lines between the cells."""
    from matplotlib.colors import ListedColormap

    rows, columns = panel.shape
    filled = panel.obstacle & (panel.obstacles == "walls")
    if panel.values is None:
        axes.imshow(np.zeros(panel.shape), cmap=ListedColormap([_FREE]))
    else:
        values = np.ma.masked_where(filled, np.asarray(panel.values, float).reshape(panel.shape))
        values = np.ma.masked_invalid(values)
        low, high = values.min(), values.max()
        signed = low < 0 < high
        limit = max(-low, high)
        image = axes.imshow(
            values,
            cmap=_colours(*(_DIVERGING if signed else _SEQUENTIAL)),
            vmin=-limit if signed else low,
            vmax=limit if signed else high,
        )
        bar = axes.figure.colorbar(image, cax=axes.inset_axes((1.03, 0, 0.04, 1)))
        bar.set_label(panel.label, fontsize=8, color=_INK)
        bar.ax.tick_params(length=0, labelsize=7, labelcolor=_LABEL)
        bar.ax.locator_params(nbins=5)
        bar.outline.set_visible(False)
    axes.imshow(np.ma.masked_equal(filled, 0), cmap=ListedColormap([_WALL]))
    if panel.obstacles == "penalties":
        _hatch(axes, panel.obstacle)
    if max(rows, columns) <= 40:
        axes.hlines(np.arange(0.5, rows - 1), -0.5, columns - 0.5, color=_PAPER, linewidth=0.5)
        axes.vlines(np.arange(0.5, columns - 1), -0.5, rows - 0.5, color=_PAPER, linewidth=0.5)


def _colours(name: str, low: float, high: float) -> Any:
    """A part of one of matplotlib's colour maps."""
    from matplotlib import colormaps
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list(name, colormaps[name](np.linspace(low, high, 256)))


def _hatch(axes: "Axes", cells: Bool[np.ndarray, "rows columns"]) -> None:
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    squares = [Rectangle((c - 0.5, r - 0.5), 1, 1) for r, c in np.argwhere(cells)]
    axes.add_collection(
        PatchCollection(squares, facecolor="none", edgecolor=_WALL, hatch="////", linewidth=0)
    )


def _draw_goals(axes: "Axes", panel: Panel) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path
    from matplotlib.transforms import Affine2D

    size = _sign(panel, 0.42)
    for row, column in np.argwhere(panel.goal):
        # The axis of the rows points down: the star must be turned over to stand upright.
        place = Affine2D().scale(size, -size).translate(column, row)
        star = Path.unit_regular_star(5, 0.45).transformed(place)
        axes.add_patch(PathPatch(star, facecolor=_GOAL, edgecolor=_INK, linewidth=0.8, zorder=4))


# An arrow from (0, 0) to (1, 0).
_ARROW = (
    np.array([[0, -1.2], [5.5, -1.2], [5.5, -3.6], [10, 0], [5.5, 3.6], [5.5, 1.2], [0, 1.2]]) / 10
)
_HEXAGON = np.exp(2j * np.pi * np.arange(12) / 12).view(float).reshape(12, 2)


def _draw_policy(axes: "Axes", panel: Panel) -> None:
    """Arrows and, for staying, discs, their areas in proportion to the probabilities."""
    from matplotlib.collections import PolyCollection

    policy = np.exp(np.asarray(panel.log_policy, float))
    hidden = panel.goal | (panel.obstacle & (panel.obstacles == "walls"))
    shown = (policy >= 0.02) & ~hidden.reshape(-1, 1)
    shapes = []
    for state, action in np.argwhere(shown):
        row, column = divmod(state, panel.shape[1])
        down, right = MOVES[action]
        if (down, right) == (0, 0):
            outline = 0.2 * _HEXAGON
        else:
            outline = 0.46 * _ARROW @ [[right, down], [-down, right]]
        shapes.append([column, row] + np.sqrt(policy[state, action]) * outline)
    style: dict[str, Any] = {"facecolor": _INK, "edgecolor": _PAPER, "zorder": 3}
    axes.add_collection(PolyCollection(shapes, linewidth=_line(panel, 0.5), **style))


def _line(panel: Panel, width: float) -> float:
    """A line's width in points, finer where the cells are smaller."""
    return width * min(1.0, 12 / max(panel.shape))


def _sign(panel: Panel, radius: float) -> float:
    """A sign's radius in cells, but never too small to be seen."""
    return max(radius, 0.02 * max(panel.shape))


def _draw_trail(
    axes: "Axes", row: Int[np.ndarray, " time"], column: Int[np.ndarray, " time"]
) -> Any:
    from matplotlib.patheffects import Normal, withStroke

    casing = [withStroke(linewidth=4, foreground=_PAPER), Normal()]
    (line,) = axes.plot(column, row, color=_TRAIL, linewidth=2, path_effects=casing, zorder=5)
    return line


def _add_disc(
    axes: "Axes", row: _Coordinate, column: _Coordinate, radius: float, **style: Any
) -> Any:
    from matplotlib.patches import Circle

    return axes.add_patch(Circle((float(column), float(row)), radius, zorder=6, **style))


def _draw_objects(axes: "Axes", panel: Panel) -> None:
    """A disc in the outer colour of each object, and a smaller one in its inner colour."""
    positions, outer, inner = (np.asarray(part).tolist() for part in panel.objects or ())
    for (row, column), outside, inside in zip(positions, outer, inner, strict=True):
        _add_disc(axes, row, column, 0.5, facecolor=_colour(outside), edgecolor=_INK, linewidth=0.6)
        _add_disc(axes, row, column, 0.22, facecolor=_colour(inside), edgecolor=_INK, linewidth=0.6)


def _colour(index: int) -> str:
    return _PALETTE[index % len(_PALETTE)]


def _key(panels: Sequence[Panel]) -> list[Any]:
    """Legend entries for the signs that occur."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    def disc(label: str, face: str, edge: str, marker: str = "o", size: float = 7) -> Line2D:
        style: dict[str, Any] = {"markerfacecolor": face, "markeredgecolor": edge}
        return Line2D(
            [], [], linestyle="none", marker=marker, markersize=size, label=label, **style
        )

    handles: list[Any] = []
    if any(panel.goal.any() for panel in panels):
        handles.append(disc("goal", _GOAL, _INK, "*", 10))
    kinds = {panel.obstacles for panel in panels if panel.obstacle.any()}
    if "walls" in kinds:
        handles.append(Patch(facecolor=_WALL, label="wall"))
    if "penalties" in kinds:
        handles.append(Patch(facecolor=_PAPER, edgecolor=_WALL, hatch="////", label="penalty"))
    if any(panel.path is not None for panel in panels):
        handles += [disc("start", _PAPER, _TRAIL), disc("end", _TRAIL, _PAPER)]
    coloured = [panel.objects[1:] for panel in panels if panel.objects is not None]
    colours = {int(colour) for pair in coloured for part in pair for colour in np.asarray(part)}
    handles += [disc(f"colour {k + 1}", _colour(k), _INK) for k in sorted(colours)]
    if colours:
        handles.append(Line2D([], [], linestyle="none", label="(disc: outer, dot: inner colour)"))
    return handles
