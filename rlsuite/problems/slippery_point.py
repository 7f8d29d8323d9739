"""A point on slippery ground: plans that must allow for chance.

The point starts at the origin of the plane and has twelve steps to come near a goal, half a unit
away; a step costs the squared distance to it, and with probability p an action is a random one.
Recorded walks are headed for any place that far away, at full speed with noise on every action;
they slip, too, and go on where they arrive. The goal is one place among all, so that few walks are
good, and of those that are, some were only lucky.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.data.offline import Offline, offline
from rlsuite.envs import navigation
from rlsuite.envs.control import Control, Timestep
from rlsuite.envs.episodes import Episode, join
from rlsuite.envs.rollouts import episode_returns
from rlsuite.envs.slippery import slippery
from rlsuite.problems.episodes import random_return

LENGTH = 12
"""The number of steps of an episode."""

GOAL = np.asarray([0.4, 0.3], np.float32)
"""Where the goal is."""

_NOISE, _TRIALS = 0.2, 2000


@functools.cache
def slippery_point(probability: float, num_episodes: int = 400) -> Offline:
    """The point on slippery ground, and recorded walks.

    Args:
        probability: p, how often an action is a random one.
        num_episodes: How many walks.

    Returns:
        The problem. Scores are 0 for random actions, and 100 for going straight to the goal.
    """
    control = _control(probability)
    of_place, of_walk = jax.random.split(jax.random.key(0))
    angles = jax.random.uniform(of_place, (num_episodes,), maxval=2 * jnp.pi)
    places = jnp.linalg.norm(GOAL) * jnp.stack([jnp.cos(angles), jnp.sin(angles)], axis=-1)
    keys = jax.random.split(of_walk, num_episodes)
    walked = map(np.asarray, _walk(control, keys, places))
    earned = episode_returns(control, _straight, jax.random.key(1), _TRIALS, LENGTH)
    return offline(
        "slippery-point",
        join([Episode(*one) for one in zip(*walked, strict=True)]),
        control,
        random_return=random_return(control, max_length=LENGTH),
        expert_return=float(jnp.mean(earned)),
    )


def _control(probability: float) -> Control:
    from rlsuite.envs import navigation_gymnax

    made = navigation_gymnax.make(jnp.asarray(GOAL), max_steps_in_episode=LENGTH)
    return slippery(Control("point", *made), probability)


def _straight(key: PRNGKeyArray, timestep: Timestep, carry: Any) -> tuple[Array, Any]:
    del key
    return jnp.clip((GOAL - timestep.observation) / navigation.SPEED, -1.0, 1.0), carry


@jax.jit
@functools.partial(jax.vmap, in_axes=(None, 0, 0))
def _walk(
    control: Control, key: PRNGKeyArray, place: Float[Array, " 2"]
) -> tuple[Float[Array, "states 2"], Float[Array, "steps 2"], Float[Array, " steps"]]:
    """One walk: its states, actions and rewards."""

    def step(now: tuple[Any, Array], key: PRNGKeyArray) -> tuple[Any, Any]:
        of_noise, of_step = jax.random.split(key)
        inner, position = now
        wanted = (place - position) / navigation.SPEED
        action = jnp.clip(wanted + _NOISE * jax.random.normal(of_noise, (2,)), -1.0, 1.0)
        state, seen = control.transition(of_step, inner, action)
        return (state.inner, seen.observation), (position, action, seen.reward)

    state, seen = control.reset(key)
    keys = jax.random.split(key, LENGTH)
    (_, last), told = jax.lax.scan(step, (state.inner, seen.observation), keys)
    return jnp.concatenate([told[0], last[None]]), told[1], told[2]
