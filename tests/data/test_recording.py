"""Recording in gymnasium's environments: what a row holds, and where episodes begin."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from rlsuite.data.recording import Recorder, episode_returns, episodes_of, together


class Counter(gymnasium.Env):
    """Shows (number of the episode, time); ends after 3 steps, for good in every second episode."""

    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space = spaces.Box(0.0, 10.0, (1,), np.float32)

    def __init__(self):
        self._episode = -1

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._episode, self._time = self._episode + 1, 0
        return np.asarray([self._episode, 0.0]), {}

    def step(self, action):
        self._time += 1
        over, odd = self._time == 3, self._episode % 2 == 1
        seen = np.asarray([self._episode, self._time], float)
        return seen, float(action[0]), over and odd, over, {}


def _rows(length):
    recorder = Recorder(Counter, 2)
    times = iter(range(length))

    def choose(seen):
        return np.asarray([[0.0], [3.0]]), np.full(2, next(times))

    parts = [recorder.walk(choose, length - 4), recorder.walk(choose, 4)]
    recorder.close()
    return together(parts)


def test_rows_lead_to_where_the_environment_went():
    rows = _rows(8)
    assert rows.observations.shape == (8, 2, 2)
    np.testing.assert_array_equal(rows.observations[:, 0, 1], [0, 1, 2, 0, 1, 2, 0, 1])
    np.testing.assert_array_equal(rows.next_observations[:, 0, 1], [1, 2, 3, 1, 2, 3, 1, 2])
    np.testing.assert_array_equal(rows.next_observations[:, 1, 0], [0, 0, 0, 1, 1, 1, 2, 2])
    np.testing.assert_array_equal(rows.ends[:, 0], np.arange(8) % 3 == 2)
    np.testing.assert_array_equal(rows.terminals[:, 0], np.arange(8) == 5)


def test_actions_are_scaled_to_bounds_and_clipped():
    np.testing.assert_allclose(_rows(8).rewards, np.tile([5.0, 10.0], (8, 1)))


def test_walks_become_episodes():
    episodes, times = episodes_of(_rows(8))
    assert [len(episode.rewards) for episode in episodes] == [3, 3, 2] * 2
    assert [episode.terminal for episode in episodes] == [False, True, False] * 2
    for number, episode in enumerate(episodes):
        steps = len(episode.rewards)
        np.testing.assert_array_equal(episode.observations[:, 1], np.arange(steps + 1))
        np.testing.assert_array_equal(episode.observations[:, 0], number % 3)
    np.testing.assert_array_equal(episodes[3].actions, np.ones((3, 1)))
    np.testing.assert_array_equal(times, np.tile(np.arange(8), 2))


@pytest.mark.parametrize(
    ("make", "number", "message"),
    [
        (Counter, 0, "num_environments is 0; allowed: at least 1"),
        (lambda: gymnasium.make("CartPole-v1"), 1, r"actions are Discrete\(2\); allowed: vectors"),
        (lambda: _Pixels(), 1, r"observations are Box.*\(2, 2\), float64\); allowed: vectors"),
        (lambda: _Unbounded(), 1, "allowed: bounds on both sides"),
    ],
)
def test_refuses_what_are_no_vectors(make, number, message):
    with pytest.raises(ValueError, match=message):
        Recorder(make, number)


class _Unbounded(Counter):
    action_space = spaces.Box(-np.inf, np.inf, (1,), np.float32)


class _Pixels(Counter):
    observation_space = spaces.Box(0.0, 1.0, (2, 2), np.float64)


def test_one_episode_of_each_environment_is_counted():
    """What is done at each time is the number of actions so far: 0 + 1 + 2 of 10, twice."""

    def act(seen, carry):
        time = 0 if carry is None else carry + 1
        return np.full((2, 1), time / 5 - 1), time

    recorder = Recorder(Counter, 2)
    np.testing.assert_allclose(episode_returns(recorder, act, 10), 3.0)
    assert recorder.observation[:, 0].tolist() == [1, 1]
    np.testing.assert_allclose(episode_returns(Recorder(Counter, 2), act, 2), 1.0)


def test_what_comes_after_an_episode_is_not_counted():
    lengths = iter((3, 2))

    class Uneven(Counter):
        def __init__(self):
            super().__init__()
            self._length = next(lengths)

        def step(self, action):
            seen, reward, _, _, told = super().step(action)
            return seen, reward, self._time == self._length, False, told

    recorder = Recorder(Uneven, 2)
    earned = episode_returns(recorder, lambda seen, carry: (np.zeros((2, 1)), carry), 10)
    np.testing.assert_allclose(earned, [15.0, 10.0])


def test_no_step_is_refused():
    with pytest.raises(ValueError, match="length is 0; allowed: a whole number at least 1"):
        episode_returns(Recorder(Counter, 2), lambda seen, carry: (seen, carry), 0)
