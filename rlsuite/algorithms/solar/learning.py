r"""Stochastic variational inference: gradients for networks, natural gradients for the dynamics."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int, PRNGKeyArray

from rlsuite.algorithms.solar import model
from rlsuite.algorithms.solar.config import Config
from rlsuite.algorithms.solar.model import Params, Parts
from rlsuite.data.pictures import PictureEpisodes, to_light
from rlsuite.nets.costs import start_cost
from rlsuite.nets.sight_networks import Networks
from rlsuite.ops import mniw
from rlsuite.ops.mniw import Expected, Natural

_STEP = 0.1  # a priori, by how much a velocity of 1 moves its place


class Learner(NamedTuple):
    """A model that learns.

    Attributes:
        params: What gradients move.
        optimizer: The optimiser's state.
        known: q(F, Σ).
        updates: How many there have been.
    """

    params: Params
    optimizer: Any
    known: Natural
    updates: Int[Array, ""]


def start_learning(
    networks: Networks,
    transformation: optax.GradientTransformation,
    config: Config,
    shown: PictureEpisodes,
    key: PRNGKeyArray,
) -> Learner:
    """A model that knows how large costs are, and what its encoder is prepared by."""
    of_encoder, of_decoder = jax.random.split(key)
    n, m = config.size, shown.actions.shape[-1]
    image = jnp.zeros(shown.images.shape[2:])
    encoder = networks.encoder.init(of_encoder, image)
    decoder = networks.decoder.init(of_decoder, jnp.zeros(n))
    if networks.prepare is not None:
        encoder, decoder = networks.prepare(encoder, decoder, to_light(shown.images))
    params = Params(
        encoder,
        decoder,
        start_cost(n + m, shown.costs),
        jnp.zeros(n),
        jnp.zeros(n),
    )
    known = learning_prior(config, m)
    return Learner(params, transformation.init(params), known, jnp.int32(0))


def learning_prior(config: Config, actions: int) -> Natural:
    """What is known of (F, Σ) in advance.

    Args:
        config: Of which ``size``, ``velocities``, ``prior_noise``, ``timed`` and ``length`` count.
        actions: m.

    Returns:
        η_0, of each step if the model has such.
    """
    law = mniw.prior(config.size, actions + 1, psi=config.prior_noise)
    if config.velocities:
        half = config.size // 2
        moved = jnp.arange(half), jnp.arange(half, config.size)
        law = law._replace(mean=law.mean.at[moved].set(_STEP))
    one = mniw.to_natural(law)
    if not config.timed:
        return one
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (config.length, *x.shape)), one)


def learn(
    networks: Networks,
    transformation: optax.GradientTransformation,
    config: Config,
    learner: Learner,
    episodes: PictureEpisodes,
    have: Int[Array, ""],
    key: PRNGKeyArray,
) -> tuple[Learner, Parts]:
    """Many updates, more of them the first time.

    Args:
        networks: Encoder and decoder.
        transformation: The optimiser.
        config: The hyperparameters.
        learner: The model.
        episodes: What was seen, and room.
        have: How many there are.
        key: Key.

    Returns:
        (the model, the bound's parts of the last batch).
    """

    def one(number: Array, carry: tuple[Learner, Parts]) -> tuple[Learner, Parts]:
        of_batch, of_bound = jax.random.split(jax.random.fold_in(key, number))
        chosen = jax.random.randint(of_batch, (config.batch_size,), 0, have)
        batch = jax.tree.map(lambda x: x[chosen], episodes)
        return update(networks, transformation, config, carry[0], batch, have, of_bound)

    number = jnp.where(learner.updates == 0, config.first_updates, config.updates)
    return jax.lax.fori_loop(0, number, one, (learner, Parts(*jnp.zeros(3))))


def update(
    networks: Networks,
    transformation: optax.GradientTransformation,
    config: Config,
    learner: Learner,
    batch: PictureEpisodes,
    have: Int[Array, ""],
    key: PRNGKeyArray,
) -> tuple[Learner, Parts]:
    """One step along both gradients, of a batch of episodes; all else is as in ``learn``.

    Returns:
        (the model, the mean of the bound's parts).
    """
    keys = jax.random.split(key, len(batch.costs))
    known = mniw.expected(mniw.to_moments(learner.known))

    def loss(params: Params, known: Expected) -> tuple[Array, tuple[Parts, Natural]]:
        def one(key: PRNGKeyArray, episode: PictureEpisodes) -> tuple[Parts, Natural]:
            return model.bound(networks, params, known, key, episode, config)

        parts, told = jax.tree.map(lambda x: jnp.mean(x, axis=0), jax.vmap(one)(keys, batch))
        return parts.divergence - parts.pictures - parts.costs, (parts, told)

    wanted = (0, 1) if config.full else (0,)
    slopes, (parts, told) = jax.grad(loss, wanted, has_aux=True)(learner.params, known)
    if config.full:
        # The bound is linear in E t, and ``Expected`` holds these without the factors of t.
        slope = jax.tree.map(jnp.negative, slopes[1])
        told = Natural(
            -2 * slope.precision,
            slope.precision_map,
            -2 * slope.quadratic,
            -2 * slope.log_determinant,
        )
    change, optimizer = transformation.update(slopes[0], learner.optimizer, learner.params)
    before = learning_prior(config, batch.actions.shape[-1])
    weight = have.astype(batch.costs.dtype)
    after = mniw.natural_step(learner.known, before, told, config.natural_rate, weight)
    params = optax.apply_updates(learner.params, change)
    if config.representation == "components":
        params = learner.params
    return Learner(params, optimizer, after, learner.updates + 1), parts
