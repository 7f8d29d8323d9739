r"""Pictures to places and back: what state-space models of pictures are made of.

A spatial softmax turns each channel of features f(x, y) into a place, the mean of (x, y) under
softmax f: of pictures in which few things move, these are nearly linear in where the things are
(Levine et al. 2016). Convolutions are matrix products of shifted copies of their input, which XLA
runs much faster on CPU inside a loop than its convolution.

Decoders give log likelihoods, of bytes as shares of light o ∈ [0, 1]: with a Bernoulli law,
Σ o log p + (1 − o) log (1 − p); with a normal one of fixed deviation, its log density.

References:
    Levine, Finn, Darrell, Abbeel: End-to-end training of deep visuomotor policies. JMLR 17, 2016.
    Zhang et al.: SOLAR. ICML 2019, arXiv:1808.09105 (the convolutional encoder and its decoder).
"""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, PRNGKeyArray

Likelihood = Literal["bernoulli", "gaussian"]
"""What pictures are drawn from, given their means."""


def log_likelihood(
    kind: Likelihood, logits: Float[Array, "*picture"], image: Float[Array, "*picture"],
    deviation: float = 0.1,
) -> Float[Array, ""]:
    """The log likelihood of a picture.

    Args:
        kind: "bernoulli", or "gaussian" about the logistic function of the logits.
        logits: What a decoder says.
        image: From 0 to 1.
        deviation: Of "gaussian".

    Returns:
        Nats, of the whole picture.
    """
    if kind == "bernoulli":
        return jnp.sum(image * logits - jax.nn.softplus(logits))
    error = (image - jax.nn.sigmoid(logits)) / deviation
    return -jnp.sum(jnp.square(error) / 2 + math.log(deviation) + math.log(2 * math.pi) / 2)


class Convolution(nn.Module):
    """A convolution with padding, as a matrix product.

    Attributes:
        channels: Features of each place.
        size: The side of the kernel, odd.
        stride: From one place to the next.
    """

    channels: int
    size: int
    stride: int = 1

    @nn.compact
    def __call__(self, x: Float[Array, "*batch h w c"]) -> Float[Array, "*batch h2 w2 d"]:
        """Convolve."""
        half, (height, width) = self.size // 2, x.shape[-3:-1]
        padded = jnp.pad(x, [(0, 0)] * (x.ndim - 3) + [(half, half), (half, half), (0, 0)])
        near = [
            padded[..., i : i + height : self.stride, j : j + width : self.stride, :]
            for i in range(self.size)
            for j in range(self.size)
        ]
        return nn.Dense(self.channels)(jnp.concatenate(near, axis=-1))


class SpatialSoftmax(nn.Module):
    """Where each channel's features are, from −1 to 1, and how bright they are."""

    @nn.compact
    def __call__(self, x: Float[Array, "*batch h w c"]) -> Float[Array, "*batch c2"]:
        """Find them."""
        height, width = x.shape[-3:-1]
        sharpness = jnp.exp(self.param("log_sharpness", nn.initializers.constant(3.0), ()))
        flat = x.reshape(*x.shape[:-3], height * width, x.shape[-1])
        share = jax.nn.softmax(sharpness * flat, axis=-2)
        down, right = jnp.meshgrid(
            jnp.linspace(-1, 1, height), jnp.linspace(-1, 1, width), indexing="ij"
        )
        places = jnp.stack([right.ravel(), down.ravel()], axis=-1)
        found = jnp.einsum("...pc,pd->...cd", share, places)
        return found.reshape(*found.shape[:-2], -1)


class PlacesEncoder(nn.Module):
    """Convolutions, a spatial softmax, and a linear map of places to a state.

    Attributes:
        size: n, of a state.
        channels: Of each convolution; the first one halves the picture.
    """

    size: int
    channels: tuple[int, ...] = (8, 16)

    @nn.compact
    def __call__(
        self, images: Float[Array, "*batch h w c"]
    ) -> tuple[Float[Array, "*batch n"], Float[Array, "*batch n"]]:
        """Means and log precisions of potentials."""
        x = images
        for number, channels in enumerate(self.channels):
            x = Convolution(channels, 5 if number == 0 else 3, 2 if number == 0 else 1)(x)
            x = nn.relu(x) if number + 1 < len(self.channels) else x
        places = SpatialSoftmax()(x)
        told = nn.Dense(self.size, name="log_precision")(nn.relu(nn.Dense(32)(places)))
        return nn.Dense(self.size, name="mean")(places), told


class PictureDecoder(nn.Module):
    """A perceptron from a state to a picture's logits.

    Attributes:
        shape: Height, width and channels.
        units: The widths of hidden layers.
        likelihood: What pictures are drawn from.
    """

    shape: tuple[int, ...]
    units: tuple[int, ...] = (128, 128)
    likelihood: Likelihood = "bernoulli"

    @nn.compact
    def __call__(self, states: Float[Array, "*batch n"]) -> Float[Array, "*batch h w c"]:
        """Logits."""
        x = states
        for units in self.units:
            x = nn.relu(nn.Dense(units)(x))
        dark = nn.initializers.constant(-3.0)
        x = nn.Dense(math.prod(self.shape), bias_init=dark)(x)
        return x.reshape(*states.shape[:-1], *self.shape)
