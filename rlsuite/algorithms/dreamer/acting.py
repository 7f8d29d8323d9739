"""Acting: environments walked in step, states inferred on the way, everything remembered."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rlsuite.algorithms.dreamer.agent import Row
from rlsuite.algorithms.dreamer.world import WorldModel
from rlsuite.data import replay as replays
from rlsuite.data.replay import Replay
from rlsuite.envs.control import Control, Timestep

Params = Any
Choose = Callable[[PRNGKeyArray, "Actor"], Array]


class Actor(NamedTuple):
    """Where acting stands, an entry for each environment.

    Attributes:
        environment: The environments' states.
        timestep: What is seen.
        state: What is inferred from it.
        score: The return of the episode so far.
        last_score: The return of the last episode that ended.
        episodes: How many have ended.
    """

    environment: Any
    timestep: Timestep
    state: Any
    score: Float[Array, " environment"]
    last_score: Float[Array, " environment"]
    episodes: Int[Array, " environment"]


def begin(
    problem: Control, model: WorldModel, params: Params, key: PRNGKeyArray, num: int
) -> Actor:
    """Start episodes.

    Args:
        problem: The environment.
        model: The world model.
        params: Its parameters.
        key: Key.
        num: How many.

    Returns:
        Where acting stands.
    """
    of_start, of_state = jax.random.split(key)
    environment, timestep = jax.vmap(problem.reset)(jax.random.split(of_start, num))
    zeros = jnp.zeros(num)
    state = jax.tree.map(lambda x: jnp.broadcast_to(x, (num, *x.shape)), model.initial)
    actor = Actor(environment, timestep, state, zeros, zeros, zeros.astype(jnp.int32))
    return _infer(model, params, of_state, actor, jnp.zeros((num, problem.actions.size)))


def _infer(
    model: WorldModel, params: Params, key: PRNGKeyArray, actor: Actor, action: Array
) -> Actor:
    inner = actor.environment.inner
    state = model.observe(params, key, actor.state, action, actor.timestep, inner)
    return actor._replace(state=state)


def move(
    problem: Control,
    model: WorldModel,
    params: Params,
    key: PRNGKeyArray,
    actor: Actor,
    action: Float[Array, "environment action"],
) -> Actor:
    """Act once in every environment, and infer where that leads.

    Args:
        problem: The environment.
        model: The world model.
        params: Its parameters.
        key: Key.
        actor: Where acting stands.
        action: What to do.

    Returns:
        Where it stands then.
    """
    of_steps, of_state = jax.random.split(key)
    keys = jax.random.split(of_steps, action.shape[0])
    environment, timestep = jax.vmap(problem.step)(keys, actor.environment, action)
    score = jnp.where(timestep.is_first, 0.0, actor.score) + timestep.reward
    moved = Actor(
        environment,
        timestep,
        actor.state,
        score,
        jnp.where(timestep.is_last, score, actor.last_score),
        actor.episodes + timestep.is_last,
    )
    return _infer(model, params, of_state, moved, action)


def record(
    problem: Control,
    model: WorldModel,
    params: Params,
    choose: Choose,
    key: PRNGKeyArray,
    actor: Actor,
    replay: Replay,
    num_steps: int,
) -> tuple[Actor, Replay]:
    """Act, and remember every time step with its action and its inferred state.

    Args:
        problem: The environment.
        model: The world model.
        params: Its parameters.
        choose: ``(key, actor) -> actions``.
        key: Key.
        actor: Where acting stands.
        replay: What is remembered.
        num_steps: How often to act in every environment.

    Returns:
        (actor, replay).
    """

    def step(carry: tuple[Actor, Replay], key: PRNGKeyArray) -> tuple[tuple[Actor, Replay], None]:
        actor, replay = carry
        of_action, of_move = jax.random.split(key)
        action = choose(of_action, actor)
        replay = replays.add(replay, Row(actor.timestep, action, actor.state))
        return (move(problem, model, params, of_move, actor, action), replay), None

    return jax.lax.scan(step, (actor, replay), jax.random.split(key, num_steps))[0]


def finish(
    problem: Control,
    model: WorldModel,
    params: Params,
    choose: Choose,
    key: PRNGKeyArray,
    *,
    num_episodes: int,
    max_length: int,
) -> tuple[Float[Array, " episode"], Int[Array, " episode"]]:
    """Play whole episodes.

    Args:
        problem: The environment.
        model: The world model.
        params: Its parameters.
        choose: ``(key, actor) -> actions``.
        key: Key.
        num_episodes: How many.
        max_length: After so many actions an episode is left.

    Returns:
        (returns, lengths).
    """

    def step(carry: tuple[Actor, Array], key: PRNGKeyArray) -> tuple[tuple[Actor, Array], None]:
        actor, length = carry
        of_action, of_move = jax.random.split(key)
        going = actor.episodes == 0
        moved = move(problem, model, params, of_move, actor, choose(of_action, actor))
        score = jnp.where(going, moved.score, actor.score)
        return (
            moved._replace(score=score, episodes=actor.episodes + (moved.timestep.is_last & going)),
            length + going,
        ), None

    of_start, of_steps = jax.random.split(key)
    actor = begin(problem, model, params, of_start, num_episodes)
    carry = (actor, jnp.zeros(num_episodes, jnp.int32))
    (actor, length), _ = jax.lax.scan(step, carry, jax.random.split(of_steps, max_length))
    return actor.score, length
