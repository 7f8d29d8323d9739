r"""The layers of DreamerV3: normalised perceptrons and block-diagonal maps, as Flax modules.

A layer is y = silu(RMSNorm(W x + b)), RMSNorm(x) = g x / √(mean x² + ε), with W drawn from a normal
truncated at two standard deviations, of variance 1/(number of inputs).

References:
    Hafner, Pasukonis, Ba, Lillicrap: Mastering diverse domains through world models. 2023,
    arXiv:2301.04104.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float


def normal_in(scale: float = 1.0) -> Any:
    """Initialiser: a truncated normal of variance (scale)²/(number of inputs); 0 gives zeros.

    Args:
        scale: By how much weights are larger than usual.

    Returns:
        A Flax initialiser.
    """
    if scale == 0:
        return nn.initializers.zeros
    return nn.initializers.variance_scaling(scale**2, "fan_in", "truncated_normal")


class RMSNorm(nn.Module):
    """x ↦ g x / √(mean x² + ε) over the last axis.

    Attributes:
        epsilon: ε.
    """

    epsilon: float = 1e-4

    @nn.compact
    def __call__(self, x: Float[Array, "*batch size"]) -> Float[Array, "*batch size"]:
        """Normalise."""
        gain = self.param("gain", nn.initializers.ones, (x.shape[-1],))
        return x * jax.lax.rsqrt(jnp.mean(x**2, axis=-1, keepdims=True) + self.epsilon) * gain


class MLP(nn.Module):
    """Layers of W x + b, RMSNorm and SiLU, and a linear one on top if it has a size.

    Attributes:
        layers: How many hidden layers.
        units: Their width.
        size: The number of outputs; None returns the last hidden layer.
        output_scale: The scale of the last layer's initial weights.
    """

    layers: int
    units: int
    size: int | None = None
    output_scale: float = 1.0

    @nn.compact
    def __call__(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch outputs"]:
        """Apply the layers."""
        batch = x.shape[:-1]
        # One batch axis: with more, XLA on CPU copies x for the gradients of the weights.
        x = x.reshape(-1, x.shape[-1])
        for _ in range(self.layers):
            x = nn.silu(RMSNorm()(nn.Dense(self.units, kernel_init=normal_in())(x)))
        if self.size is not None:
            x = nn.Dense(self.size, kernel_init=normal_in(self.output_scale))(x)
        return x.reshape(*batch, x.shape[-1])


class BlockDense(nn.Module):
    """A linear map whose matrix is block-diagonal, beside inputs that all blocks share.

    Block b sees its own part of ``own`` and the whole of ``shared``.

    Attributes:
        size: The number of outputs of all blocks together.
        blocks: The number of blocks, which divides ``size`` and the inputs.
    """

    size: int
    blocks: int

    @nn.compact
    def __call__(
        self,
        own: Float[Array, "*batch inputs"],
        shared: Float[Array, "*batch shared"] | None = None,
    ) -> Float[Array, "*batch outputs"]:
        """Apply the map; outputs lie block by block."""
        inputs = own.shape[-1] // self.blocks
        common = 0 if shared is None else shared.shape[-1]
        outputs = self.size // self.blocks
        shape = (self.blocks, inputs + common, outputs)
        init = nn.initializers.variance_scaling(1.0, "fan_in", "truncated_normal", batch_axis=(0,))
        kernel = self.param("kernel", init, shape)
        bias = self.param("bias", nn.initializers.zeros, (self.size,))
        # Blocks first: with einsum's choice of axes, XLA on CPU is three times slower.
        parts = jnp.moveaxis(own.reshape(*own.shape[:-1], self.blocks, inputs), -2, 0)
        y = jnp.moveaxis(_product(parts, kernel[:, :inputs]), 0, -2)
        y = y.reshape(*own.shape[:-1], self.size) + bias
        if shared is not None:
            y += shared @ jnp.moveaxis(kernel[:, inputs:], 0, 1).reshape(common, self.size)
        return y


def _product(
    parts: Float[Array, "blocks *batch inputs"],
    kernel: Float[Array, "blocks inputs outputs"],
) -> Float[Array, "blocks *batch outputs"]:
    """Each block's part times its matrix."""
    flat = parts.reshape(parts.shape[0], -1, parts.shape[-1])
    return jnp.matmul(flat, kernel).reshape(*parts.shape[:-1], kernel.shape[-1])
