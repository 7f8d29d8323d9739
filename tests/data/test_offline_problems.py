"""Points and mazes as problems: what was recorded is what their environments do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import compiled

from rlsuite.envs import point_maze
from rlsuite.envs.episodes import split
from rlsuite.problems import mazes
from rlsuite.problems.offline import point, sideways
from rlsuite.problems.slippery_point import slippery_point

GOAL = np.asarray([0.4, 0.3])
STRAIGHT = -(0.3**2 + 0.2**2) - (0.2**2 + 0.1**2) - 0.1**2
"""Full speed along both axes, and then along one, to within rounding of the goal."""


@compiled
def again(problem, seen, done):
    """Every recorded step once more."""
    state, _ = problem.control.reset(jax.random.key(0))

    def step(position, action):
        inner = state.inner.replace(position=position)
        return problem.control.transition(jax.random.key(0), inner, action)[1]

    return jax.vmap(step)(seen, done)


def assert_recorded_is_what_happens(problem):
    episodes = jax.tree.map(np.asarray, problem.episodes)
    after = again(problem, episodes.observations, episodes.actions)
    np.testing.assert_allclose(after.observation, episodes.next_observations, atol=1e-5)
    np.testing.assert_allclose(after.reward, episodes.rewards, atol=1e-5)
    np.testing.assert_array_equal(episodes.observations[episodes.starts], 0)
    return split(problem.episodes), after.is_terminal


def test_the_points_share_of_episodes_is_headed_for_its_goal():
    problem = point(0.3, 20)
    walks, arrived = assert_recorded_is_what_happens(problem)
    np.testing.assert_array_equal(problem.episodes.terminals, arrived)
    for number, walk in enumerate(walks):
        wanted = GOAL if number < 6 else -GOAL
        np.testing.assert_allclose(walk.observations[-1], wanted, atol=0.15)
        assert walk.terminal or len(walk.rewards) == 10
    assert arrived.any()
    assert problem.expert_return == pytest.approx(STRAIGHT, rel=1e-4)
    assert problem.random_return < 2 * STRAIGHT


def test_sideways_episodes_pass_the_goal_on_either_side():
    walks, arrived = assert_recorded_is_what_happens(sideways(20))
    assert not arrived.any()
    for number, walk in enumerate(walks):
        side = np.asarray([-0.3, 0.4]) if number % 2 == 0 else np.asarray([0.3, -0.4])
        aside = [np.linalg.norm(walk.observations[-1] - sign * side) for sign in (1, -1)]
        assert min(aside) < 0.2
    assert len({bool(walk.observations[-1][0] > 0) for walk in walks}) == 2


def test_on_ground_that_is_not_slippery_walks_go_as_far_as_the_goal_lies_in_all_directions():
    problem = slippery_point(0.0, 40)
    walks, _ = assert_recorded_is_what_happens(problem)
    assert [len(walk.rewards) for walk in walks] == [12] * 40
    assert not problem.episodes.terminals.any()
    last = np.stack([walk.observations[-1] for walk in walks])
    np.testing.assert_allclose(np.linalg.norm(last, axis=1), 0.5, atol=0.1)
    assert np.histogram(np.arctan2(*last.T), 4, (-np.pi, np.pi))[0].min() >= 4
    assert problem.expert_return == pytest.approx(STRAIGHT, rel=1e-3)


def test_to_be_at_rest_is_to_be_at_the_mazes_goal_without_speed():
    for name in mazes.LENGTHS:
        wanted = [*np.asarray(point_maze.point_maze(name).params.goal), 0.0, 0.0]
        np.testing.assert_allclose(mazes.at_rest(name)(jnp.ones(4)), wanted)


def test_journeys_are_more_and_shorter_and_scored_alike(monkeypatch):
    monkeypatch.setattr(mazes, "_STEPS", 1200)
    mazes.maze.cache_clear()
    walks, journeys = (mazes.maze("umaze", journeys=one) for one in (False, True))
    mazes.maze.cache_clear()
    assert walks.episodes.lengths.tolist() == [300] * 4
    assert len(journeys.episodes.lengths) > 8
    assert journeys.longest < 150
    references = [(float(p.random_return), float(p.expert_return)) for p in (walks, journeys)]
    assert references[0] == references[1]
    for walk in split(journeys.episodes)[:5]:
        assert np.linalg.norm(np.diff(walk.observations[:, :2], axis=0), axis=1).max() < 0.2
