r"""Policies and critics, learned on imagined trajectories.

From states s_0, the policy acts for H steps in the forward model. With V(s) the critic, γ the
discount, and c_t the probability that s_{t+1} is not the end,

    g_t = r_t + γ c_t ((1 − λ) V(s_{t+1}) + λ g_{t+1}),        g_{H−1} = r_{H−1} + γ c_{H−1} V(s_H),

and every step counts as much as it is probable to be reached: w_t = c_{−1} Π_{k<t} γ c_k, where
c_{−1} is 0 if s_0 itself is an end. The policy minimises one of

    dynamics     − Σ_t w_t ( g_t / S + η H[π(· | s_t)] ),      g_t differentiated through the model;
    reinforce    − Σ_t w_t ( ln π(a_t | s_t) sg[(g_t − V(s_t)) / S] + η H[π(· | s_t)] );
    mix          ρ times the second's and 1 − ρ times the first's returns.

S = max(floor, range of g), the range from the 5th to the 95th percentile, smoothed over updates.
The critic V(s) = E[v], v ~ p(v | s), minimises

    − Σ_t w_t ( ln p(sg g_t | s_t) + ln p(V_slow(s_t) | s_t) )

and, on replayed sequences, the same with λ-returns of the real rewards that bootstrap from the
imagined returns of the states that follow.

References:
    Hafner et al. 2020, arXiv:1912.01603, eqs. 4 to 8 (V1); 2021, arXiv:2010.02193, eq. 6 (V2);
    2023, arXiv:2301.04104, eqs. 6 to 12 (V3).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rlsuite.algorithms.dreamer.config import Behaviour, Config
from rlsuite.algorithms.dreamer.dynamics import Dynamics, Imagined, imagine
from rlsuite.algorithms.dreamer.world import head, head_size
from rlsuite.envs.control import Actions, Timestep
from rlsuite.nets import Network
from rlsuite.nets.layers import MLP
from rlsuite.ops.distributions import (
    MultiCategorical,
    bounded_normal,
    mask_logits,
    tanh_normal,
)
from rlsuite.ops.returns import lambda_returns

Params = Any


class Heads(NamedTuple):
    """Policy and critic.

    Attributes:
        policy: Features to the parameters of ``distribution``.
        value: Features to the parameters of the critic's distribution.
    """

    policy: Network
    value: Network


def heads(actions: Actions, config: Config) -> Heads:
    """The default networks.

    Args:
        actions: What actions there are.
        config: Their sizes.

    Returns:
        Both.
    """
    layers, units = config.behaviour.policy_layers, config.model.units
    outputs = actions.size * (1 if actions.is_discrete else 2)
    zero = 0.0 if config.model.heads == "twohot" else 1.0
    policy = MLP(layers, units, outputs, 0.01)
    value = MLP(layers, units, head_size(config.model), zero)
    return Heads(Network(policy.init, policy.apply), Network(value.init, value.apply))


def distribution(
    outputs: Float[Array, "*batch outputs"],
    mask: Bool[Array, "*batch action"] | None,
    actions: Actions,
    behaviour: Behaviour,
) -> Any:
    """The policy's distribution of actions.

    Args:
        outputs: What the network said.
        mask: Which entries of an action are allowed; None for all.
        actions: What actions there are.
        behaviour: Of which kind it is.

    Returns:
        A distribution of actions as vectors.
    """
    if actions.is_discrete:
        edges = np.cumsum(actions.sizes)[:-1].tolist()
        parts = jnp.split(outputs, edges, axis=-1)
        if mask is not None:
            allowed = jnp.split(mask, edges, axis=-1)
            parts = [mask_logits(*pair) for pair in zip(parts, allowed, strict=True)]
        return MultiCategorical(tuple(parts), behaviour.policy_unimix)
    mean, std = jnp.split(outputs, 2, axis=-1)
    if behaviour.policy == "tanh":
        return tanh_normal(mean, std, min_std=behaviour.min_std)
    return bounded_normal(mean, std, min_std=behaviour.min_std, max_std=behaviour.max_std)


class Range(NamedTuple):
    """The smoothed 5th and 95th percentiles of returns."""

    low: Float[Array, ""]
    high: Float[Array, ""]


def follow(past: Range, returns: Float[Array, "*batch"], rate: float | Array) -> Range:
    """Move the percentiles towards those of a batch.

    Args:
        past: Where they were.
        returns: The batch.
        rate: How fast.

    Returns:
        Where they are.
    """
    low, high = jnp.percentile(returns, jnp.asarray([5.0, 95.0]))
    return Range(past.low + rate * (low - past.low), past.high + rate * (high - past.high))


class Losses(NamedTuple):
    """What policy and critic minimise, and what there is to watch.

    Attributes:
        policy: The policy's loss.
        value: The critic's, imagined and replayed.
        range: The percentiles with this batch.
        imagined_return: Mean λ-return of the first imagined step.
        entropy: The policy's mean entropy.
    """

    policy: Float[Array, ""]
    value: Float[Array, ""]
    range: Range
    imagined_return: Float[Array, ""]
    entropy: Float[Array, ""]


def weights(
    alive: Float[Array, "*batch"], discounts: Float[Array, "time ..."]
) -> Float[Array, "time ..."]:
    """How much each imagined step counts: w_t = alive · Π_{k<t} discount_k.

    Args:
        alive: 0 where the start is an end, else 1.
        discounts: γ c_t.

    Returns:
        w_t; a step's own outcome does not enter it.

    Example:
        >>> weights(jnp.ones(()), jnp.asarray([0.5, 0.5, 0.5])).tolist()
        [1.0, 0.5, 0.25]
    """
    return jnp.cumprod(jnp.concatenate([alive[None], discounts[:-1]]), axis=0)


def returns_of(
    imagined: Imagined, values: Float[Array, "steps ..."], behaviour: Behaviour
) -> Float[Array, "time ..."]:
    """λ-returns of imagined trajectories.

    Args:
        imagined: The trajectories.
        values: V(s_0) … V(s_H).
        behaviour: γ and λ.

    Returns:
        g_0 … g_{H−1}.
    """
    lambda_ = behaviour.lambda_ * jnp.ones(len(imagined.rewards))
    if behaviour.reach is not None:
        lambda_ *= jnp.arange(len(imagined.rewards)) < behaviour.reach - 1

    def of_one(rewards: Array, continuations: Array, values: Array) -> Array:
        discounts = behaviour.discount * continuations
        return lambda_returns(rewards, discounts, values[1:], lambda_)

    for _ in imagined.rewards.shape[1:]:
        of_one = jax.vmap(of_one, in_axes=-1, out_axes=-1)
    return of_one(imagined.rewards, imagined.continuations, values)


def replayed_returns(
    timesteps: Timestep, bootstraps: Float[Array, "sequence time"], behaviour: Behaviour
) -> Float[Array, "sequence time_1"]:
    """λ-returns of replayed sequences, of all time steps but the last.

    Args:
        timesteps: The sequences.
        bootstraps: What every state is worth.
        behaviour: γ and λ.

    Returns:
        The return from each time step on; it ends with the episode.
    """
    rewards, last, ends = (
        x[:, 1:] for x in (timesteps.reward, timesteps.is_last, timesteps.is_terminal)
    )
    discounts = behaviour.discount * (1.0 - ends)

    def of_one(rewards: Array, discounts: Array, values: Array, last: Array) -> Array:
        return lambda_returns(rewards, discounts, values, behaviour.lambda_, ends=last)

    return jax.vmap(of_one)(rewards, discounts, bootstraps[:, 1:], last)


def losses(
    policy: Params,
    value: Params,
    slow: Params,
    world: Params,
    past: Range,
    key: PRNGKeyArray,
    states: Any,
    timesteps: Timestep,
    *,
    dynamics: Dynamics,
    networks: Heads,
    actions: Actions,
    config: Config,
) -> Losses:
    """Imagine from replayed states, and judge what was imagined.

    Args:
        policy: The policy's parameters.
        value: The critic's.
        slow: The slow critic's.
        world: The model's.
        past: The percentiles so far.
        key: Key.
        states: Replayed states, leaves ``[sequence, time, …]``; the model learns from the critic's
            loss on them.
        timesteps: Their time steps.
        dynamics: The model.
        networks: Policy and critic.
        actions: What actions there are.
        config: The hyperparameters.

    Returns:
        The losses.
    """
    behaviour = config.behaviour
    frozen = jax.lax.stop_gradient
    of_starts, of_steps = jax.random.split(key)

    def policy_of(params: Params, features: Array, mask: Array | None) -> Any:
        return distribution(networks.policy.apply(params, features), mask, actions, behaviour)

    def critic(params: Params, features: Array) -> Any:
        return head(config.model, networks.value.apply(params, features))

    scored = behaviour.gradient == "reinforce"
    chooser = frozen(policy) if scored else policy

    def act(key: PRNGKeyArray, features: Array, mask: Array | None) -> Array:
        return policy_of(chooser, features, mask).sample(key)

    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), (states, timesteps.is_terminal))
    starts, ended = frozen(flat)
    chosen = None
    if behaviour.starts:
        chosen = jax.random.permutation(of_starts, ended.shape[0])[: behaviour.starts]
        starts, ended = jax.tree.map(lambda x: x[chosen], (starts, ended))
    imagined = imagine(dynamics, frozen(world), act, of_steps, starts, behaviour.horizon)

    before, masks = frozen((imagined.features, imagined.masks))
    before, masks = jax.tree.map(lambda x: x[:-1], (before, masks))
    judged = critic(value, before)
    bootstrap = frozen(slow if behaviour.slow_target else value)
    if scored and not behaviour.slow_target:
        # The critic has judged all of these features but the last.
        last = critic(bootstrap, imagined.features[-1]).mean()
        values = jnp.concatenate([frozen(judged.mean()), last[None]])
    else:
        values = critic(bootstrap, imagined.features).mean()
    returns = returns_of(imagined, values, behaviour)
    discounts = behaviour.discount * frozen(imagined.continuations)
    weight = weights(1.0 - ended, discounts)
    if behaviour.reach is not None:
        counted = jnp.arange(behaviour.horizon) < behaviour.reach
        weight = weight * counted[:, None] * behaviour.horizon / behaviour.reach
    spread = follow(past, frozen(returns), behaviour.range_rate)
    scale = jnp.ones(())
    if behaviour.normalize_returns:
        scale = jnp.maximum(behaviour.range_floor, spread.high - spread.low)

    chances = policy_of(policy, before, masks)
    entropy = chances.entropy()
    objective = behaviour.entropy * entropy
    share = {"dynamics": 0.0, "reinforce": 1.0, "mix": behaviour.mix}[behaviour.gradient]
    if behaviour.gradient != "dynamics":
        advantage = frozen(returns - values[:-1]) / scale
        objective += share * chances.log_prob(frozen(imagined.actions)) * advantage
    if behaviour.gradient != "reinforce":
        objective += (1 - share) * returns / scale

    def disagreement(found: Any, features: Array, targets: Array) -> Array:
        old = frozen(critic(slow, features).mean())
        return -found.log_prob(frozen(targets)) - behaviour.slow_scale * found.log_prob(old)

    value_loss = jnp.mean(weight * disagreement(judged, before, returns))
    seen = dynamics.features(world, states)
    worth = frozen(critic(bootstrap, seen).mean())
    if chosen is None:
        worth = frozen(returns[0].reshape(worth.shape))
    else:
        worth = worth.reshape(-1).at[chosen].set(frozen(returns[0])).reshape(worth.shape)
    real = replayed_returns(timesteps, worth, behaviour)
    going = 1.0 - timesteps.is_last[:, :-1]
    replayed = disagreement(critic(value, seen[:, :-1]), seen[:, :-1], real)
    value_loss += behaviour.replay_value_scale * jnp.mean(going * replayed)
    return Losses(
        policy=-jnp.mean(weight * objective),
        value=value_loss,
        range=spread,
        imagined_return=jnp.mean(frozen(returns[0])),
        entropy=jnp.mean(entropy),
    )
