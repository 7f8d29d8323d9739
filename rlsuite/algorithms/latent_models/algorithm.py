"""Train a latent model on recorded episodes, test it on others, and act by planning in it."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.algorithms.latent_models import affine, nonlinear
from rlsuite.algorithms.latent_models.config import Config
from rlsuite.algorithms.latent_models.control import Thought, planning_agent
from rlsuite.algorithms.latent_models.evidence import bounds
from rlsuite.algorithms.latent_models.learning import (
    Learner,
    Metrics,
    State,
    default_optimizer,
    start,
    update,
)
from rlsuite.algorithms.latent_models.model import LatentModel, LatentParams, bernoulli, normal
from rlsuite.algorithms.latent_models.prediction import prediction_nll
from rlsuite.algorithms.latent_models.transition import Transition
from rlsuite.core import Algorithm
from rlsuite.data.pictures import PictureEpisodes
from rlsuite.nets import Network, from_linen, mlp
from rlsuite.nets.sight_networks import of_pictures
from rlsuite.nets.sights import ConvolutionalEncoder, PlacesEncoder
from rlsuite.ops import mniw


class Recorded(NamedTuple):
    """Episodes to learn from, and others to be tested on, all of the same length.

    Attributes:
        training: Episodes, ``[episode, …]``; observations are pictures (bytes, or shares of light)
            or vectors.
        held_out: More of them.
    """

    training: PictureEpisodes
    held_out: PictureEpisodes


class Evaluation(NamedTuple):
    """Of held-out episodes, on average, in nats.

    Attributes:
        iwae: The importance-weighted bound of an episode's evidence.
        elbo: The ELBO, from the same paths.
        first_nll: Of an observation one step ahead, given those so far.
        last_nll: Of one ``horizon`` steps ahead.
    """

    iwae: Float[Array, ""]
    elbo: Float[Array, ""]
    first_nll: Float[Array, ""]
    last_nll: Float[Array, ""]


def transition_of(config: Config, actions: int, steps: int) -> Transition:
    """The transition that a config names.

    Args:
        config: The hyperparameters.
        actions: m, of an action.
        steps: T, of an episode, of which "mniw-steps" makes use.

    Returns:
        The transition.
    """
    size, hidden = config.size, config.hidden_sizes
    match config.transition:
        case "mniw" | "mniw-steps":
            prior = mniw.prior(size, actions + 1, psi=config.prior_noise)
            timed = steps if config.transition == "mniw-steps" else None
            return affine.mniw(size, actions, steps=timed, prior=prior)
        case "linear":
            return affine.linear(size, actions)
        case "e2c":
            return nonlinear.e2c(size, actions, hidden_sizes=hidden)
        case "full":
            return nonlinear.full(size, actions, hidden_sizes=hidden)
        case "dvbf":
            return nonlinear.dvbf(size, actions, bases=config.bases, hidden_sizes=hidden)
        case _:
            return nonlinear.rssm(size, actions, memory=config.memory, hidden_sizes=hidden)


def default_model(problem: Recorded, config: Config) -> LatentModel:
    """The model that ``make`` uses where none is given.

    Args:
        problem: Recorded episodes.
        config: The hyperparameters.

    Returns:
        Of pictures, networks as ``config.sight`` says, of which the decoder's are logits; of
        vectors, two perceptrons and normal noise of deviation 1. The transition is the config's.

    Raises:
        ValueError: If ``config.sight`` is for pictures, and there are none.
    """
    steps, actions = problem.training.actions.shape[1:]
    shape = problem.training.images.shape[2:]
    transition = transition_of(config, actions, steps)
    if len(shape) == 3 and config.sight in ("whitened", "moving"):
        sight = of_pictures(shape, config.size, background=config.sight == "moving")
        return LatentModel(
            sight.encoder, sight.decoder, bernoulli(), transition, config.size, sight.prepare
        )
    if len(shape) == 3:
        convolutions = ConvolutionalEncoder(config.size, (16, 16, 8), (5, 3, 3), (2, 2, 2), 128)
        # Not sure at first: nothing has prepared its means here.
        places = PlacesEncoder(config.size, sure=0.0)
        encoder = from_linen(convolutions if config.sight == "convolutional" else places)
        flat = mlp((128, 128), math.prod(shape))
        decoder = Network(
            flat.init, lambda params, s: flat.apply(params, s).reshape(*s.shape[:-1], *shape)
        )
        return LatentModel(encoder, decoder, bernoulli(), transition, config.size)
    if config.sight != "plain":
        raise ValueError(
            f"config field 'sight' is {config.sight!r}; allowed with observations that are "
            f"vectors: 'plain'"
        )
    both = mlp((64,), 2 * config.size)
    encoder = Network(both.init, lambda params, x: jnp.split(both.apply(params, x), 2, axis=-1))
    return LatentModel(encoder, mlp((64,), shape[0]), normal(), transition, config.size)


def make(
    problem: Recorded,
    config: Config = Config(),  # noqa: B008
    *,
    model: Callable[[Recorded, Config], LatentModel] = default_model,
    optimizer: optax.GradientTransformation | None = None,
) -> Algorithm:
    """A latent model from recorded episodes.

    Args:
        problem: Recorded episodes.
        config: The hyperparameters.
        model: ``(problem, config) -> LatentModel``: encoder, decoder and transition.
        optimizer: By default Adam, with gradients clipped.

    Returns:
        The algorithm: ``step`` returns ``Metrics``, ``evaluate`` an ``Evaluation``. ``act``
        plans in the model; it takes an observation, or a whole ``Timestep``, and returns an action
        as a vector within [−1, 1]; with a key of None its draws are always the same.

    Raises:
        ValueError: If episodes do not fit together, or are shorter than ``horizon``, or the
            objective does not fit the transition.

    Example:
        >>> pictures = jnp.zeros((20, 31, 16, 16, 1), jnp.uint8)
        >>> shown = PictureEpisodes(pictures, jnp.zeros((20, 30, 2)), jnp.zeros((20, 30)))
        >>> algorithm = make(Recorded(shown, shown), Config(transition="e2c", size=3))
        >>> state = jax.eval_shape(algorithm.init, jax.random.key(0))
        >>> state.params.transition.log_deviation.shape
        (3,)
    """
    latent = model(problem, config)
    _check(problem, config, latent.transition)
    learner = Learner(latent, optimizer or default_optimizer(config), config)

    def init(key: PRNGKeyArray) -> State:
        return start(key, learner, problem.training)

    def step(key: PRNGKeyArray, state: State) -> tuple[State, Metrics]:
        return update(key, learner, state, problem.training)

    def evaluate(key: PRNGKeyArray, state: State) -> Evaluation:
        return held_out(key, latent, state.params, problem.held_out, config)

    def act(
        key: PRNGKeyArray | None, state: State, observation: Any, carry: Thought | None
    ) -> tuple[Array, Thought]:
        size = problem.training.actions.shape[-1]
        agent, first = planning_agent(latent, state.params, config, size)
        key = jax.random.key(0) if key is None else key
        seen = getattr(observation, "observation", observation)
        return agent(key, seen, first if carry is None else carry)

    return Algorithm(init, step, act, evaluate)


def held_out(
    key: PRNGKeyArray,
    model: LatentModel,
    params: LatentParams,
    episodes: PictureEpisodes,
    config: Config,
) -> Evaluation:
    """Test a model on episodes.

    Args:
        key: Key.
        model: The model.
        params: Its parameters.
        episodes: Episodes, of which the first are looked at.
        config: The hyperparameters.

    Returns:
        Means over the episodes.
    """
    samples, count = (
        config.evaluation_samples,
        min(config.evaluation_episodes, len(episodes.actions)),
    )

    def one(given: tuple[Any, PictureEpisodes]) -> Evaluation:
        of_bounds, of_paths = jax.random.split(given[0])
        found = bounds(of_bounds, model, params, given[1], samples, config.how)
        nll = prediction_nll(of_paths, model, params, given[1], config.horizon, samples)
        return Evaluation(found.iwae, found.elbo, nll[0], nll[-1])

    first = jax.tree.map(lambda x: x[:count], episodes)
    every = jax.lax.map(one, (jax.random.split(key, count), first))
    return jax.tree.map(jnp.mean, every)


def check_learning(config: Config, transition: Transition, steps: int) -> None:
    """Refuse ways of learning that a transition does not have.

    Args:
        config: Of which ``objective``, ``how`` and ``chunk_length`` count.
        transition: The transition.
        steps: T, of an episode.

    Raises:
        ValueError: If a law of it is known, and the config asks for anything but the one way there
            is to learn that; if embed to control's objective is asked for without matrices of a
            state alone; or if episodes are shorter than what is to be looked at of them.
    """
    if config.chunk_length is not None and config.chunk_length > steps:
        raise ValueError(
            f"config field 'chunk_length' is {config.chunk_length}; allowed with episodes of "
            f"{steps} actions: 1 to {steps}, or None"
        )
    for field, allowed in (("objective", "elbo"), ("how", "smoothed")):
        given = getattr(config, field)
        if transition.conjugate is not None and given != allowed:
            raise ValueError(
                f"config field {field!r} is {given!r}; allowed with a transition of which a law is "
                f"known: {allowed!r}"
            )
    if config.objective == "e2c" and not transition.of_state_alone:
        raise ValueError(
            "config field 'objective' is 'e2c'; allowed with a transition that has no matrices of "
            "a state alone: 'elbo' or 'iwae'"
        )


def _check(problem: Recorded, config: Config, transition: Transition) -> None:
    check_learning(config, transition, problem.training.actions.shape[1])
    for name, episodes in zip(problem._fields, problem, strict=True):
        count, steps = episodes.actions.shape[:2]
        shape = episodes.images.shape[:2]
        if shape != (count, steps + 1):
            raise ValueError(
                f"problem.{name}.images have the leading axes {shape}; allowed with actions of "
                f"{(count, steps)}: {(count, steps + 1)}"
            )
        if episodes.costs is not None and episodes.costs.shape != (count, steps):
            raise ValueError(
                f"problem.{name}.costs have the shape {episodes.costs.shape}; allowed: "
                f"{(count, steps)}"
            )
        if steps < config.horizon:
            raise ValueError(
                f"config field 'horizon' is {config.horizon}; allowed with episodes of {steps} "
                f"actions: 1 to {steps}"
            )
    _check_alike(problem)


def _check_alike(problem: Recorded) -> None:
    """Refuse held-out episodes that are of another kind than those that are learned from."""
    training, held_out = problem
    for name in ("images", "actions"):
        wanted, found = (getattr(one, name).shape[1:] for one in (training, held_out))
        if found != wanted:
            raise ValueError(
                f"problem.held_out.{name} are of shape {found}, each episode's; allowed: {wanted}, "
                f"as in training"
            )
    if (training.costs is None) != (held_out.costs is None):
        one, other = "training", "held_out"
        if training.costs is None:
            one, other = other, one
        raise ValueError(f"problem.{other}.costs is None; allowed where {one} has costs: costs")
