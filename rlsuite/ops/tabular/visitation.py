"""Discounted visitation of states and state-actions on an infinite horizon.

The expected discounted visits ρ(s) = Σ_t γ^t P(s_t = s) of a policy satisfy the flow equation

    ρ(s') = p₀(s') + γ Σ_{s,a} P(s'|s,a) π(a|s) ρ(s),

the transpose of policy evaluation, and are solved for by the transpose of its linear solver. They
are the gradient of the policy's return with respect to a state reward, and their difference from
an expert's is the gradient of maximum-entropy inverse reinforcement learning.

Reference:
    Puterman (1994), "Markov decision processes", section 6.9 (the dual linear program).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rlsuite.ops.tabular import linear
from rlsuite.ops.tabular.bellman import Scalar
from rlsuite.ops.tabular.checks import check_discount, check_positive, check_shape, check_structure
from rlsuite.ops.tabular.mdp import MDP, standardise
from rlsuite.ops.tabular.transitions import push


class Visitation(NamedTuple):
    """Expected discounted visits, not normalised: without terminal states they sum to 1/(1−γ).

    Attributes:
        states: Σ_t γ^t P(s_t = s), ``[state]``; a terminal state's are its arrivals.
        state_actions: Σ_t γ^t P(s_t = s, a_t = a), ``[state, action]``; 0 at terminal states.
            On a finite horizon both have a leading time axis, and t is not summed over.
    """

    states: Float[Array, "*time state"]
    state_actions: Float[Array, "*time state action"]


def visitation(
    mdp: MDP, log_policy: Float[Array, "state action"], *, tolerance: Scalar = 1e-12
) -> Visitation:
    """The discounted visitation of a policy: ρ = p₀ + γ P_πᵀ ρ.

    Differentiable in everything but the masks, and to any order.

    Args:
        mdp: The decision process.
        log_policy: log π(a|s), ``[state, action]``.
        tolerance: Σ_s |ρ − p₀ − γ P_πᵀ ρ| to reach; Σ |error| is at most 1/(1−γ) times that. What
            rounding allows is reached if that is more.

    Returns:
        The visits of states and of state-actions.

    Raises:
        ValueError: For shapes that do not fit, a discount outside [0, 1), a bad tolerance.

    Example:
        >>> import jax.numpy as jnp
        >>> from rlsuite.ops import tabular
        >>> ring = tabular.Gather(jnp.array([[0, 1], [1, 2], [2, 0]]))
        >>> mdp = tabular.MDP(ring, jnp.zeros(3), jnp.array([1.0, 0.0, 0.0]), discount=0.5)
        >>> go_round = jnp.log(jnp.array([[0.0, 1.0]] * 3))
        >>> print(tabular.visitation(mdp, go_round).states.round(4))  # (1, ½, ¼) / (1 − ⅛)
        [1.1429 0.5714 0.2857]
    """
    check_structure(mdp)
    check_discount(mdp, "infinite")
    check_shape("log_policy", log_policy, (mdp.num_states, mdp.num_actions))
    check_positive("tolerance", tolerance)
    return _visitation(mdp, log_policy, tolerance)


@jax.jit
def _visitation(
    mdp: MDP, log_policy: Float[Array, "state action"], tolerance: Scalar
) -> Visitation:
    mdp = standardise(mdp)
    policy = acting_policy(mdp, log_policy)

    def leave(states: Float[Array, " state"]) -> Float[Array, " state"]:
        return states - mdp.discount * push(mdp.transition, states[:, None] * policy)

    states = linear.solve(leave, mdp.initial, transposed=True, tolerance=tolerance)
    return Visitation(states, states[:, None] * policy)


def acting_policy(
    mdp: MDP, log_policy: Float[Array, "state action"]
) -> Float[Array, "state action"]:
    """π(a|s), and 0 at terminal states, where nothing is done."""
    policy = jnp.exp(log_policy).astype(mdp.reward.dtype)
    return policy if mdp.terminal is None else jnp.where(mdp.terminal[:, None], 0, policy)
