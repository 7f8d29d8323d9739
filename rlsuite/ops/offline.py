r"""What keeps offline learning close to its data: expectiles, weights, and bounds on values.

* The τ-expectile m of a number X is where τ E (X − m)₊ = (1 − τ) E (m − X)₊: the mean for τ = ½,
  the greatest possible value as τ → 1. It minimises E |τ − 1[X < m]| (X − m)².
* Among policies π close to the data's β, π(a|s) ∝ β(a|s) exp(B A(s, a)) earns most; it is what
  maximum likelihood with weights exp(B A) finds.
* log ∫ exp Q(a) da is the soft maximum of Q. With actions a_i drawn from densities p_i it is about
  log (1/n) Σ_i exp(Q(a_i) − log p_i(a_i)); before the logarithm there is no bias, whatever the
  densities are.

References:
    Newey, Powell: Asymmetric least squares estimation and testing. Econometrica 55, 1987.
    Peng, Kumar, Zhang, Levine: Advantage-weighted regression: simple and scalable off-policy
    reinforcement learning. 2019, arXiv:1910.00177.
    Kostrikov, Nair, Levine: Offline reinforcement learning with implicit Q-learning. ICLR 2022,
    arXiv:2110.06169.
    Kumar, Zhou, Tucker, Levine: Conservative Q-learning for offline reinforcement learning.
    NeurIPS 2020, arXiv:2006.04779.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Scalar = float | Float[Array, ""]


def expectile_loss(error: Float[Array, "*batch"], expectile: Scalar) -> Float[Array, "*batch"]:
    """|τ − 1[u < 0]| u²: least for the τ-expectile.

    Args:
        error: u, what was seen less what was predicted.
        expectile: τ, within (0, 1).

    Returns:
        The loss of each.

    Example:
        >>> expectile_loss(jnp.array([-2.0, 2.0]), 0.75)
        Array([1., 3.], dtype=float32)

    Reference:
        Kostrikov et al. 2022, eq. 5.
    """
    return jnp.where(error < 0, 1 - expectile, expectile) * jnp.square(error)


def advantage_weights(
    advantage: Float[Array, "*batch"], temperature: Scalar, *, greatest: Scalar = 100.0
) -> Float[Array, "*batch"]:
    """min(exp(B A), w): how much each action counts in maximum likelihood.

    Args:
        advantage: A.
        temperature: B, an inverse temperature: 0 is plain imitation.
        greatest: w.

    Returns:
        The weights.

    Example:
        >>> advantage_weights(jnp.array([0.0, 1000.0]), 3.0).round()
        Array([  1., 100.], dtype=float32)

    Reference:
        Kostrikov et al. 2022, eq. 7, and its published code for w.
    """
    return jnp.exp(jnp.minimum(temperature * advantage, jnp.log(greatest)))


def log_integral(
    values: Float[Array, "number ..."], log_densities: Float[Array, "number ..."]
) -> Float[Array, "..."]:
    """The soft maximum log ∫ exp Q(a) da, estimated by importance sampling; see the module.

    Args:
        values: Q(a_i).
        log_densities: log p_i(a_i), of the density that a_i was drawn from.

    Returns:
        The estimate.

    Example:
        >>> float(log_integral(jnp.zeros(4), jnp.full(4, jnp.log(0.5)))) == float(jnp.log(2.0))
        True

    Reference:
        Kumar et al. 2020, appendix F.
    """
    sums = jax.nn.logsumexp(values - log_densities, axis=0)
    return sums - math.log(values.shape[0])
