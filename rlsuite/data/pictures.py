"""Episodes seen as pictures, which are kept as bytes, a quarter of what numbers take."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8


class PictureEpisodes(NamedTuple):
    """Episodes of T actions.

    Attributes:
        images: o_0 … o_T: bytes, or numbers of any kind that an encoder reads.
        actions: a_0 … a_{T−1}, as they were taken, within [−1, 1].
        costs: c_0 … c_{T−1}; None if nobody said what anything costs.
    """

    images: Any
    actions: Any
    costs: Any


def to_bytes(image: Float[Array, "*picture"]) -> UInt8[Array, "*picture"]:
    """Shares of light as bytes.

    Args:
        image: From 0 to 1.

    Returns:
        From 0 to 255, rounded.
    """
    return jnp.round(255 * image).astype(jnp.uint8)


def to_light(images: Any) -> Float[Array, "*picture"]:
    """What networks see.

    Args:
        images: Bytes, or numbers.

    Returns:
        Bytes as shares of light; numbers as they are.
    """
    return images.astype(jnp.float32) / 255 if images.dtype == jnp.uint8 else images
