"""Walks through mazes, in a simulation of our own that needs no MuJoCo."""

import numpy as np
import pytest

from rlsuite.data import mujoco_maze
from rlsuite.envs import mujoco_maze as environments
from rlsuite.envs import waypoints
from rlsuite.envs.episodes import split

U_MAZE = environments.MAZES["umaze"].walls


def _middle(cell):
    return waypoints.centre((5, 5), (int(cell[0]), int(cell[1])))


class Point:
    """A point with friction that stops at walls, with the interface of the real simulation."""

    def reset(self, seed, options):
        noise = 0.0 if seed is None else np.random.default_rng(seed).uniform(-0.25, 0.25)
        self._state = np.concatenate([_middle(options["reset_cell"]) + noise, np.zeros(2)])
        return {"observation": self._state.copy()}, {}

    def step(self, action):
        position, velocity = self._state[:2], 0.9 * self._state[2:] + 0.5 * np.asarray(action)
        for axis in range(2):
            moved = position + 0.05 * velocity * (np.arange(2) == axis)
            row, column = waypoints.cell_of((5, 5), moved)
            free = not U_MAZE[row, column]
            position, velocity[axis] = (moved, velocity[axis]) if free else (position, 0.0)
        self._state = np.concatenate([position, velocity])
        return {"observation": self._state.copy()}, 0.0, False, False, {}

    def close(self):
        """Nothing to leave."""


@pytest.fixture(autouse=True)
def _simulated(monkeypatch):
    monkeypatch.setattr(environments, "_simulation", lambda name: Point())
    short = environments.MAZES["umaze"]._replace(length=120)
    monkeypatch.setitem(environments.MAZES, "umaze", short)


def test_walks_go_from_goal_to_goal():
    episodes, goals = mujoco_maze.walks("umaze", 2400, seed=1)
    apart = split(episodes)
    assert [len(episode.rewards) for episode in apart] == [120] * 20
    assert not any(episode.terminal for episode in apart)
    changes = np.flatnonzero(np.any(np.diff(goals, axis=0) != 0, axis=1))
    inside = changes[np.isin(changes + 1, np.arange(0, 2400, 120), invert=True)]
    assert len(inside) > 20
    # A goal moves where the ball has just reached it.
    seen = np.asarray(episodes.next_observations)[inside, :2]
    assert np.all(np.linalg.norm(seen - goals[inside], axis=1) <= 0.1 + 1e-6)
    assert not U_MAZE[tuple(waypoints.cell_of((5, 5), goals).T)].any()


def test_rewards_are_those_of_the_maze():
    episodes, _ = mujoco_maze.walks("umaze", 2400, seed=1)
    goal = waypoints.centre((5, 5), (1, 1))
    near = np.linalg.norm(np.asarray(episodes.next_observations)[:, :2] - goal, axis=1) <= 0.5
    np.testing.assert_array_equal(np.asarray(episodes.rewards), near)
    assert 0.05 < near.mean() < 0.6


def test_equal_seeds_walk_equally():
    first, again, other = (mujoco_maze.walks("umaze", 1200, seed=seed)[0] for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.observations, again.observations)
    assert np.any(np.asarray(first.observations) != np.asarray(other.observations))


def test_refuses_what_is_not_there():
    with pytest.raises(ValueError, match="maze is 'huge'; allowed: umaze, medium, large"):
        mujoco_maze.walks("huge")
    with pytest.raises(ValueError, match="steps is 0; allowed: at least 1"):
        mujoco_maze.walks("umaze", 0)
