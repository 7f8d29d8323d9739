r"""Gittins' indices, between bounds.

The index of an arm is the sure reward λ a step at which one is indifferent between stopping for
good and pulling at least once more. With the reward of stopping in every step's choice,

    V(b) = max(λ / (1 − γ), E[r + γ V(b')]),

the index is the λ at which both are equal in the arm's own state. After N pulls the recursion is
cut off, twice: with V = max(λ, mean)/(1 − γ), which the arm is worth at least (nothing more is
learned), and with V = E max(λ, θ)/(1 − γ), which it is worth at most (all becomes known). The true
index lies between the two that result, and their distance falls faster than γ^N. For Bernoulli arms
E max(λ, θ) is itself bounded, by ½ (λ + m + √((m − λ)² + v)) with θ's mean m and variance v.

**Bernoulli arms.** With a cut, what continuing gains over stopping is convex and falls in λ, so
that Newton's method from below never passes the root, and ends there after a few steps.

**Normal arms.** An index is mean + σ ν_n, where n is how many pulls the posterior is worth; with
λ = 0 and σ = 1, ν_n = −μ*_n, the mean at which both are equal. All n are found in one pass: beyond
μ*_n, V_n is analytic, and represented by its values at Chebyshev's points; expectations are by
Gauss and Legendre's rule from where V_{n+1} is not zero. Both errors are far below the distance of
the bounds; they fall geometrically with the number of points.

References:
    Gittins, Glazebrook, Weber: Multi-armed bandit allocation indices. 2nd ed., 2011, ch. 8.
    Whittle: Multi-armed bandits and the Gittins index. JRSS B 42, 1980: retirement options.
    Yao: Some results on the Gittins index for a normal reward process. 2006.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm
from jaxtyping import Array, Float

_NEWTON = 40  # Far fewer are taken.
_POINTS = 96
_REACH = 9.0  # Standard deviations beyond which nothing is left of a normal law.

Scalar = float | Float[Array, ""]
"""A number, which may be traced."""


class Bracket(NamedTuple):
    """Bounds of an index, up to rounding.

    Attributes:
        lower: Not above it.
        upper: Not below it.
    """

    lower: Float[Array, "..."]
    upper: Float[Array, "..."]

    @property
    def middle(self) -> Float[Array, "..."]:
        """Halfway."""
        return (self.lower + self.upper) / 2


def gittins_bernoulli(
    alpha: Float[Array, "*batch"],
    beta: Float[Array, "*batch"],
    discount: Scalar,
    *,
    depth: int = 200,
) -> Bracket:
    """The indices of arms that pay 0 or 1, with θ ~ Beta(α, β).

    Args:
        alpha: α > 0, one more than what has been seen of successes if θ was uniform.
        beta: β > 0.
        discount: γ, from 0 and below 1.
        depth: N, after how many pulls the recursion is cut off.

    Returns:
        Bounds. The cost is some 20 N² a state.

    Raises:
        ValueError: If the discount or the depth is out of range.

    Example:
        >>> bounds = gittins_bernoulli(jnp.array(1.0), jnp.array(1.0), 0.9, depth=100)
        >>> round(float(bounds.lower), 4), round(float(bounds.upper), 4)
        (0.7029, 0.7029)

    Reference:
        Gittins, Glazebrook, Weber 2011, sec. 8.4.
    """
    _check(discount, depth)
    alpha, beta = jnp.broadcast_arrays(alpha, beta)
    gamma = jnp.asarray(discount, alpha.dtype)
    pulls = jnp.arange(depth + 1, dtype=alpha.dtype)

    def gain(reward: Array, a: Array, b: Array, upper: bool) -> Array:
        """What pulling once more gains over stopping, times 1 − γ."""
        won, lost = a + pulls, b + depth - pulls
        mean = won / (won + lost)
        known = jnp.maximum(reward, mean)
        if upper:
            variance = mean * (1 - mean) / (won + lost + 1)
            known = 0.5 * (reward + mean + jnp.sqrt(jnp.square(mean - reward) + variance))

        def back(value: Array, n: Array) -> tuple[Array, Array]:
            chance = jnp.minimum((a + pulls) / (a + b + n), 1)
            ahead = jnp.append(value[1:], value[-1])
            going = chance * (1 - gamma + gamma * ahead) + (1 - chance) * gamma * value
            return jnp.maximum(reward, going), going[0]

        _, first = jax.lax.scan(back, known, pulls[:-1], reverse=True)
        return first[0] - reward

    def root(start: Array, a: Array, b: Array, upper: bool) -> Array:
        def goes_on(loop: tuple[Array, Array, Array]) -> Array:
            taken, _, moved = loop
            return (taken < _NEWTON) & (moved > 2 * jnp.finfo(moved.dtype).eps)

        def newton(loop: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            taken, reward, _ = loop
            at, slope = jax.jvp(lambda x: gain(x, a, b, upper), (reward,), (jnp.ones_like(reward),))
            moved = at / jnp.maximum(-slope, (1 - gamma) / 2)
            return taken + 1, jnp.minimum(reward + moved, 1), moved

        return jax.lax.while_loop(goes_on, newton, (jnp.asarray(0), start, jnp.ones_like(a)))[1]

    def bounds(a: Array, b: Array) -> Bracket:
        lower = root(a / (a + b), a, b, False)
        return Bracket(lower, root(lower, a, b, True))

    found = jax.vmap(bounds)(alpha.ravel(), beta.ravel())
    return Bracket(*(bound.reshape(alpha.shape) for bound in found))


class _Worth(NamedTuple):
    """V: zero left of ``left``, values at Chebyshev's points up to ``right``, μ/(1 − γ) beyond."""

    left: Float[Array, ""]
    right: Float[Array, ""]
    values: Float[Array, " point"]


