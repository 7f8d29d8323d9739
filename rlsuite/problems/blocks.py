"""Blocks as a problem of offline learning: a tower, from demonstrations of single stackings.

Whoever plans is asked for constraints; policies are shown the labels of what is wanted beside what
they see, and learn from demonstrations that show their own.
"""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rlsuite.algorithms.decision_diffuser import Request, Symmetry, always
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


def tower(guidance: float | Float[Array, ""]) -> Callable[[Any], Request]:
    """A request for the tower: each block on the next, by conditions of their own.

    Args:
        guidance: ω.

    Returns:
        For ``decision_diffuser.make``.
    """

    def request(observation: Any) -> Request:
        from rlsuite.envs import block_stacking

        pairs = np.stack([block_stacking.pair(*two) for two in itertools.pairwise(TOWER)])
        return always(pairs, guidance)(observation)

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
