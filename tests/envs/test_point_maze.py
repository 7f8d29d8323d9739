"""The maze's ball moves as MuJoCo's does, and its controller gets to goals."""

import json
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.data.offline import offline
from rlsuite.envs import point_maze as mazes
from rlsuite.envs.episodes import Episode, join, split
from rlsuite.envs.rollouts import episode_returns
from rlsuite.problems import mazes as problems

MUJOCO = json.loads(Path(__file__).with_name("point_maze_mujoco.json").read_text())
MOVE = jax.jit(jax.vmap(mazes.move, (None, 0, 0)))
STEP, CLEAR = jax.jit(mazes.move), jax.jit(mazes.clear)


@pytest.mark.parametrize("name", mazes.MAZES)
def test_steps_are_those_of_mujoco(name):
    maze, recorded = mazes.MAZES[name], MUJOCO[name]
    assert list(maze.rows) == recorded["rows"]
    steps = np.asarray(recorded["steps"])
    with jax.enable_x64(True):
        double = MOVE(*map(jnp.asarray, (maze.walls, steps[:, :4], steps[:, 4:6])))
        assert double.dtype == np.float64
        np.testing.assert_allclose(double, steps[:, 6:], rtol=0, atol=1e-12)


def test_steps_in_single_precision_are_nearly_those_of_mujoco():
    maze, steps = mazes.MAZES["umaze"], np.asarray(MUJOCO["umaze"]["steps"])
    single = MOVE(*map(jnp.asarray, (maze.walls, steps[:, :4], steps[:, 4:6])))
    np.testing.assert_allclose(single[:, :2], steps[:, 6:8], atol=1e-6)
    np.testing.assert_allclose(single[:, 2:], steps[:, 8:], atol=1e-4)


def test_a_push_in_free_space_is_that_of_a_ball_with_damping():
    walls = jnp.asarray(mazes.MAZES["umaze"].walls)
    mass = 1000 * 4 / 3 * np.pi * 0.1**3
    after = STEP(walls, jnp.asarray([0.0, 1.0, 2.0, -7.0]), jnp.asarray([0.5, -1.0]))
    velocity = np.asarray([2.0, -5.0])  # Clipped.
    velocity += 0.01 * (np.asarray([50.0, -100.0]) - velocity) / (mass + 0.01)
    np.testing.assert_allclose(after, [*(np.asarray([0, 1]) + 0.01 * velocity), *velocity], 1e-6)


def test_no_push_gets_into_a_wall():
    walls = jnp.asarray(mazes.MAZES["large"].walls)

    def walk(key):
        force = jax.random.choice(key, jnp.asarray([-1.0, 1.0]), (20, 2)).repeat(30, axis=0)

        def step(state, force):
            return (after := mazes.move(walls, state, force)), after

        return jax.lax.scan(step, jnp.asarray([-4.5, 3.0, 0.0, 0.0]), force)[1]

    states = jax.jit(jax.vmap(walk))(jax.random.split(jax.random.key(0), 50))
    assert CLEAR(walls, states).all()
    assert not CLEAR(walls, states + 0.5).all()
    assert np.asarray(states[..., 0]).max() > 2  # They did get about.


def test_clear_is_what_the_nearest_wall_says():
    maze = mazes.MAZES["medium"].walls
    points = np.random.default_rng(0).uniform(-3.4, 3.4, (500, 2)).astype(np.float32)
    nearest = np.full(500, np.inf)
    for row, column in np.argwhere(maze):
        middle = np.asarray([column + 0.5 - 4, 4 - row - 0.5])
        away = np.maximum(np.abs(points - middle) - 0.5, 0)
        nearest = np.minimum(nearest, np.linalg.norm(away, axis=1))
    found = CLEAR(jnp.asarray(maze), jnp.asarray(points))
    np.testing.assert_array_equal(found, nearest >= 0.03)


def test_the_controller_gets_to_the_goal_and_stays():
    problem = mazes.point_maze("large")
    act = mazes.controller(problem)
    earned = jax.jit(lambda key: episode_returns(problem, act, key, 100, 800))(jax.random.key(0))
    # From the far end it is about 25 cells, at 5 cells in 100 steps at most.
    assert earned.min() > 350
    assert earned.mean() > 550


