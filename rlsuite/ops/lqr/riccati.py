r"""Linear-quadratic control over a finite horizon, with or without entropy.

Backwards from V_T = ℓ_T, with Q_t(x, u) = ℓ_t(x, u) + E V_{t+1}(A x + B u + c + w),

    V_t(x) = min_u Q_t(x, u),                         u = K_t x + k_t,

or with entropy at the temperature α, where the best policy draws,

    V_t(x) = min_π E_π Q_t(x, u) − α H(π),            u ~ N(K_t x + k_t, α Q_uu⁻¹).

K and k are the same in both: entropy adds α (log |Q_uu| − m log 2πα) / 2 to every step's value.

Derivatives of the solution are those of the recursion itself: as the actions are optimal, a change
of Q_t changes V_t by as much as Q_t changes at u = K x + k, which is linear in the change of
V_{t+1}. No derivative passes through a factor, and in blocks they are parallel over time as well.

References:
    Särkkä and García-Fernández: Temporal parallelization of dynamic programming and linear
    quadratic control. IEEE Transactions on Automatic Control 68, 2023, arXiv:2104.03186.
    Levine and Abbeel: Learning neural network policies with guided policy search under unknown
    dynamics. NeurIPS 2014 (the policy with entropy).

Example:
    A particle is to be at rest at 0 after two steps, and pushes cost little.

    >>> dynamics = Dynamics(
    ...     jnp.broadcast_to(jnp.array([[1.0, 1.0], [0.0, 1.0]]), (2, 2, 2)),
    ...     jnp.broadcast_to(jnp.array([[0.0], [1.0]]), (2, 2, 1)),
    ...     jnp.zeros((2, 2)),
    ...     jnp.zeros((2, 2, 2)),
    ... )
    >>> push = jnp.broadcast_to(jnp.diag(jnp.array([0.0, 0.0, 1e-6])), (2, 3, 3))
    >>> cost = Quadratic(push, jnp.zeros((2, 3)), jnp.zeros(2))
    >>> terminal = Quadratic(jnp.eye(2), jnp.zeros(2), jnp.array(0.0))
    >>> solution = jax.jit(solve)(Problem(dynamics, cost, terminal))
    >>> (0.0 + solution.policy.gain.round(2)).tolist()
    [[[-1.0, -2.0]], [[0.0, -1.0]]]
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import xlogy
from jaxtyping import Array, Float

from rlsuite.ops import positive_definite
from rlsuite.ops.lqr.problem import Dynamics, Policy, Problem, Quadratic, check_problem
from rlsuite.ops.lqr.recursions import Element, backwards, linear
from rlsuite.ops.matrices import multiply, product, symmetric, transpose

Scalar = float | Float[Array, ""]
"""A number, which may be traced."""


class Solution(NamedTuple):
    """The best policy and its cost.

    Attributes:
        policy: For t = 0 … T − 1.
        value: V_t, the expected cost from step t on as a function of x_t, for t = 0 … T.
    """

    policy: Policy
    value: Quadratic


class Steps(NamedTuple):
    """Steps in the coordinates (u, x, 1).

    Attributes:
        forward: [[B A c], [0 0 1]], ``[*time n+1 m+n+1]``.
        cost: [H h], ``[*time m+n m+n+1]``.
    """

    forward: Float[Array, "*time n1 mn1"]
    cost: Float[Array, "*time mn mn1"]


class Backward(NamedTuple):
    """What the recursion keeps.

    Attributes:
        value: [P p] of V_t, ``[*time n n+1]``.
        gain: [K k], ``[*time m n+1]``.
        curvature: Q_uu, ``[*time m m]``.
    """

    value: Float[Array, "*time n n1"]
    gain: Float[Array, "*time m n1"]
    curvature: Float[Array, "*time m m"]


def solve(
    problem: Problem, *, temperature: Scalar | None = None, block: int | None = None
) -> Solution:
    """The best policy over a finite horizon; see the module.

    In blocks, the depth is 2 × block + log₂(T / block) steps instead of T, for some five times the
    work. That is for accelerators; on few cores, step by step is faster. A block knows nothing of
    what follows, so its costs must have a minimum of their own.

    Args:
        problem: Dynamics and costs, with Q_uu positive definite at every step. With ``block`` the
            costs must also be convex in [x; u], and H_uu positive definite.
        temperature: α, what one nat of entropy is worth, at least 0. None is 0 and spares the
            covariance.
        block: How many steps a block has; None walks backwards step by step.

    Returns:
        The policy and its values. Not numbers, from where Q_uu is not positive definite.

    Raises:
        ValueError: If a shape does not fit, or block is below 1.
    """
    check_problem(problem)
    if block is not None and block < 1:
        raise ValueError(f"block is {block}; allowed: None, or a whole number at least 1")
    last = jnp.concatenate([problem.terminal.hessian, problem.terminal.gradient[:, None]], axis=-1)
    steps = homogeneous(problem)
    found = _riccati(block, steps, last)
    values = jnp.concatenate([found.value, last[None]])
    policy, entropies = policy_of(found, temperature)
    paid = problem.cost.constant + entropies + added(problem.dynamics, values[1:], found)
    paid = jnp.concatenate([paid, problem.terminal.constant[None]])
    constants = jax.lax.cumsum(paid, reverse=True)
    return Solution(policy, Quadratic(values[..., :-1], values[..., -1], constants))


def homogeneous(problem: Problem) -> Steps:
    """The steps of a problem in the coordinates (u, x, 1), in which affine is linear.

    Args:
        problem: With one time axis, or none.

    Returns:
        The steps.
    """
    dynamics, cost = problem.dynamics, problem.cost
    n, m = dynamics.action.shape[-2:]
    top = [dynamics.action, dynamics.state, dynamics.offset[..., None]]
    one = jnp.zeros((*dynamics.action.shape[:-2], 1, m + n + 1), dynamics.action.dtype)
    forward = jnp.concatenate([jnp.concatenate(top, -1), one.at[..., -1].set(1)], -2)
    hessian = jnp.roll(cost.hessian, m, axis=(-2, -1))
    gradient = jnp.roll(cost.gradient, m, axis=-1)
    return Steps(forward, jnp.concatenate([hessian, gradient[..., None]], axis=-1))


def policy_of(found: Backward, temperature: Scalar | None) -> tuple[Policy, Float[Array, "*time"]]:
    """The policy, and what its draws and its entropy add to the value."""
    gain, offset = found.gain[..., :-1], found.gain[..., -1]
    if temperature is None:
        return Policy(gain, offset, jnp.zeros_like(found.curvature)), jnp.zeros_like(offset[..., 0])
    factor = positive_definite.cholesky(found.curvature)
    scale = 2 * jnp.pi * jnp.asarray(temperature, factor.dtype)
    covariance = temperature * positive_definite.inverse(factor)
    entropies = temperature * positive_definite.log_determinant(factor)
    entropies = (entropies - xlogy(scale, scale) * factor.shape[-1] / (2 * jnp.pi)) / 2
    return Policy(gain, offset, covariance), entropies


def added(
    dynamics: Dynamics, value: Float[Array, "*time n n1"], found: Backward
) -> Float[Array, "*time"]:
    """What offsets, noise and their best answer add to a step's value: ``value`` is of t + 1."""
    offset, answer = dynamics.offset[..., None], found.gain[..., -1:]
    moments = jnp.concatenate([(dynamics.noise + offset * transpose(offset)) / 2, offset], axis=-1)
    saved = jnp.sum(found.curvature * (answer * transpose(answer)), axis=(-2, -1)) / 2
    return jnp.sum(value * moments, axis=(-2, -1)) - saved


