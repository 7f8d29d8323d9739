"""A residual perceptron that sees a whole short trajectory, and copies what does not change.

It has the call of :class:`rlsuite.nets.temporal_unet.TemporalUNet`. With x the trajectory of H
states, k the step of noise and y the condition, it says

    W_k x + R(x, k, y),

where W_k, an H × H matrix that depends on k (and on y), mixes the states of all times, each of
their numbers alike: were these normal, independent and alike, nothing better could be said. What a
known first state has and later ones keep need then not be learned by R, a perceptron whose layers
add to what they are given, h + A silu((1 + γ) LayerNorm(h) + β); γ and β depend on k and y, so that
labels can choose what is paid heed to.
"""

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int

from rlsuite.nets.temporal_mlp import described

_TOLD = 128


class TemporalResidual(nn.Module):
    """A prediction for every entry of a trajectory; 0 before it has learned.

    Attributes:
        units: The width of its hidden layers.
        layers: How many add to each other.
    """

    units: int = 512
    layers: int = 4

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
            trajectory: x_k.
            step: k.
            condition: y; None for a network without conditions.
            present: Whether the condition is to be seen.

        Returns:
            The prediction.
        """
        told = nn.silu(nn.Dense(_TOLD)(described(step, condition, present)))
        length = len(trajectory)
        zero = nn.initializers.zeros
        mixing = nn.Dense(length * length, kernel_init=zero, name="mixing")(told)
        h = nn.Dense(self.units)(trajectory.reshape(-1))
        for _ in range(self.layers):
            scale, shift = jnp.split(nn.Dense(2 * self.units)(told), 2)
            normal = nn.LayerNorm(use_bias=False, use_scale=False)(h)
            h = h + nn.Dense(self.units)(nn.silu((1 + scale) * normal + shift))
        rest = nn.Dense(trajectory.size, kernel_init=zero, name="rest")(h)
        return mixing.reshape(length, length) @ trajectory + rest.reshape(trajectory.shape)
