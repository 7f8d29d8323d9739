r"""SOLAR's model of episodes seen as pictures, and what it is trained to do.

    (F, Σ) ~ MNIW,    s_0 ~ N(m, P),    s_{t+1} ~ N(F [s_t; a_t; 1], Σ),
    o_t ~ p(o_t | s_t),    c_t ~ N(½ [s_t; a_t]ᵀ C [s_t; a_t] + cᵀ [s_t; a_t] + v, σ²).

An encoder says of each picture a diagonal potential ψ(s; o). The bound of an episode's evidence is

    L = Σ_t E log p(o_t | s_t) + Σ_t E log p(c_t | s_t, a_t) − β KL(q(s) ‖ p(s | F, Σ))

less its share of KL(q(F, Σ) ‖ p(F, Σ)), with one draw from q(s). The **natural gradient** of the
bound with respect to q(F, Σ) is its gradient with respect to the expected statistics of that law:

    ∇̃ = η_0 + N E t(s) − η + N ∂/∂E [L of the best q(s)],

of which the last term is there because the potentials are not the likelihood: a change of q(F, Σ)
changes q(s), and this L is not at its optimum. The authors' program drops it; ``full`` keeps it.

References:
    Zhang et al.: SOLAR. ICML 2019, arXiv:1808.09105. Johnson et al. 2016, arXiv:1603.06277.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.algorithms.solar.config import Config
from rlsuite.data.pictures import PictureEpisodes, to_light
from rlsuite.nets.costs import CostParams, log_paid
from rlsuite.nets.network import Network
from rlsuite.nets.sights import Likelihood, log_likelihood
from rlsuite.ops import gaussian
from rlsuite.ops import structured_inference as inference
from rlsuite.ops.gaussian import Moments, Potential, Smoothed
from rlsuite.ops.mniw import Expected, Natural

_UNKNOWN = -8.0  # the log precision of what pictures say of velocities


class Networks(NamedTuple):
    """What sees and what shows.

    Attributes:
        encoder: From pictures to means and log precisions of potentials.
        decoder: From states to pictures' logits.
        likelihood: What pictures are drawn from.
        prepare: ``(encoder's, decoder's, the first pictures) -> (encoder's, decoder's)``: first
            parameters from random ones; None: the random ones.
    """

    encoder: Network
    decoder: Network
    likelihood: Likelihood
    prepare: Callable[[Any, Any, Float[Array, "*batch h w c"]], tuple[Any, Any]] | None = None


class BeforeBackground(NamedTuple):
    """Parameters of a network that sees, or draws, what stands out from a background.

    Attributes:
        background: A picture, or its logits.
        inner: The parameters of what sees the rest.
    """

    background: Float[Array, "*batch h w c"]
    inner: Any


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


def of_places(networks: Networks, size: int) -> Networks:
    """Networks of places q, for states (q, v) that are places and their velocities.

    The potential is ψ(q) N(v; 0, e⁸ I), which is as good as flat, and pictures depend on q alone.

    Args:
        networks: Encoder and decoder of states of size / 2 numbers.
        size: n, of a state.

    Returns:
        An encoder and a decoder of states of n numbers.
    """
    half = size // 2

    def encode(params: Any, images: Any) -> tuple[Array, Array]:
        mean, told = networks.encoder.apply(params, images)
        unknown = jnp.full_like(told, _UNKNOWN)
        return (
            jnp.concatenate([mean, jnp.zeros_like(mean)], axis=-1),
            jnp.concatenate([told, unknown], axis=-1),
        )

    def init(key: PRNGKeyArray, state: Float[Array, " n"]) -> Any:
        return networks.decoder.init(key, state[:half])

    def decode(params: Any, states: Float[Array, "*batch n"]) -> Any:
        return networks.decoder.apply(params, states[..., :half])

    encoder = Network(networks.encoder.init, encode)
    return networks._replace(encoder=encoder, decoder=Network(init, decode))


def before_background(networks: Networks) -> Networks:
    """Networks for which what does not move is taken away, and drawn again.

    The encoder sees pictures less a background, and the background's logits are added to the
    decoder's. Both begin as the mean of the first pictures, and learn. Where much of a picture
    stands still, the rest then need not be told from it: a spatial softmax finds the brightest
    thing, whether it moves or not.

    Args:
        networks: Encoder and decoder.

    Returns:
        The same, whose parameters are ``BeforeBackground``.
    """

    def begin_encoder(key: PRNGKeyArray, image: Float[Array, "h w c"]) -> BeforeBackground:
        return BeforeBackground(jnp.zeros(image.shape), networks.encoder.init(key, image))

    def encode(params: BeforeBackground, images: Any) -> Any:
        return networks.encoder.apply(params.inner, images - params.background)

    def begin_decoder(key: PRNGKeyArray, state: Float[Array, " n"]) -> BeforeBackground:
        inner = networks.decoder.init(key, state)
        drawn = jax.eval_shape(networks.decoder.apply, inner, state)
        return BeforeBackground(jnp.zeros(drawn.shape), inner)

    def decode(params: BeforeBackground, states: Float[Array, "*batch n"]) -> Any:
        return networks.decoder.apply(params.inner, states) + params.background

    def prepare(
        encoder: BeforeBackground, decoder: BeforeBackground, images: Float[Array, "*batch h w c"]
    ) -> tuple[BeforeBackground, BeforeBackground]:
        mean = jnp.mean(images, axis=tuple(range(images.ndim - 3)))
        inner = encoder.inner, decoder.inner
        if networks.prepare is not None:
            inner = networks.prepare(*inner, images - mean)
        drawn = jax.scipy.special.logit(jnp.clip(mean, 0.01, 0.99))
        return BeforeBackground(mean, inner[0]), BeforeBackground(drawn, inner[1])

    return networks._replace(
        encoder=Network(begin_encoder, encode),
        decoder=Network(begin_decoder, decode),
        prepare=prepare,
    )


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
