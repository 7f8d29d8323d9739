r"""The clipped surrogate, and passes over what was experienced.

With ρ_t = π_θ(a_t|o_t) / π_old(a_t|o_t), advantages A_t normalised within the minibatch, returns
g_t = A_t + V_old(o_t) and V_t = V_φ(o_t), minimise the mean over t of

    − min(ρ_t A_t, clip(ρ_t, 1 − ε, 1 + ε) A_t)
    + ½ c_v max((V_t − g_t)², (V_old + clip(V_t − V_old, −ε, ε) − g_t)²)
    − c_h H(π_θ(·|o_t)).

Without clipped values, the second term is ½ c_v (V_t − g_t)².

References:
    Schulman, Wolski, Dhariwal, Radford, Klimov: Proximal policy optimization algorithms. 2017,
    arXiv:1707.06347, eq. 7 and 9.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from rlsuite.algorithms.ppo.networks import ActorCritic, distribution
from rlsuite.envs.control import Actions
from rlsuite.nets.network import Params
from rlsuite.nets.recurrent import Carry


class Batch(NamedTuple):
    """Sequences to learn from, ``[time, sequence]``.

    Attributes:
        observations: o_t.
        masks: Which actions were allowed; None if all always are.
        is_first: Whether an episode begins with o_t.
        actions: a_t.
        log_probs: log π_old(a_t | o_t).
        values: V_old(o_t).
        advantages: A_t, before they are normalised.
    """

    observations: Any
    masks: Bool[Array, "time sequence action"] | None
    is_first: Bool[Array, "time sequence"]
    actions: Float[Array, "time sequence action"]
    log_probs: Float[Array, "time sequence"]
    values: Float[Array, "time sequence"]
    advantages: Float[Array, "time sequence"]


class Losses(NamedTuple):
    """Of one minibatch.

    Attributes:
        policy_loss: Minus the clipped surrogate.
        value_loss: Half the squared error.
        entropy: Of the policy.
        kl: Mean of ρ − 1 − log ρ, an estimate of KL(π_old ‖ π_θ) that is never negative.
        clip_fraction: The share of ratios outside the clip.
    """

    policy_loss: Float[Array, ""]
    value_loss: Float[Array, ""]
    entropy: Float[Array, ""]
    kl: Float[Array, ""]
    clip_fraction: Float[Array, ""]


def loss(
    network: ActorCritic,
    actions: Actions,
    params: Params,
    carry: Carry,
    batch: Batch,
    *,
    clip: float | Float[Array, ""],
    value_weight: float | Float[Array, ""],
    entropy_weight: float | Float[Array, ""],
    clip_values: bool,
) -> tuple[Float[Array, ""], Losses]:
    """The loss of a minibatch; see the module.

    Args:
        network: The actor-critic.
        actions: What actions there are.
        params: Its parameters.
        carry: What was remembered at the beginning of each sequence.
        batch: The sequences.
        clip: ε.
        value_weight: c_v.
        entropy_weight: c_h.
        clip_values: Whether values are clipped.

    Returns:
        (loss, its parts).
    """
    _, outputs = network.apply(params, carry, batch.observations, batch.is_first)
    policy = distribution(actions, outputs.head, batch.masks)
    log_ratio = policy.log_prob(batch.actions) - batch.log_probs
    ratio = jnp.exp(log_ratio)
    spread = jnp.std(batch.advantages) + 1e-8
    advantages = (batch.advantages - jnp.mean(batch.advantages)) / spread
    clipped = jnp.clip(ratio, 1.0 - clip, 1.0 + clip)
    targets = batch.advantages + batch.values
    errors = jnp.square(outputs.value - targets)
    if clip_values:
        near = batch.values + jnp.clip(outputs.value - batch.values, -clip, clip)
        errors = jnp.maximum(errors, jnp.square(near - targets))
    losses = Losses(
        policy_loss=-jnp.mean(jnp.minimum(ratio * advantages, clipped * advantages)),
        value_loss=0.5 * jnp.mean(errors),
        entropy=jnp.mean(policy.entropy()),
        kl=jnp.mean(ratio - 1.0 - log_ratio),
        clip_fraction=jnp.mean(jnp.abs(ratio - 1.0) > clip),
    )
    total = losses.policy_loss + value_weight * losses.value_loss
    return total - entropy_weight * losses.entropy, losses


def shuffle(
    key: PRNGKeyArray, carry: Carry, batch: Batch, num_minibatches: int
) -> tuple[Carry, Batch]:
    """All sequences in a new order, in minibatches.

    Args:
        key: Key.
        carry: What was remembered at the beginning of each sequence.
        batch: The sequences.
        num_minibatches: Into how many parts, a divisor of the number of sequences.

    Returns:
        Carries and sequences, with a first axis of minibatches.
    """
    order = _order(key, batch.values.shape[1])

    def of_carry(leaf: Array) -> Array:
        return leaf[order].reshape(num_minibatches, -1, *leaf.shape[1:])

    def of_batch(leaf: Array) -> Array:
        parts = leaf[:, order].reshape(leaf.shape[0], num_minibatches, -1, *leaf.shape[2:])
        return jnp.moveaxis(parts, 1, 0)

    return jax.tree.map(of_carry, carry), jax.tree.map(of_batch, batch)


def _order(key: PRNGKeyArray, count: int) -> Int[Array, " count"]:
    """A random order, by one sort of 64 bits each where JAX's own permutation sorts 32 twice."""
    high, low = jax.random.bits(key, (2, count))
    return jax.lax.sort((high, low, jnp.arange(count)), num_keys=2, is_stable=False)[2]


def improve(
    loss_of: Callable[[Params, Carry, Batch], tuple[Float[Array, ""], Losses]],
    optimizer: optax.GradientTransformation,
    key: PRNGKeyArray,
    learned: tuple[Params, Any],
    sequences: tuple[Carry, Batch],
    *,
    num_epochs: int,
    num_minibatches: int,
) -> tuple[tuple[Params, Any], Losses]:
    """Passes over all sequences, each in a new order, with a step for each minibatch.

    Args:
        loss_of: From parameters, carries and sequences to the loss and its parts.
        optimizer: The optimiser.
        key: Key.
        learned: (parameters, state of the optimiser).
        sequences: (what was remembered at the beginning of each sequence, the sequences).
        num_epochs: How many passes.
        num_minibatches: Into how many parts, a divisor of the number of sequences.

    Returns:
        (what was learned, the losses' parts ``[epoch, minibatch]``, each before its step).
    """

    def step(learned: tuple[Params, Any], part: tuple[Carry, Batch]) -> Any:
        params, state = learned
        gradient, losses = jax.grad(loss_of, has_aux=True)(params, *part)
        updates, state = optimizer.update(gradient, state, params)
        return (optax.apply_updates(params, updates), state), losses

    def epoch(learned: tuple[Params, Any], key: PRNGKeyArray) -> Any:
        return jax.lax.scan(step, learned, shuffle(key, *sequences, num_minibatches))

    return jax.lax.scan(epoch, learned, jax.random.split(key, num_epochs))
