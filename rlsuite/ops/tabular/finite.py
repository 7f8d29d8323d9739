"""Finite horizons, with time-varying policies."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rlsuite.ops.tabular import bellman
from rlsuite.ops.tabular.bellman import Entropy, Scalar, action_values, backup
from rlsuite.ops.tabular.mdp import MDP, standardise
from rlsuite.ops.tabular.transitions import push
from rlsuite.ops.tabular.visitation import Visitation


class FiniteSolution(NamedTuple):
    """values[t] with H − t decisions left, ``[H+1, state]``; log_policy ``[H, state, action]``."""

    values: Float[Array, "time_1 state"]
    log_policy: Float[Array, "time state action"]


@partial(jax.jit, static_argnames=("horizon", "entropy"))
def backward_induction(
    mdp: MDP,
    horizon: int,
    *,
    temperature: Scalar | None = None,
    entropy: Entropy = "causal",
    final_values: Float[Array, " state"] | None = None,
) -> FiniteSolution:
    """V_t = T V_{t+1} from V_H = ``final_values`` (0)."""
    mdp = standardise(mdp)
    if final_values is None:
        final_values = jnp.zeros(mdp.num_states, mdp.reward.dtype)

    def back(values: Array, _: None) -> tuple[Array, tuple[Array, Array]]:
        q = action_values(mdp, values, temperature=temperature, entropy=entropy)
        new = backup(mdp, q, temperature)
        return new, (new, bellman.log_policy(mdp, q, temperature))

    _, (values, policy) = jax.lax.scan(back, final_values, None, length=horizon, reverse=True)
    return FiniteSolution(jnp.concatenate([values, final_values[None]]), policy)


@jax.jit
def finite_policy_evaluation(
    mdp: MDP,
    log_policy: Float[Array, "time state action"],
    *,
    temperature: Scalar | None = None,
    final_values: Float[Array, " state"] | None = None,
) -> Float[Array, "time_1 state"]:
    """V_t of a time-varying policy."""
    mdp = standardise(mdp)
    if final_values is None:
        final_values = jnp.zeros(mdp.num_states, mdp.reward.dtype)

    def back(values: Array, log_probability: Array) -> tuple[Array, Array]:
        q = action_values(mdp, values)
        policy = jnp.exp(log_probability)
        bonus = 0 * q
        if temperature is not None:
            safe = jnp.where(policy > 0, log_probability, 0)
            bonus = -jnp.asarray(temperature, q.dtype) * safe
        new = jnp.sum(policy * (q + bonus), axis=1)
        if mdp.terminal is not None:
            new = jnp.where(mdp.terminal, q[:, 0], new)
        return new, new

    _, values = jax.lax.scan(back, final_values, log_policy, reverse=True)
    return jnp.concatenate([values, final_values[None]])


@jax.jit
def finite_visitation(mdp: MDP, log_policy: Float[Array, "time state action"]) -> Visitation:
    """ρ_{t+1} = γ Pᵀ (ρ_t π_t): states ``[H+1, state]``, state_actions ``[H, state, action]``."""
    mdp = standardise(mdp)

    def forward(states: Array, log_probability: Array) -> tuple[Array, tuple[Array, Array]]:
        flow = states[:, None] * jnp.exp(log_probability)
        if mdp.terminal is not None:
            flow = jnp.where(mdp.terminal[:, None], 0, flow)
        new = mdp.discount * push(mdp.transition, flow)
        return new, (new, flow)

    _, (states, flows) = jax.lax.scan(forward, mdp.initial, log_policy)
    return Visitation(jnp.concatenate([mdp.initial[None], states]), flows)
