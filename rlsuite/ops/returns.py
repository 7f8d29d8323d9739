r"""Returns and advantages of one trajectory, backwards in time.

The arrays are aligned to transitions t = 0 … T − 1, the time axis first; callers vmap over
trajectories. ::

    state        s_0 ────────► s_1 ────────► s_2   …   s_{T−1} ────────► s_T
    action             a_0           a_1                     a_{T−1}
    rewards         rewards[0]    rewards[1]              rewards[T−1]
    discounts      discounts[0]  discounts[1]            discounts[T−1]
    values       v[0]          v[1]                    v[T−1]
    next_values                v'[0]         v'[1]                       v'[T−1]
    returns      g[0]          g[1]                    g[T−1]

``rewards[t]`` is paid for (s_t, a_t): it is what texts that number rewards by their arrival call
r_{t+1}. ``discounts[t]`` is γ times the probability that the episode goes on past transition t,
so 0 where it terminated. ``next_values[t]`` is V(s_{t+1}) of the state that transition t led to,
*before any reset*: at a truncation that of the final observation.

``ends[t]`` tells that another episode begins after transition t. Nothing flows from t + 1 into t
there; the return bootstraps with ``discounts[t] * next_values[t]``, which is 0 if the episode
terminated, and γ V(s_{t+1}) if it was truncated. The end of the arrays is such an end too.

Every function but one is a recursion x_t = b_t + a_t x_{t+1}. It runs in T steps
(``method="scan"``), or in 2 log₂ T steps that are each parallel over time
(``method="associative"``), which pays on accelerators when T is large. Nothing stops a gradient:
targets are stopped by the caller.

References:
    Sutton, Barto: Reinforcement learning: an introduction. 2nd ed., 2018, ch. 7 and 12.
    Schulman, Moritz, Levine, Jordan, Abbeel: High-dimensional continuous control using
    generalized advantage estimation. ICLR 2016, arXiv:1506.02438.
    Espeholt et al.: IMPALA: scalable distributed deep-RL with importance weighted actor-learner
    architectures. ICML 2018, arXiv:1802.01561.
    Blelloch: Prefix sums and their applications. 1990.
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

Method = Literal["scan", "associative"]
"""How a recursion over time is computed."""

Scalar = float | Float[Array, ""]
"""A number, which may be traced."""


class VTrace(NamedTuple):
    """What V-trace gives.

    Attributes:
        targets: What V(s_t) is to become, ``[time]``.
        advantages: The weights of ∇ log π(a_t|s_t), importance weights included, ``[time]``.
    """

    targets: Float[Array, " time"]
    advantages: Float[Array, " time"]


def lambda_returns(
    rewards: Float[Array, " time"],
    discounts: Float[Array, " time"],
    next_values: Float[Array, " time"],
    lambda_: Scalar | Float[Array, " time"],
    *,
    ends: Bool[Array, " time"] | None = None,
    method: Method = "scan",
) -> Float[Array, " time"]:
    r"""λ-returns: g_t = r_t + d_t ((1 − λ_t) V(s_{t+1}) + λ_t g_{t+1}), with λ_t = 0 at ends.

    λ = 0 is one step and a bootstrap; λ = 1 is every reward up to the end, and a bootstrap there.

    Args:
        rewards: r_t.
        discounts: d_t, γ times the probability of going on.
        next_values: V(s_{t+1}), before any reset.
        lambda_: λ, from 0 to 1; one for all steps, or one for each.
        ends: Where another episode begins after t; nowhere by default.
        method: ``"scan"`` or ``"associative"``.

    Returns:
        g_t.

    Raises:
        ValueError: If shapes differ or the method is unknown.

    Example:
        >>> rewards, values = jnp.array([1.0, 1.0]), jnp.array([10.0, 20.0])
        >>> lambda_returns(rewards, jnp.array([0.5, 0.5]), values, 0.0)
        Array([ 6., 11.], dtype=float32)
        >>> lambda_returns(rewards, jnp.array([0.5, 0.5]), values, 1.0)
        Array([ 6.5, 11. ], dtype=float32)

    Reference:
        Sutton and Barto 2018, eq. 12.18, with the λ of each step that of its successor.
    """
    _check(rewards, discounts=discounts, next_values=next_values, ends=ends)
    kept = _kept(lambda_, rewards, ends)
    return _backwards(discounts * kept, rewards + discounts * (1.0 - kept) * next_values, method)


def n_step_returns(
    rewards: Float[Array, " time"],
    discounts: Float[Array, " time"],
    next_values: Float[Array, " time"],
    n: int,
    *,
    ends: Bool[Array, " time"] | None = None,
) -> Float[Array, " time"]:
    r"""n-step returns: m rewards and a bootstrap, with m = n or what is left before the end.

    g_t = Σ_{k<m} (Π_{j<k} d_{t+j}) r_{t+k} + (Π_{j<m} d_{t+j}) V(s_{t+m}).

    Args:
        rewards: r_t.
        discounts: d_t, γ times the probability of going on.
        next_values: V(s_{t+1}), before any reset.
        n: How many rewards, at least 1.
        ends: Where another episode begins after t; nowhere by default.

    Returns:
        g_t. The cost is n times that of one step.

    Raises:
        ValueError: If shapes differ or n is below 1.

    Example:
        >>> halves, values = jnp.full(3, 0.5), jnp.array([10.0, 20.0, 40.0])
        >>> n_step_returns(jnp.ones(3), halves, values, 2)
        Array([ 6.5, 11.5, 21. ], dtype=float32)

    Reference:
        Sutton and Barto 2018, eq. 7.1.
    """
    _check(rewards, discounts=discounts, next_values=next_values, ends=ends)
    if n < 1:
        raise ValueError(f"n is {n}; allowed: a whole number at least 1")
    cut = _cut(rewards, ends)

    def one_more(_: Int[Array, ""], returns: Float[Array, " time"]) -> Float[Array, " time"]:
        return rewards + discounts * jnp.where(cut, next_values, jnp.roll(returns, -1))

    first = rewards + discounts * next_values
    return jax.lax.fori_loop(1, min(n, len(rewards)), one_more, first)


def generalized_advantage(
    rewards: Float[Array, " time"],
    discounts: Float[Array, " time"],
    values: Float[Array, " time"],
    next_values: Float[Array, " time"],
    lambda_: Scalar | Float[Array, " time"],
    *,
    ends: Bool[Array, " time"] | None = None,
    method: Method = "scan",
) -> Float[Array, " time"]:
    r"""Generalised advantages: A_t = δ_t + d_t λ_t A_{t+1}, δ_t = r_t + d_t V(s_{t+1}) − V(s_t).

    λ_t = 0 at ends. Where ``next_values[t]`` equals ``values[t + 1]`` inside every episode, A_t is
    the λ-return less V(s_t).

    Args:
        rewards: r_t.
        discounts: d_t, γ times the probability of going on.
        values: V(s_t).
        next_values: V(s_{t+1}), before any reset.
        lambda_: λ, from 0 to 1; one for all steps, or one for each.
        ends: Where another episode begins after t; nowhere by default.
        method: ``"scan"`` or ``"associative"``.

    Returns:
        A_t.

    Raises:
        ValueError: If shapes differ or the method is unknown.

    Example:
        >>> values = jnp.array([4.0, 8.0])
        >>> generalized_advantage(jnp.ones(2), jnp.full(2, 0.5), values, 2.0 * values, 1.0)
        Array([1.5, 1. ], dtype=float32)

    Reference:
        Schulman et al. 2016, eq. 16.
    """
    _check(rewards, discounts=discounts, values=values, next_values=next_values, ends=ends)
    errors = rewards + discounts * next_values - values
    return _backwards(discounts * _kept(lambda_, rewards, ends), errors, method)


def vtrace(
    rewards: Float[Array, " time"],
    discounts: Float[Array, " time"],
    values: Float[Array, " time"],
    next_values: Float[Array, " time"],
    log_ratios: Float[Array, " time"],
    *,
    lambda_: Scalar | Float[Array, " time"] = 1.0,
    clip_rho: Scalar = 1.0,
    clip_c: Scalar = 1.0,
    clip_policy_rho: Scalar = 1.0,
    ends: Bool[Array, " time"] | None = None,
    method: Method = "scan",
) -> VTrace:
    r"""V-trace: λ-returns of a policy π from actions of another, μ.

    With w_t = π(a_t|s_t) / μ(a_t|s_t) and δ_t = r_t + d_t V(s_{t+1}) − V(s_t),

    x_t = min(ρ̄, w_t) δ_t + d_t λ_t min(c̄, w_t) x_{t+1}, λ_t = 0 at ends;
    targets V(s_t) + x_t; advantages min(ρ̄_π, w_t) (δ_t + d_t λ_t x_{t+1}).

    Where π = μ and the clips are at least 1, the targets are the λ-returns and the advantages the
    generalised ones. ρ̄ decides what the targets converge to; c̄ only their variance.

    Args:
        rewards: r_t.
        discounts: d_t, γ times the probability of going on.
        values: V(s_t).
        next_values: V(s_{t+1}), before any reset.
        log_ratios: log w_t.
        lambda_: λ, from 0 to 1; one for all steps, or one for each.
        clip_rho: ρ̄.
        clip_c: c̄.
        clip_policy_rho: ρ̄_π, of the advantages.
        ends: Where another episode begins after t; nowhere by default.
        method: ``"scan"`` or ``"associative"``.

    Returns:
        Targets and advantages.

    Raises:
        ValueError: If shapes differ or the method is unknown.

    Example:
        >>> ones, halves = jnp.ones(2), jnp.full(2, 0.5)
        >>> vtrace(ones, halves, 4.0 * ones, 4.0 * ones, jnp.log(halves)).targets
        Array([3.375, 3.5  ], dtype=float32)

    Reference:
        Espeholt et al. 2018, eq. 1 and remark 2; sec. 4.2 for the advantages.
    """
    _check(
        rewards,
        discounts=discounts,
        values=values,
        next_values=next_values,
        log_ratios=log_ratios,
        ends=ends,
    )
    ratios = jnp.exp(log_ratios)
    errors = rewards + discounts * next_values - values
    kept = discounts * _kept(lambda_, rewards, ends)
    corrections = _backwards(
        kept * jnp.minimum(clip_c, ratios), jnp.minimum(clip_rho, ratios) * errors, method
    )
    advantages = jnp.minimum(clip_policy_rho, ratios) * (errors + kept * jnp.roll(corrections, -1))
    return VTrace(values + corrections, advantages)


def _backwards(
    factors: Float[Array, " time"], terms: Float[Array, " time"], method: str
) -> Float[Array, " time"]:
    """x_t = terms_t + factors_t x_{t+1}, with nothing after the last."""
    Line = tuple[Float[Array, "..."], Float[Array, "..."]]

    def step(after: Float[Array, ""], line: Line) -> tuple[Float[Array, ""], Float[Array, ""]]:
        now = line[1] + line[0] * after
        return now, now

    def compose(later: Line, earlier: Line) -> Line:
        return earlier[0] * later[0], earlier[1] + earlier[0] * later[1]

    if method == "scan":
        return jax.lax.scan(step, jnp.zeros_like(terms[0]), (factors, terms), reverse=True)[1]
    if method == "associative":
        return jax.lax.associative_scan(compose, (factors, terms), reverse=True)[1]
    raise ValueError(f"method is {method!r}; allowed: 'scan', 'associative'")


def _cut(rewards: Float[Array, " time"], ends: Bool[Array, " time"] | None) -> Bool[Array, " time"]:
    """Where nothing flows from t + 1 into t: at ends, and at the end of the arrays."""
    last = jnp.arange(len(rewards)) == len(rewards) - 1
    return last if ends is None else last | ends


def _kept(
    lambda_: float | Float[Array, "..."],
    rewards: Float[Array, " time"],
    ends: Bool[Array, " time"] | None,
) -> Float[Array, " time"]:
    """λ_t: λ, and 0 where nothing flows."""
    lambdas = jnp.asarray(lambda_, rewards.dtype)
    if lambdas.shape not in ((), rewards.shape):
        raise ValueError(
            f"lambda_ has the shape {lambdas.shape}; allowed: () or that of rewards, "
            f"{rewards.shape}"
        )
    return jnp.where(_cut(rewards, ends), 0.0, lambdas)


def _check(rewards: Array, **others: Array | None) -> None:
    """Raise if an array is not aligned with the rewards: it would broadcast silently."""
    if rewards.ndim != 1:
        raise ValueError(f"rewards has the shape {rewards.shape}; allowed: one axis, time (vmap)")
    for name, value in others.items():
        if value is not None and value.shape != rewards.shape:
            raise ValueError(
                f"{name} has the shape {value.shape}; allowed: that of rewards, {rewards.shape}"
            )
