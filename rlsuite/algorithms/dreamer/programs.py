"""Dreamer's compiled programs for environments that are stepped from outside of JAX.

Each takes a ``Maker`` (static) and ``Arguments`` (traced), from which it builds the agent.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.algorithms.dreamer.agent import Agent, Learner, Row, Rule, Weights, agent
from rlsuite.algorithms.dreamer.algorithm import Metrics, learned_world, metrics_of, updates
from rlsuite.algorithms.dreamer.behaviour import Heads
from rlsuite.algorithms.dreamer.config import Config, Model
from rlsuite.algorithms.dreamer.world import WorldModel
from rlsuite.data import replay as replays
from rlsuite.data.replay import Replay
from rlsuite.envs.control import Spec, Timestep
from rlsuite.envs.hosts import HostEnvironment
from rlsuite.placement import Arguments, Structure, batch_of, split, traced_arguments
from rlsuite.programs import has_nan

World = Callable[[Spec, Model], WorldModel]


class State(NamedTuple):
    """The state of a run; the environments' own is not part of it.

    Attributes:
        learner: What is learned.
        carry: (states inferred last, actions taken last), an entry for each environment.
        replay: What is remembered: ``Row``s.
        last_score: The return of the last episode that ended.
    """

    learner: Learner
    carry: Any
    replay: Replay
    last_score: Float[Array, " environment"]


class Maker(NamedTuple):
    """Makes an agent; hashable, so that programs compiled for one serve its equals.

    Attributes:
        spec: The static part of what there is to see and to do.
        world: Makes the world model.
        networks: Policy and critic; None for the default.
        optimizer: From a learning rate to an optax transformation; None for the default.
    """

    spec: Structure
    world: World = learned_world
    networks: Heads | None = None
    optimizer: Rule | None = None

    def agent(self, arguments: Arguments) -> Agent:
        """The agent.

        Args:
            arguments: The arrays in the spec, the config, and a key.

        Returns:
            The agent.
        """
        return agent(
            self.spec.rebuild(arguments.problem),
            arguments.config,
            world=self.world,
            networks=self.networks,
            optimizer=self.optimizer,
        )


@functools.partial(jax.jit, static_argnames="maker")
def blank(maker: Maker, arguments: Arguments) -> State:
    """The state before anything was seen.

    Args:
        maker: Makes the agent.
        arguments: The traced inputs; the key is for the parameters.

    Returns:
        The state.
    """
    learned, config = maker.agent(arguments), arguments.config
    count = config.num_environments
    shown = maker.spec.rebuild(arguments.problem).timestep
    row = Row(shown, jnp.zeros(learned.actions.size), learned.world.initial)
    replay = replays.create(row, config.capacity, count)
    return State(learned.init(arguments.key), _nothing(learned, count), replay, jnp.zeros(count))


def cut_off(replay: Replay) -> Replay:
    """A replay whose episodes are left where they are: what comes next does not follow.

    Args:
        replay: Of ``Row``s.

    Returns:
        The replay, its last rows being their episodes' last.
    """
    timestep = replay.rows.timestep
    last = timestep.is_last.at[(replay.written - 1) % replay.capacity].set(True)
    rows = replay.rows._replace(timestep=timestep._replace(is_last=last))
    return replay._replace(rows=rows)


def _nothing(learned: Agent, count: int) -> Any:
    """The carry of ``count`` environments before an episode."""
    states = jax.tree.map(lambda x: jnp.broadcast_to(x, (count, *x.shape)), learned.world.initial)
    return states, jnp.zeros((count, learned.actions.size))


@functools.partial(jax.jit, static_argnames=("maker", "greedy"))
def respond(
    maker: Maker,
    arguments: Arguments,
    weights: Weights,
    timestep: Timestep,
    carry: Any,
    moment: Any,
    *,
    greedy: bool = False,
) -> Any:
    """Infer and act.

    Args:
        maker: Makes the agent.
        arguments: The traced inputs.
        weights: The parameters.
        timestep: What is seen, leaves ``[environment, …]``.
        carry: (states inferred last, actions taken last); None where episodes begin.
        moment: A number that no other moment has; makes the key.
        greedy: Whether to take the most probable actions.

    Returns:
        The carry with what is inferred and done now.
    """
    learned = maker.agent(arguments)
    key = jax.random.fold_in(arguments.key, moment)
    carry = _nothing(learned, len(timestep.reward)) if carry is None else carry
    return learned.act(weights, key, timestep, carry, greedy=greedy)[1]


@functools.partial(jax.jit, static_argnames=("maker", "at_random"), donate_argnames="replay")
def act_and_remember(
    maker: Maker,
    arguments: Arguments,
    weights: Weights,
    timestep: Timestep,
    carry: Any,
    replay: Replay,
    *,
    at_random: bool,
) -> tuple[Any, Replay]:
    """Infer, act, and add a row of every environment to the replay.

    Args:
        maker: Makes the agent.
        arguments: The traced inputs.
        weights: The parameters.
        timestep: What is seen.
        carry: (states inferred last, actions taken last).
        replay: What is remembered; donated.
        at_random: Whether actions are uniform over what is allowed.

    Returns:
        (carry, replay).
    """
    learned = maker.agent(arguments)
    of_agent, of_chance = jax.random.split(jax.random.fold_in(arguments.key, replay.written))
    action, (state, _) = learned.act(weights, of_agent, timestep, carry)
    if at_random:
        keys = jax.random.split(of_chance, action.shape[0])
        action = jax.vmap(learned.actions.uniform)(keys, timestep.mask)
    return (state, action), replays.add(replay, Row(timestep, action, state))


@functools.partial(jax.jit, static_argnames="maker", donate_argnames="state")
def improve(
    maker: Maker, arguments: Arguments, state: State, moment: Any
) -> tuple[State, Metrics, Any]:
    """Learn from the replay.

    Args:
        maker: Makes the agent.
        arguments: The traced inputs.
        state: The state of the run; donated.
        moment: The number of the step; makes the key.

    Returns:
        (state, metrics, whether a parameter is NaN).
    """
    key = jax.random.fold_in(arguments.key, moment)
    config = arguments.config
    learned = maker.agent(arguments)
    learner, replay, told = updates(learned, config, key, state.learner, state.replay)
    metrics = metrics_of(config, jnp.mean(state.last_score), learner, replay, told)
    return state._replace(learner=learner, replay=replay), metrics, has_nan(learner.weights)


def prepare(
    environment: HostEnvironment,
    config: Config,
    key: PRNGKeyArray,
    world: World,
    networks: Heads | None,
    optimizer: Rule | None,
) -> tuple[Maker, Arguments]:
    """What the compiled programs take.

    Args:
        environment: Where to act.
        config: The hyperparameters.
        key: A typed key.
        world: Makes the world model.
        networks: Policy and critic.
        optimizer: From a learning rate to an optax transformation.

    Returns:
        (static part, traced part).

    Raises:
        ValueError: If the config is stacked, is for another number of environments, or does not
            suit the observations.
    """
    if config.num_environments != environment.num_environments:
        raise ValueError(
            f"config field 'num_environments' is {config.num_environments}; allowed: "
            f"{environment.num_environments}, as many as there are in the environment"
        )
    arrays, structure = split(environment.spec)
    batch = batch_of(arrays, config, None, None)
    if batch.config is not None:
        raise ValueError(f"config has {batch.config} values in a field; allowed: one config")
    maker = Maker(structure, world, networks, optimizer)
    return maker, traced_arguments(arrays, config, key, batch)
