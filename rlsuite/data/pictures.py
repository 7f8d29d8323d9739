"""Episodes seen as pictures, which are kept as bytes, a quarter of what numbers take."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from rlsuite.envs.control import Control

Act = Callable[[PRNGKeyArray, Any, Any], tuple[Float[Array, " m"], Any]]
"""``(key, observation, carry) -> (action, carry)``."""


class PictureEpisodes(NamedTuple):
    """Episodes of T actions.

    Attributes:
        images: o_0 … o_T: bytes, or numbers of any kind that an encoder reads.
        actions: a_0 … a_{T−1}, as they were taken, within [−1, 1].
        costs: c_0 … c_{T−1}; None if nobody said what anything costs.
    """

    images: Any
    actions: Any
    costs: Any


def to_bytes(image: Float[Array, "*picture"]) -> UInt8[Array, "*picture"]:
    """Shares of light as bytes.

    Args:
        image: From 0 to 1.

    Returns:
        From 0 to 255, rounded.
    """
    return jnp.round(255 * image).astype(jnp.uint8)


def to_light(images: Any) -> Float[Array, "*picture"]:
    """What networks see.

    Args:
        images: Bytes, or numbers.

    Returns:
        Bytes as shares of light; numbers as they are.
    """
    return images.astype(jnp.float32) / 255 if images.dtype == jnp.uint8 else images


def check_length(problem: Control, length: int) -> None:
    """Refuse to act for longer than an episode goes on.

    Args:
        problem: Where.
        length: How many actions.

    Raises:
        ValueError: If an episode has fewer, as far as that is known.
    """
    most = getattr(problem.params, "max_steps_in_episode", None)
    if most is not None and not isinstance(most, jax.core.Tracer) and length > int(most):
        raise ValueError(f"config field 'length' is {length}; allowed: at most {int(most)}")


def collect(
    problem: Control,
    act: Act,
    carry: Any,
    key: PRNGKeyArray,
    count: int,
    length: int,
    look: Callable[[Any], Any] | None = None,
    *,
    as_bytes: bool = True,
) -> tuple[PictureEpisodes, Any]:
    """Walk through episodes.

    Args:
        problem: What in.
        act: What acts.
        carry: At the start of an episode.
        key: Key.
        count: How many.
        length: How many actions each has.
        look: What else is kept of each state but the first, a function of the environment's state.
        as_bytes: Whether pictures are kept as bytes, or as the numbers that they are.

    Returns:
        (the episodes, what else was kept).
    """
    kept_as = to_bytes if as_bytes else jnp.asarray

    def episode(key: PRNGKeyArray) -> tuple[PictureEpisodes, Any]:
        of_start, of_steps = jax.random.split(key)

        def step(now: Any, key: PRNGKeyArray) -> tuple[Any, Any]:
            state, seen, carry = now
            of_act, of_move = jax.random.split(key)
            action, carry = act(of_act, seen.observation, carry)
            state, later = problem.transition(of_move, state.inner, action)
            kept = look(state.inner) if look else None
            return (state, later, carry), (kept_as(seen.observation), action, -later.reward, kept)

        first = (*problem.reset(of_start), carry)
        keys = jax.random.split(of_steps, length)
        last, (images, actions, costs, kept) = jax.lax.scan(step, first, keys)
        images = jnp.concatenate([images, kept_as(last[1].observation)[None]])
        return PictureEpisodes(images, actions, costs), kept

    return jax.vmap(episode)(jax.random.split(key, count))


def wander(
    size: int, deviation: float | Float[Array, ""], persistence: float | Float[Array, ""] = 0.0
) -> tuple[Act, Float[Array, " m"]]:
    """Actions that are drawn, and look at nothing.

    Clipped to [−1, 1], they are z_t = ρ z_{t−1} + √(1 − ρ²) σ w_t with w_t ~ N(0, I), from
    z_{−1} = 0: independent of each other, or, with a high ρ, pushes that last for about
    1 / (1 − ρ) steps and show what actions lead to.

    Args:
        size: m, of an action.
        deviation: σ, the standard deviation of each of its numbers about 0.
        persistence: ρ, from 0 to 1.

    Returns:
        (what acts, z_{−1}).
    """

    def act(key: PRNGKeyArray, observation: Any, last: Array) -> tuple[Array, Array]:
        del observation
        fresh = deviation * jax.random.normal(key, (size,))
        drawn = persistence * last + jnp.sqrt(1 - jnp.square(persistence)) * fresh
        return jnp.clip(drawn, -1, 1), drawn

    return act, jnp.zeros(size)


def judge(
    problem: Control, act: Act, carry: Any, key: PRNGKeyArray, count: int, length: int
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """How good what acts is.

    Args:
        problem: Where.
        act: What acts.
        carry: At the start of an episode.
        key: Key.
        count: In how many episodes.
        length: How many actions each has.

    Returns:
        (the mean return, the share of states in the goal, 0 where an environment does not say).
    """
    arrived = getattr(problem.environment, "in_goal", None)
    look = None if arrived is None else lambda inner: arrived(inner, problem.params)
    episodes, there = collect(problem, act, carry, key, count, length, look)
    share = jnp.zeros(()) if there is None else jnp.mean(there.astype(jnp.float32))
    return -jnp.mean(jnp.sum(episodes.costs, axis=1)), share


def with_room(episodes: PictureEpisodes, capacity: int) -> PictureEpisodes:
    """The same episodes, and room for more.

    Args:
        episodes: Episodes, ``[episode, …]``.
        capacity: How many are to be kept.

    Returns:
        ``[capacity, …]``, zeros behind the episodes.
    """
    room = capacity - len(episodes.actions)
    return jax.tree.map(
        lambda x: jnp.concatenate([x, jnp.zeros((room, *x.shape[1:]), x.dtype)]), episodes
    )


def kept(
    episodes: PictureEpisodes, fresh: PictureEpisodes, collected: Int[Array, ""]
) -> PictureEpisodes:
    """New episodes among those that were kept, of which the oldest make room.

    Args:
        episodes: What was kept, ``[capacity, …]``.
        fresh: New episodes.
        collected: How many there have been before.

    Returns:
        What is kept then.
    """
    where = (collected + jnp.arange(len(fresh.actions))) % len(episodes.actions)
    return jax.tree.map(lambda x, y: x.at[where].set(y), episodes, fresh)
