"""Walks through MuJoCo's point mazes, as in D4RL's maze2d.

A controller goes to goal after goal: each is drawn anew, from anywhere in the maze, as soon as the
ball is within 0.1 of it. Forces are disturbed by normal noise of deviation 0.5. Rewards know
nothing of all that: they are those of the maze's own goal, as in the environment, so that a way to
that goal is to be found in pieces only.

References:
    Fu, Kumar, Nachum, Tucker, Levine: D4RL: datasets for deep data-driven reinforcement learning.
    2020, arXiv:2004.07219, section 5.
"""

import numpy as np
from jaxtyping import Float

from rlsuite.data.recording import Recorder, episodes_of
from rlsuite.envs import waypoints
from rlsuite.envs.episodes import Episodes, join
from rlsuite.envs.mujoco_maze import PointMaze

_ARRIVED, _NOISE = 0.1, 0.5
_SIDE_BY_SIDE = 10  # What the controller computes for one costs nearly as much as for ten.


def walks(
    name: str, steps: int = 100_000, seed: int = 0
) -> tuple[Episodes, Float[np.ndarray, "step 2"]]:
    """Record the controller on its way from goal to goal.

    Args:
        name: Of a maze in ``MAZES``.
        steps: How many steps, about: episodes are whole.
        seed: Of starts, goals and noise.

    Returns:
        (episodes, the goal at each step).

    Raises:
        ValueError: If there is no such maze, or ``steps`` is below 1.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}; allowed: at least 1")
    maze, random = PointMaze(name), np.random.default_rng(seed)
    table = waypoints.routes(maze.walls)
    goals = _goals(maze, random, _SIDE_BY_SIDE)

    def choose(seen: Float[np.ndarray, "environment 4"]) -> tuple[np.ndarray, np.ndarray]:
        arrived = np.linalg.norm(seen[:, :2] - goals, axis=1) <= _ARRIVED
        goals[arrived] = _goals(maze, random, int(arrived.sum()))
        force = waypoints.act(table, seen[:, :2], seen[:, 2:], goals)
        force = np.clip(force + _NOISE * random.normal(size=force.shape), -1, 1)
        return force.astype(np.float32), goals.astype(np.float32)

    recorder = Recorder(lambda: PointMaze(name), _SIDE_BY_SIDE, seed)
    count = max(round(steps / _SIDE_BY_SIDE / maze.length), 1)
    episodes, goal = episodes_of(recorder.walk(choose, count * maze.length))
    recorder.close()
    return join(episodes), goal


def _goals(maze: PointMaze, random: np.random.Generator, count: int) -> np.ndarray:
    """Anywhere in the maze, up to 0.25 off the middle of a cell along each axis."""
    free = np.argwhere(~maze.walls)
    cells = free[random.integers(len(free), size=count)].tolist()
    middles = [waypoints.centre(maze.walls.shape, (row, column)) for row, column in cells]
    return np.reshape(middles, (count, 2)) + random.uniform(-0.25, 0.25, size=(count, 2))
