r"""A transformer over time, which sees a noised trajectory, the step of noise and a condition.

Each state becomes a token, to which sines and cosines of its time are added, so that a trajectory
may have any length. Step and condition become one vector c, which acts in every block through
scales, shifts and gates that are linear in it ("adaLN-Zero"):

    x ← x + g₁ ∘ attention(norm(x) ∘ (1 + a₁) + b₁),
    x ← x + g₂ ∘ perceptron(norm(x) ∘ (1 + a₂) + b₂),      (b₁, a₁, g₁, b₂, a₂, g₂) = W SiLU(c) + w.

W, w and the last layer begin at zero: at first each block is the identity, and what is predicted
is 0. A condition that is absent embeds as zero. With width n, L layers, states of s numbers and
conditions of d there are L (18 n² + 15 n) + 5 n² + (2 s + d + 7) n + s parameters.

References:
    Peebles, Xie: Scalable diffusion models with transformers. 2023, arXiv:2212.09748 (section 3.2).
    Dong et al.: CleanDiffuser: an easy-to-use modularized library for diffusion models in decision
    making. 2024, arXiv:2406.09509 (the same over time).
"""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int

from rlsuite.nets.temporal_unet import sinusoids


class DiffusionTransformer(nn.Module):
    """A prediction for every entry of a trajectory; called like ``TemporalUNet``.

    Attributes:
        width: How many numbers a token has; a multiple of ``heads``, even and at least 4.
        layers: How many blocks there are.
        heads: Of the attention.
    """

    width: int = 256
    layers: int = 6
    heads: int = 4

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
            trajectory: x_k, of any length.
            step: k.
            condition: y; None for a network without conditions.
            present: Whether the condition is to be seen.

        Returns:
            The prediction.

        Raises:
            ValueError: If the width does not fit.
        """
        if self.width % self.heads or self.width % 2 or self.width < 4:
            raise ValueError(
                f"width is {self.width}; allowed: a multiple of heads, {self.heads}, "
                "even and at least 4"
            )
        told = _Embedding(self.width, name="step")(sinusoids(step, self.width))
        if condition is not None:
            seen = _Embedding(self.width, name="condition")(condition)
            told = told + jnp.where(present, seen, 0.0)
        told = nn.silu(told)

        times = jnp.arange(len(trajectory))
        x = nn.Dense(self.width)(trajectory) + jax.vmap(sinusoids, (0, None))(times, self.width)
        for _ in range(self.layers):
            x = _Block(self.heads)(x, told)
        shift, scale = jnp.split(_zero_dense(2 * self.width)(told), 2)
        return _zero_dense(trajectory.shape[-1])(_modulated(x, shift, scale))


class _Embedding(nn.Module):
    """A perceptron of one hidden layer."""

    width: int

    @nn.compact
    def __call__(self, x: Float[Array, " inputs"]) -> Float[Array, " width"]:
        return nn.Dense(self.width)(nn.silu(nn.Dense(self.width)(x)))


class _Block(nn.Module):
    """Attention and a perceptron, each behind a gate that is closed at first."""

    heads: int

    @nn.compact
    def __call__(
        self, x: Float[Array, "time width"], told: Float[Array, " width"]
    ) -> Float[Array, "time width"]:
        width = x.shape[-1]
        numbers = jnp.split(_zero_dense(6 * width)(told), 6)
        shift, scale, gate = numbers[:3]
        x = x + gate * nn.MultiHeadDotProductAttention(self.heads)(_modulated(x, shift, scale))
        shift, scale, gate = numbers[3:]
        hidden = nn.gelu(nn.Dense(4 * width)(_modulated(x, shift, scale)))
        return x + gate * nn.Dense(width)(hidden)


def _zero_dense(size: int) -> nn.Dense:
    return nn.Dense(size, kernel_init=nn.initializers.zeros)


def _modulated(
    x: Float[Array, "time width"], shift: Float[Array, " width"], scale: Float[Array, " width"]
) -> Float[Array, "time width"]:
    """Normalised, scaled and shifted."""
    norm = nn.LayerNorm(epsilon=1e-6, use_bias=False, use_scale=False)
    return norm(x) * (1 + scale) + shift
