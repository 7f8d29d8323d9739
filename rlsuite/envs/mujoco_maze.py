"""The point mazes of gymnasium-robotics, simulated by MuJoCo, with D4RL's rewards.

A ball is pushed through a maze of square cells, and does not see the walls:

* an observation is (x, y, velocity along x, along y), an action a force along each axis;
* a step that ends within 0.5 of the maze's goal, which never moves, earns 1;
* an episode begins at rest, anywhere in the maze, and is cut off after as many steps as in
  gymnasium-robotics; nothing ends it for good.

All of this is as in :mod:`rlsuite.envs.point_maze`, whose equations are MuJoCo's. The simulation is
that of ``PointMaze_UMaze-v3``, ``PointMaze_Medium-v3``, ``PointMaze_Large-v3``, whose moving goals,
rewards (within 0.45) and dictionaries are left aside.

References:
    Fu, Kumar, Nachum, Tucker, Levine: D4RL: datasets for deep data-driven reinforcement learning.
    2020, arXiv:2004.07219.
    de Lazcano, Andreas, Tai, Lee, Terry: Gymnasium robotics. 2024,
    https://github.com/Farama-Foundation/Gymnasium-Robotics.
"""

import os
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from jaxtyping import Bool, Float

from rlsuite.envs import waypoints
from rlsuite.envs.point_maze.world import MAZES, REACH

SIMULATIONS = {
    "umaze": "PointMaze_UMaze-v3",
    "medium": "PointMaze_Medium-v3",
    "large": "PointMaze_Large-v3",
}
"""The environment that simulates each maze of ``point_maze.MAZES``."""


class PointMaze(gymnasium.Env):
    """A maze; see the module.

    Attributes:
        walls: The maze's walls.
        goal: Where the goal is.
        length: After so many steps an episode is cut off.

    Raises:
        ValueError: If there is no maze of that name, or gymnasium-robotics is not installed.
    """

    def __init__(self, name: str) -> None:
        if name not in MAZES:
            raise ValueError(f"maze is {name!r}; allowed: {', '.join(MAZES)}")
        maze = MAZES[name]
        self._simulation = _simulation(SIMULATIONS[name])
        self.walls: Bool[np.ndarray, "row column"] = maze.walls
        self.goal: Float[np.ndarray, " 2"] = waypoints.centre(maze.walls.shape, maze.goal)
        self.length = maze.length
        self.action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.observation_space = spaces.Box(-np.inf, np.inf, (4,), np.float64)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Float[np.ndarray, " 4"], dict[str, Any]]:
        """Begin in a cell drawn evenly, up to 0.25 off its middle along each axis."""
        super().reset(seed=seed, options=options)
        free = np.argwhere(~self.walls)
        cell = free[self.np_random.integers(len(free))]
        seen, _ = self._simulation.reset(seed=seed, options={"reset_cell": cell})
        self._time = 0
        return seen["observation"], {}

    def step(
        self, action: Float[np.ndarray, " 2"]
    ) -> tuple[Float[np.ndarray, " 4"], float, bool, bool, dict[str, Any]]:
        """Push the ball."""
        seen = self._simulation.step(action)[0]["observation"]
        self._time += 1
        near = np.linalg.norm(seen[:2] - self.goal) <= REACH
        return seen, float(near), False, self._time >= self.length, {}

    def close(self) -> None:
        """Leave the simulation."""
        self._simulation.close()


def _simulation(name: str) -> Any:
    os.environ.setdefault(
        "MUJOCO_GL", "disabled"
    )  # Nothing is drawn, and no renderer may be there.
    try:
        import gymnasium_robotics
    except ImportError as error:
        raise ValueError(
            "MuJoCo's mazes need gymnasium-robotics; pip install 'rlsuite[mujoco]'"
        ) from error
    gymnasium.register_envs(gymnasium_robotics)
    return gymnasium.make(name).unwrapped
