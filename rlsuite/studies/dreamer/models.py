"""World models fitted to random actions, and policies learned in a model that stays as it is.

Both are algorithms in the sense of :mod:`rlsuite.core`, so that models of several amounts of data,
several seeds, and policies in all of them are one program each.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rlsuite.algorithms.dreamer import acting, behaviour
from rlsuite.algorithms.dreamer.agent import Learner, Row, agent
from rlsuite.algorithms.dreamer.algorithm import chunk_length, world_of
from rlsuite.algorithms.dreamer.config import Config
from rlsuite.algorithms.dreamer.dynamics import imagine
from rlsuite.algorithms.dreamer.world import Inferred, WorldModel
from rlsuite.core import Algorithm
from rlsuite.data import replay as replays
from rlsuite.data.replay import Replay
from rlsuite.envs.control import Actions, Control
from rlsuite.ops.optimizers import laprop
from rlsuite.ops.pytrees import pytree

Params = Any
HOLD = 0.8
"""The chance that a random action is kept for another step."""


class Source(NamedTuple):
    """What a model is fitted to.

    Attributes:
        control: The environment.
        amount: How many time steps of random actions, of all environments together.
    """

    control: Control
    amount: Int[Array, ""]


class Fit(NamedTuple):
    """A model that is being fitted.

    Attributes:
        params: Its parameters.
        optimizer: The optimiser's state.
        replay: ``Row``s without inferred states.
    """

    params: Params
    optimizer: Any
    replay: Replay


class Fitness(NamedTuple):
    """Of one step of the fit.

    Attributes:
        loss: The model's loss.
    """

    loss: Float[Array, ""]


def collect(problem: Control, key: PRNGKeyArray, num_steps: int, num_environments: int) -> Replay:
    """Act at random; an action is kept for 1 / (1 − HOLD) steps on average.

    Args:
        problem: The environment.
        key: Key.
        num_steps: How many time steps of each environment.
        num_environments: How many environments.

    Returns:
        A replay of ``Row``s without states.
    """
    of_start, of_steps = jax.random.split(key)
    start = jax.vmap(problem.reset)(jax.random.split(of_start, num_environments))

    def step(carry: Any, key: PRNGKeyArray) -> tuple[Any, Row]:
        state, timestep, old = carry
        of_action, of_hold, of_step = jax.random.split(key, 3)
        keys = jax.random.split(of_action, num_environments)
        new = jax.vmap(problem.actions.uniform)(keys, timestep.mask)
        held = (
            jax.random.bernoulli(of_hold, HOLD, (num_environments, 1)) & ~timestep.is_first[:, None]
        )
        action = jnp.where(held, old, new)
        keys = jax.random.split(of_step, num_environments)
        return (*jax.vmap(problem.step)(keys, state, action), action), Row(timestep, action, None)

    none = jnp.zeros((num_environments, problem.actions.size))
    _, rows = jax.lax.scan(step, (*start, none), jax.random.split(of_steps, num_steps))
    online = jnp.zeros(num_environments, jnp.int32)
    return Replay(rows, jnp.asarray(num_steps, jnp.int32), online)


def sequences(key: PRNGKeyArray, replay: Replay, num: int, length: int) -> Row:
    """Draw sequences.

    Args:
        key: Key.
        replay: From where.
        num: How many.
        length: How many time steps each.

    Returns:
        ``[sequence, time, …]``.
    """
    _, drawn = replays.sample(key, replay, num_sequences=num, length=length)
    rows: Row = replays.rows(replay, drawn)
    return rows


def first_states(world: WorldModel, params: Params, key: PRNGKeyArray, rows: Row) -> Any:
    """States inferred from the first time steps of sequences alone, as if an episode began there.

    Args:
        world: The model.
        params: Its parameters.
        key: Key.
        rows: The sequences.

    Returns:
        Leaves ``[sequence, …]``.
    """
    first = jax.tree.map(lambda leaf: leaf[:, 0], rows)
    count = first.action.shape[0]
    blank = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (count, *leaf.shape)), world.initial)
    nothing = jnp.zeros_like(first.action)
    return world.observe(params, key, blank, nothing, first.timestep, None)


def fit(problem: Source, config: Config) -> Algorithm:
    """A model is fitted to random actions; nothing else is learned.

    Args:
        problem: The environment and how much of it is seen.
        config: ``prefill`` time steps are acted in each environment, of which the first count.

    Returns:
        The algorithm.
    """
    control, envs = problem.control, config.num_environments
    world = world_of(control, config.model)
    rule = laprop(config.learning_rate, clipping=config.clipping, warmup_steps=config.warmup)

    def init(key: PRNGKeyArray) -> Fit:
        of_rows, of_params = jax.random.split(key)
        replay = collect(control, of_rows, config.prefill, envs)
        params = world.init(of_params)
        replay = replay._replace(written=jnp.asarray(problem.amount // envs, jnp.int32))
        return Fit(params, rule.init(params), replay)

    def step(key: PRNGKeyArray, state: Fit) -> tuple[Fit, Fitness]:
        of_rows, of_first, of_rest = jax.random.split(key, 3)
        rows = sequences(of_rows, state.replay, config.batch_size, config.sequence_length + 1)
        rest = jax.tree.map(lambda leaf: leaf[:, 1:], rows.timestep)

        def loss(params: Params) -> Array:
            before = first_states(world, params, of_first, rows)
            return world.infer(params, of_rest, before, rows.action[:, :-1], rest, None).loss

        value, gradient = jax.value_and_grad(loss)(state.params)
        update, optimizer = rule.update(gradient, state.optimizer, state.params)
        params = jax.tree.map(jnp.add, state.params, update)
        return Fit(params, optimizer, state.replay), Fitness(value)

    return Algorithm(init, step, chunk_length=chunk_length(control.spec))


@pytree()
@dataclasses.dataclass(frozen=True)
class Dimmed:
    """A distribution whose draws are pulled to its mode: mode + noise (draw − mode).

    Attributes:
        whole: The distribution.
        noise: 1 leaves it as it is; 0 leaves the mode.
    """

    whole: Any
    noise: Float[Array, ""]

    def sample(self, key: PRNGKeyArray) -> Any:
        """A draw."""
        return jax.tree.map(
            lambda mode, draw: mode + self.noise * (draw - mode),
            self.mode(),
            self.whole.sample(key),
        )

    def mean(self) -> Any:
        """The distribution's mean."""
        return self.whole.mean()

    def mode(self) -> Any:
        """The distribution's mode."""
        return self.whole.mode()


