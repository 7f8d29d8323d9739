"""Discounted visitation of states and state-actions on an infinite horizon."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rlsuite.ops.tabular import linear
from rlsuite.ops.tabular.bellman import Scalar
from rlsuite.ops.tabular.mdp import MDP, standardise
from rlsuite.ops.tabular.transitions import push


class Visitation(NamedTuple):
    """Expected discounted visits, unnormalised: Σ_t γ^t P(s_t = s) and Σ_t γ^t P(s_t = s, a_t = a).

    A terminal state's visits are its arrivals; nothing is done there.
    """

    states: Any
    state_actions: Any


def visitation(
    mdp: MDP, log_policy: Float[Array, "state action"], *, tolerance: Scalar = 1e-12
) -> Visitation:
    """Solve ρ = p₀ + γ P_πᵀ ρ."""
    return _visitation(mdp, log_policy, tolerance)


@jax.jit
def _visitation(mdp: MDP, log_policy: Any, tolerance: Any) -> Visitation:
    mdp = standardise(mdp)
    policy = acting_policy(mdp, log_policy)

    def leave(states: Float[Array, " state"]) -> Float[Array, " state"]:
        return states - mdp.discount * push(mdp.transition, states[:, None] * policy)

    states = linear.solve(leave, mdp.initial, transposed=True, tolerance=tolerance)
    return Visitation(states, states[:, None] * policy)


def acting_policy(mdp: MDP, log_policy: Any) -> Float[Array, "state action"]:
    """π(a|s), and 0 at terminal states, where nothing is done."""
    policy = jnp.exp(log_policy).astype(mdp.reward.dtype)
    return policy if mdp.terminal is None else jnp.where(mdp.terminal[:, None], 0, policy)
