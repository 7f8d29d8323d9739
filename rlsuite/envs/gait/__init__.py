"""Four legs on a body, and the gaits that they can be moved in.

``world`` is what happens, what is measured and what is demonstrated; ``drawing`` shows it.
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
