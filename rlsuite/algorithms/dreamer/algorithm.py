r"""Dreamer: acting, remembering, modelling and dreaming, in one compiled program.

One step of the algorithm:

1. act ``steps_per_update`` times in every environment, inferring each state from the one before;
   every time step goes into the replay, with its action and its inferred state;
2. ``updates`` times: draw sequences, infer their states anew from the stored state before them,
   improve model, critic and policy (each by the gradient of its own loss), let the slow critic
   follow, and write the states back.

The row t of the replay is (time step t, the action taken at it, the state inferred at it).

References:
    Hafner et al. 2020: Dream to control: learning behaviors by latent imagination.
    arXiv:1912.01603.
    Hafner et al. 2023: Mastering diverse domains through world models, arXiv:2301.04104.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rlsuite.algorithms.dreamer import acting
from rlsuite.algorithms.dreamer.acting import Actor
from rlsuite.algorithms.dreamer.agent import Agent, Learner, Row, Rule, Update, agent
from rlsuite.algorithms.dreamer.behaviour import Heads
from rlsuite.algorithms.dreamer.config import Config, Model
from rlsuite.algorithms.dreamer.markov import environment_world, markov_world
from rlsuite.algorithms.dreamer.world import WorldModel, rssm_world
from rlsuite.core import Algorithm
from rlsuite.data import replay as replays
from rlsuite.data.replay import Replay
from rlsuite.envs.control import Control, Spec, Timestep


class State(NamedTuple):
    """The state of a run.

    Attributes:
        learner: What is learned.
        actor: Where acting stands.
        replay: What is remembered: ``Row``s.
    """

    learner: Learner
    actor: Actor
    replay: Replay


class Metrics(NamedTuple):
    """Of one step of the algorithm; losses are means over its updates.

    Attributes:
        environment_steps: Time steps acted so far, of all environments, the random ones included.
        episode_return: Mean return of the last episode of every environment (0 before the first).
        world_loss: The model's loss.
        policy_loss: The policy's.
        value_loss: The critic's.
        imagined_return: Mean λ-return of imagined trajectories.
        return_range: Range by which returns are divided, before its floor.
        entropy: The policy's.
        world: The parts of the model's loss, by name.
    """

    environment_steps: Int[Array, ""]
    episode_return: Float[Array, ""]
    world_loss: Float[Array, ""]
    policy_loss: Float[Array, ""]
    value_loss: Float[Array, ""]
    imagined_return: Float[Array, ""]
    return_range: Float[Array, ""]
    entropy: Float[Array, ""]
    world: dict[str, Float[Array, ""]]


class Evaluation(NamedTuple):
    """Of the most probable actions, in new episodes.

    Attributes:
        episode_return: Mean return.
        worst: The least.
        length: Mean number of actions.
    """

    episode_return: Float[Array, ""]
    worst: Float[Array, ""]
    length: Float[Array, ""]


def learned_world(spec: Spec, model: Model) -> WorldModel:
    """The world model that a config names, for environments that JAX does not see.

    Args:
        spec: What there is to see and to do.
        model: The config.

    Returns:
        The model.

    Raises:
        ValueError: If the config names the true environment.
    """
    if model.kind == "environment":
        raise ValueError("model kind is 'environment'; allowed here: 'rssm', 'markov'")
    return (rssm_world if model.kind == "rssm" else markov_world)(spec, model)


def chunk_length(spec: Spec) -> int:
    """How many steps go into one program: of images one, as XLA on CPU runs loops of them slowly.

    Args:
        spec: What there is to see.

    Returns:
        The number.
    """
    shown = jax.tree.leaves(spec.timestep.observation)
    return 1 if any(leaf.dtype == jnp.uint8 for leaf in shown) else 100


def world_of(problem: Control, model: Model) -> WorldModel:
    """The world model that a config names.

    Args:
        problem: The environment.
        model: The config.

    Returns:
        The model.
    """
    if model.kind == "environment":
        return environment_world(problem, model)
    return learned_world(problem.spec, model)


def learn(
    learned: Agent, config: Config, key: PRNGKeyArray, learner: Learner, replay: Replay
) -> tuple[Learner, Replay, Update]:
    """One update: draw sequences, learn from them, and write their states back.

    Args:
        learned: The agent.
        config: The hyperparameters.
        key: Key.
        learner: What is learned so far.
        replay: ``Row``s; at least ``config.sequence_length + 1`` of each environment.

    Returns:
        (learner, replay, what the update has to tell).
    """
    of_rows, of_update = jax.random.split(key)
    replay, drawn = replays.sample(
        of_rows,
        replay,
        num_sequences=config.batch_size,
        length=config.sequence_length + 1,
        overlap=1,
        online=config.online,
    )
    learner, states, told = learned.update(of_update, learner, replays.rows(replay, drawn))
    fresh = replays.write(replay.rows.state, drawn.rest(1), states)
    return learner, replay._replace(rows=replay.rows._replace(state=fresh)), told


def updates(
    learned: Agent, config: Config, key: PRNGKeyArray, learner: Learner, replay: Replay
) -> tuple[Learner, Replay, Update]:
    """``config.updates`` updates.

    Args:
        learned: The agent.
        config: The hyperparameters.
        key: Key.
        learner: What is learned so far.
        replay: ``Row``s.

    Returns:
        (learner, replay, the means of what the updates have to tell).
    """

    def update(carry: tuple[Learner, Replay], key: PRNGKeyArray) -> tuple[Any, Update]:
        *carried, told = learn(learned, config, key, *carry)
        return tuple(carried), told

    keys = jax.random.split(key, config.updates)
    (learner, replay), told = jax.lax.scan(update, (learner, replay), keys)
    return learner, replay, jax.tree.map(lambda x: jnp.mean(x, axis=0), told)


def metrics_of(
    config: Config,
    episode_return: Float[Array, ""],
    learner: Learner,
    replay: Replay,
    told: Update,
) -> Metrics:
    """The metrics of a step.

    Args:
        config: The hyperparameters.
        episode_return: Mean return of the episodes that ended last.
        learner: What is learned.
        replay: What is remembered.
        told: What the updates had to tell, on average.

    Returns:
        The metrics.
    """
    return Metrics(
        environment_steps=config.num_environments * replay.written,
        episode_return=episode_return,
        world_loss=told.world_loss,
        policy_loss=told.losses.policy,
        value_loss=told.losses.value,
        imagined_return=told.losses.imagined_return,
        return_range=learner.range.high - learner.range.low,
        entropy=told.losses.entropy,
        world=told.world,
    )


def make(
    problem: Control,
    config: Config = Config(),  # noqa: B008
    *,
    world: Callable[[Spec, Model], WorldModel] | None = None,
    networks: Heads | None = None,
    optimizer: Rule | None = None,
) -> Algorithm:
    """Dreamer in an environment that JAX can run.

    Args:
        problem: The environment.
        config: The hyperparameters.
        world: Makes the world model from (spec, ``config.model``), in place of the one that
            ``config.model.kind`` names.
        networks: Policy and critic.
        optimizer: From a learning rate to an optax transformation.

    Returns:
        The algorithm: ``step`` returns ``Metrics``, ``evaluate`` an ``Evaluation``. ``act`` takes
        an observation as the environment gives it, or a whole ``Timestep``, whose mask it then
        respects, and returns an action as a vector; without a key it is the most probable one, of
        the most probable state. Its carry is (inferred state, last action).

    Raises:
        ValueError: If the environment's actions or observations are of a kind that is not allowed.
    """
    build = world or (lambda _, model: world_of(problem, model))
    learned = agent(problem.spec, config, world=build, networks=networks, optimizer=optimizer)
    model, actions = learned.world, problem.actions
    count = config.num_environments

    def init(key: PRNGKeyArray) -> State:
        of_learner, of_start, of_prefill = jax.random.split(key, 3)
        learner = learned.init(of_learner)
        params = learner.weights.world
        actor = acting.begin(problem, model, params, of_start, count)
        none = jnp.zeros((count, actions.size))
        one = jax.tree.map(lambda x: x[0], Row(actor.timestep, none, actor.state))
        replay = replays.create(one, config.capacity, count)

        def at_random(key: PRNGKeyArray, actor: Actor) -> Array:
            return jax.vmap(actions.uniform)(jax.random.split(key, count), actor.timestep.mask)

        return State(
            learner,
            *acting.record(
                problem, model, params, at_random, of_prefill, actor, replay, config.prefill
            ),
        )

    def step(key: PRNGKeyArray, state: State) -> tuple[State, Metrics]:
        of_acting, of_learning = jax.random.split(key)
        weights = state.learner.weights

        def choose(key: PRNGKeyArray, actor: Actor) -> Array:
            return learned.choose(weights, key, actor.state, actor.timestep.mask)

        actor, replay = acting.record(
            problem,
            model,
            weights.world,
            choose,
            of_acting,
            state.actor,
            state.replay,
            config.steps_per_update,
        )

        learner, replay, told = updates(learned, config, of_learning, state.learner, replay)
        metrics = metrics_of(config, jnp.mean(actor.last_score), learner, replay, told)
        return State(learner, actor, replay), metrics

    def evaluate(key: PRNGKeyArray, state: State) -> Evaluation:
        weights = state.learner.weights

        def choose(key: PRNGKeyArray, actor: Actor) -> Array:
            return learned.choose(weights, key, actor.state, actor.timestep.mask, greedy=True)

        returns, lengths = acting.finish(
            problem,
            model,
            weights.world,
            choose,
            key,
            num_episodes=config.evaluation_episodes,
            max_length=config.evaluation_length,
        )
        return Evaluation(jnp.mean(returns), jnp.min(returns), jnp.mean(lengths * 1.0))

    def act(
        key: PRNGKeyArray | None, state: State, observation: Any, carry: Any
    ) -> tuple[Float[Array, " action"], Any]:
        timestep = observation
        if not isinstance(observation, Timestep):
            timestep = problem.timestep(observation, is_first=carry is None)
        before = (model.initial, jnp.zeros(actions.size)) if carry is None else carry
        return learned.act(state.learner.weights, key, timestep, before)

    return Algorithm(init, step, act, evaluate, chunk_length(problem.spec))
