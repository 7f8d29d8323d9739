r"""A latent state-space model: what sees, what shows, what things cost, and how states follow.

    s_0 ~ N(m, P),    s_{t+1} ~ p(s' | s_t, a_t),    o_t ~ p(o | s_t),
    c_t ~ N(½ [s_t; a_t]ᵀ C [s_t; a_t] + cᵀ [s_t; a_t] + v, σ²),

and of each observation the encoder says a potential ψ(s; o) of independent numbers. Everything but
the transition is the same for all transitions.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.algorithms.latent_models.transition import Transition
from rlsuite.data.pictures import PictureEpisodes, to_light
from rlsuite.nets import costs
from rlsuite.nets.costs import CostParams, start_cost
from rlsuite.nets.network import Network
from rlsuite.nets.sights import log_likelihood
from rlsuite.ops import gaussian
from rlsuite.ops.gaussian import Moments, Potential


class Emission(NamedTuple):
    """What is drawn of what a decoder says.

    Attributes:
        log_density: ``(decoded, observation) -> log p(o | s)``, in nats.
        mean: ``decoded -> E o``.
    """

    log_density: Callable[[Array, Array], Array]
    mean: Callable[[Array], Array]


def bernoulli() -> Emission:
    """Shares of light, as if each were the mean of draws of 0 and 1; logits are decoded.

    Returns:
        The emission, whose density is not normalised over shares.
    """
    return Emission(lambda x, o: log_likelihood("bernoulli", x, o), jax.nn.sigmoid)


def normal(deviation: float | Float[Array, ""] = 1.0) -> Emission:
    """Numbers about those that are decoded.

    Args:
        deviation: Their standard deviation, above 0.

    Returns:
        The emission.
    """

    def log_density(mean: Array, observation: Array) -> Array:
        squares = jnp.square((observation - mean) / deviation)
        return -jnp.sum(squares / 2 + jnp.log(deviation) + math.log(2 * math.pi) / 2)

    return Emission(log_density, lambda mean: mean)


class LatentModel(NamedTuple):
    """The functions of a model.

    Attributes:
        encoder: From observations to means and log precisions of potentials.
        decoder: From states to what ``emission`` reads.
        emission: What observations are drawn from.
        transition: How states follow each other.
        size: n, of a state.
        prepare: ``(encoder's, decoder's, the first observations) -> (encoder's, decoder's)``: first
            parameters from random ones; None: the random ones.
    """

    encoder: Network
    decoder: Network
    emission: Emission
    transition: Transition
    size: int
    prepare: Callable[[Any, Any, Array], tuple[Any, Any]] | None = None


class LatentParams(NamedTuple):
    """What is learned.

    Attributes:
        encoder: The encoder's parameters.
        decoder: The decoder's.
        cost: The cost's.
        start: m of the first state, ``[n]``.
        log_spread: log deviations of the first state, ``[n]``.
        transition: θ, or the parameters of q(θ).
    """

    encoder: Any
    decoder: Any
    cost: CostParams
    start: Float[Array, "*batch n"]
    log_spread: Float[Array, "*batch n"]
    transition: Any


def init_params(key: PRNGKeyArray, model: LatentModel, shown: PictureEpisodes) -> LatentParams:
    """First parameters: random ones, or what ``model.prepare`` makes of them, and costs' size.

    Args:
        key: Key.
        model: The model.
        shown: Episodes.

    Returns:
        The parameters.
    """
    of_encoder, of_decoder, of_transition = jax.random.split(key, 3)
    n, m = model.size, shown.actions.shape[-1]
    encoder = model.encoder.init(of_encoder, to_light(shown.images[0, 0]))
    decoder = model.decoder.init(of_decoder, jnp.zeros(n))
    if model.prepare is not None:
        encoder, decoder = model.prepare(encoder, decoder, to_light(shown.images))
    return LatentParams(
        encoder,
        decoder,
        start_cost(n + m, shown.costs),
        jnp.zeros(n),
        jnp.zeros(n),
        model.transition.init(of_transition),
    )


def potentials(
    model: LatentModel, params: LatentParams, images: Float[Array, "*images"]
) -> Potential:
    """What observations tell of their states.

    Args:
        model: The model.
        params: Its parameters.
        images: One, or many along leading axes.

    Returns:
        ψ, with the same leading axes.
    """
    mean, log_precision = model.encoder.apply(params.encoder, images)
    return gaussian.diagonal(mean, jnp.exp(-log_precision))


def first_state(params: LatentParams) -> Moments:
    """The law of s_0.

    Args:
        params: Parameters.

    Returns:
        N(m, P), P diagonal.
    """
    return Moments(params.start, jnp.diag(jnp.exp(2 * params.log_spread)))


def log_shown(
    model: LatentModel,
    params: LatentParams,
    states: Float[Array, "states n"],
    images: Float[Array, "states ..."],
) -> Float[Array, " states"]:
    """Log p(o | s).

    Args:
        model: The model.
        params: Its parameters.
        states: s.
        images: o.

    Returns:
        Nats, of each.
    """
    return jax.vmap(model.emission.log_density)(model.decoder.apply(params.decoder, states), images)


def decoded(
    model: LatentModel, params: LatentParams, states: Float[Array, "*batch n"]
) -> Float[Array, "*images"]:
    """The mean observations of states.

    Args:
        model: The model.
        params: Its parameters.
        states: s.

    Returns:
        E o, such as pictures.
    """
    return model.emission.mean(model.decoder.apply(params.decoder, states))


def cost_of(
    params: LatentParams, states: Float[Array, "*batch n"], actions: Float[Array, "*batch m"]
) -> Float[Array, "*batch"]:
    """The mean cost.

    Args:
        params: Parameters.
        states: s.
        actions: a.

    Returns:
        ½ [s; a]ᵀ C [s; a] + cᵀ [s; a] + v.
    """
    return costs.mean_cost(params.cost, jnp.concatenate([states, actions], axis=-1))


def log_paid(
    params: LatentParams, states: Float[Array, "steps n"], episode: PictureEpisodes
) -> Float[Array, " steps"]:
    """Log p(c_t | s_t, a_t).

    Args:
        params: Parameters.
        states: s_0 … s_{T−1}.
        episode: One, with or without costs.

    Returns:
        Nats, of each step; zeros without costs.
    """
    if episode.costs is None:
        return jnp.zeros(len(states), states.dtype)
    at = jnp.concatenate([states, episode.actions], axis=-1)
    return costs.log_paid(params.cost, at, episode.costs)
