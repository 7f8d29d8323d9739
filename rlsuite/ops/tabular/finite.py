"""Finite horizons: H decisions, and a policy for each of them.

With t counting the decisions made, V_H given (0 unless said otherwise) and t = H−1, …, 0,

    V_t = T V_{t+1},    ρ_0 = p₀,    ρ_{t+1}(s') = γ Σ_{s,a} P(s'|s,a) π_t(a|s) ρ_t(s).

The discount may be one. With τ = 1, deterministic dynamics and a discount of one, V_0(s) is the
logarithm of Σ exp(return) over the paths from s, its gradient in the reward the expected visits of
the path distribution, and its Hessian their covariance. With entropy "trajectory" and a discount
of one, exp V_0(s) = Σ Π P · exp(return) for stochastic dynamics too.

Reference:
    Ziebart, Maas, Bagnell and Dey (2008), "Maximum entropy inverse reinforcement learning",
    algorithm 1 (the forward and backward passes).
    Puterman (1994), "Markov decision processes", section 4.5 (backward induction).
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rlsuite.ops.tabular import bellman, checks
from rlsuite.ops.tabular.bellman import Entropy, Scalar
from rlsuite.ops.tabular.mdp import MDP, standardise
from rlsuite.ops.tabular.solvers import policy_backup
from rlsuite.ops.tabular.transitions import push
from rlsuite.ops.tabular.visitation import Visitation, acting_policy

Values = Float[Array, " state"]
Policy = Float[Array, "state action"]


class FiniteSolution(NamedTuple):
    """Optimal values and policies over time.

    Attributes:
        values: V_t, with H − t decisions left, ``[H + 1, state]``.
        log_policy: log π_t, ``[H, state, action]``.
    """

    values: Float[Array, "time_plus_1 state"]
    log_policy: Float[Array, "time state action"]


def backward_induction(
    mdp: MDP,
    horizon: int,
    *,
    temperature: Scalar | None = None,
    entropy: Entropy = "causal",
    final_values: Float[Array, " state"] | None = None,
) -> FiniteSolution:
    """Optimal values and policies of H decisions, V_t = T V_{t+1}.

    Args:
        mdp: The decision process; its discount applies, and may be one.
        horizon: H, the number of decisions. Static.
        temperature: τ, in units of reward; None for the hard problem.
        entropy: "causal" or "trajectory"; see :mod:`rlsuite.ops.tabular.bellman`.
        final_values: V_H, ``[state]``; None for 0.

    Returns:
        The values ``[H + 1, state]`` and policies ``[H, state, action]``.

    Raises:
        ValueError: For shapes that do not fit, a discount outside [0, 1], a horizon below one, a
            temperature that is not positive, an unknown entropy.

    Example:
        >>> import jax.numpy as jnp
        >>> from rlsuite.ops import tabular
        >>> ring = tabular.Gather(jnp.array([[0, 1], [1, 2], [2, 0]]))
        >>> mdp = tabular.MDP(ring, jnp.array([0.0, 0.0, 1.0]), jnp.ones(3) / 3, discount=1.0)
        >>> tabular.backward_induction(mdp, horizon=2).values.tolist()
        [[0.0, 1.0, 2.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    """
    _check(mdp, final_values)
    checks.check_temperature(temperature, entropy)
    checks.check_at_least("horizon", horizon, 1)
    return _backward_induction(mdp, temperature, final_values, horizon, entropy)


@partial(jax.jit, static_argnames=("horizon", "entropy"))
def _backward_induction(
    mdp: MDP,
    temperature: Scalar | None,
    final_values: Values | None,
    horizon: int,
    entropy: Entropy,
) -> FiniteSolution:
    mdp = standardise(mdp)

    def back(after: Values, _: None) -> tuple[Values, tuple[Values, Policy]]:
        q = bellman.action_values(mdp, after, temperature=temperature, entropy=entropy)
        values = bellman.backup(mdp, q, temperature)
        return values, (values, bellman.log_policy(mdp, q, temperature))

    last = _final(mdp, final_values)
    _, (values, policies) = jax.lax.scan(back, last, None, length=horizon, reverse=True)
    return FiniteSolution(jnp.concatenate([values, last[None]]), policies)


def finite_policy_evaluation(
    mdp: MDP,
    log_policy: Float[Array, "time state action"],
    *,
    temperature: Scalar | None = None,
    final_values: Float[Array, " state"] | None = None,
) -> Float[Array, "time_plus_1 state"]:
    """Values of a time-varying policy, V_t = T_π V_{t+1}.

    Args:
        mdp: The decision process; its discount applies, and may be one.
        log_policy: log π_t(a|s), ``[H, state, action]``.
        temperature: τ of an entropy bonus τ H(π_t(·|s)), in units of reward; None for no bonus.
        final_values: V_H, ``[state]``; None for 0.

    Returns:
        V_t, ``[H + 1, state]``.

    Raises:
        ValueError: For shapes that do not fit, a discount outside [0, 1], a temperature that is
            not positive.

    Example:
        >>> import jax.numpy as jnp
        >>> from rlsuite.ops import tabular
        >>> ring = tabular.Gather(jnp.array([[0, 1], [1, 2], [2, 0]]))
        >>> mdp = tabular.MDP(ring, jnp.array([0.0, 0.0, 1.0]), jnp.ones(3) / 3, discount=1.0)
        >>> go_round = jnp.log(jnp.array([[[0.0, 1.0]] * 3] * 2))
        >>> tabular.finite_policy_evaluation(mdp, go_round).tolist()
        [[0.0, 1.0, 1.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    """
    _check(mdp, final_values)
    checks.check_shape("log_policy", log_policy, (len(log_policy), mdp.num_states, mdp.num_actions))
    if temperature is not None:
        checks.check_positive("temperature", temperature)
    return _finite_policy_evaluation(mdp, log_policy, temperature, final_values)


@jax.jit
def _finite_policy_evaluation(
    mdp: MDP,
    log_policy: Float[Array, "time state action"],
    temperature: Scalar | None,
    final_values: Values | None,
) -> Float[Array, "time_plus_1 state"]:
    mdp = standardise(mdp)

    def back(after: Values, log_probabilities: Policy) -> tuple[Values, Values]:
        values = policy_backup(mdp, log_probabilities, temperature, after)
        return values, values

    last = _final(mdp, final_values)
    _, values = jax.lax.scan(back, last, log_policy, reverse=True)
    return jnp.concatenate([values, last[None]])


def finite_visitation(mdp: MDP, log_policy: Float[Array, "time state action"]) -> Visitation:
    """Visits of a time-varying policy at each time, ρ_{t+1} = γ Pᵀ(ρ_t π_t).

    Args:
        mdp: The decision process; its discount applies, and may be one.
        log_policy: log π_t(a|s), ``[H, state, action]``.

    Returns:
        γ^t P(s_t = s), ``[H + 1, state]``, and γ^t P(s_t = s, a_t = a), ``[H, state, action]``. A
        terminal state is visited when it is arrived at, and no more.

    Raises:
        ValueError: For shapes that do not fit, a discount outside [0, 1].

    Example:
        >>> import jax.numpy as jnp
        >>> from rlsuite.ops import tabular
        >>> ring = tabular.Gather(jnp.array([[0, 1], [1, 2], [2, 0]]))
        >>> mdp = tabular.MDP(ring, jnp.zeros(3), jnp.array([1.0, 0.0, 0.0]), discount=0.5)
        >>> go_round = jnp.log(jnp.array([[[0.0, 1.0]] * 3] * 2))
        >>> tabular.finite_visitation(mdp, go_round).states.tolist()
        [[1.0, 0.0, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 0.25]]
    """
    _check(mdp, None)
    checks.check_shape("log_policy", log_policy, (len(log_policy), mdp.num_states, mdp.num_actions))
    return _finite_visitation(mdp, log_policy)


@jax.jit
def _finite_visitation(mdp: MDP, log_policy: Float[Array, "time state action"]) -> Visitation:
    mdp = standardise(mdp)

    def forward(states: Values, log_probabilities: Policy) -> tuple[Values, tuple[Values, Policy]]:
        flow = states[:, None] * acting_policy(mdp, log_probabilities)
        after = mdp.discount * push(mdp.transition, flow)
        return after, (after, flow)

    _, (states, flows) = jax.lax.scan(forward, mdp.initial, log_policy)
    return Visitation(jnp.concatenate([mdp.initial[None], states]), flows)


def _check(mdp: MDP, final_values: Values | None) -> None:
    checks.check_structure(mdp)
    checks.check_discount(mdp, "finite")
    if final_values is not None:
        checks.check_shape("final_values", final_values, (mdp.num_states,))


def _final(mdp: MDP, final_values: Values | None) -> Values:
    dtype = mdp.reward.dtype
    return jnp.zeros(mdp.num_states, dtype) if final_values is None else final_values.astype(dtype)
