r"""A U-Net over time, which sees a noised trajectory, the step of noise and a condition.

Blocks of two one-dimensional convolutions (width 5, group norm, Mish) go down through levels of
halved length and up again, each upward level seeing what the downward one of the same length saw.
In every block, between the convolutions, a linear map of the embedded step k and condition y is
added, the same at all times. A condition that is absent embeds as zero.

With 128 channels times (1, 4, 8), trajectories of 11 numbers and one number as the condition, there
are 59,732,491 parameters; with 32 times (1, 2, 4), 1,035,787: those of the authors' code.

References:
    Janner, Du, Tenenbaum, Levine: Planning with diffusion for flexible behavior synthesis. 2022,
    arXiv:2205.09991, app. C.
    Ajay et al.: Is conditional generative modeling all you need for decision-making? 2023,
    arXiv:2211.15657, app. B.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int

_KERNEL, _GROUPS = 5, 8


def sinusoids(step: Int[Array, ""] | Float[Array, ""], size: int) -> Float[Array, " size"]:
    """Sines and cosines of a step, at frequencies from 1 down to 1/10,000.

    Args:
        step: k.
        size: How many numbers, even and at least 4.

    Returns:
        sin(k ω_i) for all i, then cos(k ω_i).
    """
    half = size // 2
    frequencies = np.exp(-np.log(10_000.0) * np.arange(half) / (half - 1)).astype(np.float32)
    angles = step * jnp.asarray(frequencies)
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)])


def mish(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    r"""X tanh(ln(1 + eˣ)) = x n / (n + 2), n = eˣ (eˣ + 2): one exponential instead of three.

    Args:
        x: Anything.

    Returns:
        Mish of it.
    """
    exponential = jnp.exp(jnp.minimum(x, 20.0))  # From there on n / (n + 2) rounds to 1.
    n = exponential * (exponential + 2)
    return x * (n / (n + 2))


class _Convolution(nn.Module):
    """Convolution, group norm over time and a group's channels, Mish.

    For the backward pass only the convolution is kept: to normalise once more is faster than to
    read what was kept of it.
    """

    channels: int

    @nn.compact
    def __call__(self, x: Float[Array, "time inputs"]) -> Float[Array, "time channels"]:
        x = nn.Conv(self.channels, (_KERNEL,), padding="SAME")(x)
        scale = self.param("scale", nn.initializers.ones, (self.channels,))
        bias = self.param("bias", nn.initializers.zeros, (self.channels,))
        return jax.checkpoint(_normalised)(x, scale, bias)


def _normalised(
    x: Float[Array, "time n"], scale: Float[Array, " n"], bias: Float[Array, " n"]
) -> Float[Array, "time n"]:
    """Group norm and Mish. Means are taken over time first, which XLA on CPU does faster."""

    def mean(x: Float[Array, "time n"]) -> Float[Array, " n"]:
        groups = jnp.mean(jnp.mean(x, axis=0).reshape(_GROUPS, -1), axis=1)
        return jnp.repeat(groups, x.shape[-1] // _GROUPS)

    center = mean(x)
    variance = jnp.maximum(mean(jnp.square(x)) - jnp.square(center), 0.0)
    return mish((x - center) * (scale * jax.lax.rsqrt(variance + 1e-5)) + bias)


class _Block(nn.Module):
    """Two convolutions, the embedding added between them, and a way around both."""

    channels: int

    @nn.compact
    def __call__(
        self, x: Float[Array, "time inputs"], embedding: Float[Array, " embedding"]
    ) -> Float[Array, "time channels"]:
        y = _Convolution(self.channels)(x) + nn.Dense(self.channels)(mish(embedding))
        y = _Convolution(self.channels)(y)
        return y + (x if x.shape[-1] == self.channels else nn.Conv(self.channels, (1,))(x))


class _Doubling(nn.Module):
    """A transposed convolution of width 4 and stride 2, as a product for even times and for odd.

    XLA differentiates Flax's own in its kernel thirty times more slowly on CPU.
    """

    @nn.compact
    def __call__(self, x: Float[Array, "time channels"]) -> Float[Array, "2*time channels"]:
        shape = 4, x.shape[-1], x.shape[-1]
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        bias = self.param("bias", nn.initializers.zeros, shape[-1:])
        padded = jnp.pad(x, ((1, 1), (0, 0)))
        pairs = jnp.concatenate([padded[:-1], padded[1:]], axis=-1)
        even = pairs[:-1] @ jnp.concatenate([kernel[0], kernel[2]])
        odd = pairs[1:] @ jnp.concatenate([kernel[1], kernel[3]])
        return jnp.stack([even, odd], axis=1).reshape(-1, shape[-1]) + bias


class _Embedding(nn.Module):
    """A perceptron of hidden layers with Mish between its linear maps."""

    sizes: Sequence[int]

    @nn.compact
    def __call__(self, x: Float[Array, " inputs"]) -> Float[Array, " outputs"]:
        for size in self.sizes[:-1]:
            x = mish(nn.Dense(size)(x))
        return nn.Dense(self.sizes[-1])(x)


class TemporalUNet(nn.Module):
    """A prediction for every entry of a trajectory.

    Attributes:
        channels: Of the first level; a multiple of 8.
        multiples: The channels of each level, as multiples of the first's.
    """

    channels: int = 128
    multiples: Sequence[int] = (1, 4, 8)

    @nn.compact
    def __call__(
        self,
        trajectory: Float[Array, "time size"],
        step: Int[Array, ""] | Float[Array, ""],
        condition: Float[Array, " condition"] | None = None,
        present: Bool[Array, ""] | bool = True,
    ) -> Float[Array, "time size"]:
        """Predict.

        Args:
            trajectory: x_k; its length is a multiple of 2 to the number of levels less one.
            step: k.
            condition: y; None for a network without conditions.
            present: Whether the condition is to be seen.

        Returns:
            The prediction.

        Raises:
            ValueError: If the length of the trajectory or the number of channels does not fit.
        """
        self._check(trajectory)
        size, length = trajectory.shape[-1], self.channels
        embedding = _Embedding((4 * length, length), name="step")(sinusoids(step, length))
        if condition is not None:
            seen = _Embedding((length, 4 * length, length), name="condition")(condition)
            embedding = jnp.concatenate([embedding, jnp.where(present, seen, 0.0)])

        levels = [self.channels * multiple for multiple in self.multiples]
        x, passed = trajectory, []
        for depth, channels in enumerate(levels):
            for _ in range(2):
                x = _Block(channels)(x, embedding)
            passed.append(x)
            if depth + 1 < len(levels):
                x = nn.Conv(channels, (3,), strides=2, padding=1)(x)
        for _ in range(2):
            x = _Block(levels[-1])(x, embedding)
        for channels in reversed(levels[:-1]):
            x = jnp.concatenate([x, passed.pop()], axis=-1)
            for _ in range(2):
                x = _Block(channels)(x, embedding)
            x = _Doubling()(x)
        return nn.Conv(size, (1,))(_Convolution(self.channels)(x))

    def _check(self, trajectory: Float[Array, "time size"]) -> None:
        factor = 2 ** (len(self.multiples) - 1)
        if trajectory.shape[0] % factor:
            raise ValueError(
                f"trajectory has {trajectory.shape[0]} time steps; allowed: a multiple of "
                f"{factor}, for {len(self.multiples)} levels"
            )
        if self.channels % _GROUPS:
            raise ValueError(f"channels is {self.channels}; allowed: a multiple of {_GROUPS}")


class InverseDynamics(nn.Module):
    """The action that leads from one observation to a later one: two hidden layers with ReLU.

    Attributes:
        size: How many numbers an action has.
        units: The width; 256 in the authors' code, 512 in the paper.
    """

    size: int
    units: int = 256

    @nn.compact
    def __call__(
        self,
        before: Float[Array, "*batch n"],
        after: Float[Array, "*batch n"],
        ahead: Float[Array, "*batch"] | None = None,
    ) -> Float[Array, "*batch size"]:
        """Tell the action.

        Args:
            before: What is seen.
            after: What is to be seen.
            ahead: How much later; None where that is always the next time step.

        Returns:
            The action.
        """
        told = [] if ahead is None else [ahead[..., None]]
        x = jnp.concatenate([before, after, *told], axis=-1)
        for _ in range(2):
            x = nn.relu(nn.Dense(self.units)(x))
        return nn.Dense(self.size)(x)
