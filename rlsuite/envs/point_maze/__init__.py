"""A ball in a maze: MuJoCo's PointMaze, computed here.

``world`` is what happens, ``expert`` walks from goal to goal, and ``drawing`` shows plans.
``MAZES`` are those of the same names in gymnasium-robotics.
"""

from rlsuite.envs.point_maze.drawing import animate_plan, draw_plan
from rlsuite.envs.point_maze.expert import controller, demonstrations
from rlsuite.envs.point_maze.world import (
    MAZES,
    EnvParams,
    EnvState,
    Maze,
    PointMaze,
    clear,
    move,
    point_maze,
)

__all__ = [
    "MAZES",
    "EnvParams",
    "EnvState",
    "Maze",
    "PointMaze",
    "animate_plan",
    "clear",
    "controller",
    "demonstrations",
    "draw_plan",
    "move",
    "point_maze",
]