def frozen(
    world: WorldModel, params: Params, actions: Actions, noise: float | Float[Array, ""] = 1.0
) -> WorldModel:
    """A model that learns no more; it has no parameters of its own.

    Args:
        world: The model.
        params: Its parameters.
        actions: What actions there are; continuous ones are clipped to [−1, 1], as environments do.
        noise: 1 samples next states, 0 takes the most probable ones.

    Returns:
        The model.
    """
    own = world.dynamics

    def transition(nothing: Params, key: PRNGKeyArray, state: Any, action: Array) -> Dimmed:
        del nothing
        return Dimmed(own.transition(params, key, state, bounded(action)), jnp.asarray(noise))

    def bounded(action: Array) -> Array:
        return action if actions.is_discrete else jnp.clip(action, -1.0, 1.0)

    def infer(
        nothing: Params, key: PRNGKeyArray, before: Any, acted: Array, timesteps: Any, stored: Any
    ) -> Inferred:
        del nothing, key, before, acted, timesteps
        return Inferred(jnp.zeros(()), stored, {})

    dynamics = own._replace(
        transition=transition,
        outcome=lambda _, state, action, after: own.outcome(params, state, bounded(action), after),
        features=lambda _, state: own.features(params, state),
    )
    return WorldModel(
        init=lambda _: {},
        initial=world.initial,
        observe=lambda _, *seen: world.observe(params, *seen),
        infer=infer,
        dynamics=dynamics,
    )


