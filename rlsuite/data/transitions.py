"""Single transitions out of recorded episodes, drawn on the device."""

from typing import NamedTuple

import jax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rlsuite.envs.episodes import Episodes


class Transitions(NamedTuple):
    """Transitions (s, a, r, s').

    Attributes:
        observations: s.
        actions: a.
        rewards: r.
        next_observations: s'.
        terminals: Whether the episode ended for good there: nothing is earned from s' on. Where it
            was cut off, s' is a state like any other.
    """

    observations: Float[Array, "batch n"]
    actions: Float[Array, "batch m"]
    rewards: Float[Array, " batch"]
    next_observations: Float[Array, "batch n"]
    terminals: Bool[Array, " batch"]


def transitions(episodes: Episodes) -> Transitions:
    """All of them.

    Args:
        episodes: The episodes.

    Returns:
        The transitions, in order.
    """
    return Transitions(
        episodes.observations,
        episodes.actions,
        episodes.rewards,
        episodes.next_observations,
        episodes.terminals,
    )


def draw(key: PRNGKeyArray, episodes: Episodes, number: int) -> Transitions:
    """Some, each drawn uniformly from all of them.

    Args:
        key: Key.
        episodes: The episodes.
        number: How many.

    Returns:
        The transitions.
    """
    chosen = jax.random.randint(key, (number,), 0, episodes.num_steps)
    return jax.tree.map(lambda leaf: leaf[chosen], transitions(episodes))
