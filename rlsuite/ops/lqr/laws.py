r"""What linear-Gaussian policies bring about, exactly: laws of trajectories, costs, divergences.

With Φ_t = A_t + B_t K_t, the mean μ_t and the covariance Σ_t of x_t follow

    μ_{t+1} = Φ_t μ_t + B_t k_t + c_t,      Σ_{t+1} = Φ_t Σ_t Φ_tᵀ + B_t S_t B_tᵀ + W_t,

which is a recursion of values under a fixed policy, with Φᵀ for Φ and the time running backwards;
so it can be computed in blocks, like those. Means and covariances are kept apart: second moments
would lose the digits of a small covariance far from 0.

Example:
    A random walk that is pushed up by one in every step.

    >>> import jax
    >>> ones = jnp.ones((3, 1, 1))
    >>> walk = Dynamics(ones, ones, jnp.zeros((3, 1)), ones)
    >>> up = Policy(0.0 * ones, jnp.ones((3, 1)), 0.0 * ones)
    >>> found = jax.jit(law)(walk, up, Gaussian(jnp.zeros(1), jnp.zeros((1, 1))))
    >>> found.last.mean.item(), found.last.covariance.item()
    (3.0, 3.0)
    >>> found.joint.mean.tolist()
    [[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]]
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from rlsuite.ops import positive_definite
from rlsuite.ops.lqr.problem import (
    Dynamics,
    Gaussian,
    Policy,
    Problem,
    Quadratic,
    check_dynamics,
    check_initial,
    check_policy,
    check_problem,
    check_shape,
    evaluate,
)
from rlsuite.ops.lqr.recursions import linear
from rlsuite.ops.matrices import multiply, symmetric, transpose


class Trajectory(NamedTuple):
    """The laws along a trajectory.

    Attributes:
        joint: Of [x_t; u_t], for t = 0 … T − 1.
        last: Of x_T.
    """

    joint: Gaussian
    last: Gaussian


def law(
    dynamics: Dynamics, policy: Policy, initial: Gaussian, *, block: int | None = None
) -> Trajectory:
    """The law of states and actions at every step under a policy; see the module.

    Args:
        dynamics: For t = 0 … T − 1.
        policy: For t = 0 … T − 1.
        initial: The law of x_0.
        block: How many steps a block has; None walks step by step.

    Returns:
        The laws.

    Raises:
        ValueError: If a shape does not fit.
    """
    check_dynamics(dynamics, timed=True)
    check_policy("policy", policy, dynamics)
    check_initial(initial, dynamics)
    closed = dynamics.state + multiply(dynamics.action, policy.gain)
    drift = dynamics.offset + _apply(dynamics.action, policy.offset)
    drawn = multiply(multiply(dynamics.action, policy.covariance), transpose(dynamics.action))
    states = propagate(closed, Gaussian(drift, dynamics.noise + drawn), initial, block=block)
    covariance = states.covariance[:-1]
    response = multiply(policy.gain, covariance)
    actions = symmetric(multiply(response, transpose(policy.gain))) + policy.covariance
    mean = _apply(policy.gain, states.mean[:-1]) + policy.offset
    joint = Gaussian(
        jnp.concatenate([states.mean[:-1], mean], axis=-1),
        jnp.concatenate(
            [
                jnp.concatenate([covariance, transpose(response)], axis=-1),
                jnp.concatenate([response, actions], axis=-1),
            ],
            axis=-2,
        ),
    )
    return Trajectory(joint, Gaussian(states.mean[-1], states.covariance[-1]))


def propagate(
    transition: Float[Array, "time n n"],
    step: Gaussian,
    initial: Gaussian,
    *,
    block: int | None = None,
) -> Gaussian:
    """The laws of x_{t+1} = Φ_t x_t + e_t with independent Gaussian e_t.

    Args:
        transition: Φ_t, for t = 0 … T − 1.
        step: The law of e_t.
        initial: The law of x_0.
        block: How many steps a block has; None walks step by step.

    Returns:
        The law of x_t, for t = 0 … T.
    """
    n = transition.shape[-1]
    source, first = (
        jnp.concatenate([each.covariance, each.mean[..., None]], axis=-1)
        for each in (step, initial)
    )
    eye = jnp.eye(n + 1, dtype=transition.dtype)
    back = jnp.broadcast_to(eye, (len(transition), n + 1, n + 1))
    back = back.at[:, :n, :n].set(transpose(transition))
    found = linear(block, back[::-1], source[::-1], first)[::-1]
    laws = jnp.concatenate([first[None], found])
    return Gaussian(laws[..., n], symmetric(laws[..., :n]))


def expected_cost(problem: Problem, trajectory: Trajectory) -> Float[Array, ""]:
    """The expected cost of a problem under the laws of a trajectory.

    Args:
        problem: Costs; its dynamics are not looked at.
        trajectory: The laws, of any policy, also of one that does not see the state.

    Returns:
        Σ_t E ℓ_t([x_t; u_t]) + E ℓ_T(x_T).

    Raises:
        ValueError: If a shape does not fit.
    """
    check_problem(problem)
    check_shape("trajectory.joint.mean", trajectory.joint.mean, problem.cost.gradient.shape)
    check_shape("trajectory.last.mean", trajectory.last.mean, problem.terminal.gradient.shape)
    terminal = _expected(problem.terminal, trajectory.last)
    return jnp.sum(_expected(problem.cost, trajectory.joint)) + terminal


def entropy(policy: Policy) -> Float[Array, "*time"]:
    """The entropy of the actions, given the state.

    Args:
        policy: With positive definite covariances.

    Returns:
        H(π_t) in nats.
    """
    m = policy.covariance.shape[-1]
    factor = positive_definite.cholesky(policy.covariance)
    return (m * (1 + jnp.log(2 * jnp.pi)) + positive_definite.log_determinant(factor)) / 2


def divergence(new: Policy, old: Policy, trajectory: Trajectory) -> Float[Array, " time"]:
    """How far a policy is from another, where the first one goes: E KL(π_t(·|x_t) ‖ π'_t(·|x_t)).

    As both act in the same dynamics from the same first state, the sum over time is the divergence
    of the laws of their whole trajectories.

    Args:
        new: π, with positive definite covariances.
        old: π', with positive definite covariances.
        trajectory: The laws under π.

    Returns:
        The expected divergence at each step, in nats.
    """
    n, m = new.gain.shape[-1], new.gain.shape[-2]
    state = Gaussian(trajectory.joint.mean[..., :n], trajectory.joint.covariance[..., :n, :n])
    gain = new.gain - old.gain
    mean = _apply(gain, state.mean) + new.offset - old.offset
    spread = new.covariance + multiply(multiply(gain, state.covariance), transpose(gain))
    spread = spread + mean[..., :, None] * mean[..., None, :]
    factor = positive_definite.cholesky(old.covariance)
    size = jnp.sum(positive_definite.inverse(factor) * spread, axis=(-2, -1))
    return (size - m) / 2 + entropy(old) - entropy(new)


def _apply(matrix: Float[Array, "*time n m"], vector: Float[Array, "*time m"]) -> Array:
    """Matrices times vectors."""
    return jnp.sum(matrix * vector[..., None, :], axis=-1)


def _expected(quadratic: Quadratic, law: Gaussian) -> Float[Array, "*time"]:
    """E ℓ(z) = ℓ(E z) + tr(H Cov z) / 2."""
    spread = jnp.sum(quadratic.hessian * law.covariance, axis=(-2, -1))
    return evaluate(quadratic, law.mean) + spread / 2