class Dream(NamedTuple):
    """Where a policy is learned.

    Attributes:
        control: The environment; the policy never acts in it but to be judged.
        params: Of the model.
        replay: Where imagination starts.
        noise: Of its transitions; see ``frozen``.
    """

    control: Control
    params: Params
    replay: Replay
    noise: Float[Array, ""]


class Promise(NamedTuple):
    """What a policy seems to be worth, and what it is; of the most probable actions.

    Attributes:
        imagined: Mean return in the model.
        real: Mean return in the environment from the same starts.
        gap: imagined − real.
    """

    imagined: Float[Array, ""]
    real: Float[Array, ""]
    gap: Float[Array, ""]


class Dreamt(NamedTuple):
    """Of one step of learning in a frozen model.

    Attributes:
        imagined_return: Mean λ-return.
        entropy: The policy's.
    """

    imagined_return: Float[Array, ""]
    entropy: Float[Array, ""]


def dream(problem: Dream, config: Config) -> Algorithm:
    """A policy learns in a frozen model.

    Args:
        problem: The model.
        config: The hyperparameters; ``evaluation_length`` steps tell what a policy is worth.

    Returns:
        The algorithm; its state is a ``Learner``, and ``evaluate`` returns a ``Promise``.
    """
    control = problem.control
    learned_world = world_of(control, config.model)
    world = frozen(learned_world, problem.params, control.actions, problem.noise)
    learned = agent(control.spec, config, world=lambda *_: world)

    def step(key: PRNGKeyArray, learner: Learner) -> tuple[Learner, Dreamt]:
        of_rows, of_states, of_update = jax.random.split(key, 3)
        rows = sequences(of_rows, problem.replay, config.batch_size, config.sequence_length + 1)
        flat = jax.tree.map(lambda leaf: leaf.reshape(-1, 1, *leaf.shape[2:]), rows)
        states = first_states(world, {}, of_states, flat)
        shape = rows.action.shape[:2]
        states = jax.tree.map(lambda leaf: leaf.reshape(*shape, *leaf.shape[1:]), states)
        learner, _, told = learned.update(of_update, learner, rows._replace(state=states))
        return learner, Dreamt(told.losses.imagined_return, told.losses.entropy)

    def evaluate(key: PRNGKeyArray, learner: Learner) -> Promise:
        def policy(_: Any, features: Array, mask: Any) -> Array:
            outputs = learned.networks.policy.apply(learner.weights.policy, features)
            mode: Array = behaviour.distribution(
                outputs, mask, control.actions, config.behaviour
            ).mode()
            return mode

        return promise(
            control, world, policy, key, config.evaluation_episodes, config.evaluation_length
        )

    return Algorithm(learned.init, step, evaluate=evaluate)


def promise(
    problem: Control,
    world: WorldModel,
    policy: Any,
    key: PRNGKeyArray,
    num_episodes: int,
    length: int,
) -> Promise:
    """Let a policy act in a model and in the environment from the same starts.

    Args:
        problem: The environment; no episode of it may end earlier.
        world: The model, without parameters.
        policy: ``(key, features, mask) -> action``.
        key: Key.
        num_episodes: How many starts.
        length: How many steps.

    Returns:
        Both returns.
    """
    of_start, of_model, of_steps = jax.random.split(key, 3)
    actor = acting.begin(problem, world, {}, of_start, num_episodes)
    dreamt = imagine(world.dynamics, {}, policy, of_model, actor.state, length)

    def step(actor: acting.Actor, key: PRNGKeyArray) -> tuple[acting.Actor, Array]:
        of_policy, of_move = jax.random.split(key)
        seen = world.dynamics.features({}, actor.state)
        action = policy(of_policy, seen, actor.timestep.mask)
        moved = acting.move(problem, world, {}, of_move, actor, action)
        return moved, moved.timestep.reward

    rewards = jax.lax.scan(step, actor, jax.random.split(of_steps, length))[1]
    imagined, real = (jnp.mean(jnp.sum(x, axis=0)) for x in (dreamt.rewards, rewards))
    return Promise(imagined, real, imagined - real)
