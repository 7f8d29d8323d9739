"""Blocks as a problem of offline learning: a tower, from demonstrations of single stackings.

Whoever plans is asked for constraints; policies are shown the labels of what is wanted beside what
they see, and learn from demonstrations that show their own.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rlsuite.algorithms.decision_diffuser import Request, Symmetry
from rlsuite.data import offline
from rlsuite.data.offline import Offline
from rlsuite.registry import Problem

TOWER = (0, 1, 2)
"""The blocks that are to stand on each other, from the top one down."""

LENGTH = 254
"""How long an episode is."""

_BLOCKS, _STATE = 4, 16
_DEMONSTRATIONS = 20_000  # With 2,400 the loss on layouts not shown is three times as large.


@functools.cache
def blocks() -> Offline:
    """The blocks, demonstrations, and the tower as what is wanted.

    Returns:
        The problem.
    """
    from rlsuite.envs import block_stacking

    shown = block_stacking.demonstrations(jax.random.key(0), _DEMONSTRATIONS)
    tower = block_stacking.block_stacking(block_stacking.chain(*TOWER))
    return offline.offline("block-stacking", shown, tower, expert_return=1.0)


@functools.cache
def told_blocks() -> Offline:
    """The same for policies.

    Returns:
        The problem, whose observations end with labels: the tower's, where they are tried out.
    """
    from rlsuite.envs import block_stacking

    return offline.told(blocks(), jnp.asarray(block_stacking.chain(*TOWER)))


def symmetry() -> Symmetry:
    """Blocks are alike, and so are the four directions of the table.

    Returns:
        The renamings of the four blocks, what becomes of constraints, and each with every turn and
        reflection of the table.
    """
    pairs = list(itertools.permutations(range(_BLOCKS), 2))
    orders = list(itertools.permutations(range(_BLOCKS)))
    hand = _STATE - 3 * _BLOCKS  # The gripper's numbers come first.
    starts = [0, *range(hand, _STATE, 3)]  # Of (x, y, z) of the gripper and of each block.
    states, signs, labels = [], [], []
    for swapped, *flips in itertools.product((False, True), (1, -1), (1, -1)):
        turned, sign = np.arange(_STATE), np.ones(_STATE, int)
        for start in starts:
            plane = turned[start : start + 2]
            turned[start : start + 2] = plane[::-1] if swapped else plane
            sign[start : start + 2] = flips
        for order in orders:
            places = [hand + 3 * block + axis for block in order for axis in range(3)]
            states.append(np.asarray([*range(hand), *places])[turned])
            signs.append(sign)
            labels.append([pairs.index((order[i], order[j])) for i, j in pairs])
    first = [[order[:2] for order in orders].index(pair) for pair in pairs]
    return Symmetry(np.asarray(states), np.asarray(signs), np.asarray(labels), np.asarray(first))


class Weights(NamedTuple):
    """ω of the pairs of a tower that is built from the bottom up.

    Attributes:
        next: Of the lowest pair that does not stand yet.
        standing: Of those below it.
        later: Of those above it.
    """

    next: float | Float[Array, ""] = 1.0
    standing: float | Float[Array, ""] = 0.7
    later: float | Float[Array, ""] = 0.3


WEIGHTS = Weights()
"""Those that were tried out."""


def pairs_of(blocks: Sequence[int]) -> Float[np.ndarray, "pair 12"]:
    """Conditions of a tower: each block on the next one.

    Args:
        blocks: From the top one down.

    Returns:
        The pairs, the highest first.
    """
    from rlsuite.envs import block_stacking

    return np.stack([block_stacking.pair(*two) for two in itertools.pairwise(blocks)])


def bottom_up(
    pairs: Float[Array | np.ndarray, "pair 12"], weights: Weights = WEIGHTS
) -> Callable[[Any], Request]:
    """A request for a tower whose lowest pair comes first.

    All pairs are asked for at once, by conditions of their own, but the lowest one that is missing
    most: who stacks the upper pair first cannot lift the lower one any more. No demonstration shows
    that, so a plan cannot know.

    Args:
        pairs: One-hot, the highest first.
        weights: ω of each, by what stands.

    Returns:
        For ``decision_diffuser.make``: from what is seen to the request.
    """

    def request(observation: Float[Array, " 16"]) -> Request:
        from rlsuite.envs import block_stacking

        asked = jnp.asarray(pairs, float)
        stands = jnp.any(block_stacking.holds(observation) & (asked > 0), axis=-1)[::-1]
        height = jnp.sum(jnp.cumprod(stands))  # How many pairs stand on each other.
        number = jnp.arange(len(asked))[::-1]
        above = jnp.where(number == height, weights.next, weights.later)
        return Request(asked, jnp.where(number < height, weights.standing, above))

    return request


def policies(num_steps: int, config: Any) -> dict[str, Problem]:
    """The problem of the registry for an algorithm that learns a policy.

    Args:
        num_steps: How many steps a full run has.
        config: The config.

    Returns:
        Its name to the problem.
    """
    return {
        "stacking": Problem(
            build=told_blocks,
            num_steps=num_steps,
            config=config,
            summary="three blocks become a tower; only pairs were ever stacked",
            score="score",
            higher_is_better=True,
            baselines=lambda _: {"random": 0.0, "optimal": 100.0},
        )
    }
