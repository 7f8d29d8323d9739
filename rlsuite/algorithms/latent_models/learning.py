"""How a latent model learns: by gradients of a bound, and natural ones where a law is known."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rlsuite.algorithms.latent_models.config import Config
from rlsuite.algorithms.latent_models.evidence import (
    Parts,
    e2c_objective,
    evidence_bound,
    log_mean,
    path_parts,
)
from rlsuite.algorithms.latent_models.model import LatentModel, LatentParams, init_params
from rlsuite.data.pictures import PictureEpisodes
from rlsuite.ops.gaussian import Smoothed


class Learner(NamedTuple):
    """What learns.

    Attributes:
        model: The model.
        rule: From gradients to changes.
        config: The hyperparameters.
    """

    model: LatentModel
    rule: optax.GradientTransformation
    config: Config


class State(NamedTuple):
    """What training leaves.

    Attributes:
        params: What is learned.
        optimizer: The optimiser's state.
        updates: How many there have been.
    """

    params: LatentParams
    optimizer: Any
    updates: Int[Array, ""]


class Metrics(NamedTuple):
    """Of one update, the mean over its episodes, in nats.

    Attributes:
        pictures: Σ log p(o | s).
        costs: Σ log p(c | s, a).
        divergence: KL(q(s) ‖ p(s | a)); of "iwae", its mean over paths; of "e2c", both of its
            divergences.
    """

    pictures: Float[Array, ""]
    costs: Float[Array, ""]
    divergence: Float[Array, ""]


def default_optimizer(config: Config) -> optax.GradientTransformation:
    """Adam, with gradients clipped.

    Args:
        config: Of which ``clip``, ``learning_rate`` and ``adam_epsilon`` count.

    Returns:
        The transformation.
    """
    adam = optax.adam(config.learning_rate, eps=config.adam_epsilon)
    return optax.chain(optax.clip_by_global_norm(config.clip), adam)


def start(key: PRNGKeyArray, learner: Learner, shown: PictureEpisodes) -> State:
    """Before the first update.

    Args:
        key: Key.
        learner: What learns.
        shown: The episodes.

    Returns:
        The state.
    """
    params = init_params(key, learner.model, shown)
    return State(params, learner.rule.init(_free(learner.model, params)), jnp.int32(0))


def objective(
    key: PRNGKeyArray,
    learner: Learner,
    params: LatentParams,
    episode: PictureEpisodes,
    beta: float | Float[Array, ""],
) -> tuple[Float[Array, ""], tuple[Parts, Smoothed | None]]:
    """What is to be large, of one episode.

    Args:
        key: Key.
        learner: What learns, whose config names the objective.
        params: The model's parameters.
        episode: The episode.
        beta: β, what divergences weigh.

    Returns:
        (the objective, (its parts, the states' law where it is known)).
    """
    config, given, law = learner.config, (key, learner.model, params, episode), None
    if config.objective == "iwae":
        parts = path_parts(*given, config.paths, config.how)
    elif config.objective == "e2c":
        weight = config.consistency
        parts = e2c_objective(*given, consistency=weight, pictures=config.pictures)
    else:
        parts, law = evidence_bound(*given, pictures=config.pictures, how=config.how)
    value = config.picture_weight * parts.pictures + parts.costs - beta * parts.divergence
    if config.objective == "iwae":
        value = log_mean(value)
    return value, (jax.tree.map(jnp.mean, parts), law)


def update(
    key: PRNGKeyArray,
    learner: Learner,
    state: State,
    shown: PictureEpisodes,
    have: int | Int[Array, ""] | None = None,
) -> tuple[State, Metrics]:
    """One step: along the gradient, and of q(θ), if there is one, along the natural gradient.

    Args:
        key: Key.
        learner: What learns.
        state: What it is so far.
        shown: The episodes, of which some are drawn.
        have: How many of them there are, where others are room; None: all.

    Returns:
        (what it is then, the objective's parts before).
    """
    config, conjugate = learner.config, learner.model.transition.conjugate
    of_batch, of_bound = jax.random.split(key)
    episodes = len(shown.actions) if have is None else have
    chosen = jax.random.randint(of_batch, (config.batch_size,), 0, episodes)
    batch = jax.tree.map(lambda x: x[chosen], shown)
    steps = batch.actions.shape[1]
    if config.chunk_length is not None:
        batch = chunks(jax.random.fold_in(of_batch, 1), batch, config.chunk_length)
    keys = jax.random.split(of_bound, config.batch_size)
    beta = 1 + (config.temper - 1) * jnp.exp(-state.updates / config.temper_updates)

    def loss(free: LatentParams) -> tuple[Array, tuple[Parts, Smoothed | None]]:
        held = state.params.transition
        params = free if conjugate is None else free._replace(transition=held)
        each = jax.vmap(lambda key, episode: objective(key, learner, params, episode, beta))
        value, (parts, laws) = each(keys, batch)
        return -jnp.mean(value), (jax.tree.map(jnp.mean, parts), laws)

    free = _free(learner.model, state.params)
    slope, (parts, laws) = jax.grad(loss, has_aux=True)(free)
    change, optimizer = learner.rule.update(slope, state.optimizer, free)
    params = optax.apply_updates(free, change)
    if conjugate is not None:
        known, rate = state.params.transition, config.natural_rate
        like_these = jnp.asarray(episodes, float) * steps / batch.actions.shape[1]
        known = conjugate.update(known, laws, batch.actions, rate, like_these)
        params = params._replace(transition=known)
    return State(params, optimizer, state.updates + 1), Metrics(*parts)


def chunks(key: PRNGKeyArray, batch: PictureEpisodes, length: int) -> PictureEpisodes:
    """Of each episode, so many actions from anywhere on, and what was seen around them.

    Args:
        key: Key.
        batch: Episodes of T actions.
        length: How many, at most T.

    Returns:
        As many parts of them.
    """
    count, steps = batch.actions.shape[:2]
    begin = jax.random.randint(key, (count,), 0, steps - length + 1)

    def part(x: Array, extra: int) -> Array:
        cut = functools.partial(jax.lax.dynamic_slice_in_dim, slice_size=length + extra)
        return jax.vmap(cut)(x, begin)

    images = jax.tree.map(lambda x: part(x, 1), batch.images)
    actions, costs = (jax.tree.map(lambda x: part(x, 0), each) for each in batch[1:])
    return PictureEpisodes(images, actions, costs)


def _free(model: LatentModel, params: LatentParams) -> LatentParams:
    """What gradients move: q(θ) has an update of its own."""
    return params if model.transition.conjugate is None else params._replace(transition=())
