"""From observations to tokens and back, whatever their parts look like.

Vectors, and matrices of one row, are laid side by side and go through a perceptron, after symlog;
pictures go through convolutions (images: bytes, of rank three) or a plain grid encoder (grids:
floats within [0, 1], of rank two or three). The decoder predicts the mean of symlog(vector), of
image/255, and the probability of every entry of a grid.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from rlsuite.nets.images import GridEncoder, ImageDecoder, ImageEncoder
from rlsuite.nets.layers import MLP
from rlsuite.nets.rssm import Latent
from rlsuite.ops.distributions import Bernoulli, SquaredError, SymlogSquaredError, symlog

Kind = Literal["vector", "grid", "image"]


class Part(NamedTuple):
    """One array of an observation.

    Attributes:
        kind: What it is.
        shape: Its shape, without batch.
    """

    kind: Kind
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many entries it has."""
        return math.prod(self.shape)


def parts_of(observation: Any) -> tuple[Part, ...]:
    """What an observation consists of, in the order of its leaves.

    Args:
        observation: One observation, or its shapes.

    Returns:
        A part a leaf.

    Raises:
        ValueError: If a leaf has more than three axes, or is an image without an axis of channels
            or whose sides are no multiples of 16.
    """
    return tuple(_part(leaf) for leaf in jax.tree.leaves(observation))


def _part(leaf: Any) -> Part:
    shape = tuple(leaf.shape)
    if len(shape) > 3:
        raise ValueError(f"observation has shape {shape}; allowed: at most three axes")
    if len(shape) < 2 or math.prod(shape) == max(shape):
        return Part("vector", shape)
    if leaf.dtype != jnp.uint8:
        return Part("grid", shape)
    if len(shape) == 2:
        raise ValueError(f"image has shape {shape}; allowed: three axes, the last one of channels")
    if shape[0] % 16 or shape[1] % 16:
        raise ValueError(f"image has shape {shape}; allowed: sides that are multiples of 16")
    return Part("image", shape)


def vector_of(observation: Any, parts: tuple[Part, ...]) -> Float[Array, "*batch size"]:
    """The arrays of an observation that are no pictures, side by side.

    Args:
        observation: With any batch axes.
        parts: What it consists of.

    Returns:
        A vector, of length 0 if all are pictures.
    """
    leaves = jax.tree.leaves(observation)
    batch = leaves[0].shape[: leaves[0].ndim - len(parts[0].shape)]
    flat = [
        leaf.reshape(*batch, part.size)
        for leaf, part in zip(leaves, parts, strict=True)
        if part.kind == "vector"
    ]
    return jnp.concatenate([jnp.zeros((*batch, 0)), *flat], axis=-1)


class Encoder(nn.Module):
    """Observations to tokens.

    Attributes:
        parts: What an observation consists of.
        layers: Hidden layers of the perceptron.
        units: Their width.
        depth: Scale of the numbers of channels.
        use_symlog: Whether vectors go through symlog.
    """

    parts: tuple[Part, ...]
    layers: int
    units: int
    depth: int
    use_symlog: bool = True

    @nn.compact
    def __call__(self, observation: Any) -> Float[Array, "*batch tokens"]:
        """Encode."""
        tokens = []
        vector = vector_of(observation, self.parts)
        if vector.shape[-1]:
            tokens.append(
                MLP(self.layers, self.units)(symlog(vector) if self.use_symlog else vector)
            )
        for leaf, part in zip(jax.tree.leaves(observation), self.parts, strict=True):
            if part.kind == "image":
                tokens.append(ImageEncoder(self.depth)(leaf.astype(jnp.float32)))
            if part.kind == "grid":
                grid = leaf if len(part.shape) == 3 else leaf[..., None]
                tokens.append(GridEncoder(4 * self.depth)(grid))
        return jnp.concatenate(tokens, axis=-1)


