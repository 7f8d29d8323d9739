"""Bellman operators, hard and soft."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rlsuite.ops.tabular.mdp import MDP, allowed_actions, standardise, terminal_values

Scalar = float | Float[Array, ""]


def action_values(
    mdp: MDP,
    values: Float[Array, " state"],
    *,
    temperature: Scalar | None = None,
    entropy: str = "causal",
) -> Float[Array, "state action"]:
    """Q(s,a) = r(s,a) + γ E[V(s')|s,a]; at a terminal state, its value for every action."""
    mdp = standardise(mdp)
    values = values.astype(mdp.reward.dtype)
    if entropy == "causal":
        future = mdp.transition.expect(values)
    else:
        tau = jnp.asarray(temperature, values.dtype)
        top = jax.lax.stop_gradient(jnp.max(values))
        future = top + tau * jnp.log(mdp.transition.expect(jnp.exp((values - top) / tau)))
    reward = mdp.reward if mdp.reward.ndim == 2 else mdp.reward[:, None]
    q = reward + mdp.discount * future
    if mdp.terminal is None:
        return q
    return jnp.where(mdp.terminal[:, None], terminal_values(mdp)[:, None], q)


def _masked(mdp: MDP, q: Float[Array, "state action"]) -> Float[Array, "state action"]:
    allowed = allowed_actions(mdp)
    return q if allowed is None else jnp.where(allowed, q, -jnp.inf)


def _log_sum_exp(x: Float[Array, "state action"]) -> Float[Array, " state"]:
    top = jax.lax.stop_gradient(jnp.max(x, axis=1))
    return top + jnp.log(jnp.sum(jnp.exp(x - top[:, None]), axis=1))


def backup(
    mdp: MDP, q: Float[Array, "state action"], temperature: Scalar | None = None
) -> Float[Array, " state"]:
    """V(s) = max_a Q(s,a), or τ log Σ_a exp(Q(s,a)/τ) over the allowed actions."""
    masked = _masked(mdp, q)
    if temperature is None:
        values = jnp.max(masked, axis=1)
    else:
        tau = jnp.asarray(temperature, q.dtype)
        values = tau * _log_sum_exp(masked / tau)
    if mdp.terminal is None:
        return values
    return jnp.where(mdp.terminal, terminal_values(mdp).astype(q.dtype), values)


def log_policy(
    mdp: MDP, q: Float[Array, "state action"], temperature: Scalar | None = None
) -> Float[Array, "state action"]:
    """Log π(a|s): the softmax of Q/τ, or the greedy policy with ties shared uniformly."""
    allowed = allowed_actions(mdp)
    if temperature is None:
        masked = _masked(mdp, q)
        top = jnp.max(masked, axis=1, keepdims=True)
        slack = jnp.finfo(q.dtype).eps ** 0.75 * jnp.abs(top)
        ties = masked >= top - slack
        count = jnp.sum(ties, axis=1, keepdims=True).astype(q.dtype)
        return jnp.where(ties, -jnp.log(count), -jnp.inf)
    tau = jnp.asarray(temperature, q.dtype)
    logits = q / tau
    log_probability = logits - _log_sum_exp(_masked(mdp, logits))[:, None]
    return log_probability if allowed is None else jnp.where(allowed, log_probability, -jnp.inf)
