"""Value iteration and policy evaluation on an infinite horizon, differentiated implicitly."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rlsuite.ops.tabular.bellman import Scalar, action_values, backup, log_policy
from rlsuite.ops.tabular.linear import solve
from rlsuite.ops.tabular.mdp import MDP, standardise


class Solution(NamedTuple):
    """The fixed point of the Bellman operator, and how far from it the values are."""

    values: Float[Array, " state"]
    action_values: Float[Array, "state action"]
    log_policy: Float[Array, "state action"]
    residual: Float[Array, ""]
    error_bound: Float[Array, ""]
    iterations: Int[Array, ""]


def value_iteration(
    mdp: MDP,
    *,
    temperature: Scalar | None = None,
    entropy: str = "causal",
    method: str = "iterate",
    tolerance: float = 1e-8,
    max_iterations: int = 100_000,
    initial_values: Float[Array, " state"] | None = None,
) -> Solution:
    """Solve V = T V."""
    return _value_iteration(
        mdp, temperature, tolerance, max_iterations, initial_values, entropy, method
    )


@partial(jax.jit, static_argnames=("entropy", "method"))
def _value_iteration(
    mdp: MDP,
    temperature: Any,
    tolerance: Any,
    max_iterations: Any,
    initial_values: Any,
    entropy: str,
    method: str,
) -> Solution:
    mdp = standardise(mdp)
    dtype = mdp.reward.dtype

    def sweep(values: Any) -> Any:
        q = action_values(mdp, values, temperature=temperature, entropy=entropy)
        return backup(mdp, q, temperature)

    def iterate(_: Any, guess: Any) -> Any:
        def body(carry: Any) -> Any:
            values, _, count = carry
            new = sweep(values)
            return new, jnp.max(jnp.abs(new - values)), count + 1

        def cond(carry: Any) -> Any:
            values, residual, count = carry
            floor = 4 * jnp.finfo(dtype).eps * jnp.max(jnp.abs(values))
            enough = residual <= jnp.maximum(jnp.asarray(tolerance, dtype), floor)
            return ~enough & (count < max_iterations)

        values, _, count = jax.lax.while_loop(
            cond, body, (guess, jnp.asarray(jnp.inf, dtype), jnp.asarray(0))
        )
        return values, count.astype(dtype)  # custom_root differentiates its aux: no integers

    if initial_values is None:
        guess = jnp.zeros(mdp.num_states, dtype)
    else:
        guess = jax.lax.stop_gradient(initial_values.astype(dtype))
    values, count = jax.lax.custom_root(
        lambda v: v - sweep(v), guess, iterate, lambda f, y: solve(f, y), has_aux=True
    )
    q = action_values(mdp, values, temperature=temperature, entropy=entropy)
    residual = jax.lax.stop_gradient(jnp.max(jnp.abs(backup(mdp, q, temperature) - values)))
    return Solution(
        values=values,
        action_values=q,
        log_policy=log_policy(mdp, q, temperature),
        residual=residual,
        error_bound=jax.lax.stop_gradient(residual / (1 - mdp.discount)),
        iterations=count.astype(int),
    )


@jax.jit
def policy_evaluation(
    mdp: MDP,
    log_policy: Float[Array, "state action"],
    *,
    temperature: Scalar | None = None,
) -> Float[Array, " state"]:
    """V_π, with the entropy bonus τH(π) if a temperature is given."""
    mdp = standardise(mdp)
    policy = jnp.exp(log_policy).astype(mdp.reward.dtype)

    def evaluate(values: Any) -> Any:
        q = action_values(mdp, values)
        if temperature is not None:
            safe = jnp.where(policy > 0, log_policy, 0).astype(q.dtype)
            q = q - jnp.asarray(temperature, q.dtype) * safe
        new = jnp.sum(policy * q, axis=1)
        if mdp.terminal is None:
            return new
        return jnp.where(mdp.terminal, action_values(mdp, values)[:, 0], new)

    zero = jnp.zeros(mdp.num_states, mdp.reward.dtype)
    offset, linear = jax.linearize(lambda v: v - evaluate(v), zero)
    return solve(linear, -offset)