class Decoder(nn.Module):
    """States to distributions of observations.

    Attributes:
        parts: What an observation consists of.
        layers: Hidden layers of the perceptron.
        units: Their width.
        depth: Scale of the numbers of channels.
        blocks: Blocks of an image's first layer.
        use_symlog: Whether vectors are predicted through symlog.
    """

    parts: tuple[Part, ...]
    layers: int
    units: int
    depth: int
    blocks: int
    use_symlog: bool = True

    @nn.compact
    def __call__(self, latent: Latent) -> "Decoded":
        """Decode."""
        flat = jnp.concatenate([latent.deter, latent.stoch], axis=-1)
        kind = SymlogSquaredError if self.use_symlog else SquaredError
        size = sum(part.size for part in self.parts if part.kind == "vector")
        hidden = None
        if any(part.kind != "image" for part in self.parts):
            hidden = MLP(self.layers, self.units)(flat)
        vector = kind(nn.Dense(size)(hidden)) if size else None
        pictures: list[Any] = []
        for part in self.parts:
            if part.kind == "image":
                image = ImageDecoder(part.shape, self.depth, self.units, self.blocks)
                pictures.append(SquaredError(image(latent.deter, latent.stoch), event_axes=3))
            if part.kind == "grid":
                logits = nn.Dense(part.size)(hidden)
                pictures.append(Bernoulli(logits.reshape(*logits.shape[:-1], *part.shape)))
        return Decoded(vector, tuple(pictures))


class Decoded(NamedTuple):
    """Distributions of the parts of an observation.

    Attributes:
        vector: Of all that is no picture, side by side; None if there is nothing of the kind.
        pictures: Of the pictures, in order.
    """

    vector: Any
    pictures: tuple[Any, ...]


def log_prob(decoded: Decoded, observation: Any, parts: tuple[Part, ...]) -> Float[Array, "*batch"]:
    """The logarithm of an observation's probability, up to a constant.

    Args:
        decoded: What the decoder said.
        observation: The observation.
        parts: What it consists of.

    Returns:
        Its logarithm, summed over all entries.
    """
    total = jnp.zeros(())
    if decoded.vector is not None:
        total += decoded.vector.log_prob(vector_of(observation, parts))
    for distribution, leaf, part in zip(
        decoded.pictures, *_pictures(observation, parts), strict=True
    ):
        if part.kind == "image":
            total += distribution.log_prob(leaf / 255)
        else:
            entries = tuple(range(-len(part.shape), 0))
            total += jnp.sum(distribution.log_prob(leaf), axis=entries)
    return total


def mean(decoded: Decoded, observation: Any, parts: tuple[Part, ...]) -> Any:
    """The predicted observation.

    Args:
        decoded: What the decoder said.
        observation: An observation, for its structure.
        parts: What it consists of.

    Returns:
        An observation; images are numbers within [0, 1].
    """
    vector = None if decoded.vector is None else decoded.vector.mean()
    return split(vector, observation, parts, [picture.mean() for picture in decoded.pictures])


def split(
    vector: Any,
    observation: Any,
    parts: tuple[Part, ...],
    pictures: Sequence[Array] = (),
) -> Any:
    """An observation out of its vector and its pictures; inverse of ``vector_of``.

    Args:
        vector: What lies side by side; None if there is nothing.
        observation: An observation, for its structure.
        parts: What it consists of.
        pictures: Its pictures, in order.

    Returns:
        The observation.
    """
    rest, leaves, start = iter(pictures), [], 0
    for part in parts:
        if part.kind == "vector":
            piece = vector[..., start : start + part.size]
            leaves.append(piece.reshape(*piece.shape[:-1], *part.shape))
            start += part.size
        else:
            leaves.append(next(rest))
    return jax.tree.unflatten(jax.tree.structure(observation), leaves)


def _pictures(observation: Any, parts: tuple[Part, ...]) -> tuple[list[Any], list[Part]]:
    pairs = zip(jax.tree.leaves(observation), parts, strict=True)
    pictures = [(leaf, part) for leaf, part in pairs if part.kind != "vector"]
    return [leaf for leaf, _ in pictures], [part for _, part in pictures]
