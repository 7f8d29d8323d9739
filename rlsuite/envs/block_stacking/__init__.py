"""Four blocks, a gripper, and the constraints "block i stands on block j".

``world`` is what happens and what is measured, ``expert`` demonstrates single stackings, and
``drawing`` shows them. ``PAIRS`` are the (i, j) of the constraints, in the order of labels; a
demonstration has at most ``STATES`` states, an episode ``STEPS`` actions.
"""

from rlsuite.envs.block_stacking.drawing import animate, draw
from rlsuite.envs.block_stacking.expert import demonstrations
from rlsuite.envs.block_stacking.world import (
    PAIRS,
    STATES,
    STEPS,
    BlockStacking,
    EnvParams,
    EnvState,
    World,
    block_stacking,
    chain,
    heights,
    held,
    holds,
    move,
    obeyed,
    pair,
    unpack,
)

__all__ = [
    "PAIRS",
    "STATES",
    "STEPS",
    "BlockStacking",
    "EnvParams",
    "EnvState",
    "World",
    "animate",
    "block_stacking",
    "chain",
    "demonstrations",
    "draw",
    "heights",
    "held",
    "holds",
    "move",
    "obeyed",
    "pair",
    "unpack",
]