def gittins_normal(
    first: Scalar, number: int, discount: Scalar, *, depth: int = 300, points: int = _POINTS
) -> Bracket:
    """The indices ν_n of normal rewards with σ = 1, for several n in a row.

    The index of an arm with mean m, whose posterior is worth n pulls of deviation σ, is m + σ ν_n.

    Args:
        first: The first n, above 0: the prior's precision times σ².
        number: How many n.
        discount: γ, from 0 and below 1.
        depth: After how many more pulls the recursion is cut off.
        points: Chebyshev's points.

    Returns:
        Bounds, ``[number]``.

    Raises:
        ValueError: If the discount, the depth or the number is out of range.

    Example:
        >>> bounds = gittins_normal(1.0, 2, 0.5, depth=30)
        >>> [round(float(x), 2) for x in bounds.middle]
        [0.21, 0.12]

    Reference:
        Gittins, Glazebrook, Weber 2011, sec. 8.2; Yao 2006.
    """
    _check(discount, depth)
    if number < 1:
        raise ValueError(f"number is {number}; allowed: a whole number at least 1")
    kind = jnp.asarray(first).dtype
    kind = kind if jnp.issubdtype(kind, jnp.floating) else jnp.zeros(()).dtype
    gamma, start = jnp.asarray(discount, kind), jnp.asarray(first, kind)
    counts = start + jnp.arange(number + depth, dtype=kind)
    nodes = jnp.asarray(-np.cos(np.pi * np.arange(points) / (points - 1)), kind)
    last = counts[-1] + 1

    def bound(worth: _Worth) -> Array:
        def back(worth: _Worth, n: Array) -> tuple[_Worth, Array]:
            worth = _before(worth, n, gamma, nodes)
            return worth, -worth.left

        return jax.lax.scan(back, worth, counts, reverse=True)[1][:number]

    spread = 1 / jnp.sqrt(last)
    right = _REACH * spread
    at_least = _Worth(jnp.zeros((), kind), right, _onto(nodes, 0 * right, right) / (1 - gamma))
    means = _onto(nodes, -right, right)
    known = means * norm.cdf(means / spread) + spread * norm.pdf(means / spread)
    at_most = _Worth(-right, right, known / (1 - gamma))
    both = jax.tree.map(lambda *ends: jnp.stack(ends), at_least, at_most)
    return Bracket(*jax.vmap(bound)(both))


def _before(
    worth: _Worth, n: Float[Array, ""], gamma: Float[Array, ""], nodes: Float[Array, " point"]
) -> _Worth:
    """V_n from V_{n+1}."""
    step = 1 / jnp.sqrt(n * (n + 1))
    right = _REACH / jnp.sqrt(n)
    rule = tuple(jnp.asarray(x, nodes.dtype) for x in np.polynomial.legendre.leggauss(64))

    def going(mean: Float[Array, ""]) -> Float[Array, ""]:
        low = jnp.clip((worth.left - mean) / step, -_REACH, _REACH)
        high = jnp.clip((worth.right - mean) / step, low, _REACH)
        z = _onto(rule[0], low, high)
        inside = _interpolate(worth, nodes, mean + step * z) * norm.pdf(z)
        expected = (high - low) / 2 * jnp.sum(rule[1] * inside)
        # Beyond the last point V is a line.
        beyond = mean * norm.sf(high) + step * norm.pdf(high)
        return mean + gamma * (expected + beyond / (1 - gamma))

    def halve(_: Array, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        middle = (ends[0] + ends[1]) / 2
        above = going(middle) > 0
        return jnp.where(above, ends[0], middle), jnp.where(above, middle, ends[1])

    left = jax.lax.fori_loop(0, 60, halve, (-right, jnp.zeros_like(right)))[1]
    return _Worth(left, right, jax.vmap(going)(_onto(nodes, left, right)))


def _interpolate(
    worth: _Worth, nodes: Float[Array, " point"], x: Float[Array, " n"]
) -> Float[Array, " n"]:
    """The polynomial through Chebyshev's points (the second barycentric formula)."""
    width = jnp.maximum(worth.right - worth.left, jnp.finfo(x.dtype).tiny)
    place = 2 * (x - worth.left) / width - 1
    signs = np.where(np.arange(len(nodes)) % 2, -1.0, 1.0)
    signs[[0, -1]] /= 2
    gaps = place[:, None] - nodes
    # At a point its own term is so large that the others are lost in rounding.
    least = jnp.sqrt(jnp.finfo(x.dtype).tiny)
    terms = jnp.asarray(signs, x.dtype) / jnp.where(gaps == 0, least, gaps)
    return terms @ worth.values / jnp.sum(terms, axis=1)


def _onto(
    nodes: Float[Array, " point"], low: Float[Array, ""], high: Float[Array, ""]
) -> Float[Array, " point"]:
    """Points of [−1, 1] on [low, high]."""
    return low + (high - low) * (nodes + 1) / 2


def _check(discount: Scalar, depth: int) -> None:
    if not isinstance(discount, jax.core.Tracer) and not 0 <= float(discount) < 1:
        raise ValueError(f"discount is {discount}; allowed: a number from 0 and below 1")
    if depth < 1:
        raise ValueError(f"depth is {depth}; allowed: a whole number at least 1")
