"""How far one distribution is from another."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rlsuite.ops.distributions.categorical import OneHotCategorical
from rlsuite.ops.distributions.normal import DiagonalNormal


def kl(
    p: OneHotCategorical | DiagonalNormal, q: OneHotCategorical | DiagonalNormal
) -> Float[Array, "..."]:
    """KL(p ‖ q) of each latent: of classes ``[...]``, of normal numbers ``[..., dimension]``.

    Sum over the latents, and only then apply ``free_nats``.

    Args:
        p: The distribution that the expectation is over.
        q: Another of the same kind.

    Returns:
        Nats, at least 0 up to rounding.

    Raises:
        ValueError: If they are not two ``OneHotCategorical`` or two ``DiagonalNormal``.

    Example:
        >>> fair, biased = OneHotCategorical(jnp.zeros(2)), OneHotCategorical(jnp.array([0.0, 2.0]))
        >>> round(float(kl(fair, biased)), 4)
        0.4338
    """
    if isinstance(p, OneHotCategorical) and isinstance(q, OneHotCategorical):
        difference = jax.nn.log_softmax(p.logits) - jax.nn.log_softmax(q.logits)
        return jnp.sum(p.probs * difference, axis=-1)
    if isinstance(p, DiagonalNormal) and isinstance(q, DiagonalNormal):
        ratio = p.scale / q.scale
        distance = (p.loc - q.loc) / q.scale
        return 0.5 * (jnp.square(ratio) + jnp.square(distance) - 1.0) - jnp.log(ratio)
    raise ValueError(
        f"p and q are {type(p).__name__} and {type(q).__name__}; "
        "allowed: two OneHotCategorical or two DiagonalNormal"
    )


def free_nats(divergence: Float[Array, "..."], nats: float | Array) -> Float[Array, "..."]:
    """max(KL, nats): no gradient where the divergence is small already.

    Args:
        divergence: KL, summed over the latents.
        nats: What is free.

    Returns:
        At least ``nats``.

    Example:
        >>> free_nats(jnp.array([0.2, 3.0]), 1.0)
        Array([1., 3.], dtype=float32)

    Reference:
        Hafner et al. 2023, eq. 5.
    """
    return jnp.maximum(divergence, nats)
