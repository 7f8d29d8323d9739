"""SOLAR: collect, learn a model, infer local dynamics, improve the policy; and again."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rlsuite.algorithms.solar import local as locally
from rlsuite.algorithms.solar import model
from rlsuite.algorithms.solar.collecting import (
    Belief,
    Controller,
    collect,
    first_belief,
    respond,
)
from rlsuite.algorithms.solar.config import Config
from rlsuite.algorithms.solar.learning import Learner, learn, start_learning
from rlsuite.algorithms.solar.model import Networks
from rlsuite.core import Algorithm
from rlsuite.data.pictures import PictureEpisodes
from rlsuite.envs.control import Control
from rlsuite.nets.network import from_linen
from rlsuite.nets.sights import CoordinateDecoder, PlacesEncoder, components_encoder
from rlsuite.ops import lqr, mniw


class State(NamedTuple):
    """What a run keeps.

    Attributes:
        learner: The model.
        episodes: What was seen; the oldest make room.
        collected: How many episodes there have been.
        controller: Who acts.
        multiplier: Of the bound of a policy's step.
        promised: What the last local model expected of the policy before it, and of its own.
    """

    learner: Learner
    episodes: PictureEpisodes
    collected: Int[Array, ""]
    controller: Controller
    multiplier: Float[Array, ""]
    promised: Float[Array, " 2"]


class Metrics(NamedTuple):
    """Of one step.

    Attributes:
        cost: The mean cost of an episode of the new policy, drawing its actions.
        expected_cost: What the local model expected.
        pictures: Σ_t log p(o_t | s_t) of the last update's batch.
        divergence: Its KL(q(s) ‖ p(s | F, Σ)).
        policy_divergence: Of the new policy from the old one.
        bound: Of that.
        evidence: The bound of the evidence in local inference.
    """

    cost: Float[Array, ""]
    expected_cost: Float[Array, ""]
    pictures: Float[Array, ""]
    divergence: Float[Array, ""]
    policy_divergence: Float[Array, ""]
    bound: Float[Array, ""]
    evidence: Float[Array, ""]


class Evaluation(NamedTuple):
    """Of the mean actions.

    Attributes:
        score: The mean return.
        in_goal: The share of states in the goal; 0 where an environment does not say.
    """

    score: Float[Array, ""]
    in_goal: Float[Array, ""]


def default_networks(problem: Control, config: Config) -> Networks:
    """An encoder that looks for places, and a perceptron that draws pixels.

    Args:
        problem: Whose observations are pictures of light from 0 to 1.
        config: The hyperparameters.

    Returns:
        The networks.
    """
    shape = tuple(problem.spec.timestep.observation.shape)
    encoder = from_linen(PlacesEncoder(config.size))
    if config.representation == "components":
        encoder = components_encoder(config.size)
    return Networks(encoder, from_linen(CoordinateDecoder(shape)), "bernoulli")


def make(problem: Control, config: Config, *, networks: Networks | None = None) -> Algorithm:
    """SOLAR on one environment.

    Args:
        problem: Whose observations are pictures of light from 0 to 1, and whose episodes have at
            least ``config.length`` actions.
        config: The hyperparameters.
        networks: Encoder and decoder.

    Returns:
        The algorithm; a step is one round: learn, infer, improve, collect. ``act`` takes an
        observation or a whole ``Timestep``, and what it knew before; None starts an episode.

    Raises:
        ValueError: If observations are not pictures, or episodes are too short.

    Example:
        >>> from rlsuite.envs.pixels import pixel_navigation
        >>> algorithm = make(pixel_navigation(order=1), Config(size=2))
        >>> state = jax.eval_shape(algorithm.init, jax.random.key(0))
        >>> state.episodes.images.shape, state.controller.policy.gain.shape
        ((200, 51, 32, 32, 1), (50, 2, 2))
    """
    _check(problem, config)
    nets = networks or default_networks(problem, config)
    actions = problem.actions.size
    structured = config.representation == "structured"
    transformation = optax.chain(
        optax.clip_by_global_norm(config.clip), optax.adam(config.learning_rate)
    )

    def wander(key: PRNGKeyArray, _: Any, carry: None) -> tuple[Array, None]:
        drawn = config.exploration * jax.random.normal(key, (actions,))
        return jnp.clip(drawn, -1, 1), carry

    def follow(
        state: State, key: PRNGKeyArray | None, observation: Any, belief: Belief
    ) -> tuple[Array, Belief]:
        seen = model.potentials(nets, state.learner.params, observation[None])
        seen = jax.tree.map(lambda x: x[0], seen)
        return respond(state.controller, key, belief, seen, structured=structured)

    def cost_of(
        learner: Learner, episodes: PictureEpisodes, count: Int[Array, ""]
    ) -> lqr.Quadratic:
        number = min(config.cost_episodes, config.capacity)
        latest = (count - 1 - jnp.arange(number)) % config.capacity
        some = jax.tree.map(lambda x: x[latest], episodes)
        known = mniw.expected(mniw.to_moments(learner.known))
        found = jax.vmap(lambda one: model.states_of(nets, learner.params, known, one, config))(
            some
        )
        there = (jnp.arange(number) < count).astype(some.costs.dtype)
        return locally.fitted_cost(found, some.actions, some.costs, there)

    def init(key: PRNGKeyArray) -> State:
        of_model, of_episodes = jax.random.split(key)
        count = config.first_rollouts
        shown, _ = collect(problem, wander, None, of_episodes, count, config.length)
        learner = start_learning(nets, transformation, config, shown, of_model)
        every = (config.length, actions)
        policy = lqr.Policy(
            jnp.zeros((*every, config.size)),
            jnp.zeros(every),
            jnp.broadcast_to(config.exploration**2 * jnp.eye(actions), (*every, actions)),
        )
        law = mniw.to_moments(learner.known)
        if not config.timed:
            law = jax.tree.map(lambda x: jnp.broadcast_to(x, (config.length, *x.shape)), law)
        start = model.first_state(learner.params)
        return State(
            learner,
            with_room(shown, config.capacity),
            jnp.int32(count),
            Controller(policy, locally.mean_dynamics(law), start),
            jnp.ones(()),
            jnp.zeros(2),
        )

    def step(key: PRNGKeyArray, state: State) -> tuple[State, Metrics]:
        of_model, of_episodes = jax.random.split(key)
        first = state.learner.updates == 0
        have = jnp.minimum(state.collected, config.capacity)
        learner, parts = learn(
            nets, transformation, config, state.learner, state.episodes, have, of_model
        )
        latest = (state.collected - 1 - jnp.arange(config.rollouts)) % config.capacity
        recent = jax.tree.map(lambda x: x[latest], state.episodes)
        seen = jax.vmap(lambda o: model.seen(nets, learner.params, o))(recent.images)
        prior = locally.weakened(mniw.to_moments(learner.known), config.data_strength)
        start = model.first_state(learner.params)
        local = locally.fit(
            prior, start, seen, recent.actions, config.rounds, structured=structured
        )
        old = state.controller.policy
        if config.updates > 0:
            old = locally.refitted(old, local.states, recent.actions)
        cost = cost_of(learner, state.episodes, state.collected)
        known, begin = locally.local_problem(local, cost)
        now = lqr.expected_cost(known, lqr.law(known.dynamics, old, begin))
        changed = locally.adjusted(state.multiplier, state.promised, now)
        multiplier = jnp.where(first, state.multiplier, changed)
        bound = config.bound * config.length * multiplier
        found = lqr.constrained(known, old, begin, bound, temperature=config.temperature)
        promised = jnp.stack([found.old_cost, found.cost])
        controller = Controller(found.policy, locally.mean_dynamics(local.dynamics), local.start)
        after = state._replace(learner=learner, controller=controller)
        act = functools.partial(follow, after)
        blank = first_belief(controller)
        fresh, _ = collect(problem, act, blank, of_episodes, config.rollouts, config.length)
        paid = jnp.mean(jnp.sum(fresh.costs, axis=1))
        where = (state.collected + jnp.arange(config.rollouts)) % config.capacity
        kept = jax.tree.map(lambda x, y: x.at[where].set(y), state.episodes, fresh)
        metrics = Metrics(
            paid,
            found.cost,
            parts.pictures,
            parts.divergence,
            found.divergence,
            bound,
            local.bounds[-1],
        )
        count = state.collected + config.rollouts
        return State(learner, kept, count, controller, multiplier, promised), metrics

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
        arrived = getattr(problem.environment, "in_goal", None)
        look = None if arrived is None else lambda inner: arrived(inner, problem.params)
        episodes, there = collect(problem, mean, begin, key, count, config.length, look)
        share = jnp.zeros(()) if there is None else jnp.mean(there.astype(jnp.float32))
        return Evaluation(-jnp.mean(jnp.sum(episodes.costs, axis=1)), share)

    return Algorithm(init, step, act, evaluate, chunk_length=1)


def with_room(episodes: PictureEpisodes, capacity: int) -> PictureEpisodes:
    """The same episodes, and room for more."""
    room = capacity - len(episodes.costs)
    return jax.tree.map(
        lambda x: jnp.concatenate([x, jnp.zeros((room, *x.shape[1:]), x.dtype)]), episodes
    )


def _check(problem: Control, config: Config) -> None:
    """Refuse what is not pictures, and episodes that end before ``length`` actions."""
    shape = tuple(problem.spec.timestep.observation.shape)
    if len(shape) != 3:
        raise ValueError(f"problem has observations of shape {shape}; allowed: (height, width, c)")
    if problem.actions.is_discrete:
        raise ValueError("problem has actions that are categories; allowed: numbers")
    most = getattr(problem.params, "max_steps_in_episode", None)
    if most is not None and not isinstance(most, jax.core.Tracer) and config.length > most:
        raise ValueError(f"config field 'length' is {config.length}; allowed: at most {int(most)}")
    if config.capacity < config.first_rollouts + config.rollouts:
        raise ValueError(
            f"config field 'capacity' is {config.capacity}; allowed: at least first_rollouts + "
            f"rollouts, {config.first_rollouts + config.rollouts}"
        )
