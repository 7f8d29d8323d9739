r"""The best policy near another one: guided policy search's step, exactly.

Among the linear-Gaussian policies whose trajectories diverge from those of an old one by no more
than ε, the one of the least expected cost, less α times its entropy:

    min_π E_π Σ_t ℓ_t − α Σ_t H(π_t)    such that    Σ_t E_π KL(π_t(·|x_t) ‖ π'_t(·|x_t)) ≤ ε.

With the multiplier η ≥ 0 of the bound, π is the policy with entropy (see ``solve``) at the
temperature α + η for the costs ℓ_t − η log π'_t. Both are divided by 1 + η here, which changes
nothing and has the limits η = 0 (no bound) and η → ∞ (π = π') in the range of any float. The
divergence falls as η rises, so that log η can be searched: by secants between two bounds of which
one is too bold and the other is not, and by halves as long as the bold one has no divergence at
all, as when Q_uu is not positive definite, or when the policy would draw nothing.

References:
    Levine and Abbeel: Learning neural network policies with guided policy search under unknown
    dynamics. NeurIPS 2014.
    Zhang et al.: SOLAR: deep structured representations for model-based reinforcement learning.
    ICML 2019, arXiv:1808.09105.
    Dowell and Jarratt: A modified regula falsi method for computing the root of an equation. BIT
    11, 1971 (the Illinois method).

Example:
    >>> from rlsuite.ops import lqr
    >>> ones, zeros = jnp.ones((3, 1, 1)), jnp.zeros((3, 1))
    >>> dynamics = lqr.Dynamics(ones, ones, zeros, 0.1 * ones)
    >>> cost = Quadratic(ones * jnp.eye(2), jnp.zeros((3, 2)), jnp.zeros(3))
    >>> terminal = Quadratic(jnp.eye(1), jnp.zeros(1), jnp.array(0.0))
    >>> old, initial = Policy(0.0 * ones, zeros, ones), Gaussian(jnp.ones(1), jnp.eye(1))
    >>> found = jax.jit(constrained)(Problem(dynamics, cost, terminal), old, initial, 0.5)
    >>> bool(jnp.abs(found.divergence - 0.5) < 1e-4), bool(found.cost < found.old_cost)
    (True, True)
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rlsuite.ops import positive_definite
from rlsuite.ops.lqr.laws import divergence, expected_cost, law
from rlsuite.ops.lqr.problem import (
    Gaussian,
    Policy,
    Problem,
    Quadratic,
    check_initial,
    check_policy,
    check_problem,
)
from rlsuite.ops.lqr.riccati import Scalar, solve
from rlsuite.ops.matrices import multiply, transpose

_TRIALS = 80
"""More than halving the range of log η down to rounding takes."""


class Constrained(NamedTuple):
    """The best policy within the bound.

    Attributes:
        policy: π.
        multiplier: η; 0 where the bound is slack.
        divergence: Σ_t E KL(π_t ‖ π'_t), in nats.
        cost: The expected cost under π, without the entropy.
        old_cost: The expected cost under π'.
        trials: How many η were tried.
    """

    policy: Policy
    multiplier: Float[Array, ""]
    divergence: Float[Array, ""]
    cost: Float[Array, ""]
    old_cost: Float[Array, ""]
    trials: Int[Array, ""]


class _End(NamedTuple):
    """An end of the range in which log η is searched.

    Attributes:
        place: log η.
        excess: log (divergence / ε) there; infinite if not known, or if there is no divergence.
    """

    place: Float[Array, ""]
    excess: Float[Array, ""]


class _Found(NamedTuple):
    """The best policy so far that keeps the bound."""

    policy: Policy
    multiplier: Float[Array, ""]
    divergence: Float[Array, ""]


class _Search(NamedTuple):
    """Where the search is: the lower end is too bold, the upper one is not."""

    low: _End
    high: _End
    found: _Found
    bold: Bool[Array, ""]
    trials: Int[Array, ""]
    done: Bool[Array, ""]


def constrained(
    problem: Problem,
    old: Policy,
    initial: Gaussian,
    bound: Scalar,
    *,
    temperature: Scalar = 0.0,
    multipliers: tuple[float, float] = (1e-8, 1e16),
    block: int | None = None,
) -> Constrained:
    """The best policy within a divergence of another one; see the module.

    Args:
        problem: Dynamics and costs. These may be concave, as η makes up for it.
        old: π', with positive definite covariances.
        initial: The law of x_0.
        bound: ε, in nats for the whole trajectory, above 0.
        temperature: α, what one nat of entropy is worth, at least 0. At 0 the bound is never
            slack: the best policy without it draws nothing, and diverges from any that does.
        multipliers: The least η but 0, and the most.
        block: As in ``solve``.

    Returns:
        The policy, η, the divergence and costs. Where even the most η is too bold, this is π'.
        Not to be differentiated.

    Raises:
        ValueError: If a shape does not fit, or a number is out of range.
    """
    check_problem(problem)
    check_policy("old", old, problem.dynamics)
    check_initial(initial, problem.dynamics)
    if isinstance(bound, float | int) and not bound > 0:
        raise ValueError(f"bound is {bound}; allowed: above 0")
    if not 0 < multipliers[0] < multipliers[1]:
        raise ValueError(f"multipliers is {multipliers}; allowed: two rising numbers above 0")
    dtype = old.gain.dtype
    surprise = _surprise(old)

    def attempt(multiplier: Float[Array, ""]) -> tuple[Policy, Float[Array, ""]]:
        whole = 1 + multiplier
        cost = jax.tree.map(
            lambda one, two: one / whole + two * (multiplier / whole), problem.cost, surprise
        )
        terminal = jax.tree.map(lambda each: each / whole, problem.terminal)
        tilted = Problem(problem.dynamics, cost, terminal)
        policy = solve(tilted, temperature=(temperature + multiplier) / whole, block=block).policy
        trajectory = law(problem.dynamics, policy, initial, block=block)
        return policy, jnp.sum(divergence(policy, old, trajectory))

    low, high = jnp.log(jnp.asarray(multipliers, dtype))
    infinite, no = jnp.array(jnp.inf, dtype), jnp.array(False)
    kept = _Found(old, jnp.exp(high), jnp.zeros((), dtype))
    bound = jnp.asarray(bound, dtype)
    search = jax.lax.while_loop(
        lambda search: ~search.done & (search.trials < _TRIALS),
        lambda search: _narrowed(search, attempt, bound),
        _Search(_End(low, infinite), _End(high, -infinite), kept, no, jnp.array(0), no),
    )
    cost, old_cost = (
        expected_cost(problem, law(problem.dynamics, policy, initial, block=block))
        for policy in (search.found.policy, old)
    )
    return Constrained(*search.found, cost, old_cost, search.trials)


def _surprise(old: Policy) -> Quadratic:
    """−log π'(u|x) as a function of [x; u], but for a constant, which no policy depends on."""
    eye = jnp.broadcast_to(
        jnp.eye(old.offset.shape[-1], dtype=old.gain.dtype), old.covariance.shape
    )
    error = jnp.concatenate([-old.gain, eye], axis=-1)
    precision = positive_definite.inverse(positive_definite.cholesky(old.covariance))
    weighted = multiply(precision, error)
    gradient = -jnp.sum(weighted * old.offset[..., None], axis=-2)
    return Quadratic(multiply(transpose(error), weighted), gradient, jnp.zeros_like(gradient[:, 0]))


def _narrowed(
    search: _Search,
    attempt: Callable[[Array], tuple[Policy, Array]],
    bound: Float[Array, ""],
) -> _Search:
    """One η more: 0 at first, then the least one, then one between the two ends."""
    low, high, first = search.low, search.high, search.trials == 0
    secant = high.place - high.excess * (high.place - low.place) / (high.excess - low.excess)
    known = jnp.isfinite(low.excess) & jnp.isfinite(high.excess)
    place = jnp.where(known, secant, (low.place + high.place) / 2)
    place = jnp.where(search.trials == 1, low.place, place)
    multiplier = jnp.where(first, 0, jnp.exp(place))
    policy, diverged = attempt(multiplier)
    excess = jnp.where(diverged <= 0, -jnp.inf, jnp.log(diverged / bound))
    excess = jnp.where(jnp.isnan(excess), jnp.inf, excess)
    precision = jnp.finfo(bound.dtype).eps
    bold = excess > precision**0.75
    # An end that stays for a second time weighs half, or the secant would creep.
    weight = jnp.where(bold == search.bold, 0.5, 1).astype(bound.dtype)
    low = _either(bold, _End(place, excess), low._replace(excess=low.excess * weight))
    high = _either(bold, high._replace(excess=high.excess * weight), _End(place, excess))
    low, high = _either(first, (search.low, search.high), (low, high))
    narrow = high.place - low.place <= 4 * precision * jnp.maximum(1, jnp.abs(high.place))
    done = jnp.where(first, ~bold, (jnp.abs(excess) <= precision**0.75) | narrow)
    found = _either(bold, search.found, _Found(policy, multiplier, diverged))
    return _Search(low, high, found, bold, search.trials + 1, done)


def _either(first: Bool[Array, ""], one: Any, two: Any) -> Any:
    """One pytree or the other."""
    return jax.tree.map(lambda this, that: jnp.where(first, this, that), one, two)
