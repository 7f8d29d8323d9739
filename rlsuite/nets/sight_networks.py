r"""What sees pictures and shows them: an encoder, a decoder, and their first parameters.

``of_pictures`` looks for places and draws pixel by pixel; ``before_background`` takes what stands
still out of pictures, and ``of_places`` makes states of places and their velocities.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.nets.network import Network, from_linen
from rlsuite.nets.sights import CoordinateDecoder, Likelihood, PlacesEncoder, whitened

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


def of_pictures(shape: tuple[int, int, int], size: int, *, background: bool = False) -> Networks:
    """An encoder that looks for places, and a perceptron that draws pixels.

    States begin as the principal components of where things are (``whitened``).

    Args:
        shape: Of pictures: height, width and channels.
        size: n, of a state.
        background: Whether what stands still is taken out of pictures (``before_background``).

    Returns:
        The networks, of pictures as shares of light.
    """
    encoder = PlacesEncoder(size)

    def prepare(params: Any, of_decoder: Any, images: Any) -> tuple[Any, Any]:
        return whitened(encoder, params, images), of_decoder

    decoder = from_linen(CoordinateDecoder(shape))
    networks = Networks(from_linen(encoder), decoder, "bernoulli", prepare)
    return before_background(networks) if background else networks


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
    decoder's. Both begin as the mean of the first pictures, and learn; what the decoder itself
    draws comes on top, and is dark at first. Where much of a picture stands still, the rest then
    need not be told from it: a spatial softmax finds the brightest thing, whether it moves or not.

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
