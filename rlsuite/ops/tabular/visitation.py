"""Discounted visitation of states and state-actions on an infinite horizon."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rlsuite.ops.tabular.linear import solve
from rlsuite.ops.tabular.mdp import MDP, standardise
from rlsuite.ops.tabular.transitions import push


class Visitation(NamedTuple):
    """Expected discounted visits, unnormalised: Σ_t γ^t P(s_t = s) and Σ_t γ^t P(s_t = s, a_t = a).

    A terminal state's visits are its arrivals; nothing is done there.
    """

    states: Any
    state_actions: Any


@jax.jit
def visitation(mdp: MDP, log_policy: Float[Array, "state action"]) -> Visitation:
    """Solve ρ = p₀ + γ P_πᵀ ρ."""
    mdp = standardise(mdp)
    policy = jnp.exp(log_policy).astype(mdp.reward.dtype)
    if mdp.terminal is not None:
        policy = jnp.where(mdp.terminal[:, None], 0, policy)

    def leave(states: Float[Array, " state"]) -> Float[Array, " state"]:
        return states - mdp.discount * push(mdp.transition, states[:, None] * policy)

    states = solve(leave, mdp.initial)
    return Visitation(states, states[:, None] * policy)
