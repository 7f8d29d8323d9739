"""Moving pictures of what matplotlib draws."""

import io
from collections.abc import Callable
from typing import Any


def gif(
    figure: Any, update: Callable[[int], Any], num_frames: int, *, milliseconds: int = 60
) -> bytes:
    """Draw a figure again and again, as a GIF that repeats.

    Args:
        figure: A matplotlib figure.
        update: Changes it into the frame of a number, from 0.
        num_frames: How many frames there are, at least 1.
        milliseconds: How long each is shown.

    Returns:
        The file's content.

    Example:
        >>> from matplotlib.figure import Figure
        >>> figure = Figure(figsize=(1, 1), dpi=20)
        >>> content = gif(figure, lambda frame: figure.set_facecolor(f"C{frame}"), 3)
        >>> content[:6]
        b'GIF89a'
    """
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = FigureCanvasAgg(figure)
    frames = []
    for number in range(num_frames):
        update(number)
        canvas.draw()
        frames.append(Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3]).quantize(64))
    buffer = io.BytesIO()
    frames[0].save(
        buffer, "GIF", save_all=True, append_images=frames[1:], duration=milliseconds, loop=0
    )
    return buffer.getvalue()
