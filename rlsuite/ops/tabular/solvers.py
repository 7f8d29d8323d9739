"""Value iteration and policy evaluation on an infinite horizon, differentiated implicitly.

The values of an optimal policy are the fixed point of a γ-contraction, V = T V. ``"iterate"``
sweeps, V ← T V. ``"newton"`` takes Newton–Kantorovich steps

    V ← V − (I − γ P_π)⁻¹ (V − T V),    π the policy greedy (or soft) at V,

each of which evaluates π (policy iteration), by a matrix-free Krylov method; their number hardly
depends on γ, where sweeps number O(1/(1−γ)). It is the choice for γ → 1 and for many states.

The fixed point is differentiated, not the path to it. From dV = ∂T + γ P_π dV,

    dV = (I − γ P_π)⁻¹ ∂T    and, in reverse,    ∂Tᵀ (I − γ P_πᵀ)⁻¹ v,

so a gradient costs one linear solve and its memory does not depend on the number of iterations.
The rule is itself differentiable: Hessian-vector products need no more than ``jax.jvp`` of a
``jax.grad``. In the hard case T is differentiated where it can be, ties being shared.

Reference:
    Puterman and Brumelle (1979), "On the convergence of policy iteration in stationary dynamic
    programming", Mathematics of Operations Research 4(1) (policy iteration is Newton–Kantorovich).
    Christianson (1994), "Reverse accumulation and attractive fixed points", Optimization Methods
    and Software 3(4).
    Blondel et al. (2022), "Efficient and modular implicit differentiation", section 2.1.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rlsuite.ops.tabular import bellman, checks, linear
from rlsuite.ops.tabular.bellman import Entropy, Scalar
from rlsuite.ops.tabular.mdp import MDP, standardise, terminal_values

Values = Float[Array, " state"]
Sweep = Callable[[Values], Values]
Limit = Callable[[Values], Float[Array, ""]]

_SWEEPS = 30  # cheap sweeps before each Newton step mend the policy locally
_FREE_STEPS = 30  # Newton steps taken on trust: the first ones may raise the residual
_TOLERANCE = 1e-12  # of derivatives, relative


class Solution(NamedTuple):
    """The fixed point of a Bellman operator, and how far the values are from it.

    Attributes:
        values: V, ``[state]``.
        action_values: Q, one step of lookahead on V, ``[state, action]``.
        log_policy: log π, soft or greedy on Q, ``[state, action]``.
        residual: max |T V − V| of these values; above the tolerance if the iterations ran out or
            the float type allows no less. No gradient.
        error_bound: residual / (1 − γ), which bounds max |V − V*|. No gradient.
        iterations: Sweeps, or Newton steps.
    """

    values: Float[Array, " state"]
    action_values: Float[Array, "state action"]
    log_policy: Float[Array, "state action"]
    residual: Float[Array, ""]
    error_bound: Float[Array, ""]
    iterations: Int[Array, ""]


def value_iteration(
    mdp: MDP,
    *,
    temperature: Scalar | None = None,
    entropy: Entropy = "causal",
    method: Literal["iterate", "newton"] = "iterate",
    tolerance: Scalar = 1e-8,
    max_iterations: int = 100_000,
    initial_values: Float[Array, " state"] | None = None,
) -> Solution:
    """Solve the Bellman equation V = T V, hard or soft.

    Differentiable in reward, discount, temperature and transition, forward and in reverse, to any
    order, with memory that does not depend on the number of iterations.

    Args:
        mdp: The decision process.
        temperature: τ, in units of reward; None for the hard problem.
        entropy: "causal" or "trajectory"; see :mod:`rlsuite.ops.tabular.bellman`.
        method: "iterate" sweeps. "newton" takes Newton–Kantorovich steps with a Krylov solver:
            faster from some hundred states on, and much faster for γ → 1; slower to compile.
        tolerance: max |T V − V| to reach, in units of reward. What rounding allows is reached if
            that is more.
        max_iterations: Sweeps, or Newton steps, after which to stop short of it.
        initial_values: Where to start, ``[state]``; None for 0. From the solution itself one sweep
            is made. No gradient flows into it.

    Returns:
        Values, action values and policy, with the residual that they have.

    Raises:
        ValueError: For shapes that do not fit, a discount outside [0, 1), a temperature or
            tolerance that is not positive, an unknown method or entropy.

    Example:
        >>> import jax.numpy as jnp
        >>> from rlsuite.ops import tabular
        >>> ring = tabular.Gather(jnp.array([[0, 1], [1, 2], [2, 0]]))
        >>> mdp = tabular.MDP(ring, jnp.array([0.0, 0.0, 1.0]), jnp.ones(3) / 3, discount=0.5)
        >>> solution = tabular.value_iteration(mdp)
        >>> solution.values.round(4).tolist(), jnp.exp(solution.log_policy).tolist()
        ([0.5, 1.0, 2.0], [[0.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    """
    checks.check_structure(mdp)
    checks.check_discount(mdp, "infinite")
    checks.check_temperature(temperature, entropy)
    checks.check_choice("method", method, "iterate", "newton")
    checks.check_positive("tolerance", tolerance)
    checks.check_at_least("max_iterations", max_iterations, 1)
    if initial_values is not None:
        checks.check_shape("initial_values", initial_values, (mdp.num_states,))
    return _value_iteration(
        mdp, temperature, tolerance, max_iterations, initial_values, entropy, method
    )


@partial(jax.jit, static_argnames=("entropy", "method"))
def _value_iteration(
    mdp: MDP,
    temperature: Any,
    tolerance: Any,
    max_iterations: Any,
    initial_values: Any,
    entropy: Entropy,
    method: str,
) -> Solution:
    mdp = standardise(mdp)
    dtype = mdp.reward.dtype
    lookahead = partial(bellman.action_values, mdp, temperature=temperature, entropy=entropy)

    def sweep(values: Values) -> Values:
        return bellman.backup(mdp, lookahead(values), temperature)

    def find(_: Any, guess: Values) -> tuple[Values, Float[Array, ""]]:
        limit = partial(_limit, jnp.asarray(tolerance, dtype))
        if method == "iterate":
            values, count = _iterate(sweep, guess, limit, max_iterations)
        else:
            values, count = _newton(sweep, guess, limit, max_iterations, mdp.discount)
        return values, count.astype(dtype)  # custom_root takes no integer beside the root

    guess = jnp.zeros(mdp.num_states, dtype) if initial_values is None else initial_values
    values, count = jax.lax.custom_root(
        lambda values: values - sweep(values),
        jax.lax.stop_gradient(guess.astype(dtype)),
        find,
        partial(linear.solve, tolerance=_TOLERANCE),
        has_aux=True,
    )
    q = lookahead(values)
    residual = linear.sup_norm(bellman.backup(mdp, q, temperature) - values)
    return Solution(
        values=values,
        action_values=q,
        log_policy=bellman.log_policy(mdp, q, temperature),
        residual=jax.lax.stop_gradient(residual),
        error_bound=jax.lax.stop_gradient(residual / (1 - mdp.discount)),
        iterations=count.astype(int),
    )


class _Search(NamedTuple):
    """The state of an iteration; the residual is that of the values or of those before them."""

    values: Values
    residual: Float[Array, ""]
    iterations: Int[Array, ""]


def _limit(tolerance: Float[Array, ""], values: Values) -> Float[Array, ""]:
    """The residual to reach: the tolerance, or what rounding leaves of any values this large."""
    ulp = jnp.finfo(values.dtype).eps * linear.sup_norm(values)
    return jnp.maximum(tolerance, linear.FLOOR * ulp)


def _repeat(
    advance: Callable[[_Search], _Search],
    start: _Search,
    limit: Limit,
    max_iterations: Int[Array, ""],
) -> tuple[Values, Int[Array, ""]]:
    def unfinished(at: _Search) -> Bool[Array, ""]:
        hopeful = (at.residual > limit(at.values)) & jnp.isfinite(at.residual)
        return hopeful & (at.iterations < max_iterations)

    end = jax.lax.while_loop(unfinished, advance, start)
    return end.values, end.iterations


def _iterate(
    sweep: Sweep, guess: Values, limit: Limit, max_iterations: Int[Array, ""]
) -> tuple[Values, Int[Array, ""]]:
    """V ← T V."""

    def advance(at: _Search) -> _Search:
        after = sweep(at.values)
        return _Search(after, linear.sup_norm(after - at.values), at.iterations + 1)

    unknown = jnp.asarray(jnp.finfo(guess.dtype).max, guess.dtype)
    return _repeat(advance, _Search(guess, unknown, jnp.asarray(0)), limit, max_iterations)


def _newton(
    sweep: Sweep,
    guess: Values,
    limit: Limit,
    max_iterations: Int[Array, ""],
    discount: Float[Array, ""],
) -> tuple[Values, Int[Array, ""]]:
    """Newton steps, each after some sweeps and before one.

    Exact steps converge from anywhere, monotonically from the second value on, but the first may
    raise the residual and inexact ones need a guard: beyond the first steps one is taken only if
    it shrinks the residual as a sweep would; else as many sweeps as it cost replace it.
    """

    def sweeps(number: int | Int[Array, ""], values: Values) -> Values:
        return jax.lax.fori_loop(0, number, lambda _, values: sweep(values), values)

    def advance(at: _Search) -> _Search:
        values = sweeps(_SWEEPS, at.values)
        after, expect = jax.linearize(sweep, values)
        residual = linear.sup_norm(values - after)
        # A policy's flaws far from all reward weigh less by the whole horizon than those near it.
        target = jnp.maximum((1 - discount) * residual, limit(values) / 4)
        step, _, cost = linear.iterative_solve(
            lambda x: x - expect(x),
            values - after,
            norm=linear.sup_norm,
            target=jnp.where(residual > limit(values), target, residual),
        )
        leap = values - step
        swept = sweep(leap)
        leap_residual = linear.sup_norm(swept - leap)
        shrinks = leap_residual <= discount * residual
        taken = jnp.isfinite(leap_residual) & (shrinks | (at.iterations < _FREE_STEPS))
        return _Search(
            values=sweeps(jnp.where(taken, 0, cost), jnp.where(taken, swept, after)),
            residual=jnp.where(taken, leap_residual, discount * residual),
            iterations=at.iterations + 1,
        )

    first = sweep(guess)
    start = _Search(first, linear.sup_norm(first - guess), jnp.asarray(0))
    return _repeat(advance, start, limit, max_iterations)


def policy_evaluation(
    mdp: MDP,
    log_policy: Float[Array, "state action"],
    *,
    temperature: Scalar | None = None,
    tolerance: Scalar = 1e-12,
) -> Float[Array, " state"]:
    """The values of a policy, V_π = T_π V_π.

        V(s) = Σ_a π(a|s) (Q(s,a) − τ log π(a|s)),    Q(s,a) = r(s,a) + γ E[V(s')|s,a]

    Differentiable in everything but the masks, and to any order.

    Args:
        mdp: The decision process.
        log_policy: log π(a|s), ``[state, action]``.
        temperature: τ of the entropy bonus, in units of reward; None for no bonus.
        tolerance: max |T_π V − V| to reach, relative to max |T_π 0|. What rounding allows is
            reached if that is more.

    Returns:
        V_π, ``[state]``.

    Raises:
        ValueError: For shapes that do not fit, a discount outside [0, 1), a temperature or
            tolerance that is not positive.

    Example:
        >>> import jax.numpy as jnp
        >>> from rlsuite.ops import tabular
        >>> ring = tabular.Gather(jnp.array([[0, 1], [1, 2], [2, 0]]))
        >>> mdp = tabular.MDP(ring, jnp.array([0.0, 0.0, 7.0]), jnp.ones(3) / 3, discount=0.5)
        >>> go_round = jnp.log(jnp.array([[0.0, 1.0]] * 3))
        >>> tabular.policy_evaluation(mdp, go_round).round(4).tolist()  # 7 (¼, ½, 1) / (1 − ⅛)
        [2.0, 4.0, 8.0]
    """
    checks.check_structure(mdp)
    checks.check_discount(mdp, "infinite")
    checks.check_shape("log_policy", log_policy, (mdp.num_states, mdp.num_actions))
    checks.check_positive("tolerance", tolerance)
    if temperature is not None:
        checks.check_positive("temperature", temperature)
    return _policy_evaluation(mdp, log_policy, temperature, tolerance)


@jax.jit
def _policy_evaluation(mdp: MDP, log_policy: Any, temperature: Any, tolerance: Any) -> Values:
    mdp = standardise(mdp)
    evaluate = partial(policy_backup, mdp, log_policy, temperature)
    zero = jnp.zeros(mdp.num_states, mdp.reward.dtype)
    offset, matvec = jax.linearize(lambda values: values - evaluate(values), zero)
    return linear.solve(matvec, -offset, tolerance=tolerance)


def policy_backup(mdp: MDP, log_policy: Any, temperature: Any, values: Values) -> Values:
    """T_π V."""
    q = bellman.action_values(mdp, values)
    policy = jnp.exp(log_policy).astype(q.dtype)
    if temperature is not None:
        # A probability of zero has no surprise, not 0·inf.
        surprise = -jnp.where(policy > 0, log_policy, 0).astype(q.dtype)
        q = q + jnp.asarray(temperature, q.dtype) * surprise
    after = jnp.sum(policy * q, axis=1)
    return after if mdp.terminal is None else jnp.where(mdp.terminal, terminal_values(mdp), after)
