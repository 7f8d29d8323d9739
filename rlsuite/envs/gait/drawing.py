"""Pictures of gaits: when legs stand, what gait that is, and the body from the side."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from rlsuite.envs.gait import world
from rlsuite.envs.pictures import gif

_LEGS = ("front left", "front right", "hind left", "hind right")
_COLOURS = ("#2563eb", "#dc6803", "#059669", "0.6")
_DARK, _LIGHT = "0.2", "0.65"
_BODY = 0.5  # Metres.


def draw(states: Float[np.ndarray, "time 13"], title: str = "") -> Any:
    """When each leg stands, and how much of the motion is which gait.

    Args:
        states: Of an episode or a plan.
        title: What the picture is to be called.

    Returns:
        The figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.2), layout="constrained")
    figure.suptitle(title, fontsize=10)
    upper, lower = figure.subplots(2, 1, sharex=True)
    stands = np.asarray(world.standing(jnp.asarray(states))).T
    upper.imshow(stands, aspect="auto", cmap="Greys", vmin=0, vmax=1, interpolation="nearest")
    upper.set_yticks(range(4), _LEGS, fontsize=8)
    shares = np.asarray(world.gait_shares(jnp.asarray(states)))
    lower.stackplot(np.arange(len(states)), shares.T, labels=world.GAITS, colors=_COLOURS)
    lower.set(xlim=(-0.5, len(states) - 0.5), ylim=(0, 1), xlabel="step", ylabel="share")
    lower.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return figure


def animate(states: Float[np.ndarray, "time 13"], title: str = "") -> bytes:
    """The body from its left side, walking to the right.

    Args:
        states: Of an episode or a plan.
        title: What the picture is to be called.

    Returns:
        A GIF, as fast as it is.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 2.4), dpi=70, layout="constrained")
    axes = figure.subplots()
    way = 0.02 * np.cumsum(states[:, 8])
    shares = np.asarray(world.gait_shares(jnp.asarray(states)))

    def update(time: int) -> None:
        axes.clear()
        ticks = np.arange(-2, 3) * 0.25 - way[time] % 0.25
        axes.plot([-0.6, 0.6], [0, 0], color=_LIGHT, linewidth=1)
        axes.vlines(ticks, -0.03, 0, color=_LIGHT, linewidth=1)
        _draw_body(axes, states[time])
        axes.set(xlim=(-0.6, 0.6), ylim=(-0.06, 0.6), aspect="equal")
        best = int(np.argmax(shares[time]))
        axes.set_title(f"{title} {world.GAITS[best]} {shares[time, best]:.0%}".strip(), fontsize=9)
        axes.set_axis_off()

    return gif(figure, update, len(states), milliseconds=40)


def _draw_body(axes: Any, state: Float[np.ndarray, " 13"]) -> None:
    """A trunk that pitches, and its legs; the right ones, behind it, are lighter."""
    pitch, height = state[9], world.LEG + 0.04
    along = np.asarray([np.cos(pitch), np.sin(pitch)]) * _BODY / 2
    middle = np.asarray([0.0, height])
    lifted = 0.25 * (1 - np.asarray(world.standing(jnp.asarray(state))))
    for leg in (1, 3, 0, 2):
        hip = middle + along * (1 if leg < 2 else -1)
        length = world.LEG * (1 - lifted[leg])
        foot = hip + length * np.asarray([np.sin(state[leg]), -np.cos(state[leg])])
        colour = _LIGHT if leg % 2 else _DARK
        axes.plot(*np.stack([hip, foot], axis=1), "o-", color=colour, linewidth=3, markersize=4)
    ends = np.stack([middle - along, middle + along], axis=1)
    axes.plot(*ends, color=_DARK, linewidth=9, solid_capstyle="round")
