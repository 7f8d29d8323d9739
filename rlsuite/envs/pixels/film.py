"""Films of pictures."""

import numpy as np
from jaxtyping import Float

from rlsuite.envs.pictures import gif
from rlsuite.envs.pixels.building import check


def animate(images: Float[np.ndarray, "time side side channels"], milliseconds: int = 60) -> bytes:
    """Pictures one after another, each as large as can be seen.

    Args:
        images: Of one channel or three, from 0 to 1. Of observations of several frames take
            ``observations[..., -channels:]``.
        milliseconds: How long each is shown.

    Returns:
        A GIF.

    Raises:
        ValueError: If the number of channels is another one.
    """
    from matplotlib.figure import Figure

    check("images", images.shape, images.shape[-1] in (1, 3), "1 or 3 channels")
    figure = Figure(figsize=(2.56, 2.56), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    shown = axes.imshow(np.broadcast_to(images[0], (*images.shape[1:3], 3)), vmin=0, vmax=1)

    def update(time: int) -> None:
        shown.set_data(np.clip(np.broadcast_to(images[time], (*images.shape[1:3], 3)), 0, 1))

    return gif(figure, update, len(images), milliseconds=milliseconds)
