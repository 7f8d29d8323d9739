"""Bellman operators, hard and soft.

With temperature τ the value of a state is the maximum, over distributions π of its actions, of the
expected action value plus τ times the entropy of π:

    V(s) = max_π Σ_a π(a) Q(s,a) + τ H(π) = τ log Σ_a exp(Q(s,a)/τ),    π(a|s) = exp((Q − V)/τ),

which tends to the hard V(s) = max_a Q(s,a) as τ → 0; a temperature of None is that limit. How the
entropy of the dynamics counts is a second choice:

    "causal":     Q(s,a) = r + γ E[V(s')|s,a]                  (maximum causal entropy)
    "trajectory": Q(s,a) = r + γ τ log E[exp(V(s')/τ)|s,a]     (maximum entropy of trajectories)

For deterministic dynamics they agree. For stochastic ones the second weighs a path by its
probability under the dynamics times the exponential of its reward, as if the dynamics' luck could
be chosen; it is the model of Ziebart (2008), kept for comparison.

Reference:
    Ziebart, Maas, Bagnell and Dey (2008), "Maximum entropy inverse reinforcement learning",
    equations 4-5 and algorithm 1 ("trajectory").
    Ziebart (2010), "Modeling purposeful adaptive behavior with the principle of maximum causal
    entropy", thesis, chapter 9 ("causal").
    Haarnoja, Tang, Abbeel and Levine (2017), "Reinforcement learning with deep energy-based
    policies", theorems 1-2 (the discounted soft Bellman equation).
"""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from rlsuite.ops.tabular.mdp import MDP, allowed_actions, standardise, terminal_values
from rlsuite.ops.tabular.transitions import log_expect_exp

Scalar = float | Float[Array, ""]
Entropy = Literal["causal", "trajectory"]


def action_values(
    mdp: MDP,
    values: Float[Array, " state"],
    *,
    temperature: Scalar | None = None,
    entropy: Entropy = "causal",
) -> Float[Array, "state action"]:
    """One step of lookahead, Q(s,a) = r(s,a) + γ E[V(s')|s,a].

    Args:
        mdp: The decision process.
        values: V, ``[state]``.
        temperature: τ, in units of reward; needed for entropy "trajectory" only.
        entropy: "causal", or "trajectory" for γ τ log E[exp(V/τ)] in place of γ E[V].

    Returns:
        Q, ``[state, action]``: finite for disallowed actions too (what they would be worth), and
        at a terminal state its value for every action.

    Example:
        >>> import jax.numpy as jnp
        >>> from rlsuite.ops import tabular
        >>> ring = tabular.Gather(jnp.array([[0, 1], [1, 2], [2, 0]]))
        >>> mdp = tabular.MDP(ring, jnp.array([0.0, 0.0, 1.0]), jnp.ones(3) / 3, discount=0.5)
        >>> tabular.action_values(mdp, jnp.array([0.0, 0.0, 2.0])).tolist()
        [[0.0, 0.0], [0.0, 1.0], [2.0, 1.0]]
    """
    mdp = standardise(mdp)
    values = values.astype(mdp.reward.dtype)
    if entropy == "causal":
        future = mdp.transition.expect(values)
    else:
        tau = jnp.asarray(temperature, values.dtype)
        future = tau * log_expect_exp(mdp.transition, values / tau)
    reward = mdp.reward if mdp.reward.ndim == 2 else mdp.reward[:, None]
    q = reward + mdp.discount * future
    if mdp.terminal is None:
        return q
    return jnp.where(mdp.terminal[:, None], terminal_values(mdp)[:, None], q)


