r"""Linear-quadratic control of a state that is seen through noise (LQG).

With observations y_t = C_t x_t + d_t + v_t, v_t ~ N(0, V_t), the best action is that of the
state's mean given what was seen: a Kalman filter, then the policy of a state that is seen. Along

    x̂_t⁺ = x̂_t + G_t (y_t − C_t x̂_t − d_t),     x̂_{t+1} = A_t x̂_t⁺ + B_t u_t + c_t,

u_t is K_t x̂_t⁺ + k_t where y_t is seen before acting, and K_t x̂_t + k_t where it is seen
afterwards. Either way [x; x̂] is a linear recursion, so that the law of states and actions, and
from it the expected cost, are exact, for any policy in x̂.

Reference:
    Åström: Introduction to stochastic control theory. 1970, ch. 8 (the separation theorem).

Example:
    With next to no noise in what is seen, and seen in time, nothing is lost.

    >>> from rlsuite.ops import lqr
    >>> ones, zeros = jnp.ones((4, 1, 1)), jnp.zeros((4, 1))
    >>> cost = lqr.Quadratic(ones * jnp.eye(2), jnp.zeros((4, 2)), jnp.zeros(4))
    >>> terminal = lqr.Quadratic(jnp.eye(1), jnp.zeros(1), jnp.array(0.0))
    >>> problem = Problem(Dynamics(ones, ones, zeros, ones), cost, terminal)
    >>> initial = Gaussian(jnp.ones(1), jnp.eye(1))
    >>> found = jax.jit(lqg)(problem, Observation(ones, zeros, 1e-6 * ones), initial)
    >>> seen = jax.jit(lqr.law)(problem.dynamics, found.policy, initial)
    >>> bool(jnp.abs(found.cost - expected_cost(problem, seen)) < 1e-4)
    True
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rlsuite.ops import positive_definite
from rlsuite.ops.lqr.laws import Trajectory, expected_cost, propagate
from rlsuite.ops.lqr.problem import (
    Dynamics,
    Gaussian,
    Policy,
    Problem,
    check_dynamics,
    check_initial,
    check_policy,
    check_problem,
    check_shape,
)
from rlsuite.ops.lqr.riccati import solve
from rlsuite.ops.matrices import multiply, symmetric, transpose


class Observation(NamedTuple):
    """What is seen of the state: y = C x + d + v, v ~ N(0, V), for each step.

    The first state is seen, if it is to be seen before the first action; the last one is not.

    Attributes:
        state: C, ``[time p n]``.
        offset: d, ``[time p]``.
        noise: V, ``[time p p]``.
    """

    state: Float[Array, "time p n"]
    offset: Float[Array, "time p"]
    noise: Float[Array, "time p p"]


class Filter(NamedTuple):
    """The Kalman filter, which depends on no action.

    Attributes:
        gain: G_t, ``[time n p]``.
        before: The covariance of x_t given y_0 … y_{t−1}, ``[time n n]``.
        after: The covariance of x_t given y_0 … y_t, ``[time n n]``.
    """

    gain: Float[Array, "time n p"]
    before: Float[Array, "time n n"]
    after: Float[Array, "time n n"]


class LQG(NamedTuple):
    """A controller that sees the state through noise, and what it brings about.

    Attributes:
        policy: Of the estimate x̂.
        filter: What estimates.
        trajectory: The laws of [x; u].
        cost: The expected cost.
    """

    policy: Policy
    filter: Filter
    trajectory: Trajectory
    cost: Float[Array, ""]


def kalman(dynamics: Dynamics, observation: Observation, initial: Gaussian) -> Filter:
    """The Kalman filter.

    Args:
        dynamics: For t = 0 … T − 1.
        observation: For t = 0 … T − 1, with C Σ Cᵀ + V positive definite.
        initial: The law of x_0, before anything is seen.

    Returns:
        Gains and covariances.

    Raises:
        ValueError: If a shape does not fit.
    """
    _check_observed(dynamics, observation, initial)

    def step(covariance: Array, now: tuple[Array, ...]) -> tuple[Array, Filter]:
        state, noise, seen, seen_noise = now
        reach = multiply(seen, covariance)
        factor = positive_definite.cholesky(multiply(reach, transpose(seen)) + seen_noise)
        gain = transpose(positive_definite.solve(factor, reach))
        left = jnp.eye(len(covariance), dtype=covariance.dtype) - multiply(gain, seen)
        after = _turned(left, covariance) + _turned(gain, seen_noise)
        return symmetric(_turned(state, after) + noise), Filter(gain, covariance, after)

    steps = (dynamics.state, dynamics.noise, observation.state, observation.noise)
    return jax.lax.scan(step, initial.covariance, steps)[1]


def lqg(
    problem: Problem,
    observation: Observation,
    initial: Gaussian,
    *,
    policy: Policy | None = None,
    observed_first: bool = True,
) -> LQG:
    """The best controller of a state that is seen through noise, and its expected cost.

    Args:
        problem: Dynamics and costs.
        observation: For t = 0 … T − 1, with C Σ Cᵀ + V positive definite.
        initial: The law of x_0, before anything is seen; its mean is the first estimate.
        policy: Of the estimate; the best one by default.
        observed_first: Whether y_t is seen before u_t is chosen; if not, u_t knows y_0 … y_{t−1}.

    Returns:
        The controller, the laws under it and its cost.

    Raises:
        ValueError: If a shape does not fit.
    """
    check_problem(problem)
    policy = solve(problem).policy if policy is None else policy
    check_policy("policy", policy, problem.dynamics)
    found = kalman(problem.dynamics, observation, initial)
    trajectory = _law(problem.dynamics, observation, initial, policy, found, observed_first)
    return LQG(policy, found, trajectory, expected_cost(problem, trajectory))


def _law(
    dynamics: Dynamics,
    observation: Observation,
    initial: Gaussian,
    policy: Policy,
    found: Filter,
    observed_first: bool,
) -> Trajectory:
    """The law of [x; u], from that of [x; x̂], as functions of which (and of v) all is written."""
    n = len(initial.mean)
    eye = jnp.broadcast_to(jnp.eye(n, dtype=dynamics.state.dtype), dynamics.state.shape)
    none = jnp.zeros_like(eye)
    trusted = multiply(found.gain, observation.state)
    state = jnp.concatenate([eye, none, jnp.zeros_like(found.gain)], axis=-1)
    prior = jnp.concatenate([none, eye, jnp.zeros_like(found.gain)], axis=-1)
    estimate = jnp.concatenate([trusted, eye - trusted, found.gain], axis=-1)
    action = multiply(policy.gain, estimate if observed_first else prior)
    pushed = multiply(dynamics.action, action)
    following = jnp.concatenate(
        [multiply(dynamics.state, each) + pushed for each in (state, estimate)], axis=-2
    )
    both = jnp.concatenate([dynamics.action, dynamics.action], axis=-2)
    noise = _turned(following[..., 2 * n :], observation.noise) + _turned(both, policy.covariance)
    noise = noise.at[:, :n, :n].add(dynamics.noise)
    drift = dynamics.offset + multiply(dynamics.action, policy.offset[..., None])[..., 0]
    start = jnp.zeros((2 * n, 2 * n), eye.dtype).at[:n, :n].set(initial.covariance)
    states = propagate(
        following[..., : 2 * n],
        Gaussian(jnp.concatenate([drift, drift], axis=-1), noise),
        Gaussian(jnp.concatenate([initial.mean, initial.mean]), start),
    )
    seen = jnp.concatenate([state, action], axis=-2)
    covariance = _turned(seen[..., : 2 * n], states.covariance[:-1])
    covariance = covariance + _turned(seen[..., 2 * n :], observation.noise)
    mean = multiply(seen[..., : 2 * n], states.mean[:-1, :, None])[..., 0]
    joint = Gaussian(
        mean.at[:, n:].add(policy.offset), covariance.at[:, n:, n:].add(policy.covariance)
    )
    return Trajectory(joint, Gaussian(states.mean[-1, :n], states.covariance[-1, :n, :n]))


def _turned(matrix: Array, covariance: Array) -> Array:
    """M Σ Mᵀ, symmetric."""
    return symmetric(multiply(multiply(matrix, covariance), transpose(matrix)))


def _check_observed(dynamics: Dynamics, observation: Observation, initial: Gaussian) -> None:
    """Raise ValueError if a shape does not fit."""
    time, n, _ = check_dynamics(dynamics, timed=True)
    check_initial(initial, dynamics)
    p = jnp.shape(observation.offset)[-1:]
    check_shape("observation.offset", observation.offset, (*time, *p))
    check_shape("observation.state", observation.state, (*time, *p, n))
    check_shape("observation.noise", observation.noise, (*time, *p, *p))
