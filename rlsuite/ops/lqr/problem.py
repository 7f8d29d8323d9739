r"""What linear-quadratic control is about: dynamics, costs, policies, laws, and their shapes.

With the state x (n numbers) and the action u (m numbers),

    x_{t+1} = A_t x_t + B_t u_t + c_t + w_t,   w_t ~ N(0, W_t),          t = 0 … T − 1,
    cost      Σ_t ℓ_t([x_t; u_t]) + ℓ_T(x_T),  ℓ(z) = ½ zᵀ H z + hᵀ z + v,
    policy    u_t ~ N(K_t x_t + k_t, S_t).

States come first wherever x and u are stacked. There is no discount: a cost that counts less is
multiplied by what it counts.

Example:
    >>> evaluate(Quadratic(jnp.eye(2), jnp.array([1.0, 0.0]), jnp.array(0.5)), jnp.ones(2)).item()
    2.5
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float


class Quadratic(NamedTuple):
    """A quadratic function ½ zᵀ H z + hᵀ z + v, or one for each step.

    Attributes:
        hessian: H, symmetric, ``[*time n n]``.
        gradient: h, its slope at zero, ``[*time n]``.
        constant: v, ``[*time]``.
    """

    hessian: Float[Array, "*time n n"]
    gradient: Float[Array, "*time n"]
    constant: Float[Array, "*time"]


class Dynamics(NamedTuple):
    """Linear dynamics x' = A x + B u + c + w, w ~ N(0, W), or one for each step.

    Attributes:
        state: A, ``[*time n n]``.
        action: B, ``[*time n m]``.
        offset: c, ``[*time n]``.
        noise: W, a covariance, which may be singular, ``[*time n n]``.
    """

    state: Float[Array, "*time n n"]
    action: Float[Array, "*time n m"]
    offset: Float[Array, "*time n"]
    noise: Float[Array, "*time n n"]


class Problem(NamedTuple):
    """Dynamics and a cost over T steps.

    Attributes:
        dynamics: From t to t + 1, for t = 0 … T − 1.
        cost: ℓ_t of [x_t; u_t], for t = 0 … T − 1.
        terminal: ℓ_T of x_T.
    """

    dynamics: Dynamics
    cost: Quadratic
    terminal: Quadratic


class Gaussian(NamedTuple):
    """A normal law, or one for each step.

    Attributes:
        mean: ``[*time n]``.
        covariance: ``[*time n n]``.
    """

    mean: Float[Array, "*time n"]
    covariance: Float[Array, "*time n n"]


class Policy(NamedTuple):
    """A linear-Gaussian policy u ~ N(K x + k, S), or one for each step.

    Attributes:
        gain: K, ``[*time m n]``.
        offset: k, ``[*time m]``.
        covariance: S, zero for a policy that draws nothing, ``[*time m m]``.
    """

    gain: Float[Array, "*time m n"]
    offset: Float[Array, "*time m"]
    covariance: Float[Array, "*time m m"]


def evaluate(quadratic: Quadratic, point: Float[Array, "*time n"]) -> Float[Array, "*time"]:
    """½ zᵀ H z + hᵀ z + v.

    Args:
        quadratic: H, h and v.
        point: z.

    Returns:
        The value at z.
    """
    slope = jnp.sum(quadratic.hessian * point[..., None, :], axis=-1) / 2 + quadratic.gradient
    return jnp.sum(slope * point, axis=-1) + quadratic.constant


def check_dynamics(dynamics: Dynamics, *, timed: bool) -> tuple[tuple[int, ...], int, int]:
    """The time axis, n and m of dynamics; raise ValueError if a field does not fit."""
    shape = dynamics.action.shape
    if len(shape) != 2 + timed:
        allowed = "(time, n, m)" if timed else "(n, m)"
        raise ValueError(f"dynamics.action has shape {shape}; allowed: {allowed}, and vmap")
    time, (n, m) = shape[:-2], shape[-2:]
    if 0 in shape:
        raise ValueError(f"dynamics.action has shape {shape}; allowed: no empty axis")
    check_shape("dynamics.state", dynamics.state, (*time, n, n))
    check_shape("dynamics.offset", dynamics.offset, (*time, n))
    check_shape("dynamics.noise", dynamics.noise, (*time, n, n))
    return time, n, m


def check_problem(problem: Problem) -> None:
    """Raise ValueError if a field of a problem does not fit its dynamics."""
    time, n, m = check_dynamics(problem.dynamics, timed=True)
    check_quadratic("cost", problem.cost, (*time, n + m))
    check_quadratic("terminal", problem.terminal, (n,))


def check_quadratic(name: str, quadratic: Quadratic, shape: tuple[int, ...]) -> None:
    """Raise ValueError if a quadratic's gradient would not have this shape."""
    check_shape(f"{name}.hessian", quadratic.hessian, (*shape, shape[-1]))
    check_shape(f"{name}.gradient", quadratic.gradient, shape)
    check_shape(f"{name}.constant", quadratic.constant, shape[:-1])


def check_policy(name: str, policy: Policy, dynamics: Dynamics) -> None:
    """Raise ValueError if a policy does not fit the dynamics."""
    *time, n, m = dynamics.action.shape
    check_shape(f"{name}.gain", policy.gain, (*time, m, n))
    check_shape(f"{name}.offset", policy.offset, (*time, m))
    check_shape(f"{name}.covariance", policy.covariance, (*time, m, m))


def check_initial(initial: Gaussian, dynamics: Dynamics) -> None:
    """Raise ValueError if a law of the first state does not fit the dynamics."""
    n = dynamics.action.shape[-2]
    check_shape("initial.mean", initial.mean, (n,))
    check_shape("initial.covariance", initial.covariance, (n, n))


def check_shape(name: str, value: Array, allowed: tuple[int, ...]) -> None:
    """Raise ValueError if an array has another shape: it would broadcast silently."""
    if jnp.shape(value) != allowed:
        raise ValueError(f"{name} has shape {jnp.shape(value)}; allowed: {allowed}")
