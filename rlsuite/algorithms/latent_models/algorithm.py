"""Train a latent model on recorded episodes, test it on others, and act by planning in it."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rlsuite.algorithms.latent_models import affine, nonlinear
from rlsuite.algorithms.latent_models.config import Config
from rlsuite.algorithms.latent_models.control import (
    Thought,
    first_thought,
    planner_of,
    respond,
)
from rlsuite.algorithms.latent_models.evidence import (
    Parts,
    bounds,
    e2c_objective,
    evidence_bound,
    log_mean,
    path_parts,
)
from rlsuite.algorithms.latent_models.model import (
    LatentModel,
    LatentParams,
    bernoulli,
    init_params,
    normal,
)
from rlsuite.algorithms.latent_models.prediction import prediction_nll
from rlsuite.algorithms.latent_models.transition import Transition, settled
from rlsuite.core import Algorithm
from rlsuite.data.pictures import PictureEpisodes
from rlsuite.envs.control import Timestep
from rlsuite.nets import Network, from_linen, mlp
from rlsuite.nets.sights import PlacesEncoder
from rlsuite.ops.gaussian import Smoothed


class Recorded(NamedTuple):
    """Episodes to learn from, and others to be tested on, all of the same length.

    Attributes:
        training: Episodes, ``[episode, …]``; observations are pictures (bytes, or shares of light)
            or vectors.
        held_out: More of them.
    """

    training: PictureEpisodes
    held_out: PictureEpisodes


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
        case "mniw":
            return affine.mniw(size, actions)
        case "mniw-steps":
            return affine.mniw(size, actions, steps=steps)
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
        Of pictures, an encoder that looks for places and a perceptron that decodes to logits; of
        vectors, two perceptrons and normal noise of deviation 1. The transition is the config's.
    """
    steps, actions = problem.training.actions.shape[1:]
    shape = problem.training.images.shape[2:]
    transition = transition_of(config, actions, steps)
    if len(shape) == 3:
        encoder, flat = from_linen(PlacesEncoder(config.size)), mlp((128, 128), math.prod(shape))
        decoder = Network(
            flat.init, lambda params, s: flat.apply(params, s).reshape(*s.shape[:-1], *shape)
        )
        return LatentModel(encoder, decoder, bernoulli(), transition, config.size)
    both = mlp((64,), 2 * config.size)
    encoder = Network(both.init, lambda params, x: jnp.split(both.apply(params, x), 2, axis=-1))
    return LatentModel(encoder, mlp((64,), shape[0]), normal(), transition, config.size)


def make(
    problem: Recorded,
    config: Config = Config(),  # noqa: B008
    *,
    model: LatentModel | None = None,
    optimizer: optax.GradientTransformation | None = None,
) -> Algorithm:
    """A latent model from recorded episodes.

    Args:
        problem: Recorded episodes.
        config: The hyperparameters.
        model: Encoder, decoder and transition; by default ``default_model(problem, config)``.
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
    _check(problem, config)
    latent = default_model(problem, config) if model is None else model
    conjugate = latent.transition.conjugate
    if conjugate is not None and config.objective != "elbo":
        raise ValueError(
            f"config field 'objective' is {config.objective!r}; allowed with a transition of which "
            f"a law is known: 'elbo'"
        )
    rule = optimizer or optax.chain(
        optax.clip_by_global_norm(config.clip), optax.adam(config.learning_rate)
    )
    actions, episodes = problem.training.actions.shape[-1], len(problem.training.actions)

    def moved(params: LatentParams) -> LatentParams:
        """What gradients move: q(θ) has an update of its own."""
        return params if conjugate is None else params._replace(transition=())

    def init(key: PRNGKeyArray) -> State:
        params = init_params(key, latent, problem.training)
        return State(params, rule.init(moved(params)), jnp.int32(0))

    def objective(
        params: LatentParams, key: PRNGKeyArray, episode: PictureEpisodes, beta: Array
    ) -> tuple[Array, tuple[Parts, Smoothed | None]]:
        given, law = (key, latent, params, episode), None
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

    def step(key: PRNGKeyArray, state: State) -> tuple[State, Metrics]:
        of_batch, of_bound = jax.random.split(key)
        chosen = jax.random.randint(of_batch, (config.batch_size,), 0, episodes)
        batch = jax.tree.map(lambda x: x[chosen], problem.training)
        keys = jax.random.split(of_bound, config.batch_size)
        beta = 1 + (config.temper - 1) * jnp.exp(-state.updates / config.temper_updates)

        def loss(free: LatentParams) -> tuple[Array, tuple[Parts, Smoothed | None]]:
            held = state.params.transition
            params = free if conjugate is None else free._replace(transition=held)
            each = jax.vmap(objective, (None, 0, 0, None))
            value, (parts, laws) = each(params, keys, batch, beta)
            return -jnp.mean(value), (jax.tree.map(jnp.mean, parts), laws)

        free = moved(state.params)
        slope, (parts, laws) = jax.grad(loss, has_aux=True)(free)
        change, optimizer = rule.update(slope, state.optimizer, free)
        params = optax.apply_updates(free, change)
        if conjugate is not None:
            known, rate = state.params.transition, config.natural_rate
            known = conjugate.update(known, laws, batch.actions, rate, jnp.asarray(float(episodes)))
            params = params._replace(transition=known)
        return State(params, optimizer, state.updates + 1), Metrics(*parts)

    def evaluate(key: PRNGKeyArray, state: State) -> Evaluation:
        return held_out(key, latent, state.params, problem.held_out, config)

    def act(
        key: PRNGKeyArray | None, state: State, observation: Any, carry: Thought | None
    ) -> tuple[Array, Thought]:
        seen = observation.observation if isinstance(observation, Timestep) else observation
        known = settled(latent.transition, state.params.transition)
        given = (latent, state.params, known)
        thought = first_thought(*given, config.plan_length, actions) if carry is None else carry
        key = jax.random.key(0) if key is None else key
        return respond(key, *given, planner_of(config), thought, seen)

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


def _check(problem: Recorded, config: Config) -> None:
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
