r"""Episodes of vectors as one pytree: what offline algorithms learn from.

Steps lie one after another, episode after episode. Step t of an episode is

    s_t, a_t, r_t, s_{t+1},    and whether the episode ended for good there,

so an episode of L steps has L + 1 states. Segments of states are drawn by the index of their first
step, on the device; where a segment reaches past the last state, that one is repeated.

Example:
    >>> one = Episode(np.arange(4.0)[:, None], np.ones((3, 1)), np.ones(3), terminal=True)
    >>> episodes = join([one, one])
    >>> segment(episodes, jnp.asarray(4), 4).states[:, 0].tolist()
    [1.0, 2.0, 3.0, 3.0]
    >>> returns_to_go(episodes, 1.0).tolist()
    [3.0, 2.0, 1.0, 3.0, 2.0, 1.0]
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int


class Episode(NamedTuple):
    """One episode, on the host.

    Attributes:
        observations: s_0 … s_L.
        actions: a_0 … a_{L−1}.
        rewards: r_0 … r_{L−1}.
        terminal: Whether it ended for good, rather than was cut off.
        labels: What is known about it as a whole, one number for each thing.
    """

    observations: Float[np.ndarray, "states n"]
    actions: Float[np.ndarray, "steps m"]
    rewards: Float[np.ndarray, " steps"]
    terminal: bool = False
    labels: Sequence[float] = ()


class Episodes(NamedTuple):
    """Many of them.

    Attributes:
        observations: s_t of every step of every episode.
        actions: a_t.
        rewards: r_t.
        next_observations: s_{t+1}.
        terminals: Whether the episode ended for good after the step.
        ends: The index after the last step of the step's own episode.
        starts: The index of each episode's first step.
        lengths: How many steps each episode has, at least 1.
        labels: What is known about each episode as a whole; may have no columns.
    """

    observations: Float[Array, "step n"]
    actions: Float[Array, "step m"]
    rewards: Float[Array, " step"]
    next_observations: Float[Array, "step n"]
    terminals: Bool[Array, " step"]
    ends: Int[Array, " step"]
    starts: Int[Array, " episode"]
    lengths: Int[Array, " episode"]
    labels: Float[Array, "episode label"]

    @property
    def num_steps(self) -> int:
        """How many steps there are in all."""
        return self.rewards.shape[0]


class Segment(NamedTuple):
    """Consecutive states of one episode, and what was done between them.

    Attributes:
        states: s_t … s_{t+H−1}.
        actions: a_t … a_{t+H−2}.
        real: Which of those actions were taken; beyond the episode's end none was.
    """

    states: Float[Array, "length n"]
    actions: Float[Array, "length_1 m"]
    real: Bool[Array, " length_1"]


def join(episodes: Sequence[Episode]) -> Episodes:
    """Put episodes into one pytree.

    Args:
        episodes: At least one; all of the same sizes.

    Returns:
        The episodes as arrays of single precision.

    Raises:
        ValueError: If there is none, sizes differ or do not fit, or a number is not finite.
    """
    if not episodes:
        raise ValueError("episodes is empty; allowed: at least one")
    for number, episode in enumerate(episodes):
        _check(number, episode, episodes[0])
    lengths = np.asarray([len(episode.rewards) for episode in episodes], np.int32)
    ends = np.cumsum(lengths, dtype=np.int32)
    terminals = np.zeros(ends[-1], bool)
    terminals[ends - 1] = [episode.terminal for episode in episodes]

    labels = np.asarray([episode.labels for episode in episodes], np.float32)

    def flat(parts: list[np.ndarray]) -> Array:
        return jnp.asarray(np.concatenate(parts, dtype=np.float32), jnp.float32)

    return Episodes(
        observations=flat([episode.observations[:-1] for episode in episodes]),
        actions=flat([episode.actions for episode in episodes]),
        rewards=flat([episode.rewards for episode in episodes]),
        next_observations=flat([episode.observations[1:] for episode in episodes]),
        terminals=jnp.asarray(terminals),
        ends=jnp.asarray(np.repeat(ends, lengths), jnp.int32),
        starts=jnp.asarray(ends - lengths, jnp.int32),
        lengths=jnp.asarray(lengths, jnp.int32),
        labels=jnp.asarray(labels.reshape(len(episodes), -1), jnp.float32),
    )


def _check(number: int, episode: Episode, first: Episode) -> None:
    """Refuse an episode that does not fit together, or is not like the first."""
    steps = len(episode.rewards)
    wanted = {
        "observations": (steps + 1, *np.shape(first.observations)[1:2]),
        "actions": (steps, *np.shape(first.actions)[1:2]),
        "rewards": (steps,),
        "labels": np.shape(first.labels),
    }
    if steps < 1:
        raise ValueError(f"episodes[{number}] has no step; allowed: at least one")
    for name, shape in wanted.items():
        values = np.asarray(getattr(episode, name))
        if values.shape != shape:
            raise ValueError(
                f"episodes[{number}].{name} has shape {values.shape}; allowed: {shape}, for "
                f"{steps} rewards and as in episodes[0]"
            )
        with np.errstate(over="ignore"):
            kept = values.astype(np.float32)
        if not np.all(np.isfinite(kept)):
            raise ValueError(
                f"episodes[{number}].{name} has numbers that are not finite in single precision"
            )


def split(episodes: Episodes) -> list[Episode]:
    """Take episodes apart; inverse of ``join``.

    Args:
        episodes: The episodes.

    Returns:
        Each on its own, as NumPy arrays.
    """
    arrays = jax.tree.map(np.asarray, episodes)
    found = []
    for start, length, labels in zip(arrays.starts, arrays.lengths, arrays.labels, strict=True):
        steps = slice(start, start + length)
        last = arrays.next_observations[start + length - 1]
        found.append(
            Episode(
                np.concatenate([arrays.observations[steps], last[None]]),
                arrays.actions[steps],
                arrays.rewards[steps],
                bool(arrays.terminals[start + length - 1]),
                tuple(labels.tolist()),
            )
        )
    return found


def state(episodes: Episodes, step: Int[Array, ""], ahead: Int[Array, ""] | int = 0) -> Array:
    """The state so many steps after a step, or the episode's last one.

    Args:
        episodes: The episodes.
        step: The index of a step.
        ahead: How many steps later, at least 0.

    Returns:
        s_{t + ahead}.
    """
    later, end = step + ahead, episodes.ends[step]
    inside = episodes.observations[jnp.minimum(later, end - 1)]
    return jnp.where(later < end, inside, episodes.next_observations[end - 1])


def segment(episodes: Episodes, start: Int[Array, ""], length: int) -> Segment:
    """The segment that begins with a step.

    Args:
        episodes: The episodes.
        start: The index of its first step.
        length: H, its number of states.

    Returns:
        The segment.
    """
    states = jax.vmap(lambda ahead: state(episodes, start, ahead))(jnp.arange(length))
    later, end = start + jnp.arange(length - 1), episodes.ends[start]
    return Segment(states, episodes.actions[jnp.minimum(later, end - 1)], later < end)


def segment_starts(episodes: Episodes, length: int, *, overhang: int = 0) -> Int[Array, " start"]:
    """The steps with which a segment of so many states may begin.

    Args:
        episodes: The episodes, concrete.
        length: H, its number of states, at least 2.
        overhang: How many of them may be repetitions of the last state.

    Returns:
        Their indices.

    Raises:
        ValueError: If no episode is long enough.
    """
    ends, steps = np.asarray(episodes.ends), np.arange(episodes.num_steps)
    starts = steps[ends + 1 - steps >= length - overhang]
    if length < 2 or not len(starts):
        longest = int(np.max(episodes.lengths)) + 1
        raise ValueError(
            f"length is {length}; allowed: from 2 to {longest + overhang}, since the longest "
            f"episode has {longest} states"
        )
    return jnp.asarray(starts, jnp.int32)


def returns_to_go(episodes: Episodes, discount: float | Float[Array, ""]) -> Float[Array, " step"]:
    """Σ_{i≥0} γ^i r_{t+i} up to the episode's end.

    Args:
        episodes: The episodes.
        discount: γ.

    Returns:
        The return from each step on.
    """
    last = jnp.arange(episodes.num_steps) + 1 == episodes.ends

    def back(later: Array, step: tuple[Array, Array]) -> tuple[Array, Array]:
        reward, is_last = step
        now = reward + discount * jnp.where(is_last, 0.0, later)
        return now, now

    start = jnp.zeros((), episodes.rewards.dtype)
    return jax.lax.scan(back, start, (episodes.rewards, last), reverse=True)[1]


def label(episodes: Episodes, step: Int[Array, ""]) -> Float[Array, " label"]:
    """The labels of the episode that a step belongs to.

    Args:
        episodes: The episodes.
        step: The index of a step.

    Returns:
        Its labels.
    """
    number = jnp.searchsorted(episodes.starts, step, side="right") - 1
    return episodes.labels[number]
