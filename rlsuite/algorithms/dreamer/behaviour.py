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
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

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
frozen = jax.lax.stop_gradient


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

    def scale(self, behaviour: Behaviour) -> Float[Array, ""]:
        """S, by which returns are divided; 1 without normalisation."""
        if not behaviour.normalize_returns:
            return jnp.ones(())
        return jnp.maximum(behaviour.range_floor, self.high - self.low)


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


class Starts(NamedTuple):
    """Replayed states from which to dream.

    Attributes:
        states: The states, leaves ``[start, …]``.
        is_terminal: Whether each is an end.
        chosen: Where they are among all replayed states, one sequence after the other; None if
            these are all of them.
    """

    states: Any
    is_terminal: Bool[Array, " start"]
    chosen: Int[Array, " start"] | None

    def put(
        self, returns: Float[Array, " start"], values: Float[Array, "sequence time"]
    ) -> Float[Array, "sequence time"]:
        """The imagined returns of the states that were dreamt from, the values of the others."""
        if self.chosen is None:
            return returns.reshape(values.shape)
        return values.reshape(-1).at[self.chosen].set(returns).reshape(values.shape)


def starts_of(
    key: PRNGKeyArray, states: Any, is_terminal: Bool[Array, "sequence time"], count: int
) -> Starts:
    """Choose replayed states to dream from, without replacement.

    Args:
        key: Key.
        states: Replayed states, leaves ``[sequence, time, …]``.
        is_terminal: Whether each is an end.
        count: How many; 0 for all.

    Returns:
        The starts.
    """
    starts = Starts(states, is_terminal, None)
    starts = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), starts)
    if not count:
        return starts
    chosen = jax.random.permutation(key, is_terminal.size)[:count]
    return jax.tree.map(lambda x: x[chosen], starts)._replace(chosen=chosen)


def counts(
    ended: Bool[Array, " start"],
    continuations: Float[Array, "time start"],
    behaviour: Behaviour,
) -> Float[Array, "time start"]:
    """The weights of the losses: ``weights``, and zero beyond ``behaviour.reach``.

    Args:
        ended: Whether the start is an end.
        continuations: c_t.
        behaviour: γ, the horizon and its reach.

    Returns:
        w_t; with a reach, scaled such that the mean over the horizon is that over the reach.
    """
    weight = weights(1.0 - ended, behaviour.discount * continuations)
    if behaviour.reach is None:
        return weight
    within = jnp.arange(behaviour.horizon) < behaviour.reach
    return weight * within[:, None] * behaviour.horizon / behaviour.reach


def objective(
    chances: Any,
    taken: Float[Array, "time start action"],
    returns: Float[Array, "time start"],
    values: Float[Array, "time start"],
    behaviour: Behaviour,
) -> Float[Array, "time start"]:
    """What the policy maximises apart from its entropy; its gradient is what matters.

    Args:
        chances: π(· | s_t).
        taken: a_t.
        returns: g_t / S, differentiable in the actions.
        values: V(s_t) / S.
        behaviour: Which gradient.

    Returns:
        ρ ln π(a_t | s_t) sg[(g_t − V(s_t)) / S] + (1 − ρ) g_t / S.
    """
    share = {"dynamics": 0.0, "reinforce": 1.0, "mix": behaviour.mix}[behaviour.gradient]
    total = jnp.zeros_like(returns)
    if behaviour.gradient != "dynamics":
        total += share * chances.log_prob(frozen(taken)) * frozen(returns - values)
    if behaviour.gradient != "reinforce":
        total += (1 - share) * returns
    return total


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
    scored = behaviour.gradient == "reinforce"
    of_starts, of_steps = jax.random.split(key)

    def policy_of(params: Params, features: Array, mask: Array | None) -> Any:
        return distribution(networks.policy.apply(params, features), mask, actions, behaviour)

    def critic(params: Params, features: Array) -> Any:
        return head(config.model, networks.value.apply(params, features))

    def act(key: PRNGKeyArray, features: Array, mask: Array | None) -> Array:
        return policy_of(frozen(policy) if scored else policy, features, mask).sample(key)

    def disagreement(found: Any, features: Array, targets: Array) -> Array:
        old = frozen(critic(slow, features).mean())
        return -found.log_prob(frozen(targets)) - behaviour.slow_scale * found.log_prob(old)

    starts = starts_of(of_starts, states, timesteps.is_terminal, behaviour.starts)
    imagined = imagine(
        dynamics, frozen(world), act, of_steps, frozen(starts.states), behaviour.horizon
    )
    before, masks = jax.tree.map(lambda x: frozen(x[:-1]), (imagined.features, imagined.masks))
    judged = critic(value, before)
    bootstrap = frozen(slow if behaviour.slow_target else value)
    if scored and not behaviour.slow_target:
        # The critic has judged all of these features but the last.
        last = critic(bootstrap, imagined.features[-1]).mean()
        values = jnp.concatenate([frozen(judged.mean()), last[None]])
    else:
        values = critic(bootstrap, imagined.features).mean()
    returns = returns_of(imagined, values, behaviour)
    spread = follow(past, frozen(returns), behaviour.range_rate)
    weight = counts(starts.is_terminal, frozen(imagined.continuations), behaviour)

    chances = policy_of(policy, before, masks)
    entropy = chances.entropy()
    scale = spread.scale(behaviour)
    worth = objective(chances, imagined.actions, returns / scale, values[:-1] / scale, behaviour)

    seen = dynamics.features(world, states)
    real = replayed_returns(
        timesteps, starts.put(frozen(returns[0]), frozen(critic(bootstrap, seen).mean())), behaviour
    )
    going = 1.0 - timesteps.is_last[:, :-1]
    replayed = going * disagreement(critic(value, seen[:, :-1]), seen[:, :-1], real)
    of_dreams = weight * disagreement(judged, before, returns)
    return Losses(
        policy=-jnp.mean(weight * (worth + behaviour.entropy * entropy)),
        value=jnp.mean(of_dreams) + behaviour.replay_value_scale * jnp.mean(replayed),
        range=spread,
        imagined_return=jnp.mean(frozen(returns[0])),
        entropy=jnp.mean(entropy),
    )
