r"""Bounds of the evidence of an episode, log p(o_{0:T}, c_{0:T−1} | a_{0:T−1}).

With paths drawn from q(s) (see ``posterior``), and their weights w = p(o, c, s | a) / q(s),

    ELBO = E log w = E Σ_t log p(o_t | s_t) + E Σ_t log p(c_t | s_t, a_t) − KL(q(s) ‖ p(s | a)),
    IWAE_K = E log (1/K) Σ_k w_k,

which rises from the first to the evidence with K. Where a law q(θ) of the dynamics is known, every
path has a draw of its own, and the evidence is that under q(θ).

Embed to control has an objective of its own, of pairs that follow each other, which bounds nothing
of an episode: with Q(s | o) the encoder's law, and ŝ ~ Q̂ = N(A μ + B a + b, A Σ Aᵀ + W) where
N(μ, Σ) = Q(· | o_t) and the matrices are those at s_t ~ Q(· | o_t),

    E [log p(o_t | s_t) + log p(o_{t+1} | ŝ)] − KL(Q(· | o_t) ‖ N(0, I)) − λ KL(Q̂ ‖ Q(· | o_{t+1})).

References:
    Burda, Grosse, Salakhutdinov: Importance weighted autoencoders. ICLR 2016, arXiv:1509.00519.
    Watter, Springenberg, Boedecker, Riedmiller: Embed to control. NeurIPS 2015, arXiv:1506.07365.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.algorithms.latent_models.model import (
    LatentModel,
    LatentParams,
    first_state,
    log_paid,
    log_shown,
    potentials,
)
from rlsuite.algorithms.latent_models.posterior import Posterior, expected_path, infer
from rlsuite.algorithms.latent_models.transition import settled
from rlsuite.data.pictures import PictureEpisodes, to_light
from rlsuite.ops.gaussian import Moments, Smoothed, information
from rlsuite.ops.gaussian.steps import move


class Parts(NamedTuple):
    """What a bound is made of, in nats.

    Attributes:
        pictures: Σ log p(o_t | s_t).
        costs: Σ log p(c_t | s_t, a_t).
        divergence: KL(q(s) ‖ p(s | a)), or log q(s) − log p(s | a) at one path.
    """

    pictures: Float[Array, "*batch"]
    costs: Float[Array, "*batch"]
    divergence: Float[Array, "*batch"]

    @property
    def log_weight(self) -> Float[Array, "*batch"]:
        """Of paths, log w = log p(o, c, s | a) − log q(s)."""
        return self.pictures + self.costs - self.divergence


class Bounds(NamedTuple):
    """Estimates of both bounds from the same paths, in nats.

    Attributes:
        elbo: The mean of log w.
        iwae: The log of the mean of w; never less.
    """

    elbo: Float[Array, ""]
    iwae: Float[Array, ""]


def evidence_bound(
    key: PRNGKeyArray,
    model: LatentModel,
    params: LatentParams,
    episode: PictureEpisodes,
    *,
    pictures: int | None = None,
    how: Posterior = "smoothed",
) -> tuple[Parts, Smoothed | None]:
    """The ELBO's parts, as gradients want them: from one path, with a divergence in closed form.

    Args:
        key: Key.
        model: The model.
        params: Its parameters.
        episode: One.
        pictures: How many observations are decoded, at random; None: all.
        how: How states are inferred, where θ itself is known.

    Returns:
        (parts, the states' law where it is known).
    """
    of_path, of_pictures = jax.random.split(key)
    images = to_light(episode.images)
    seen, start = potentials(model, params, images), first_state(params)
    given = (model.transition, params.transition, start, seen, episode.actions)
    path = (
        infer(of_path, *given, how)
        if model.transition.conjugate is None
        else expected_path(of_path, *given)
    )
    some = _some(of_pictures, len(images), pictures)
    shown = log_shown(model, params, path.states[some], images[some])
    paid = jnp.sum(log_paid(params, path.states[:-1], episode))
    return Parts(len(images) * jnp.mean(shown), paid, path.divergence), path.law


def e2c_objective(
    key: PRNGKeyArray,
    model: LatentModel,
    params: LatentParams,
    episode: PictureEpisodes,
    *,
    consistency: float | Float[Array, ""] = 1.0,
    pictures: int | None = None,
) -> Parts:
    """Embed to control's own objective; see the module.

    Args:
        key: Key.
        model: With a transition that has matrices.
        params: Its parameters.
        episode: One.
        consistency: λ.
        pictures: At how many steps observations are decoded, at random; None: at all.

    Returns:
        Parts, whose divergence holds both divergences.

    Raises:
        ValueError: If the transition has no matrices, or remembers more than the state.
    """
    local, carry = model.transition.local, model.transition.begin(params.transition)
    if local is None or not model.transition.of_state_alone:
        raise ValueError("transition has no matrices of a state alone; allowed: e2c, full, dvbf, …")
    of_states, of_next, of_pictures = jax.random.split(key, 3)
    images = to_light(episode.images)
    laws = information.moments(potentials(model, params, images))
    now, later = (jax.tree.map(lambda x: x[:-1], laws), jax.tree.map(lambda x: x[1:], laws))
    states = information.sample(of_states, now)

    def ahead(state: Array, law: Moments, action: Array) -> Moments:
        _, found = local(params.transition, carry, state, action)
        return move(law, found.state, found.action @ action + found.offset, found.noise)

    expected = jax.vmap(ahead)(states, now, episode.actions)
    drawn = information.sample(of_next, expected)
    some = _some(of_pictures, len(states), pictures)
    shown = log_shown(model, params, states[some], images[:-1][some])
    shown = shown + log_shown(model, params, drawn[some], images[1:][some])
    standard = Moments(jnp.zeros_like(params.start), jnp.eye(model.size))
    plain = jax.vmap(lambda law: information.divergence(law, standard))(now)
    apart = jnp.sum(plain + consistency * information.divergence(expected, later))
    return Parts(len(states) * jnp.mean(shown), jnp.sum(log_paid(params, states, episode)), apart)


def path_parts(
    key: PRNGKeyArray,
    model: LatentModel,
    params: LatentParams,
    episode: PictureEpisodes,
    samples: int,
    how: Posterior = "smoothed",
) -> Parts:
    """The parts of log w, of paths that are drawn from q(s).

    Args:
        key: Key.
        model: The model.
        params: Its parameters.
        episode: One.
        samples: How many paths, at least 1.
        how: How states are inferred.

    Returns:
        Parts of each path, ``[sample]``, whose divergence is log q(s) − log p(s | a) at the path.
    """
    images = to_light(episode.images)
    seen, start = potentials(model, params, images), first_state(params)

    def one(key: PRNGKeyArray) -> Parts:
        of_draw, of_path = jax.random.split(key)
        known = settled(model.transition, params.transition, of_draw)
        path = infer(of_path, model.transition, known, start, seen, episode.actions, how)
        shown = jnp.sum(log_shown(model, params, path.states, images))
        paid = jnp.sum(log_paid(params, path.states[:-1], episode))
        return Parts(shown, paid, -path.log_ratio)

    return jax.vmap(one)(jax.random.split(key, samples))


def bounds(
    key: PRNGKeyArray,
    model: LatentModel,
    params: LatentParams,
    episode: PictureEpisodes,
    samples: int,
    how: Posterior = "smoothed",
) -> Bounds:
    """Both bounds of an episode's evidence.

    Where potentials are the likelihoods of the observations and states are smoothed, all weights
    are the evidence, and so are both bounds, whatever is drawn.

    Args:
        key: Key.
        model: The model.
        params: Its parameters.
        episode: One.
        samples: K, how many paths are drawn, at least 1.
        how: How states are inferred.

    Returns:
        The bounds.
    """
    weights = path_parts(key, model, params, episode, samples, how).log_weight
    return Bounds(jnp.mean(weights), log_mean(weights))


def log_mean(logs: Float[Array, "sample ..."]) -> Float[Array, "..."]:
    """The log of the mean of numbers of which the logs are given.

    Args:
        logs: log w_1 … log w_K, along the first axis.

    Returns:
        log (1/K) Σ_k w_k.
    """
    return jax.nn.logsumexp(logs, axis=0) - jnp.log(float(len(logs)))


def _some(key: PRNGKeyArray, count: int, wanted: int | None) -> Array:
    """Which of so many are looked at."""
    if wanted is None or wanted >= count:
        return jnp.arange(count)
    return jax.random.choice(key, count, (wanted,), replace=False)
