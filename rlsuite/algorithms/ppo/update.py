"""What a step of the algorithm does with what happened, wherever that was."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.algorithms.ppo import experience, learning
from rlsuite.algorithms.ppo.experience import Experience, Walkers
from rlsuite.algorithms.ppo.networks import ActorCritic
from rlsuite.algorithms.ppo.normalization import (
    Rewards,
    merge,
    moments,
    normalize,
    scale_rewards,
)
from rlsuite.algorithms.ppo.state import Config, Metrics, State
from rlsuite.envs.control import Actions

Learn = Callable[[PRNGKeyArray, State, Walkers, Experience], tuple[State, Metrics]]
"""From a key, a state, where the environments stand afterwards, and what happened."""


def begin(
    config: Config,
    network: ActorCritic,
    transformation: optax.GradientTransformation,
    key: PRNGKeyArray,
    walkers: Walkers,
) -> State:
    """Nothing is learned yet.

    Args:
        config: The hyperparameters.
        network: The actor-critic.
        transformation: The optimiser.
        key: Key of the parameters.
        walkers: Where the environments stand.

    Returns:
        The state.
    """
    example = jax.tree.map(lambda leaf: leaf[0], walkers.observation)
    params = network.init(key, example)
    seen = jax.tree.map(lambda leaf: moments(leaf.shape), example)
    return State(
        params=params,
        optimizer=transformation.init(params),
        walkers=walkers,
        last=jnp.zeros(2),
        observations=seen if config.normalize_observations else None,
        rewards=Rewards.unseen(config.num_envs) if config.normalize_rewards else None,
    )


def learner(
    actions: Actions,
    config: Config,
    network: ActorCritic,
    transformation: optax.GradientTransformation,
) -> Learn:
    """Steps of the optimiser towards what was better than expected.

    Args:
        actions: What actions there are.
        config: The hyperparameters.
        network: The actor-critic.
        transformation: The optimiser.

    Returns:
        The function that takes them.
    """
    loss = functools.partial(
        learning.loss,
        network,
        actions,
        clip=config.clip,
        value_weight=config.value_weight,
        entropy_weight=config.entropy_weight,
        clip_values=config.clip_values,
    )

    def learn(
        key: PRNGKeyArray, state: State, walkers: Walkers, happened: Experience
    ) -> tuple[State, Metrics]:
        seen, rewards, scaled = _normalized(config, state, happened)
        values, advantages = experience.estimate(
            network,
            state.params,
            scaled,
            walkers.carry,
            discount=config.discount,
            lambda_=config.lambda_,
        )
        (params, optimizer_state), losses = learning.improve(
            loss,
            transformation,
            key,
            (state.params, state.optimizer),
            _sequences(network, state.walkers.carry, scaled, values, advantages),
            num_epochs=config.num_epochs,
            num_minibatches=config.num_minibatches,
        )
        losses = jax.tree.map(jnp.mean, losses)
        last = _finished(state.last, happened)
        state = State(params, optimizer_state, walkers, last, seen, rewards)
        return state, Metrics(losses, _explained_variance(values, advantages), *last)

    return learn


def _normalized(config: Config, state: State, happened: Experience) -> tuple[Any, Any, Experience]:
    """What has been seen by now of observations and of rewards, and the normalised experience.

    Observations are normalised as they were when the policy acted on them.
    """
    seen, rewards, scaled = state.observations, state.rewards, happened.rewards
    if rewards is not None:
        rewards, scaled = scale_rewards(rewards, scaled, happened.ends, config.discount)
    if seen is not None:
        flat = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), happened.observations)
        seen = jax.tree.map(lambda new, old: merge(old, new), flat, seen)
    return (
        seen,
        rewards,
        happened._replace(
            observations=normalize(state.observations, happened.observations),
            next_observations=normalize(state.observations, happened.next_observations),
            rewards=scaled,
        ),
    )


def _sequences(
    network: ActorCritic,
    carry: Any,
    happened: Experience,
    values: Float[Array, "time environment"],
    advantages: Float[Array, "time environment"],
) -> tuple[Any, learning.Batch]:
    """What is learned from: whole sequences with a memory, single transitions without."""
    batch = learning.Batch(
        observations=happened.observations,
        masks=happened.masks,
        is_first=happened.is_first,
        actions=happened.actions,
        log_probs=happened.log_probs,
        values=values,
        advantages=advantages,
    )
    if network.is_recurrent:
        return carry, batch
    return carry, jax.tree.map(lambda leaf: leaf.reshape(1, -1, *leaf.shape[2:]), batch)


def _finished(before: Float[Array, " 2"], happened: Experience) -> Float[Array, " 2"]:
    """The mean return and length of the episodes that ended; those before, if none did."""
    sums = jnp.stack([happened.episode_returns, happened.episode_lengths])
    count = jnp.sum(happened.ends)
    means = jnp.sum(sums * happened.ends, axis=(1, 2)) / jnp.maximum(count, 1)
    return jnp.where(count > 0, means, before)


def _explained_variance(values: Array, advantages: Array) -> Float[Array, ""]:
    variance = jnp.var(values + advantages)
    return jnp.where(variance > 1e-8, 1.0 - jnp.var(advantages) / jnp.maximum(variance, 1e-8), 0.0)
