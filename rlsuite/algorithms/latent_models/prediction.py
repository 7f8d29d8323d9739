r"""Filtering an episode as it goes on, and what comes next.

A ``Belief`` is a law of the state beside what the transition remembers. It is told an observation
(``see``) and goes on by an action (``advance``): exactly, where the transition is linear; otherwise
from one draw of the state, so that many beliefs with keys of their own are particles, each from
q(s_t | s_{t−1}, a_{t−1}, o_t) and all of the same weight: what a path is worth (``evidence``) is
not counted, nor are draws of θ weighed by what was seen.

A prediction of k steps is a path drawn from the transition, from a draw of the belief. Its negative
log likelihood at step j is −log (1/S) Σ_i p(o_{t+j} | s^i_{t+j}) over S such paths, on average over
the t of an episode.

Reference:
    Hafner et al.: Learning latent dynamics for planning from pixels. ICML 2019, arXiv:1811.04551,
    section 3.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.algorithms.latent_models.evidence import log_mean
from rlsuite.algorithms.latent_models.model import (
    LatentModel,
    LatentParams,
    first_state,
    log_shown,
    potentials,
)
from rlsuite.algorithms.latent_models.transition import Transition, settled
from rlsuite.data.pictures import PictureEpisodes, to_light
from rlsuite.ops.gaussian import Moments, Potential, information
from rlsuite.ops.gaussian.steps import move, tell


class Belief(NamedTuple):
    """What is known of the state.

    Attributes:
        carry: What the transition remembers.
        law: Of the state.
    """

    carry: Any
    law: Moments


def first_belief(model: LatentModel, params: LatentParams, known: Any) -> Belief:
    """What is known before the first observation.

    Args:
        model: The model.
        params: Its parameters.
        known: θ.

    Returns:
        The belief.
    """
    return Belief(model.transition.begin(known), first_state(params))


def see(belief: Belief, potential: Potential) -> Belief:
    """Be told of an observation.

    Args:
        belief: What was known.
        potential: ψ.

    Returns:
        What is known then.
    """
    return belief._replace(law=tell(belief.law, potential).law)


def advance(
    key: PRNGKeyArray,
    transition: Transition,
    known: Any,
    belief: Belief,
    action: Float[Array, " m"],
) -> Belief:
    """Expect what an action leads to.

    Args:
        key: Key; not looked at where the transition is linear.
        transition: The transition.
        known: θ.
        belief: What was known.
        action: a.

    Returns:
        What is expected of the next state.
    """
    carry, law = belief
    if transition.linear and transition.local is not None:
        carry, found = transition.local(known, carry, law.mean, action)
        offset = found.action @ action + found.offset
        return Belief(carry, move(law, found.state, offset, found.noise))
    return Belief(*transition.step(known, carry, information.sample(key, law), action))


def filter_states(
    key: PRNGKeyArray,
    model: LatentModel,
    params: LatentParams,
    known: Any,
    images: Float[Array, "states ..."],
    actions: Float[Array, "steps m"],
) -> Belief:
    """What is known of each state from the observations up to it.

    Args:
        key: Key; not looked at where the transition is linear.
        model: The model.
        params: Its parameters.
        known: θ.
        images: o_0 … o_T.
        actions: a_0 … a_{T−1}.

    Returns:
        Beliefs, with a leading axis of states.
    """
    seen = potentials(model, params, images)
    later = jax.tree.map(lambda x: x[1:], seen)
    begun = see(first_belief(model, params, known), jax.tree.map(lambda x: x[0], seen))

    def step(belief: Belief, given: tuple[Any, Array, Potential]) -> tuple[Belief, Belief]:
        key, action, potential = given
        belief = see(advance(key, model.transition, known, belief, action), potential)
        return belief, belief

    keys = jax.random.split(key, len(actions))
    _, rest = jax.lax.scan(step, begun, (keys, actions, later))
    return jax.tree.map(lambda x, y: jnp.concatenate([x[None], y]), begun, rest)


def predict(
    key: PRNGKeyArray,
    transition: Transition,
    known: Any,
    belief: Belief,
    actions: Float[Array, "steps m"],
) -> Float[Array, "steps n"]:
    """Draw the states to come; ``decoded`` makes observations of them.

    Args:
        key: Key.
        transition: The transition.
        known: θ.
        belief: What is known of the state now.
        actions: a_t … a_{t+k−1}.

    Returns:
        s_{t+1} … s_{t+k}.
    """
    of_first, of_steps = jax.random.split(key)

    def step(now: tuple[Any, Array], given: tuple[Any, Array]) -> tuple[tuple[Any, Array], Array]:
        carry, law = transition.step(known, *now, given[1])
        state = information.sample(given[0], law)
        return (carry, state), state

    now = (belief.carry, information.sample(of_first, belief.law))
    return jax.lax.scan(step, now, (jax.random.split(of_steps, len(actions)), actions))[1]


def prediction_nll(
    key: PRNGKeyArray,
    model: LatentModel,
    params: LatentParams,
    episode: PictureEpisodes,
    horizon: int,
    samples: int,
) -> Float[Array, " horizon"]:
    """How unlikely the observations 1 … k steps ahead are, given those so far.

    Args:
        key: Key.
        model: The model.
        params: Its parameters.
        episode: One.
        horizon: k, from 1 to the number of its actions.
        samples: S, paths that are drawn from each time step; each has a filter of its own, and
            a draw of θ where q(θ) is known.

    Returns:
        Nats of one observation, at each distance; the fewer paths, the more on average.

    Raises:
        ValueError: If ``horizon`` is out of range.
    """
    steps = len(episode.actions)
    if not 1 <= horizon <= steps:
        raise ValueError(f"horizon is {horizon}; allowed with {steps} actions: 1 to {steps}")
    images = to_light(episode.images)
    begins = jnp.arange(steps - horizon + 1)
    ahead = begins[:, None] + jnp.arange(horizon)

    def one(key: PRNGKeyArray) -> Array:
        of_draw, of_filter, of_paths = jax.random.split(key, 3)
        known = settled(model.transition, params.transition, of_draw)
        told = filter_states(of_filter, model, params, known, images, episode.actions)

        def path(key: PRNGKeyArray, begin: Array, ahead: Array) -> Array:
            belief = jax.tree.map(lambda x: x[begin], told)
            states = predict(key, model.transition, known, belief, episode.actions[ahead])
            return log_shown(model, params, states, images[ahead + 1])

        return jax.vmap(path)(jax.random.split(of_paths, len(begins)), begins, ahead)

    # One after another: pictures are large.
    values = jax.lax.map(one, jax.random.split(key, samples))
    return -jnp.mean(log_mean(values), axis=0)
