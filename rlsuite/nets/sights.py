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
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.nets.network import Network
from rlsuite.ops import orthogonal

Likelihood = Literal["bernoulli", "gaussian"]
"""What pictures are drawn from, given their means."""


def log_likelihood(
    kind: Likelihood,
    logits: Float[Array, "*picture"],
    image: Float[Array, "*picture"],
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
    def __call__(
        self, x: Float[Array, "*batch h w c"]
    ) -> tuple[Float[Array, "*batch c2"], Float[Array, "*batch c"]]:
        """Find them: (places, features there)."""
        height, width = x.shape[-3:-1]
        sharpness = jnp.exp(self.param("log_sharpness", nn.initializers.constant(3.0), ()))
        flat = x.reshape(*x.shape[:-3], height * width, x.shape[-1])
        share = jax.nn.softmax(sharpness * flat, axis=-2)
        down, right = jnp.meshgrid(
            jnp.linspace(-1, 1, height), jnp.linspace(-1, 1, width), indexing="ij"
        )
        places = jnp.stack([right.ravel(), down.ravel()], axis=-1)
        found = jnp.einsum("...pc,pd->...cd", share, places)
        return found.reshape(*found.shape[:-2], -1), jnp.sum(share * flat, axis=-2)


def bounded(log_precision: Float[Array, "*batch n"], most: float = 12.0) -> Array:
    """Log precisions that no picture can drive beyond what single precision can bear.

    Of pictures that it has never seen, a network may be sure without measure: at a precision of
    1e15 a divergence of states is off by 1e9 in float32, to either side, and training follows it.
    With a bound b, log precisions p become

        −log(e^−b + e^−p),

    which is p where p is far less, as it is at all that training comes to, and b where it is far
    more: e^−b is the least variance.

    Args:
        log_precision: p.
        most: b.

    Returns:
        What is left of them.

    Example:
        >>> bounded(jnp.array([-8.0, 5.0, 8.0, 35.0])).round(2).tolist()
        [-8.0, 5.0, 7.980000019073486, 12.0]
    """
    return -jnp.logaddexp(-most, -log_precision)


class PlacesEncoder(nn.Module):
    """Features of small windows, where each is, and a linear map of these places to a state.

    Attributes:
        size: n, of a state.
        channels: How many features, before and after they are mixed.
        window: The side of a window in pixels, odd; one stands at every second pixel.
        sure: The log precision at first, about.
    """

    size: int
    channels: tuple[int, int] = (16, 16)
    window: int = 5
    sure: float = 4.0

    def setup(self) -> None:
        """Windows, a mixture of their features, and what is said of it."""
        self.windows = Convolution(self.channels[0], self.window, 2)
        self.mixture = nn.Dense(self.channels[1])
        self.softmax = SpatialSoftmax()
        self.hidden = nn.Dense(32)
        self.mean = nn.Dense(self.size)
        self.log_precision = nn.Dense(self.size, bias_init=nn.initializers.constant(self.sure))

    def places(
        self, images: Float[Array, "*batch h w c"]
    ) -> tuple[Float[Array, "*batch k"], Float[Array, "*batch d"]]:
        """Where features are, and how bright they are there."""
        return self.softmax(self.mixture(nn.relu(self.windows(images))))

    def __call__(
        self, images: Float[Array, "*batch h w c"]
    ) -> tuple[Float[Array, "*batch n"], Float[Array, "*batch n"]]:
        """Means and log precisions of potentials."""
        places, there = self.places(images)
        # Nothing is anywhere if it is not in the picture: how bright it is says how sure to be.
        known = nn.relu(self.hidden(jnp.concatenate([places, there], axis=-1)))
        return self.mean(places), bounded(self.log_precision(known))


def whitened(encoder: PlacesEncoder, params: Any, images: Float[Array, "*batch h w c"]) -> Any:
    """The same encoder, whose means are the principal components of where things are.

    A random linear map of places may hardly see one of the directions in which things move, and
    then never learns to. These see all, and have variance 1 over the pictures.

    Args:
        encoder: The module.
        params: Its parameters.
        images: Some pictures.

    Returns:
        The parameters, with another linear map to the mean.
    """
    size = params["params"]["mean"]["bias"].size
    places, _ = encoder.apply(params, _some(images), method="places")
    middle = jnp.mean(places, axis=0)
    apart = places - middle
    axes, variances = orthogonal.leading(apart.T @ apart / len(apart), size)
    kernel = axes / jnp.sqrt(jnp.maximum(variances, 1e-12))
    mean = {"kernel": kernel, "bias": -middle @ kernel}
    return {"params": {**params["params"], "mean": mean}}


class CoordinateDecoder(nn.Module):
    """A perceptron from a state and a pixel's place to the pixel's logits.

    What it draws moves smoothly with the state from the beginning, as pictures of things that move
    do (Watters et al. 2019, whose convolutions are of size 1 here).

    Attributes:
        shape: Height, width and channels.
        units: The widths of hidden layers.
    """

    shape: tuple[int, int, int]
    units: tuple[int, ...] = (32, 32)

    @nn.compact
    def __call__(self, states: Float[Array, "*batch n"]) -> Float[Array, "*batch h w c"]:
        """Logits."""
        height, width, channels = self.shape
        down, right = jnp.meshgrid(
            jnp.linspace(-1, 1, height), jnp.linspace(-1, 1, width), indexing="ij"
        )
        places = jnp.stack([right.ravel(), down.ravel()], axis=-1)
        of_state = nn.Dense(self.units[0], name="state")(states)[..., None, :]
        x = nn.relu(of_state + nn.Dense(self.units[0], use_bias=False, name="place")(places))
        for units in self.units[1:]:
            x = nn.relu(nn.Dense(units)(x))
        dark = nn.initializers.constant(-3.0)
        x = nn.Dense(channels, bias_init=dark)(x)
        return x.reshape(*states.shape[:-1], *self.shape)


class ConvolutionalEncoder(nn.Module):
    """Convolutions and a hidden layer: the encoder of SOLAR's release.

    Attributes:
        size: n, of a state.
        channels: Of each convolution.
        kernels: The sides of their kernels.
        strides: Their strides.
        units: Of the hidden layer.
    """

    size: int
    channels: tuple[int, ...] = (64, 32, 8)
    kernels: tuple[int, ...] = (7, 5, 3)
    strides: tuple[int, ...] = (1, 2, 2)
    units: int = 256

    @nn.compact
    def __call__(
        self, images: Float[Array, "*batch h w c"]
    ) -> tuple[Float[Array, "*batch n"], Float[Array, "*batch n"]]:
        """Means and log precisions of potentials."""
        x = images
        for layer in zip(self.channels, self.kernels, self.strides, strict=True):
            x = nn.relu(Convolution(*layer)(x))
        x = nn.relu(nn.Dense(self.units)(x.reshape(*x.shape[:-3], -1)))
        mean = nn.Dense(self.size, name="mean")(x)
        return mean, bounded(nn.Dense(self.size, name="log_precision")(x))


class Components(NamedTuple):
    """Principal components of pictures.

    Attributes:
        middle: The mean picture.
        directions: The first n directions of variance, each divided by its deviation.
    """

    middle: Float[Array, "*batch pixels"]
    directions: Float[Array, "*batch pixels n"]


def components_encoder(size: int) -> Network:
    """An encoder that learns nothing: it projects on components found before.

    Args:
        size: n, of a state.

    Returns:
        A network whose parameters ``principal_components`` finds; before that all states are 0.
    """

    def init(_: PRNGKeyArray, image: Float[Array, "h w c"]) -> Components:
        return Components(jnp.zeros(image.size), jnp.zeros((image.size, size)))

    def apply(
        params: Components, images: Float[Array, "*batch h w c"]
    ) -> tuple[Float[Array, "*batch n"], Float[Array, "*batch n"]]:
        flat = images.reshape(*images.shape[:-3], -1)
        mean = (flat - params.middle) @ params.directions
        return mean, jnp.full_like(mean, 8.0)

    return Network(init, apply)


def principal_components(images: Float[Array, "*batch h w c"], size: int) -> Components:
    """The directions in which pictures differ most, by the Gram matrix of some of them.

    Args:
        images: Pictures.
        size: n, how many directions.

    Returns:
        Directions that make states of variance 1.
    """
    flat = _some(images)
    flat = flat.reshape(len(flat), -1)
    middle = jnp.mean(flat, axis=0)
    apart = (flat - middle) / math.sqrt(len(flat))
    variance, weights = jnp.linalg.eigh(apart @ apart.T)
    variance, weights = variance[::-1][:size], weights[:, ::-1][:, :size]
    # apartᵀ w has the length √variance: divided by it twice, it is a direction over a deviation.
    return Components(middle, apart.T @ weights / jnp.maximum(variance, 1e-12))


def _some(images: Float[Array, "*batch h w c"], most: int = 1000) -> Float[Array, "some h w c"]:
    """At most so many pictures, evenly spread over the batch."""
    flat = images.reshape(-1, *images.shape[-3:])
    return flat[:: max(1, -(-len(flat) // most))]
