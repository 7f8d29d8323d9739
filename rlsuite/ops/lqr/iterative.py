r"""Iterative linear-quadratic control (iLQR) of any smooth dynamics and costs.

Along a trajectory, the dynamics are replaced by their first derivatives and the costs by their
first two. In deviations from it this is a linear-quadratic problem, the solution of which gives

    u_t = ū_t + β k_t + K_t (x_t − x̄_t),

rolled out through the true dynamics. β starts at 1 and is halved until the cost falls by at least
a fraction of what the model promises, D β (2 − β). Levenberg's μ ‖u − ū‖² / 2 is added to the cost,
and grows, where the model has no minimum or promises what does not come.

Second derivatives of the dynamics are left out, so that convergence is that of Gauss-Newton.

References:
    Tassa, Erez, Todorov: Synthesis and stabilization of complex behaviors through online trajectory
    optimization. IROS 2012 (the schedule of μ, the line search).

Example:
    >>> def dynamics(state, action, time):
    ...     return state + 0.1 * jnp.array([state[1], jnp.sin(state[0]) + action[0]])
    >>> def cost(state, action, time):
    ...     return 0.005 * jnp.sum(action**2)
    >>> def terminal(state):
    ...     return 10.0 * jnp.sum(state**2)
    >>> hanging = jnp.array([jnp.pi, 0.0])
    >>> found = ilqr(dynamics, cost, terminal, hanging, jnp.zeros((30, 1)))
    >>> found.converged.item(), jnp.abs(found.states[-1]).max().item() < 0.1
    (True, True)
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rlsuite.ops.lqr.problem import Dynamics, Policy, Problem, Quadratic
from rlsuite.ops.lqr.riccati import solve

Transition = Callable[[Array, Array, Array], Array]
"""The next state, or a cost, as a function of the state, the action and the number of the step."""

_Task = tuple[Transition, Transition, Callable[[Array], Array]]

_LEAST, _MOST, _FACTOR = 1e-6, 1e10, 2.0
_SHORTEST = 2.0**-10
_FRACTION = 1e-4


class ILQR(NamedTuple):
    """What iLQR found.

    Attributes:
        states: x̄_0 … x̄_T, ``[time+1 n]``.
        actions: ū_0 … ū_{T−1}, ``[time m]``.
        cost: Of the trajectory.
        gain: K_t, of the deviation from x̄_t, ``[time m n]``.
        iterations: How many models were solved.
        converged: Whether the last model promised no more than the tolerance.
    """

    states: Float[Array, "time1 n"]
    actions: Float[Array, "time m"]
    cost: Float[Array, ""]
    gain: Float[Array, "time m n"]
    iterations: Int[Array, ""]
    converged: Bool[Array, ""]


class _Rolled(NamedTuple):
    """A trajectory and its cost."""

    states: Float[Array, "time1 n"]
    actions: Float[Array, "time m"]
    cost: Float[Array, ""]


class _Damping(NamedTuple):
    """Levenberg's μ, and by how much it last changed."""

    level: Float[Array, ""]
    factor: Float[Array, ""]


def ilqr(
    dynamics: Transition,
    cost: Transition,
    terminal: Callable[[Array], Array],
    state: Float[Array, " n"],
    actions: Float[Array, "time m"],
    *,
    iterations: int = 100,
    tolerance: float = 1e-6,
    block: int | None = None,
) -> ILQR:
    """A locally best trajectory from a state; see the module.

    Args:
        dynamics: The next state, of the state, the action and the number of the step.
        cost: The cost of a step, of the same.
        terminal: The cost of the last state.
        state: x_0.
        actions: Where to start, ū_0 … ū_{T−1}.
        iterations: How many models to solve at most, at least 1.
        tolerance: It ends when the undamped model promises a fall of the cost by less than this,
            times 1 + |cost|.
        block: As in ``solve``.

    Returns:
        The trajectory. It is not to be differentiated; the derivative of the best cost is that of
        the cost with the actions held.

    Raises:
        ValueError: If a shape does not fit, or a number is out of range.
    """
    if jnp.ndim(state) != 1 or jnp.ndim(actions) != 2:
        raise ValueError(
            f"state and actions have shapes {jnp.shape(state)} and {jnp.shape(actions)}; "
            f"allowed: (n,) and (time, m), and vmap"
        )
    if iterations < 1:
        raise ValueError(f"iterations is {iterations}; allowed: a whole number at least 1")

    one = jnp.ones((), actions.dtype)
    nothing = Policy(
        jnp.zeros((*actions.shape, len(state)), actions.dtype),
        jnp.zeros_like(actions),
        jnp.zeros((*actions.shape, actions.shape[-1]), actions.dtype),
    )
    still = jnp.broadcast_to(state, (len(actions) + 1, len(state)))
    start = _rolled((dynamics, cost, terminal), still, actions, nothing, one)
    first = ILQR(*start, nothing.gain, jnp.array(0), jnp.array(False))

    def iterate(carry: tuple[ILQR, _Damping]) -> tuple[ILQR, _Damping]:
        return _improved((dynamics, cost, terminal), *carry, tolerance, block)

    def goes_on(carry: tuple[ILQR, _Damping]) -> Bool[Array, ""]:
        now, damping = carry
        return ~now.converged & (now.iterations < iterations) & (damping.level <= _MOST)

    return jax.lax.while_loop(goes_on, iterate, (first, _Damping(0 * one, one)))[0]


