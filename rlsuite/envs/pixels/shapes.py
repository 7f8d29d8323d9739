r"""Pictures of simple shapes that are smooth functions of where the shapes are.

A shape is the signed distance d of every pixel's centre from its border, negative inside. A pixel
shows as much of it as

    share = 3t² − 2t³,    t = clip(1/2 − d / (2 pixel), 0, 1),

which is 1 deeper than a pixel inside, 0 farther than a pixel outside, and once differentiable in
between: a shape that moves by a hundredth of a pixel changes its picture, and the picture's
gradient says how. A straight border shows the area that lies within it to within .024
of a pixel's width, and exactly where it runs along or through the middles of pixels.

Layers lie over each other, the last one on top: image ← image + share (colour − image).

Example:
    >>> canvas = Canvas.of(32, reach=1.0)
    >>> share = covered(disc(canvas, jnp.zeros(2), 0.5), canvas)
    >>> round(float(share.sum() * canvas.pixel**2 / (jnp.pi * 0.5**2)), 2)
    1.0
    >>> paint([(share, (1.0, 0.0, 0.0))], paper=(1.0, 1.0, 1.0)).shape
    (32, 32, 3)
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

_TINY = 1e-12  # Keeps the gradient of a distance finite where it is 0.

Point = Float[Array, " 2"]
Plane = Float[Array, "side side"]


class Canvas(NamedTuple):
    """Where the centres of a square picture's pixels are, in the world's units.

    Attributes:
        x: Of each pixel, from left to right.
        y: Of each pixel; the first row is the highest.
        pixel: How wide a pixel is.
    """

    x: Plane
    y: Plane
    pixel: float

    @staticmethod
    def of(side: int, reach: float, middle: tuple[float, float] = (0.0, 0.0)) -> "Canvas":
        """A picture of what is within a square.

        Args:
            side: How many pixels a side has.
            reach: Half of the square's side.
            middle: The square's middle.

        Returns:
            The canvas.
        """
        pixel = 2 * reach / side
        centres = (jnp.arange(side) + 0.5) * pixel - reach
        x, y = jnp.meshgrid(middle[0] + centres, middle[1] - centres)
        return Canvas(x, y, pixel)


def _length(x: Plane, y: Plane) -> Plane:
    return jnp.sqrt(x**2 + y**2 + _TINY)


def disc(canvas: Canvas, centre: Point, radius: float | Float[Array, ""]) -> Plane:
    """The distance from a disc's border.

    Args:
        canvas: The pixels.
        centre: The disc's.
        radius: Of the disc.

    Returns:
        It, negative inside.
    """
    return _length(canvas.x - centre[0], canvas.y - centre[1]) - radius


def capsule(canvas: Canvas, start: Point, end: Point, radius: float | Float[Array, ""]) -> Plane:
    """The distance from the border of all that is near to a line: a rod with round ends.

    Args:
        canvas: The pixels.
        start: One end of the line.
        end: The other.
        radius: What is near: half the rod's width.

    Returns:
        It, negative inside.
    """
    across = end - start
    unit = across / (across @ across + _TINY)
    x, y = canvas.x - start[0], canvas.y - start[1]
    along = jnp.clip(x * unit[0] + y * unit[1], 0.0, 1.0)
    return _length(x - along * across[0], y - along * across[1]) - radius


def box(
    canvas: Canvas,
    centre: Point,
    half: tuple[float, float] | Point,
    angle: float | Float[Array, ""] = 0.0,
) -> Plane:
    """How far along its own axes a pixel is from a rectangle's border.

    Args:
        canvas: The pixels.
        centre: The rectangle's.
        half: Half of its length and of its width.
        angle: How far its length is turned from the x axis, counterclockwise, in radians.

    Returns:
        It, negative inside. Off its corners this is less than the distance, so that corners
        stay sharp.
    """
    x, y = canvas.x - centre[0], canvas.y - centre[1]
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    along, across = cosine * x + sine * y, cosine * y - sine * x
    return jnp.maximum(jnp.abs(along) - half[0], jnp.abs(across) - half[1])


def covered(distance: Plane, canvas: Canvas) -> Plane:
    """How much of each pixel a shape covers.

    Args:
        distance: From the shape's border, negative inside.
        canvas: The pixels.

    Returns:
        From 0 to 1.
    """
    share = jnp.clip(0.5 - distance / (2 * canvas.pixel), 0.0, 1.0)
    return share**2 * (3 - 2 * share)


def paint(
    layers: Sequence[tuple[Plane, Any]], paper: tuple[float, ...]
) -> Float[Array, "side side channels"]:
    """Lay shapes over each other.

    Args:
        layers: What each covers and its colour, one number from 0 to 1 a channel; the lowest
            layer first.
        paper: The colour of what none covers.

    Returns:
        The picture, from 0 to 1.
    """
    image = jnp.broadcast_to(jnp.asarray(paper), (*layers[0][0].shape, len(paper)))
    for share, colour in layers:
        # The image is used once: twice, XLA would draw what is below 2^layers times.
        image = image * (1 - share[..., None]) + share[..., None] * jnp.asarray(colour)
    return image
