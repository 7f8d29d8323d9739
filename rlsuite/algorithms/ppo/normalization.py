"""Running means and variances, and what is scaled by them.

Batches are merged exactly: with n numbers of mean μ and variance v seen so far, and a batch of m
with mean μ' and variance v',

    μ ← μ + (μ' − μ) m/(n + m),   v ← (n v + m v')/(n + m) + (μ' − μ)² n m/(n + m)².

References:
    Chan, Golub, LeVeque: Updating formulae and a pairwise algorithm for computing sample
    variances. COMPSTAT 1982.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

LIMIT = 10.0
"""Normalised observations and rewards are clipped to ±10."""


class Moments(NamedTuple):
    """What has been seen of an array, each of its entries apart.

    Attributes:
        number: n.
        mean: μ.
        variance: v, not that of a sample: divided by n.
    """

    number: Float[Array, ""]
    mean: Float[Array, "..."]
    variance: Float[Array, "..."]


def moments(shape: tuple[int, ...] = ()) -> Moments:
    """Nothing seen: as if mean 0 and variance 1.

    Args:
        shape: That of one array.

    Returns:
        The moments.
    """
    return Moments(jnp.zeros(()), jnp.zeros(shape), jnp.ones(shape))


def merge(seen: Moments, batch: Float[Array, "batch ..."]) -> Moments:
    """The moments of what was seen and of a batch.

    Args:
        seen: What was seen.
        batch: What is new.

    Returns:
        Both together.

    Example:
        >>> seen = merge(merge(moments(), jnp.array([1.0, 3.0])), jnp.array([5.0]))
        >>> float(seen.mean), round(float(seen.variance), 4)
        (3.0, 2.6667)
    """
    m = batch.shape[0]
    total = seen.number + m
    step = jnp.mean(batch, axis=0) - seen.mean
    within = (seen.number * seen.variance + m * jnp.var(batch, axis=0)) / total
    between = step**2 * seen.number * m / total**2
    return Moments(total, seen.mean + step * m / total, within + between)


def normalize(seen: Any, observation: Any) -> Any:
    """(x − μ)/√(v + 10⁻⁸), clipped to ±10.

    Args:
        seen: ``Moments`` for each leaf; None leaves observations as they are.
        observation: A pytree of arrays, with any leading axes.

    Returns:
        The observations.
    """
    if seen is None:
        return observation

    def of_leaf(x: Array, of: Moments) -> Array:
        return jnp.clip((x - of.mean) * jax.lax.rsqrt(of.variance + 1e-8), -LIMIT, LIMIT)

    return jax.tree.map(of_leaf, observation, seen)


class Rewards(NamedTuple):
    """What has been seen of rewards.

    Attributes:
        discounted: Each environment's G_t = r_t + γ G_{t−1}, which begins anew with each episode.
        moments: Those of all G_t.
    """

    discounted: Float[Array, " environment"]
    moments: Moments

    @classmethod
    def unseen(cls, num_envs: int) -> "Rewards":
        """Nothing seen in so many environments."""
        return cls(jnp.zeros(num_envs), moments())


def scale_rewards(
    seen: Rewards,
    rewards: Float[Array, "time environment"],
    ends: Bool[Array, "time environment"],
    discount: float | Float[Array, ""],
) -> tuple[Rewards, Float[Array, "time environment"]]:
    """Rewards over the standard deviation of G_t, clipped to ±10; they are not shifted.

    Args:
        seen: What was seen before.
        rewards: r_t.
        ends: Whether an episode ends with r_t.
        discount: γ.

    Returns:
        (what has been seen with them, the scaled rewards).
    """

    def step(before: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        reward, end = now
        discounted = reward + discount * before
        return jnp.where(end, 0.0, discounted), discounted

    last, discounted = jax.lax.scan(step, seen.discounted, (rewards, ends))
    merged = merge(seen.moments, discounted.reshape(-1))
    scaled = rewards * jax.lax.rsqrt(merged.variance + 1e-8)
    return Rewards(last, merged), jnp.clip(scaled, -LIMIT, LIMIT)
