"""Policies as tables of probabilities ``[time, state, arm]``; pulls that tie are as likely."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import betainc, betaln, xlog1py, xlogy
from jaxtyping import Array, Float, Int

from rlsuite.ops.bandits.arms import Arms, BetaArms, FiniteArms, UniformArms, type_of
from rlsuite.ops.bandits.lattice import Lattice

Table = Float[Array, "time state arm"]

_TIE = 1e-6


def uniform(arms: Arms, states: Lattice) -> Table:
    """Every arm with equal chance.

    Args:
        arms: What θ is drawn from.
        states: Of ``lattice``.

    Returns:
        The policy.
    """
    shape = (states.horizon, *states.after.shape[:2])
    return jnp.full(shape, 1 / states.num_arms, type_of(arms))


def myopic(arms: Arms, states: Lattice) -> Table:
    """The arm whose next reward is the largest on average.

    Args:
        arms: What θ is drawn from.
        states: Of ``lattice``.

    Returns:
        The policy.
    """
    return _each(states, lambda _, won, lost: _best(arms.means(won, lost)))


def ucb1(arms: Arms, states: Lattice) -> Table:
    """The largest of mean reward + √(2 log t / n), n being how often the arm was pulled.

    Arms that were not pulled come first. The prior is not used.

    Args:
        arms: What θ is drawn from; only the type of its numbers matters.
        states: Of ``lattice``.

    Returns:
        The policy.

    Reference:
        Auer, Cesa-Bianchi, Fischer 2002, fig. 1.
    """
    kind = type_of(arms)

    def choose(time: Array, won: Array, lost: Array) -> Array:
        pulled = (won + lost).astype(kind)
        few = jnp.maximum(pulled, 1)
        wide = jnp.sqrt(2 * jnp.log(jnp.maximum(time, 1).astype(kind)) / few)
        return _best(jnp.where(pulled > 0, won.astype(kind) / few + wide, jnp.asarray(1e6, kind)))

    return _each(states, choose)


def thompson(arms: Arms, states: Lattice, *, nodes: int = 128) -> Table:
    r"""Each arm with the probability that it is the best, P(θ_k = max θ | counts).

    For independent arms it is ∫ f_k Π_{j≠k} F_j, by Gauss and Legendre's rule: exact up to rounding
    where all α and β are whole, and their sum and the horizon's is at most 2 · nodes.

    Args:
        arms: ``UniformArms``, ``BetaArms`` or ``FiniteArms``.
        states: Of ``lattice``.
        nodes: Of the rule, for independent arms.

    Returns:
        The policy.

    Raises:
        ValueError: For other arms.

    Reference:
        Thompson 1933.
    """
    if isinstance(arms, FiniteArms):
        tops = _best(jnp.asarray(arms.chances))
        return _each(states, lambda _, won, lost: arms.posterior(won, lost) @ tops)
    if not isinstance(arms, UniformArms | BetaArms):
        raise ValueError(f"arms is a {type(arms).__name__}; allowed: Uniform-, Beta-, FiniteArms")
    densities, shares = _laws(arms, states.horizon, nodes)

    def choose(_: Array, won: Array, lost: Array) -> Array:
        place = _pair(won, lost)

        def add(total: Array, node: tuple[Array, Array]) -> tuple[Array, Any]:
            density, share = (
                jnp.stack([table[k][place[:, k]] for k in range(arms.num_arms)], axis=1)
                for table in node
            )
            others = [jnp.prod(jnp.delete(share, k, axis=1), axis=1) for k in range(arms.num_arms)]
            return total + density * jnp.stack(others, axis=1), None

        start = jnp.zeros(won.shape, densities.dtype)
        total, _ = jax.lax.scan(add, start, (densities, shares))
        return total / jnp.sum(total, axis=1, keepdims=True)

    return _each(states, choose)


def by_index(states: Lattice, indices: Float[Array, "success failure"]) -> Table:
    """The arm whose index is the largest.

    Args:
        states: Of ``lattice``.
        indices: The index of an arm that has paid so often and has not so often, from 0 to T − 1.

    Returns:
        The policy.

    Raises:
        ValueError: If the table is too small.
    """
    if min(indices.shape) < states.horizon:
        raise ValueError(
            f"indices has the shape {indices.shape}; allowed: at least {states.horizon} each way"
        )
    return _each(states, lambda _, won, lost: _best(indices[won, lost]))


def _each(states: Lattice, choose: Callable[[Array, Array, Array], Array]) -> Table:
    """A policy from what it does at (time, successes, failures)."""
    return jax.lax.map(lambda time: choose(time, *states.pulls(time)), jnp.asarray(states.times))


def _best(scores: Float[Array, "state arm"]) -> Float[Array, "state arm"]:
    ahead = scores >= jnp.max(scores, axis=-1, keepdims=True) - jnp.asarray(_TIE, scores.dtype)
    chances = ahead.astype(scores.dtype)
    return chances / jnp.sum(chances, axis=-1, keepdims=True)


def _pair(won: Int[Array, "..."], lost: Int[Array, "..."]) -> Int[Array, "..."]:
    """The number of a pair of counts."""
    total = won + lost
    return total * (total + 1) // 2 + won


def _laws(
    arms: UniformArms | BetaArms, horizon: int, nodes: int
) -> tuple[Float[Array, "node arm pair"], Float[Array, "node arm pair"]]:
    """Density (times the rule's weight) and distribution of θ_k at each node, for each pair."""
    points, weights = np.polynomial.legendre.leggauss(nodes)
    total = np.repeat(np.arange(horizon), np.arange(1, horizon + 1))
    won = np.arange(len(total)) - total * (total + 1) // 2
    alpha, beta = jnp.asarray(arms.alpha), jnp.asarray(arms.beta)
    counts = jnp.arange(horizon, dtype=alpha.dtype)
    a = (alpha[:, None] + counts)[:, :, None]
    b = (beta[:, None] + counts)[:, None, :]

    def at(x: Array, weight: Array) -> tuple[Array, Array]:
        density = jnp.exp(xlogy(a - 1, x) + xlog1py(b - 1, -x) - betaln(a, b))
        first = x * jnp.ones_like(alpha)
        if not isinstance(arms, UniformArms):
            first = betainc(alpha, beta, x)
        # F(a + 1, b) = F(a, b) − x (1 − x) f(a, b)/a, and F(a, b + 1) = F(a, b) + x (1 − x) f/b.
        slope = x * (1 - x) * density
        down = _before(slope[:, :, 0] / a[:, :, 0])
        up = jax.vmap(_before, 1, 1)(slope / b)
        share = jnp.clip(first[:, None, None] - down[:, :, None] + up, 0, 1)
        return weight * density[:, won, total - won], share[:, won, total - won]

    x, weight = jnp.asarray((points + 1) / 2, alpha.dtype), jnp.asarray(weights / 2, alpha.dtype)
    return jax.lax.map(lambda node: at(*node), (x, weight))


def _before(terms: Float[Array, "arm count"]) -> Float[Array, "arm count"]:
    """Sums of all terms before each."""
    return jnp.cumsum(terms, axis=1) - terms