def before(value: Float[Array, "*time n n1"], steps: Steps) -> Float[Array, "*time mn mn1"]:
    """Q_t as [H h] in (u, x), given [P p] of V_{t+1}."""
    inner = steps.forward[..., :-1, :-1]
    return steps.cost + multiply(transpose(inner), multiply(value, steps.forward))


def minimum(action_value: Float[Array, "mn mn1"], m: int) -> tuple[Backward, Float[Array, "m m"]]:
    """V and the best u of Q, and the factor of Q_uu."""
    curvature = action_value[:m, :m]
    factor = positive_definite.cholesky(curvature)
    half = positive_definite.solve_lower(factor, action_value[:m, m:])
    gain = -positive_definite.solve_upper(factor, half)
    value = action_value[m:, m:] - multiply(transpose(half[:, :-1]), half)
    value = jnp.concatenate([symmetric(value[:, :-1]), value[:, -1:]], axis=-1)
    return Backward(value, gain, curvature), factor


def acted(gain: Float[Array, "*time m n1"]) -> Float[Array, "*time mn1 n1"]:
    """(u, x, 1) as a function of (x, 1) where u = K x + k."""
    n = gain.shape[-1]
    eye = jnp.broadcast_to(jnp.eye(n, dtype=gain.dtype), (*gain.shape[:-2], n, n))
    return jnp.concatenate([gain, eye], axis=-2)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _riccati(block: int | None, steps: Steps, last: Float[Array, "n n1"]) -> Backward:
    """The recursion, backwards from [P p] of V_T."""
    n = len(last)
    m = steps.cost.shape[-2] - n

    def step(value: Array, now: Steps) -> tuple[Array, Backward]:
        found, _ = minimum(before(value, now), m)
        return found.value, found

    def extend(element: Element, now: Steps) -> Element:
        found, factor = minimum(before(element.value, now), m)
        transition = multiply(now.forward, acted(found.gain))
        reach = positive_definite.solve_lower(factor, transpose(now.forward[:n, :m]))
        reach = multiply(reach, transpose(element.transition[:n, :n]))
        spread = element.spread + multiply(transpose(reach), reach)
        return Element(multiply(element.transition, transition), found.value, spread)

    eye = jnp.eye(n + m + 1, dtype=last.dtype)
    rest = Steps(eye[m:].at[:, :m].set(0), eye[:-1].at[m:].set(0))
    unit = Element(eye[m:, m:], jnp.zeros_like(last), jnp.zeros((n, n), last.dtype))
    return backwards(step, extend, unit, block, steps, rest, last)


@_riccati.defjvp
def _riccati_jvp(
    block: int | None, primals: tuple[Steps, Array], tangents: tuple[Steps, Array]
) -> tuple[Backward, Backward]:
    (steps, last), (moved, last_moved) = primals, tangents
    found = _riccati(block, steps, last)
    m, inner = found.gain.shape[-2], transpose(steps.forward[:, :-1, :-1])
    after = jnp.concatenate([found.value[1:], last[None]])
    change = moved.cost + product(
        transpose(moved.forward[:, :-1, :-1]), product(after, steps.forward)
    )
    change = change + product(inner, product(after, moved.forward))
    taken = acted(found.gain)
    back = transpose(taken[:, :-1, :-1])
    source = product(back, product(change, taken))
    value = linear(block, product(steps.forward, taken), source, last_moved)
    after_moved = jnp.concatenate([value[1:], last_moved[None]])
    change = change + product(inner, product(after_moved, steps.forward))
    factor = positive_definite.cholesky(found.curvature)
    gain = -positive_definite.solve(factor, product(change[:, :m], taken))
    return found, Backward(value, gain, change[:, :m, :m])
