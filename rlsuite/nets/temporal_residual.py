"""A residual perceptron that sees a whole short trajectory, and copies what does not change.

It has the call of :class:`rlsuite.nets.temporal_unet.TemporalUNet`. With x the trajectory of H
states, k the step of noise and y the condition, it says

    W_k x + R(x, k, y),

where W_k, an H × H matrix that depends on k (and on y), mixes the states of all times, each of
their numbers alike: were these normal, independent and alike, nothing better could be said. What a
known first state has and later ones keep need then not be learned by R, a perceptron whose layers
add to what they are given, h + A silu((1 + γ) LayerNorm(h) + β); γ and β depend on k and y, so that
labels can choose what is paid heed to.

Where numbers of a state are places of things (``places``), one thing is often where another one is:
a gripper where the block is that it takes. A perceptron says a *choice* more exactly than a place.
Of the things' places q_i(t) in the above, and p_i(0) in the first state of x, it then says

    Σ_j w_ij(t) q_j(t) + w'_i(t) p_i(0) + w''_i(t) q_i(t)

instead of q_i(t), the weights being a softmax: of what another perceptron says about h. It is for
networks that say what the trajectory is without noise, and know where it begins.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int

from rlsuite.nets.temporal_mlp import described

_TOLD, _CHOOSING = 128, 128
_OWN = 3.0  # At first, e³ times as likely as any other choice.


class TemporalResidual(nn.Module):
    """A prediction for every entry of a trajectory; 0 before it has learned.

    Attributes:
        units: The width of its hidden layers.
        layers: How many add to each other.
        places: Which number of a state is the first of each thing's place.
        place_size: How many numbers a place has.
    """

    units: int = 512
    layers: int = 4
    places: tuple[int, ...] = ()
    place_size: int = 2

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
        said = mixing.reshape(length, length) @ trajectory + rest.reshape(trajectory.shape)
        return self._pointed(h, trajectory[0], said) if self.places else said

    def _pointed(
        self,
        h: Float[Array, " unit"],
        first: Float[Array, " size"],
        said: Float[Array, "time size"],
    ) -> Float[Array, "time size"]:
        """The same, with places that may be those of other things."""
        where = np.add.outer(np.asarray(self.places), np.arange(self.place_size))
        things, length = len(self.places), len(said)
        choosing = nn.silu(nn.Dense(_CHOOSING)(nn.silu(h)))
        small = nn.initializers.normal(0.01)
        logits = nn.Dense((things + 2) * things * length, kernel_init=small)(choosing)
        logits = logits.reshape(things + 2, things, length)
        weights = jax.nn.softmax(logits.at[-1].add(_OWN), axis=0)
        now = jnp.moveaxis(said[:, where], 0, -1)  # [thing, coordinate, time]
        begun = first[where][..., None]
        others = jnp.sum(weights[:things, :, None] * now[:, None], axis=0)
        found = others + weights[-2, :, None] * begun + weights[-1, :, None] * now
        return said.at[:, where].set(jnp.moveaxis(found, -1, 0))
