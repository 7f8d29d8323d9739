"""Encoders and decoders of pictures: DreamerV3's for images, a plain one for small grids.

An image is an array of bytes ``[height, width, channel]``, a grid one of floats within [0, 1] such
as MinAtar's. A grid's convolutions are matrix products of shifted copies, which XLA runs much
faster on CPU inside a loop than a convolution.
"""

import math

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from rlsuite.nets.layers import MLP, BlockDense, RMSNorm, normal_in

_MULTIPLES = (2, 3, 4, 4)
_KERNEL = (5, 5)


class ImageEncoder(nn.Module):
    """Four stages of convolution, 2×2 max pooling, RMSNorm and SiLU, flattened.

    Attributes:
        depth: The number of channels is 2, 3, 4 and 4 times this.
    """

    depth: int

    @nn.compact
    def __call__(self, image: Float[Array, "*batch h w c"]) -> Float[Array, "*batch tokens"]:
        """Encode images; their sides are multiples of 16."""
        batch = image.shape[:-3]
        x = image.reshape(-1, *image.shape[-3:]) / 255 - 0.5
        for multiple in _MULTIPLES:
            x = nn.Conv(self.depth * multiple, _KERNEL, kernel_init=normal_in())(x)
            x = nn.silu(RMSNorm()(nn.max_pool(x, (2, 2), (2, 2))))
        return x.reshape(*batch, math.prod(x.shape[1:]))


class ImageDecoder(nn.Module):
    """From a latent to the mean of an image within [0, 1], upsampled in four stages.

    Attributes:
        shape: Height and width, multiples of 16, and channels.
        depth: As in the encoder.
        units: The width of the layer that the stochastic part goes through is twice this.
        blocks: In so many blocks the deterministic part is spread over the smallest picture.
    """

    shape: tuple[int, ...]
    depth: int
    units: int
    blocks: int

    @nn.compact
    def __call__(
        self, deter: Float[Array, "*batch deter"], stoch: Float[Array, "*batch stoch"]
    ) -> Float[Array, "*batch h w c"]:
        """Decode."""
        batch = deter.shape[:-1]
        height, width, channels = self.shape
        least = (height // 16, width // 16, self.depth * _MULTIPLES[-1])
        size = math.prod(least)
        x = BlockDense(size, self.blocks)(deter.reshape(-1, deter.shape[-1]))
        x = x.reshape(-1, self.blocks, *least[:2], least[2] // self.blocks)
        x = jnp.moveaxis(x, 1, 3).reshape(-1, *least)
        y = MLP(1, 2 * self.units, size)(stoch.reshape(-1, stoch.shape[-1]))
        x = nn.silu(RMSNorm()(x + y.reshape(-1, *least)))
        for multiple in reversed(_MULTIPLES[:-1]):
            x = nn.Conv(self.depth * multiple, _KERNEL, kernel_init=normal_in())(_doubled(x))
            x = nn.silu(RMSNorm()(x))
        x = nn.sigmoid(nn.Conv(channels, _KERNEL, kernel_init=normal_in())(_doubled(x)))
        return x.reshape(*batch, height, width, channels)


def _doubled(x: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 c"]:
    return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)


class GridEncoder(nn.Module):
    """One 3×3 convolution, RMSNorm and SiLU, flattened: position by position.

    Attributes:
        channels: How many features a position gets.
    """

    channels: int

    @nn.compact
    def __call__(self, grid: Float[Array, "*batch h w c"]) -> Float[Array, "*batch tokens"]:
        """Encode grids."""
        height, width = grid.shape[-3:-1]
        around = [(0, 0)] * (grid.ndim - 3) + [(1, 1), (1, 1), (0, 0)]
        padded = jnp.pad(grid, around)
        shifted = [
            padded[..., i : i + height, j : j + width, :] for i in range(3) for j in range(3)
        ]
        x = nn.Dense(self.channels, kernel_init=normal_in())(jnp.concatenate(shifted, axis=-1))
        x = nn.silu(RMSNorm()(x))
        return x.reshape(*x.shape[:-3], height * width * self.channels)
