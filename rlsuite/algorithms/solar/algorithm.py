"""SOLAR: collect, learn a model, infer local dynamics, improve the policy; and again."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PRNGKeyArray

from rlsuite.algorithms.solar import model
from rlsuite.algorithms.solar.collecting import (
    Belief,
    Controller,
    first_belief,
    respond,
)
from rlsuite.algorithms.solar.config import Config
from rlsuite.algorithms.solar.improving import Improvement, improve
from rlsuite.algorithms.solar.learning import learn, start_learning
from rlsuite.algorithms.solar.local import mean_dynamics
from rlsuite.algorithms.solar.model import Parts
from rlsuite.algorithms.solar.state import Evaluation, Metrics, State
from rlsuite.core import Algorithm
from rlsuite.data.pictures import (
    PictureEpisodes,
    check_length,
    collect,
    judge,
    kept,
    wander,
    with_room,
)
from rlsuite.envs.control import Control
from rlsuite.nets.network import from_linen
from rlsuite.nets.sight_networks import Networks, of_pictures, of_places
from rlsuite.nets.sights import (
    Components,
    CoordinateDecoder,
    components_encoder,
    principal_components,
)
from rlsuite.ops import lqr, mniw


def default_networks(problem: Control, config: Config) -> Networks:
    """An encoder that looks for places, and a perceptron that draws pixels.

    Args:
        problem: Whose observations are pictures of light from 0 to 1.
        config: The hyperparameters.

    Returns:
        The networks.
    """
    shape = tuple(problem.spec.timestep.observation.shape)
    if config.representation == "components":

        def project(_: Any, decoder: Any, images: Any) -> tuple[Components, Any]:
            return principal_components(images, config.size), decoder

        decoder = from_linen(CoordinateDecoder(shape))
        return Networks(components_encoder(config.size), decoder, "bernoulli", project)
    size = config.size // 2 if config.velocities else config.size
    networks = of_pictures(shape, size, background=config.background)
    return of_places(networks, config.size) if config.velocities else networks


def make(problem: Control, config: Config, *, networks: Networks | None = None) -> Algorithm:
    """SOLAR on one environment.

    Args:
        problem: Whose observations are pictures of light from 0 to 1, and whose episodes have at
            least ``config.length`` actions.
        config: The hyperparameters.
        networks: Encoder and decoder; where states have velocities, see ``of_places``.

    Returns:
        The algorithm; a step is one round: learn, infer, improve, collect. ``act`` takes an
        observation or a whole ``Timestep``, and what it knew before; None starts an episode.

    Raises:
        ValueError: If observations are not pictures, episodes are too short, or fields disagree.

    Example:
        >>> from rlsuite.envs.pixels import pixel_navigation
        >>> algorithm = make(pixel_navigation(order=1), Config(size=2))
        >>> state = jax.eval_shape(algorithm.init, jax.random.key(0))
        >>> state.episodes.images.shape, state.controller.policy.gain.shape
        ((200, 51, 32, 32, 1), (50, 2, 2))
    """
    _check(problem, config)
    nets = networks or default_networks(problem, config)
    transformation = optax.chain(
        optax.clip_by_global_norm(config.clip), optax.adam(config.learning_rate)
    )

    def follow(
        state: State, key: PRNGKeyArray | None, observation: Any, belief: Belief
    ) -> tuple[Array, Belief]:
        seen = model.potentials(nets, state.learner.params, observation[None])
        seen = jax.tree.map(lambda x: x[0], seen)
        structured = config.representation == "structured"
        return respond(state.controller, key, belief, seen, structured=structured)

    def init(key: PRNGKeyArray) -> State:
        return _begin(problem, config, nets, transformation, key)

    def step(key: PRNGKeyArray, state: State) -> tuple[State, Metrics]:
        of_model, of_episodes = jax.random.split(key)
        have = jnp.minimum(state.collected, config.capacity)
        learner, parts = learn(
            nets, transformation, config, state.learner, state.episodes, have, of_model
        )
        better = improve(nets, config, state, learner)
        after = state._replace(learner=learner, controller=better.controller)
        act, blank = functools.partial(follow, after), first_belief(better.controller)
        fresh, _ = collect(
            problem,
            act,
            blank,
            of_episodes,
            config.rollouts,
            config.length,
            as_bytes=config.as_bytes,
        )
        return _kept(after, fresh, better), _metrics(fresh, parts, better)

    def act(
        key: PRNGKeyArray | None, state: State, observation: Any, carry: Belief | None
    ) -> tuple[Array, Belief]:
        belief = first_belief(state.controller) if carry is None else carry
        observation = getattr(observation, "observation", observation)
        return follow(state, key, observation, belief)

    def evaluate(key: PRNGKeyArray, state: State) -> Evaluation:
        def mean(_: PRNGKeyArray, observation: Any, belief: Belief) -> tuple[Array, Belief]:
            return follow(state, None, observation, belief)

        begin, count = first_belief(state.controller), config.evaluation_episodes
        return Evaluation(*judge(problem, mean, begin, key, count, config.length))

    return Algorithm(init, step, act, evaluate, chunk_length=1)


def _begin(
    problem: Control,
    config: Config,
    networks: Networks,
    transformation: optax.GradientTransformation,
    key: PRNGKeyArray,
) -> State:
    """Episodes of random actions, and a policy that goes on with these."""
    of_model, of_episodes = jax.random.split(key)
    actions, count = problem.actions.size, config.first_rollouts
    agent = wander(actions, config.exploration)
    shown, _ = collect(problem, *agent, of_episodes, count, config.length, as_bytes=config.as_bytes)
    learner = start_learning(networks, transformation, config, shown, of_model)
    every = (config.length, actions)
    policy = lqr.Policy(
        jnp.zeros((*every, config.size)),
        jnp.zeros(every),
        jnp.broadcast_to(config.exploration**2 * jnp.eye(actions), (*every, actions)),
    )
    law = mniw.to_moments(learner.known)
    if not config.timed:
        law = jax.tree.map(lambda x: jnp.broadcast_to(x, (config.length, *x.shape)), law)
    controller = Controller(policy, mean_dynamics(law), model.first_state(learner.params))
    episodes = with_room(shown, config.capacity)
    return State(learner, episodes, jnp.int32(count), controller, jnp.ones(()), jnp.zeros(2))


def _kept(state: State, fresh: PictureEpisodes, better: Improvement) -> State:
    """What is known after new episodes, of which the oldest made room."""
    return state._replace(
        episodes=kept(state.episodes, fresh, state.collected),
        collected=state.collected + len(fresh.costs),
        multiplier=better.multiplier,
        promised=jnp.stack([better.found.old_cost, better.found.cost]),
    )


def _metrics(fresh: PictureEpisodes, parts: Parts, better: Improvement) -> Metrics:
    """Of one round."""
    return Metrics(
        jnp.mean(jnp.sum(fresh.costs, axis=1)),
        better.found.cost,
        parts.pictures,
        parts.divergence,
        better.found.divergence,
        better.bound,
        better.evidence,
    )


def _check(problem: Control, config: Config) -> None:
    """Refuse what is not pictures, and episodes that end before ``length`` actions."""
    shape = tuple(problem.spec.timestep.observation.shape)
    if len(shape) != 3:
        raise ValueError(f"problem has observations of shape {shape}; allowed: (height, width, c)")
    if problem.actions.is_discrete:
        raise ValueError("problem has actions that are categories; allowed: numbers")
    check_length(problem, config.length)
    if config.velocities and config.size % 2 == 1:
        raise ValueError(f"config field 'size' is {config.size}; allowed with velocities: even")
    if config.velocities and config.representation != "structured":
        raise ValueError(
            f"config field 'representation' is {config.representation!r}; allowed with velocities: "
            "'structured'"
        )
    if config.full and config.representation != "structured":
        raise ValueError(
            f"config field 'representation' is {config.representation!r}; allowed with full: "
            "'structured', as dynamics have no other part in the bound"
        )
    if config.rollouts > config.first_rollouts:
        raise ValueError(
            f"config field 'rollouts' is {config.rollouts}; allowed: at most first_rollouts, "
            f"{config.first_rollouts}, of which the last are the first policy's"
        )
    if config.capacity < config.first_rollouts + config.rollouts:
        raise ValueError(
            f"config field 'capacity' is {config.capacity}; allowed: at least first_rollouts + "
            f"rollouts, {config.first_rollouts + config.rollouts}"
        )