def test_demonstrations_are_walks_through_the_whole_maze():
    maze = mazes.MAZES["umaze"]
    problem = mazes.point_maze("umaze")
    episodes = mazes.demonstrations("umaze", jax.random.key(0), 50)
    assert episodes.lengths.tolist() == [300] * 50
    seen = np.asarray(episodes.observations)
    assert (seen[episodes.starts, 2:] == 0).all()
    assert CLEAR(problem.params.walls, episodes.observations).all()
    cells = np.floor(np.stack([2.5 - seen[:, 1], seen[:, 0] + 2.5], axis=-1)).astype(int)
    visits = np.zeros(maze.walls.shape)
    np.add.at(visits, tuple(cells.T), 1)
    assert visits[maze.walls].sum() == 0
    assert visits[~maze.walls].min() > 0.03 * len(seen)
    after = MOVE(problem.params.walls, episodes.observations, episodes.actions)
    np.testing.assert_allclose(after, episodes.next_observations, atol=1e-4)
    near = np.linalg.norm(episodes.next_observations[:, :2] - problem.params.goal, axis=1) <= 0.5
    np.testing.assert_array_equal(episodes.rewards, near)


def test_journeys_are_the_walks_cut_up():
    """One begins where the last one ended; what comes after the last goal is left out."""
    key = jax.random.key(1)
    walks = split(mazes.demonstrations("umaze", key, 3))
    ways = iter(split(mazes.demonstrations("umaze", key, 3, journeys=True)))
    way, count = next(ways), 0
    for walk in walks:
        place = 0
        while way is not None and place + len(way.rewards) <= len(walk.rewards):
            end = place + len(way.rewards)
            if not np.array_equal(way.observations, walk.observations[place : end + 1]):
                break
            np.testing.assert_array_equal(way.actions, walk.actions[place:end])
            np.testing.assert_array_equal(way.rewards, walk.rewards[place:end])
            place, way, count = end, next(ways, None), count + 1
        # It takes less than a hundred steps to the next goal in so small a maze.
        assert place > len(walk.rewards) - 150
    assert way is None
    assert count > 3 * len(walks)


def test_an_episode_is_cut_off():
    problem = mazes.point_maze("umaze")
    inner = mazes.EnvState(time=jnp.int32(299), observation=jnp.asarray([-1.0, 1.0, 0.0, 0.0]))
    _, seen = jax.jit(problem.transition)(jax.random.key(0), inner, jnp.zeros(2))
    assert (bool(seen.is_last), bool(seen.is_terminal), float(seen.reward)) == (True, False, 1.0)


def test_pictures():
    maze = mazes.MAZES["umaze"]
    plans = np.random.default_rng(0).uniform(-1, 1, (2, 5, 4))
    figure = mazes.draw_plan(maze.walls, plans, np.asarray([-1.0, 1.0]), "a plan")
    assert figure.axes[0].get_title() == "a plan"
    np.testing.assert_allclose(figure.axes[0].collections[1].get_offsets(), plans[1, :, :2])
    assert mazes.animate_plan(maze.walls, plans, frames=3).startswith(b"GIF89a")


def test_what_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="allowed: umaze, medium, large"):
        mazes.point_maze("tiny")
    with pytest.raises(ValueError, match="num_episodes is 0"):
        mazes.demonstrations("umaze", jax.random.key(0), 0)


def test_an_episode_of_an_algorithm_is_drawn():
    """It stays where it is put."""
    walk = Episode(np.zeros((3, 4)), np.zeros((2, 2)), np.zeros(2))
    problem = offline("still", join([walk]), mazes.point_maze("umaze"))

    def still(key, state, seen, carry):
        return jnp.zeros(2), jnp.zeros(())

    figure = problems.draw(problem, SimpleNamespace(act=still), None)
    drawn = figure.axes[0].collections[0].get_offsets()
    _, first = problem.control.reset(jax.random.key(0))
    assert len(drawn) == 301
    np.testing.assert_allclose(drawn[[0, -1]], np.tile(first.observation[:2], (2, 1)), atol=0.3)
