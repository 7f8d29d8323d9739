r"""The recurrent state-space model of DreamerV3: a block-diagonal GRU beside a random latent.

    deterministic  h_t = f(h_{t−1}, z_{t−1}, a_{t−1})
    posterior      z_t ~ q(z_t | h_t, x_t)      x_t: what the encoder made of o_t
    prior          ẑ_t ~ p(ẑ_t | h_t)

f is a GRU whose matrices are block-diagonal, fed with a projection of (h, z, a) that all blocks
share. Its update gate starts nearly closed (bias −1), and actions are divided by max(1, |a|). z is
a vector of categorical variables (V2, V3), or of normal ones (PlaNet, V1).

References:
    Hafner et al. 2019: Learning latent dynamics for planning from pixels, arXiv:1811.04551, sec. 3.
    Hafner et al. 2023: Mastering diverse domains through world models, arXiv:2301.04104, eq. 3.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from rlsuite.nets.layers import MLP, BlockDense, RMSNorm
from rlsuite.ops.distributions import DiagonalNormal, OneHotCategorical


class Latent(NamedTuple):
    """A state of the model.

    Attributes:
        deter: h.
        stoch: z, flat: one-hot vectors side by side, or numbers.
    """

    deter: Float[Array, "*batch deter"]
    stoch: Float[Array, "*batch stoch"]


def latent_distribution(
    parameters: Float[Array, "*batch outputs"], classes: int, unimix: float | Array = 0.01
) -> OneHotCategorical | DiagonalNormal:
    """The distribution of z.

    Args:
        parameters: What ``RSSM.prior`` or ``RSSM.posterior`` returned.
        classes: The number of categories of each variable; 0 for normal variables, whose standard
            deviation is softplus(·) + 0.1 as in V1.
        unimix: How much of a uniform distribution is mixed into each categorical one.

    Returns:
        Categorical variables ``[*batch, stoch, classes]``, or normal ones ``[*batch, stoch]``.
    """
    if classes:
        logits = parameters.reshape(*parameters.shape[:-1], -1, classes)
        return OneHotCategorical(logits, unimix)
    loc, raw = jnp.split(parameters, 2, axis=-1)
    return DiagonalNormal(loc, jax.nn.softplus(raw) + 0.1)


class RSSM(nn.Module):
    """The three maps of the model; encoder, decoder and heads are not part of it.

    Attributes:
        deter: The size of h.
        stoch: The number of random variables.
        classes: The number of categories of each; 0 makes them normal.
        hidden: The width of the projections.
        blocks: The number of blocks of the GRU, which divides ``deter``.
    """

    deter: int
    stoch: int
    classes: int
    hidden: int
    blocks: int

    @property
    def stoch_size(self) -> int:
        """The length of z."""
        return self.stoch * max(self.classes, 1)

    def setup(self) -> None:
        """Declare the layers."""
        outputs = self.stoch * (self.classes or 2)
        self.project = [MLP(1, self.hidden) for _ in range(3)]
        self.mix = BlockDense(self.deter, self.blocks)
        self.mix_norm = RMSNorm()
        self.gates = [BlockDense(self.deter, self.blocks) for _ in range(3)]
        self.prior_head = MLP(2, self.hidden, outputs)
        self.posterior_head = MLP(1, self.hidden, outputs)

    def recur(
        self, latent: Latent, action: Float[Array, "*batch action"]
    ) -> Float[Array, "*batch deter"]:
        """h_t from the state and the action before it.

        Args:
            latent: (h_{t−1}, z_{t−1}).
            action: a_{t−1}.

        Returns:
            h_t.
        """
        action = action / jax.lax.stop_gradient(jnp.maximum(1, jnp.abs(action)))
        inputs = (latent.deter, latent.stoch, action)
        shared = jnp.concatenate(
            [layer(x) for layer, x in zip(self.project, inputs, strict=True)], axis=-1
        )
        x = nn.silu(self.mix_norm(self.mix(latent.deter, shared)))
        reset, candidate, update = (gate(x) for gate in self.gates)
        candidate = jnp.tanh(nn.sigmoid(reset) * candidate)
        update = nn.sigmoid(update - 1)
        return update * candidate + (1 - update) * latent.deter

    def prior(self, deter: Float[Array, "*batch deter"]) -> Float[Array, "*batch outputs"]:
        """The parameters of p(z | h).

        Args:
            deter: h.

        Returns:
            What ``latent_distribution`` reads.
        """
        return self.prior_head(deter)

    def posterior(
        self, deter: Float[Array, "*batch deter"], tokens: Float[Array, "*batch tokens"]
    ) -> Float[Array, "*batch outputs"]:
        """The parameters of q(z | h, x).

        Args:
            deter: h.
            tokens: x.

        Returns:
            What ``latent_distribution`` reads.
        """
        return self.posterior_head(jnp.concatenate([deter, tokens], axis=-1))

    def __call__(
        self,
        latent: Latent,
        action: Float[Array, "*batch action"],
        tokens: Float[Array, "*batch tokens"],
    ) -> tuple[Float[Array, "*batch deter"], Array, Array]:
        """All three maps, which is what initialisation needs.

        Returns:
            (h, prior, posterior).
        """
        deter = self.recur(latent, action)
        return deter, self.prior(deter), self.posterior(deter, tokens)
