"""Pictures of the blocks: cubes in oblique projection, the far ones drawn first."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from rlsuite.envs.block_stacking import world
from rlsuite.envs.pictures import gif

_COLOURS = ((37, 99, 235), (220, 104, 3), (5, 150, 105), (147, 51, 234))
_RIGHT, _UP = 0.42, 0.36  # How far a unit of depth shifts a point in the picture.
_TO_EYE = np.asarray((_RIGHT, -1.0, _UP))  # Along this, points fall together in the picture.
_DARK = "0.25"
_HOLDS = jax.jit(world.holds)


def draw(states: Float[np.ndarray, "time 16"], moments: int = 6) -> Any:
    """Moments of an episode or a plan, from the first state to the last.

    Args:
        states: The states.
        moments: How many.

    Returns:
        The figure; titles name the step, and the constraints that hold.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.0 * moments, 2.3), layout="constrained")
    times = np.linspace(0, len(states) - 1, moments).round().astype(int)
    for axes, time in zip(np.atleast_1d(figure.subplots(1, moments)), times, strict=True):
        _draw_state(axes, states[time], f"step {time}")
    return figure


def animate(states: Float[np.ndarray, "time 16"]) -> bytes:
    """All moments, one after another.

    Args:
        states: The states of an episode or a plan.

    Returns:
        A GIF.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.2, 3.4), dpi=70, layout="constrained")
    axes = figure.subplots()

    def update(time: int) -> None:
        axes.clear()
        _draw_state(axes, states[time], f"step {time}")

    return gif(figure, update, len(states), milliseconds=70)


def _draw_state(axes: Any, state: Float[np.ndarray, " 16"], title: str) -> None:
    """One state."""
    gripper, blocks = state[:3], state[4:].reshape(world.BLOCKS, 3)
    corners = np.asarray([(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)]) * (0.95, 0.95, 0)
    axes.fill(*_seen(corners).T, color="0.94", zorder=0)
    shadow = _seen((gripper * (1, 1, 0))[None])[0]
    axes.plot(*shadow, "o", color="0.75", markersize=4, zorder=0.5)
    for layer, number in enumerate(np.argsort(blocks @ _TO_EYE).tolist()):
        _draw_cube(axes, blocks[number], number, 1 + layer)
    _draw_gripper(axes, gripper, float(state[3]))
    found = np.asarray(_HOLDS(jnp.asarray(state)))
    names = [f"{i} on {j}" for (i, j), yes in zip(world.PAIRS, found, strict=True) if yes]
    axes.set(xlim=(-1.3, 1.3), ylim=(-0.4, 1.4), aspect="equal")
    axes.set_title(f"{title}\n{', '.join(names) or ' '}", fontsize=8)
    axes.set_axis_off()


def _draw_cube(axes: Any, middle: Float[np.ndarray, " 3"], number: int, layer: int) -> None:
    """The three faces of a cube that are seen from before, above and the right."""
    half = world.SIDE / 2
    front = np.asarray([(-1, -1, -1), (1, -1, -1), (1, -1, 1), (-1, -1, 1)])
    top = np.asarray([(-1, -1, 1), (1, -1, 1), (1, 1, 1), (-1, 1, 1)])
    right = np.asarray([(1, -1, -1), (1, 1, -1), (1, 1, 1), (1, -1, 1)])
    colour = np.asarray(_COLOURS[number]) / 255
    for face, light in ((front, 0.15), (top, 0.45), (right, 0.0)):
        shade = colour + light * (1 - colour) if light else 0.75 * colour
        points = _seen(middle + half * face)
        axes.fill(*points.T, facecolor=shade, edgecolor="white", linewidth=0.6, zorder=layer)
    place = _seen(middle[None] - (0, half, 0))[0]
    axes.text(*place, str(number), color="white", ha="center", va="center", fontsize=7, zorder=9)


def _draw_gripper(axes: Any, gripper: Float[np.ndarray, " 3"], opening: float) -> None:
    """Two fingers and what they hang from."""
    spread = world.SIDE / 2 * opening / world.GRIP
    across = np.asarray([-spread, spread])
    for side in across:
        finger = gripper + np.asarray([(side, 0, -0.06), (side, 0, 0.18)])
        axes.plot(*_seen(finger).T, color=_DARK, linewidth=2, zorder=8)
    palm = gripper + np.asarray([(-0.2, 0, 0.18), (0.2, 0, 0.18)])
    arm = gripper + np.asarray([(0, 0, 0.18), (0, 0, 0.32)])
    for part in (palm, arm):
        axes.plot(*_seen(part).T, color=_DARK, linewidth=3, zorder=8)


def _seen(points: Float[np.ndarray, "point 3"]) -> Float[np.ndarray, "point 2"]:
    """Where points in space are in the picture."""
    x, y, z = points.T
    return np.stack([x + _RIGHT * y, z + _UP * y], axis=-1)
