"""Walks from goal to goal, as in D4RL's maze2d, and the controller as a policy."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rlsuite.envs import waypoints
from rlsuite.envs.control import Control, Timestep
from rlsuite.envs.episodes import Episode, Episodes, join
from rlsuite.envs.point_maze import world

ARRIVED, NOISE = 0.1, 0.5
"""How near a goal is near enough for the next one, and the deviation of the forces' noise."""


def controller(
    problem: Control,
) -> Callable[[Any, Timestep, Any], tuple[Float[Array, " 2"], Any]]:
    """The controller of :mod:`rlsuite.envs.waypoints` on its way to the maze's own goal.

    Args:
        problem: Of ``point_maze``; concrete.

    Returns:
        From a key, a time step and what is remembered to a force and what is remembered.
    """
    table = jnp.asarray(waypoints.routes(np.asarray(problem.params.walls)), jnp.float32)

    def act(_: Any, timestep: Timestep, carry: Any) -> tuple[Float[Array, " 2"], Any]:
        seen = timestep.observation
        return waypoints.act(table, seen[:2], seen[2:], problem.params.goal), carry

    return act


def demonstrations(
    name: str, key: PRNGKeyArray, num_episodes: int = 300, *, journeys: bool = False
) -> Episodes:
    """The controller on its way from goal to goal, with noise on its forces.

    Each goal is drawn anew, from anywhere in the maze, as soon as the ball is within 0.1 of it.
    Rewards know nothing of it: they are those of the maze's own goal, as in the environment.

    Args:
        name: Of a maze in ``MAZES``.
        key: Key.
        num_episodes: How many, each as long as the maze's episodes are.
        journeys: Whether to cut them up where goals were reached: each way from one goal to the
            next is an episode of its own then, and what was left of the last way is dropped.

    Returns:
        The episodes, without labels.

    Raises:
        ValueError: If there is no such maze, or ``num_episodes`` is below 1.
    """
    problem = world.point_maze(name)
    if num_episodes < 1:
        raise ValueError(f"num_episodes is {num_episodes}; allowed: at least 1")
    length, params = world.MAZES[name].length, problem.params
    table = jnp.asarray(waypoints.routes(np.asarray(params.walls)), jnp.float32)
    keys = jax.random.split(key, num_episodes)
    *parts, arrived = map(np.asarray, _walk(keys, params.walls, params.goal, table, length))
    episodes = [Episode(*part) for part in zip(*parts, strict=True)]
    if journeys:
        pairs = zip(episodes, arrived, strict=True)
        episodes = [way for episode, there in pairs for way in _journeys(episode, there)]
    return join(episodes)


def _journeys(episode: Episode, arrived: Bool[np.ndarray, " steps"]) -> list[Episode]:
    """The parts of an episode that end where a goal was reached."""
    ends = [end for end in np.flatnonzero(arrived).tolist() if end > 0]
    return [
        Episode(
            episode.observations[start : end + 1],
            episode.actions[start:end],
            episode.rewards[start:end],
        )
        for start, end in zip([0, *ends], ends, strict=False)
    ]


@functools.partial(jax.jit, static_argnums=4)
@functools.partial(jax.vmap, in_axes=(0, None, None, None, None))
def _walk(
    key: PRNGKeyArray,
    walls: Bool[Array, "row column"],
    home: Float[Array, " 2"],
    table: Float[Array, "row column row column 2"],
    length: int,
) -> tuple[
    Float[Array, "states 4"], Float[Array, "steps 2"], Float[Array, " steps"], Bool[Array, " steps"]
]:
    """One episode, and whether a goal had been reached before each step."""
    of_start, of_goal, of_steps = jax.random.split(key, 3)
    start = jnp.append(world.anywhere(of_start, walls), jnp.zeros(2))

    def step(
        carry: tuple[Array, Array], of_step: PRNGKeyArray
    ) -> tuple[tuple[Array, Array], tuple[Array, Array, Array, Array]]:
        state, goal = carry
        of_noise, of_next = jax.random.split(of_step)
        there = jnp.linalg.norm(state[:2] - goal) <= ARRIVED
        goal = jnp.where(there, world.anywhere(of_next, walls), goal)
        force = waypoints.act(table, state[:2], state[2:], goal)
        force = jnp.clip(force + NOISE * jax.random.normal(of_noise, (2,)), -1.0, 1.0)
        state = world.move(walls, state, force)
        near = jnp.linalg.norm(state[:2] - home) <= world.REACH
        return (state, goal), (state, force, near.astype(float), there)

    carry = start, world.anywhere(of_goal, walls)
    _, told = jax.lax.scan(step, carry, jax.random.split(of_steps, length))
    states, forces, rewards, arrived = told
    return jnp.concatenate([start[None], states]), forces, rewards, arrived
