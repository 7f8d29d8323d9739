r"""SOLAR's model of episodes seen as pictures, and what it is trained to do.

    (F, Σ) ~ MNIW,    s_0 ~ N(m, P),    s_{t+1} ~ N(F [s_t; a_t; 1], Σ),
    o_t ~ p(o_t | s_t),    c_t ~ N(½ [s_t; a_t]ᵀ C [s_t; a_t] + cᵀ [s_t; a_t] + v, σ²).

An encoder says of each picture a diagonal potential ψ(s; o). The bound of an episode's evidence is

    L = Σ_t E log p(o_t | s_t) + Σ_t E log p(c_t | s_t, a_t) − KL(q(s) ‖ p(s | F, Σ))

less its share of KL(q(F, Σ) ‖ p(F, Σ)), with one draw from q(s). The **natural gradient** of the
bound with respect to q(F, Σ) is its gradient with respect to the expected statistics of that law:

    ∇̃ = η_0 + N E t(s) − η + N ∂/∂E [L of the best q(s)],

of which the last term is there because the potentials are not the likelihood: a change of q(F, Σ)
changes q(s), and this L is not at its optimum. The authors' program drops it; ``full`` keeps it.

References:
    Zhang et al.: SOLAR. ICML 2019, arXiv:1808.09105. Johnson et al. 2016, arXiv:1603.06277.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.algorithms.solar.config import Config
from rlsuite.data.pictures import PictureEpisodes, to_light
from rlsuite.nets.costs import CostParams, log_paid
from rlsuite.nets.sight_networks import Networks
from rlsuite.nets.sights import log_likelihood
from rlsuite.ops import gaussian
from rlsuite.ops import structured_inference as inference
from rlsuite.ops.gaussian import Moments, Potential, Smoothed
from rlsuite.ops.mniw import Expected, Natural


class Params(NamedTuple):
    """What gradients move.

    Attributes:
        encoder: The encoder's parameters.
        decoder: The decoder's.
        cost: The cost's.
        start: m of the first state.
        log_spread: log deviations of the first state.
    """

    encoder: Any
    decoder: Any
    cost: CostParams
    start: Float[Array, "*batch n"]
    log_spread: Float[Array, "*batch n"]


class Parts(NamedTuple):
    """The bound's parts of one episode, in nats.

    Attributes:
        pictures: Σ E log p(o_t | s_t).
        costs: Σ E log p(c_t | s_t, a_t).
        divergence: KL(q(s) ‖ p(s | F, Σ)).
    """

    pictures: Float[Array, "*batch"]
    costs: Float[Array, "*batch"]
    divergence: Float[Array, "*batch"]


def first_state(params: Params) -> Moments:
    """The law of s_0.

    Args:
        params: Parameters.

    Returns:
        N(m, P), P diagonal.
    """
    return Moments(params.start, jnp.diag(jnp.exp(2 * params.log_spread)))


def potentials(
    networks: Networks, params: Params, images: Float[Array, "states h w c"]
) -> Potential:
    """What pictures tell of their states.

    Args:
        networks: Encoder and decoder.
        params: Parameters.
        images: From 0 to 1.

    Returns:
        ψ_t.
    """
    mean, log_precision = networks.encoder.apply(params.encoder, images)
    return gaussian.diagonal(mean, jnp.exp(-log_precision))


def seen(networks: Networks, params: Params, images: Any) -> Potential:
    """What bytes tell of their states; see ``potentials``."""
    return potentials(networks, params, to_light(images))


def states_of(
    networks: Networks, params: Params, known: Expected, episode: PictureEpisodes, config: Config
) -> Smoothed:
    """The states of an episode, by the model.

    Args:
        networks: Encoder and decoder.
        params: Parameters.
        known: Expected statistics of q(F, Σ).
        episode: One.
        config: Of which ``representation`` counts.

    Returns:
        Their law.
    """
    told = seen(networks, params, episode.images)
    if config.representation != "structured":
        return inference.alone(told)
    return inference.smoothed(inference.chain(first_state(params), known, episode.actions), told)


def bound(
    networks: Networks,
    params: Params,
    known: Expected,
    key: PRNGKeyArray,
    episode: PictureEpisodes,
    config: Config,
) -> tuple[Parts, Natural]:
    """The bound's parts of one episode, and the statistics of its states.

    Args:
        networks: Encoder and decoder.
        params: Parameters.
        known: Expected statistics of q(F, Σ).
        key: Key.
        episode: One.
        config: Of which ``full`` says whether q(s) is differentiated as a function of q(F, Σ),
            ``timed`` whether statistics are those of each step, and ``pictures`` how many pictures
            are decoded.

    Returns:
        (parts, statistics).
    """
    of_path, of_pictures = jax.random.split(key)
    told = seen(networks, params, episode.images)
    if config.representation == "structured":
        held = known if config.full else jax.lax.stop_gradient(known)
        along = inference.chain(first_state(params), held, episode.actions)
        found = inference.infer(of_path, along, told)
    else:
        found = inference.infer_alone(of_path, told)
    counted = inference.step_statistics(found.smoothed, episode.actions)
    if not config.timed:
        counted = jax.tree.map(lambda x: jnp.sum(x, axis=0), counted)
    count = len(episode.images)
    some = jax.random.choice(of_pictures, count, (min(config.pictures, count),), replace=False)
    logits = networks.decoder.apply(params.decoder, found.path[some])
    shown = to_light(episode.images[some])
    drawn = jax.vmap(lambda x, o: log_likelihood(networks.likelihood, x, o))(logits, shown)
    at = jnp.concatenate([found.path[:-1], episode.actions], axis=-1)
    paid = jnp.sum(log_paid(params.cost, at, episode.costs))
    return Parts(count * jnp.mean(drawn), paid, found.divergence), counted
