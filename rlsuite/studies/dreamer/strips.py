"""Pictures that a model predicts beside the true ones: side by side, and moving."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, UInt8

from rlsuite.io.reports import Picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Frames = Float[np.ndarray, "episode time height width 3"]

_TIMES = (0, 4, 5, 8, 12, 16, 22, 28, 34, 42, 49)
_ZOOM, _BORDER = 4, 4
_GREY, _GREEN, _ORANGE = (200, 200, 205), (5, 150, 105), (220, 104, 3)


def draw(truth: Frames, predicted: Frames, context: int, times: Sequence[int] = _TIMES) -> "Figure":
    """Two episodes over time, the truth above the prediction.

    Args:
        truth: Pictures, from 0 to 1.
        predicted: The same, predicted.
        context: How many were seen.
        times: Which are shown.

    Returns:
        The figure; titles count from the last picture seen.
    """
    from matplotlib.figure import Figure

    rows = [frames for pair in zip(truth[:2], predicted[:2], strict=True) for frames in pair]
    figure = Figure(figsize=(len(times) * 0.95 + 0.7, 4.2), layout="constrained")
    panels = figure.subplots(len(rows), len(times))
    for line, frames, name in zip(panels, rows, ("truth", "model") * 2, strict=True):
        for axes, time in zip(line, times, strict=True):
            axes.imshow(np.clip(frames[time], 0, 1))
            axes.set(xticks=[], yticks=[])
            looked = name == "model" and time < context
            axes.spines[:].set(color="#059669" if looked else "0.8", linewidth=2 if looked else 1)
        line[0].set_ylabel(name)
    for axes, time in zip(panels[0], times, strict=True):
        axes.set_title(f"{time - context + 1:+d}", fontsize=9)
    return figure


def animation(name: str, truth: Frames, predicted: Frames, context: int, caption: str) -> Picture:
    """A GIF of all episodes, the truth above the prediction.

    Args:
        name: Its file's name.
        truth: Pictures, from 0 to 1.
        predicted: The same, predicted.
        context: How many were seen; their frames are green.
        caption: What it shows.

    Returns:
        The picture.
    """
    from PIL import Image

    frames = []
    for time in range(truth.shape[1]):
        colour = _GREEN if time < context else _ORANGE
        lines = _line(truth[:, time], _GREY), _line(predicted[:, time], colour)
        frames.append(Image.fromarray(np.concatenate(lines)))
    buffer = io.BytesIO()
    # 80 ms a picture: a little slower than the pendulum's 50, to let the eye compare.
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=80, loop=0)
    return Picture(name, buffer.getvalue(), caption)


def _line(
    images: Float[np.ndarray, "episode height width 3"], colour: tuple[int, int, int]
) -> UInt8[np.ndarray, "rows columns 3"]:
    """Pictures in a row, enlarged and framed."""
    large = np.clip(images, 0, 1).repeat(_ZOOM, axis=1).repeat(_ZOOM, axis=2)
    margin = (_BORDER, _BORDER)
    width = ((0, 0), margin, margin, (0, 0))
    inside = np.pad(np.ones(large.shape[:3], bool), width[:3])
    framed = np.where(inside[..., None], np.pad(large * 255, width), colour)
    return np.concatenate(np.round(framed), axis=1).astype(np.uint8)
