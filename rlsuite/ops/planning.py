r"""Plans: sequences of actions that make a cost small, found by drawing them or by gradients.

The cost is any function of the actions a_0 … a_{H−1}, each within bounds.

**Cross-entropy.** Sequences are drawn from N(μ, diag σ²) and clipped; those that cost least, the
elites, say from which law the next ones are drawn,

    μ ← κ μ + (1 − κ) mean(elites),    σ ← max(κ σ + (1 − κ) deviation(elites), σ_min),

with a momentum κ. **Gradients.** a ← clip(a − step(∇ cost(a))), with any optimiser.

Both return the best sequence that they saw. One that acts, looks and plans again begins with the
last plan, ``shifted`` by one step.

References:
    Rubinstein, Kroese: The cross-entropy method. 2004.
    Hafner et al.: Learning latent dynamics for planning from pixels. ICML 2019, arXiv:1811.04551,
    algorithm 2.
    Bharadhwaj, Xie, Shkurti: Model-predictive control via cross-entropy and gradient-based
    optimization. L4DC 2020, arXiv:2004.08763.

Example:
    >>> def cost(actions):
    ...     return jnp.sum((actions - 0.3) ** 2)
    >>> found, _ = cross_entropy(jax.random.key(0), cost, jnp.zeros((2, 1)), 0.5, iterations=20)
    >>> bool(jnp.all(jnp.abs(found.actions - 0.3) < 0.01))
    True
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

Cost = Callable[[Array], Array]
"""From the actions ``[time m]`` to what they cost."""

Bound = float | Float[Array, "*bound"]
"""A limit of actions: one for all numbers, or an array that fits beside ``[time m]``."""


class Plan(NamedTuple):
    """The best sequence that was seen.

    Attributes:
        actions: a_0 … a_{H−1}, ``[time m]``.
        cost: What it costs.
    """

    actions: Float[Array, "time m"]
    cost: Float[Array, ""]


class Proposal(NamedTuple):
    """Where sequences are drawn from: N(μ, diag σ²).

    Attributes:
        mean: μ, ``[time m]``.
        deviation: σ, ``[time m]``.
    """

    mean: Float[Array, "time m"]
    deviation: Float[Array, "time m"]


def cross_entropy(
    key: PRNGKeyArray,
    cost: Cost,
    mean: Float[Array, "time m"],
    deviation: Bound,
    *,
    iterations: int = 10,
    samples: int = 100,
    elites: int = 10,
    momentum: float | Float[Array, ""] = 0.0,
    min_deviation: float | Float[Array, ""] = 0.0,
    low: Bound = -1.0,
    high: Bound = 1.0,
) -> tuple[Plan, Proposal]:
    """The cross-entropy method.

    Args:
        key: Key.
        cost: What sequences cost; one that is no number counts as infinite.
        mean: μ at first.
        deviation: σ at first, above 0.
        iterations: How often sequences are drawn, at least 1.
        samples: How many each time.
        elites: E, how many of them count, from 1 to all.
        momentum: κ, from 0 to below 1.
        min_deviation: σ_min.
        low: The least that actions may be.
        high: The most.

    Returns:
        (the best of all that was drawn, of the first μ and of the last, the last law).

    Raises:
        ValueError: If ``iterations`` or ``elites`` is out of range; the others may be traced.
    """
    _check(iterations)
    if not 1 <= elites <= samples:
        raise ValueError(f"elites is {elites}; allowed with {samples} samples: from 1 to {samples}")
    mean = jnp.clip(mean, low, high)

    def iterate(carry: tuple[Plan, Proposal], key: PRNGKeyArray) -> tuple[tuple, None]:
        best, law = carry
        noise = jax.random.normal(key, (samples, *mean.shape), mean.dtype)
        drawn = jnp.clip(law.mean + law.deviation * noise, low, high)
        paid = jax.vmap(lambda actions: _finite(cost(actions)))(drawn)
        kept = drawn[jax.lax.top_k(-paid, elites)[1]]
        first = jnp.argmin(paid)
        best = _better(best, Plan(drawn[first], paid[first]))
        spread = momentum * law.deviation + (1 - momentum) * jnp.std(kept, axis=0)
        centre = momentum * law.mean + (1 - momentum) * jnp.mean(kept, axis=0)
        return (best, Proposal(centre, jnp.maximum(spread, min_deviation))), None

    start = Proposal(mean, jnp.broadcast_to(jnp.asarray(deviation, mean.dtype), mean.shape))
    nothing = Plan(mean, _finite(cost(mean)))
    keys = jax.random.split(key, iterations)
    (best, law), _ = jax.lax.scan(iterate, (nothing, start), keys)
    return _better(best, Plan(law.mean, _finite(cost(law.mean)))), law


def gradient_descent(
    cost: Cost,
    actions: Float[Array, "time m"],
    *,
    iterations: int = 50,
    optimizer: optax.GradientTransformation | None = None,
    low: Bound = -1.0,
    high: Bound = 1.0,
) -> Plan:
    """Follow the gradient of the cost, and stay within the bounds.

    Args:
        cost: What sequences cost, differentiable.
        actions: Where to begin; ``vmap`` over many beginnings.
        iterations: How many steps, at least 1.
        optimizer: From gradients to steps; by default Adam with a rate of 0.1.
        low: The least that actions may be.
        high: The most.

    Returns:
        The best of all sequences on the way. A gradient that is no number ends the way there.

    Raises:
        ValueError: If ``iterations`` is below 1.
    """
    _check(iterations)
    rule = optax.adam(0.1) if optimizer is None else optimizer
    actions = jnp.clip(actions, low, high)

    def iterate(carry: tuple[Plan, Array, optax.OptState], _: None) -> tuple[tuple, None]:
        best, now, kept = carry
        paid, slope = jax.value_and_grad(cost)(now)
        best = _better(best, Plan(now, _finite(paid)))
        change, after = rule.update(slope, kept, now)
        good = jnp.all(jnp.isfinite(slope))
        moved = jnp.clip(optax.apply_updates(now, change), low, high)
        kept = jax.tree.map(lambda new, old: jnp.where(good, new, old), after, kept)
        return (best, jnp.where(good, moved, now), kept), None

    start = (Plan(actions, jnp.asarray(jnp.inf, actions.dtype)), actions, rule.init(actions))
    (best, last, _), _ = jax.lax.scan(iterate, start, length=iterations)
    return _better(best, Plan(last, _finite(cost(last))))


def shifted(actions: Float[Array, "time m"]) -> Float[Array, "time m"]:
    """A plan one step later: without its first action, the last one twice.

    Args:
        actions: The plan.

    Returns:
        Where the next one begins.

    Example:
        >>> shifted(jnp.array([[1.0], [2.0], [3.0]])).ravel().tolist()
        [2.0, 3.0, 3.0]
    """
    return jnp.concatenate([actions[1:], actions[-1:]])


def _better(one: Plan, other: Plan) -> Plan:
    return jax.tree.map(lambda x, y: jnp.where(other.cost < one.cost, y, x), one, other)


def _finite(cost: Array) -> Array:
    """What is no number is never the best."""
    return jnp.where(jnp.isnan(cost), jnp.inf, cost)


def _check(iterations: int) -> None:
    if iterations < 1:
        raise ValueError(f"iterations is {iterations}; allowed: a whole number at least 1")