def backup(
    mdp: MDP, q: Float[Array, "state action"], temperature: Scalar | None = None
) -> Float[Array, " state"]:
    """The value of acting well, max_a Q(s,a), or τ log Σ_a exp(Q(s,a)/τ).

    Args:
        mdp: The decision process, for its masks and terminal states.
        q: Q, ``[state, action]``.
        temperature: τ, in units of reward; None for the maximum.

    Returns:
        V, ``[state]``.

    Example:
        >>> import jax.numpy as jnp
        >>> from rlsuite.ops import tabular
        >>> ring = tabular.Gather(jnp.array([[0, 1], [1, 2], [2, 0]]))
        >>> mdp = tabular.MDP(ring, jnp.array([0.0, 0.0, 1.0]), jnp.ones(3) / 3, discount=0.5)
        >>> tabular.backup(mdp, jnp.array([[0.0, 1.0], [3.0, 2.0], [0.0, 0.0]])).tolist()
        [1.0, 3.0, 0.0]
    """
    if temperature is None:
        values = _largest(_mask(mdp, q))
    else:
        tau = jnp.asarray(temperature, q.dtype)
        values = tau * _log_sum_exp(_mask(mdp, q / tau))
    if mdp.terminal is None:
        return values
    return jnp.where(jnp.asarray(mdp.terminal), terminal_values(mdp).astype(q.dtype), values)


@jax.custom_jvp
def _largest(q: Float[Array, "state action"]) -> Float[Array, " state"]:
    """max_a Q(s,a), with the derivative of the first best action.

    JAX's own derivative of a maximum asks which actions equal it, and where XLA rounds Q
    differently in its two uses, none does.
    """
    return jnp.max(q, axis=1)


@_largest.defjvp
def _of_the_first(
    primals: tuple[Float[Array, "state action"]], tangents: tuple[Float[Array, "state action"]]
) -> tuple[Float[Array, " state"], Float[Array, " state"]]:
    (q,), (change,) = primals, tangents
    return _largest(q), jnp.sum(jnp.where(_is_first(q), change, 0), axis=1)


def _is_first(q: Float[Array, "state action"]) -> Bool[Array, "state action"]:
    """Whether an action is the first best one, whatever XLA rounds differently elsewhere."""
    return jnp.argmax(q, axis=1, keepdims=True) == jnp.arange(q.shape[1])


def log_policy(
    mdp: MDP, q: Float[Array, "state action"], temperature: Scalar | None = None
) -> Float[Array, "state action"]:
    """The policy that :func:`backup` values, log π(a|s).

    With a temperature, (Q(s,a) − V(s))/τ. Without, the greedy policy: actions within rounding of
    the best, ε^¾ max|Q| with the float type's ε, share its probability uniformly.

    Args:
        mdp: The decision process, for its masks and terminal states.
        q: Q, ``[state, action]``.
        temperature: τ, in units of reward; None for the greedy policy.

    Returns:
        log π, ``[state, action]``: −inf for disallowed actions, uniform at terminal states (where
        nothing is done).

    Example:
        >>> import jax.numpy as jnp
        >>> from rlsuite.ops import tabular
        >>> ring = tabular.Gather(jnp.array([[0, 1], [1, 2], [2, 0]]))
        >>> mdp = tabular.MDP(ring, jnp.array([0.0, 0.0, 1.0]), jnp.ones(3) / 3, discount=0.5)
        >>> greedy = tabular.log_policy(mdp, jnp.array([[0.0, 1.0], [3.0, 2.0], [1.0, 1.0]]))
        >>> jnp.exp(greedy).tolist()
        [[0.0, 1.0], [1.0, 0.0], [0.5, 0.5]]
    """
    if temperature is None:
        masked = _mask(mdp, q)
        top = jnp.max(masked, axis=1, keepdims=True)
        slack = jnp.finfo(q.dtype).eps ** 0.75 * jnp.max(jnp.abs(top))
        best = _is_first(masked) | (masked >= top - slack)
        count = jnp.sum(best, axis=1, keepdims=True).astype(q.dtype)
        return jnp.where(best, -jnp.log(count), -jnp.inf)
    logits = q / jnp.asarray(temperature, q.dtype)
    return _mask(mdp, logits - _log_sum_exp(_mask(mdp, logits))[:, None])


def _mask(mdp: MDP, scores: Float[Array, "state action"]) -> Float[Array, "state action"]:
    allowed = allowed_actions(mdp)
    return scores if allowed is None else jnp.where(allowed, scores, -jnp.inf)


def _log_sum_exp(scores: Float[Array, "state action"]) -> Float[Array, " state"]:
    """Over actions, of which at least one is finite."""
    top = jax.lax.stop_gradient(jnp.max(scores, axis=1))
    return top + jnp.log(jnp.sum(jnp.exp(scores - top[:, None]), axis=1))
