"""A perceptron that sees a whole short trajectory, the step of noise and a condition at once.

It has the call of :class:`rlsuite.nets.temporal_unet.TemporalUNet`, for plans of a few states: it
compiles in a moment, and knows nothing of time.
"""

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int

from rlsuite.nets.temporal_unet import sinusoids

_FREQUENCIES = 16


def described(
    step: Int[Array, ""] | Float[Array, ""],
    condition: Float[Array, " condition"] | None,
    present: Bool[Array, ""] | bool,
) -> Float[Array, " told"]:
    """What is told beside a trajectory, as one vector.

    Args:
        step: k.
        condition: y; None for a network without conditions.
        present: Whether the condition is to be seen.

    Returns:
        Sinusoids of k, then (y, 1), or zeros where it is not to be seen.
    """
    told = sinusoids(step, _FREQUENCIES)
    if condition is None:
        return told
    return jnp.append(told, jnp.where(present, jnp.append(condition, 1.0), 0.0))


class TemporalMLP(nn.Module):
    """A prediction for every entry of a trajectory.

    Attributes:
        units: The width of its hidden layers.
        layers: How many there are.
    """

    units: int = 128
    layers: int = 2

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
        x = jnp.append(trajectory.reshape(-1), described(step, condition, present))
        for _ in range(self.layers):
            x = nn.silu(nn.Dense(self.units)(x))
        return nn.Dense(trajectory.size)(x).reshape(trajectory.shape)
