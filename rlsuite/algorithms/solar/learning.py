r"""Stochastic variational inference: gradients for networks, natural gradients for the dynamics."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rlsuite.algorithms.solar import model
from rlsuite.algorithms.solar.config import Config
from rlsuite.algorithms.solar.model import Cost, Episodes, Networks, Params, Parts
from rlsuite.ops import mniw
from rlsuite.ops.mniw import Expected, Natural


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
    shown: Episodes,
    key: PRNGKeyArray,
) -> Learner:
    """A model that knows nothing but how large costs are."""
    of_encoder, of_decoder = jax.random.split(key)
    n, m = config.size, shown.actions.shape[-1]
    image = jnp.zeros(shown.images.shape[2:])
    cost = Cost(
        0.3 * jnp.eye(n + m),
        jnp.zeros(n + m),
        jnp.mean(shown.costs),
        jnp.log(jnp.std(shown.costs)),
    )
    params = Params(
        networks.encoder.init(of_encoder, image),
        networks.decoder.init(of_decoder, jnp.zeros(n)),
        cost,
        jnp.zeros(n),
        jnp.zeros(n),
    )
    known = mniw.to_natural(mniw.prior(n, m + 1))
    return Learner(params, transformation.init(params), known, jnp.int32(0))


def learn(
    networks: Networks,
    transformation: optax.GradientTransformation,
    config: Config,
    learner: Learner,
    episodes: Episodes,
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
    batch: Episodes,
    have: Int[Array, ""],
    key: PRNGKeyArray,
) -> tuple[Learner, Parts]:
    """One step along both gradients.

    Args:
        networks: Encoder and decoder.
        transformation: The optimiser.
        config: The hyperparameters.
        learner: The model.
        batch: Some episodes.
        have: How many there are in all.
        key: Key.

    Returns:
        (the model, the mean of the bound's parts).
    """
    keys = jax.random.split(key, len(batch.costs))
    known = mniw.expected(mniw.to_moments(learner.known))
    beta = 1 + (config.temper - 1) * jnp.exp(-learner.updates / config.temper_updates)

    def loss(params: Params, known: Expected) -> tuple[Array, tuple[Parts, Natural]]:
        def one(key: PRNGKeyArray, episode: Episodes) -> tuple[Parts, Natural]:
            return model.bound(networks, params, known, key, episode, config)

        parts, told = jax.tree.map(lambda x: jnp.mean(x, axis=0), jax.vmap(one)(keys, batch))
        bound = config.picture_weight * parts.pictures + parts.costs - beta * parts.divergence
        return -bound, (parts, told)

    wanted = (0, 1) if config.full else (0,)
    slopes, (parts, told) = jax.grad(loss, wanted, has_aux=True)(learner.params, known)
    if config.full:
        # t is linear in E, with the factors of mniw's table; the bound was weighted by β.
        slope = jax.tree.map(lambda x: -x / beta, slopes[1])
        told = Natural(
            -2 * slope.precision,
            slope.precision_map,
            -2 * slope.quadratic,
            -2 * slope.log_determinant,
        )
    change, optimizer = transformation.update(slopes[0], learner.optimizer, learner.params)
    prior = mniw.to_natural(mniw.prior(config.size, batch.actions.shape[-1] + 1))
    after = mniw.natural_step(learner.known, prior, told, config.natural_rate, have.astype(float))
    params = optax.apply_updates(learner.params, change)
    return Learner(params, optimizer, after, learner.updates + 1), parts
