"""What all parts share: means over seeds with their intervals, and the look of figures."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float

from rlsuite.io.tables import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, ORANGE, GREEN, PURPLE, GREY = "#2563eb", "#dc6803", "#059669", "#9333ea", "#475569"
_RESAMPLES = 2000


class Summary(NamedTuple):
    """Over seeds.

    Attributes:
        middle: The interquartile mean.
        low: Where its 95 % bootstrap interval begins.
        high: Where it ends.
    """

    middle: np.ndarray
    low: np.ndarray
    high: np.ndarray


def summary(values: Float[np.ndarray, "seed ..."]) -> Summary:
    """The interquartile mean over seeds and its 95 % interval, by a percentile bootstrap.

    Args:
        values: What each seed reached.

    Returns:
        The summary; with a single seed, its values three times.

    Example:
        >>> summary(np.asarray([0.0, 1.0, 2.0, 100.0])).middle
        array(1.5)
    """
    values = np.asarray(values, float)
    draws = np.random.default_rng(0).integers(len(values), size=(_RESAMPLES, len(values)))
    resampled = _middle(np.moveaxis(values[draws], 1, 0))
    low, high = np.percentile(resampled, [2.5, 97.5], axis=0)
    return Summary(_middle(values), low, high)


def _middle(values: np.ndarray) -> np.ndarray:
    """The mean along the first axis without its lowest and its highest quarter."""
    cut = len(values) // 4
    return np.asarray(np.sort(values, axis=0)[cut : len(values) - cut].mean(axis=0))


def text_of(values: Float[np.ndarray, " seed"]) -> str:
    """The summary of one number a seed, as ``middle (low … high)``.

    Example:
        >>> text_of(np.asarray([2.0, 2.0, 2.0]))
        '2 (2 … 2)'
    """
    found = summary(values)
    return (
        f"{number(float(found.middle))} ({number(float(found.low))} … {number(float(found.high))})"
    )


def over(num_seeds: int) -> str:
    """What ``text_of`` shows, in words.

    Args:
        num_seeds: How many seeds.

    Returns:
        The words.

    Example:
        >>> over(5)
        'interquartile mean over 5 seeds and its 95 % interval'
    """
    return f"interquartile mean over {num_seeds} seed{'s' * (num_seeds > 1)} and its 95 % interval"


def band(
    axes: "Axes", x: Any, values: Float[np.ndarray, "seed x"], colour: str, **how: Any
) -> None:
    """Draw the summary over x: a line, and a band for its interval.

    Args:
        axes: Where to.
        x: The abscissa.
        values: What each seed reached.
        colour: Of both.
        **how: For the line.
    """
    found = summary(values)
    axes.plot(x, found.middle, color=colour, **how)
    axes.fill_between(x, found.low, found.high, color=colour, alpha=0.18, linewidth=0)


def plain(axes: "Axes") -> None:
    """Leave out the frame's upper and right edges."""
    axes.spines[["top", "right"]].set_visible(False)
