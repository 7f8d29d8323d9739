"""Backwards through the lattice: the best policy, and the worth of any other."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rlsuite.ops.bandits.arms import Arms, type_of
from rlsuite.ops.bandits.lattice import Lattice

Scalar = float | Float[Array, ""]
"""A number, which may be traced."""


class Solution(NamedTuple):
    """The best policy's tables; states that do not exist at a time have numbers without meaning.

    Attributes:
        values: V_t(b), ``[time, state]``.
        action_values: Q_t(b, k), ``[time, state, arm]``.
    """

    values: Float[Array, "time state"]
    action_values: Float[Array, "time state arm"]

    @property
    def losses(self) -> Float[Array, "time state arm"]:
        """V_t(b) − Q_t(b, k): what a pull loses, if the best ones follow it."""
        return self.values[..., None] - self.action_values


def solve(arms: Arms, states: Lattice, discount: Scalar = 1.0) -> Solution:
    """The best policy of an episode of T pulls.

    Args:
        arms: What θ is drawn from.
        states: Of ``lattice``, which says how many arms and pulls there are.
        discount: γ.

    Returns:
        Its tables.

    Raises:
        ValueError: If the lattice is of another number of arms.

    Example:
        >>> from rlsuite.ops.bandits import UniformArms, lattice
        >>> solution = solve(UniformArms(2), lattice(2, 2))
        >>> [round(float(q), 4) for q in solution.action_values[0, 0]]
        [1.0833, 1.0833]

    Reference:
        Bellman: A problem in the sequential design of experiments. Sankhya 16, 1956.
    """
    values, q = _backwards(arms, states, discount, lambda _, q: jnp.max(q, axis=-1))
    return Solution(values, q)


def evaluate(
    arms: Arms,
    states: Lattice,
    policy: Float[Array, "time state arm"],
    discount: Scalar = 1.0,
) -> Float[Array, "time state"]:
    """What a policy can be expected to earn from each state on.

    Args:
        arms: What θ is drawn from.
        states: Of ``lattice``.
        policy: The probability of each pull.
        discount: γ.

    Returns:
        Its values; ``[0, 0]`` is that of a whole episode.

    Raises:
        ValueError: If shapes do not fit.
    """
    if policy.shape != (states.horizon, *states.after.shape[:2]):
        raise ValueError(
            f"policy has the shape {policy.shape}; allowed: "
            f"{(states.horizon, *states.after.shape[:2])}, the lattice's"
        )
    mean = lambda time, q: jnp.sum(policy[time] * q, axis=-1)  # noqa: E731
    return _backwards(arms, states, discount, mean)[0]


def _backwards(
    arms: Arms,
    states: Lattice,
    discount: Scalar,
    reduce: Callable[[Array, Array], Array],
) -> tuple[Array, Array]:
    """(values, action values), with the values of a time made of its action values."""
    if arms.num_arms != states.num_arms:
        raise ValueError(
            f"states are of {states.num_arms} arms; allowed: a lattice of {arms.num_arms}"
        )
    after = jnp.asarray(states.after)

    def step(following: Array, time: Array) -> tuple[Array, tuple[Array, Array]]:
        chances = arms.means(*states.pulls(time))
        later = discount * following[after]
        q = chances * (1 + later[..., 1]) + (1 - chances) * later[..., 0]
        values = reduce(time, q)
        return values, (values, q)

    last = jnp.zeros(len(states.counts), type_of(arms))
    return jax.lax.scan(step, last, jnp.asarray(states.times), reverse=True)[1]