def approximate(
    dynamics: Transition,
    cost: Transition,
    terminal: Callable[[Array], Array],
    states: Float[Array, "time1 n"],
    actions: Float[Array, "time m"],
) -> Problem:
    """The linear-quadratic problem of small deviations from a trajectory, without noise.

    Args:
        dynamics: The next state, of the state, the action and the number of the step.
        cost: The cost of a step, of the same.
        terminal: The cost of the last state.
        states: x̄_0 … x̄_T; what the dynamics miss of x̄_{t+1} becomes an offset.
        actions: ū_0 … ū_{T−1}.

    Returns:
        The problem in x − x̄ and u − ū.
    """
    time, n = len(actions), states.shape[-1]

    def step(both: Array, number: Array) -> Array:
        return dynamics(both[:n], both[n:], number)

    def paid(both: Array, number: Array) -> Array:
        return cost(both[:n], both[n:], number)

    points = jnp.concatenate([states[:-1], actions], axis=-1), jnp.arange(time)
    slopes = jax.vmap(jax.jacfwd(step))(*points)
    return Problem(
        Dynamics(
            slopes[..., :n],
            slopes[..., n:],
            jax.vmap(step)(*points) - states[1:],
            jnp.zeros((time, n, n), states.dtype),
        ),
        Quadratic(*(jax.vmap(each)(*points) for each in (jax.hessian(paid), jax.grad(paid), paid))),
        Quadratic(
            *(each(states[-1]) for each in (jax.hessian(terminal), jax.grad(terminal), terminal))
        ),
    )


def _improved(
    task: _Task, now: ILQR, damping: _Damping, tolerance: float, block: int | None
) -> tuple[ILQR, _Damping]:
    """A model, its solution, and the first of ever shorter steps that keeps half a promise."""
    model = approximate(*task, now.states, now.actions)
    n, size = now.states.shape[-1], now.states.shape[-1] + now.actions.shape[-1]
    level = damping.level * (jnp.arange(size) >= n).astype(damping.level.dtype)
    hessian = model.cost.hessian + jnp.diag(level)
    found = solve(model._replace(cost=model.cost._replace(hessian=hessian)), block=block)
    promised = now.cost - found.value.constant[0]
    # Not a number if a model has no minimum: no step is then good.
    whole = jnp.isfinite(promised) & jnp.all(jnp.isfinite(found.policy.gain))

    def enough(step: Array, paid: Array) -> Bool[Array, ""]:
        return now.cost - paid >= _FRACTION * step * (2 - step) * promised

    def halve(carry: tuple[Array, _Rolled]) -> tuple[Array, _Rolled]:
        step = carry[0] / 2
        return step, _rolled(task, now.states, now.actions, found.policy, step)

    one = jnp.ones_like(now.cost)
    step, rolled = jax.lax.while_loop(
        lambda carry: whole & ~enough(carry[0], carry[1].cost) & (carry[0] > _SHORTEST),
        halve,
        (one, _rolled(task, now.states, now.actions, found.policy, one)),
    )
    good = whole & enough(step, rolled.cost)
    small = promised <= tolerance * (1 + jnp.abs(now.cost))
    converged = whole & small & (damping.level <= _LEAST)
    kept = _Rolled(now.states, now.actions, now.cost)
    states, actions, paid = jax.tree.map(lambda new, old: jnp.where(good, new, old), rolled, kept)
    gain = jnp.where(good, found.policy.gain, now.gain)
    new = ILQR(states, actions, paid, gain, now.iterations + 1, converged)
    return new, _changed(damping, good)


def _rolled(
    task: _Task, states: Array, actions: Array, policy: Policy, step: Float[Array, ""]
) -> _Rolled:
    """Roll out u = ū + β k + K (x − x̄) in the true dynamics."""
    dynamics, cost, terminal = task

    def move(state: Array, now: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
        number, near, action, gain, offset = now
        action = action + step * offset + jnp.sum(gain * (state - near), axis=-1)
        return dynamics(state, action, number), (state, action, cost(state, action, number))

    steps = (jnp.arange(len(actions)), states[:-1], actions, policy.gain, policy.offset)
    last, (visited, taken, paid) = jax.lax.scan(move, states[0], steps)
    total = jnp.sum(paid) + terminal(last)
    return _Rolled(jnp.concatenate([visited, last[None]]), taken, total)


def _changed(damping: _Damping, good: Bool[Array, ""]) -> _Damping:
    """Less μ after a good step, more after a bad one, ever faster."""
    level, factor = damping
    less, more = jnp.minimum(1, factor) / _FACTOR, jnp.maximum(1, factor) * _FACTOR
    lower = jnp.where(level * less < _LEAST, 0, level * less)
    higher = jnp.maximum(_LEAST, level * more)
    return _Damping(jnp.where(good, lower, higher), jnp.where(good, less, more))
