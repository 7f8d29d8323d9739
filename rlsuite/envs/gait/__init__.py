"""Four legs on a body, and the gaits that they can be moved in.

``world`` is what happens, what is measured and what is demonstrated; ``drawing`` shows it.
``GAITS`` are the names of what is measured, ``SKILLS`` of what is demonstrated, in the order of
shares and of labels; an episode has ``STEPS`` steps, five seconds.
"""

from rlsuite.envs.gait.drawing import animate, draw
from rlsuite.envs.gait.world import (
    GAITS,
    SKILLS,
    STEPS,
    EnvParams,
    EnvState,
    Gait,
    demonstrations,
    gait,
    gait_shares,
    move,
)

__all__ = [
    "GAITS",
    "SKILLS",
    "STEPS",
    "EnvParams",
    "EnvState",
    "Gait",
    "animate",
    "demonstrations",
    "draw",
    "gait",
    "gait_shares",
    "move",
]
