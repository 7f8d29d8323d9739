"""Real time: ticks, latencies and rows under a clock of the test's own."""

import jax
import numpy as np
import pytest

from rlsuite.algorithms.dreamer.config import Behaviour, Config, Model
from rlsuite.algorithms.dreamer.latencies import RealTime, figure, summary
from rlsuite.algorithms.dreamer.realtime import real_time
from rlsuite.envs import hosts
from rlsuite.envs.control import control

KEY = jax.random.key(0)
RATE, SECONDS = 20.0, 2.0
CONFIG = Config(
    warmup=1,
    batch_size=2,
    sequence_length=4,
    num_environments=2,
    replay_size=400,
    prefill=30,
    model=Model(kind="markov", units=8, layers=1, heads="normal"),
    behaviour=Behaviour(horizon=3, policy_layers=1),
)


class Clock:
    """Stands still, but for sleeping, and a millisecond for every look at it."""

    def __init__(self):
        self.time = 0.0

    def now(self):
        self.time += 1e-3
        return self.time

    def sleep(self, seconds):
        self.time += seconds


class Slow:
    """An environment some of whose steps take their time; they also fail, if told to."""

    def __init__(self, inner, clock, takes=None, fails_at=None):
        self.inner, self.spec, self.num_environments = inner, inner.spec, inner.num_environments
        self.clock, self.takes, self.fails_at = clock, takes or {}, fails_at
        self.timesteps = []

    def reset(self, seed):
        self.timesteps.append(self.inner.reset(seed))
        return self.timesteps[-1]

    def step(self, action):
        if len(self.timesteps) == self.fails_at:
            raise RuntimeError("the motor is hot")
        self.clock.time += self.takes.get(len(self.timesteps), 0.0)
        self.timesteps.append(self.inner.step(action))
        return self.timesteps[-1]


def car(clock, **options):
    problem = control("MountainCar-v0", max_steps_in_episode=9)
    return Slow(hosts.from_control(problem, 2), clock, **options)


def test_there_is_an_action_at_every_tick():
    clock = Clock()
    environment = car(clock)
    found = real_time(
        environment, CONFIG, KEY, rate=RATE, seconds=SECONDS, learning=False, clock=clock
    )
    np.testing.assert_array_equal(found.ticks, np.arange(40))
    assert found.missed == 0
    np.testing.assert_allclose(found.latencies, 1e-3)
    rows = jax.tree.map(lambda ring: ring[:40], jax.device_get(found.replay.rows))
    assert int(found.replay.written) == 40
    seen = jax.tree.map(lambda *leaves: np.stack(leaves), *environment.timesteps)
    np.testing.assert_array_equal(rows.timestep.observation, seen.observation)
    np.testing.assert_array_equal(rows.state, seen.observation)
    ends = np.flatnonzero(seen.is_last[:, 0])
    np.testing.assert_array_equal(ends, [9, 19, 29, 39])
    returns = [seen.reward[i - 9 : i + 1].sum(axis=0) for i in ends]
    np.testing.assert_allclose(found.returns, np.concatenate(returns), rtol=1e-4)


def test_a_tick_that_is_overrun_is_missed_and_counted():
    """The step before the sixth time step takes 2.5 ticks; the one before the last 100."""
    clock = Clock()
    environment = car(clock, takes={5: 2.5 / RATE, 30: 100 / RATE})
    found = real_time(
        environment, CONFIG, KEY, rate=RATE, seconds=SECONDS, learning=False, clock=clock
    )
    np.testing.assert_array_equal(found.ticks, [*range(6), *range(8, 33)])
    assert found.missed == 9
    assert len(found.ticks) + found.missed == RATE * SECONDS


def test_learning_goes_on_beside_and_loses_no_row(assert_trees_equal):
    clock = Clock()
    idle = real_time(
        car(clock), CONFIG, KEY, rate=RATE, seconds=SECONDS, learning=False, clock=clock
    )
    found = real_time(
        car(clock),
        CONFIG,
        KEY,
        rate=RATE,
        seconds=SECONDS,
        learner=idle.learner,
        replay=idle.replay,
        acting_device=jax.devices()[0],
        clock=clock,
    )
    assert len(found.updates) >= 1
    assert int(found.replay.written) == 80
    before, after = (
        jax.tree.map(lambda ring: ring[:40], jax.device_get(x.replay.rows.timestep))
        for x in (idle, found)
    )
    assert_trees_equal(before, after)
    changed = jax.tree.map(
        lambda x, y: bool(np.any(x != y)), idle.learner.weights, found.learner.weights
    )
    assert all(any(jax.tree.leaves(part)) for part in changed)


def test_where_acting_stopped_no_episode_goes_on():
    clock = Clock()
    how = {"rate": RATE, "seconds": 0.9 * SECONDS, "learning": False, "clock": clock}
    first = real_time(car(clock), CONFIG, KEY, **how)
    last = int(first.replay.written) - 1
    assert not np.any(first.replay.rows.timestep.is_last[last])
    found = real_time(car(clock), CONFIG, KEY, **how, replay=first.replay)
    assert np.all(found.replay.rows.timestep.is_last[last])
    assert np.all(found.replay.rows.timestep.is_first[last + 1])


def test_an_error_while_acting_reaches_the_caller():
    clock = Clock()
    with pytest.raises(RuntimeError, match="the motor is hot"):
        real_time(
            car(clock, fails_at=7),
            CONFIG,
            KEY,
            rate=RATE,
            seconds=SECONDS,
            learning=False,
            clock=clock,
        )


def test_the_summary_counts_and_the_figure_shows_every_run():
    latencies = np.arange(1, 101) * 1e-3
    empty = np.zeros(0)
    found = RealTime(None, None, 20.0, np.arange(100), latencies, 3, np.ones(7), empty)
    told = summary(found)
    assert told["median_ms"] == pytest.approx(50.5)
    assert told["p95_ms"] == pytest.approx(95.05)
    assert told["p99_ms"] == pytest.approx(99.01)
    assert told["max_ms"] == pytest.approx(100.0)
    assert (told["actions"], told["missed"], told["updates"]) == (100, 3, 7)
    drawn = figure({"idle": found, "learning": found._replace(latencies=2 * latencies)})
    spread, line = drawn.axes
    assert [text.get_text() for text in spread.get_legend().get_texts()] == ["idle", "learning"]
    shown = line.get_lines()[2].get_ydata()
    np.testing.assert_allclose(shown, 2e3 * latencies)


@pytest.mark.parametrize(("rate", "seconds"), [(0.0, 1.0), (20.0, -1.0), (np.inf, 1.0)])
def test_rates_and_times_not_above_zero_are_refused(rate, seconds):
    with pytest.raises(ValueError, match="allowed: a number above 0"):
        real_time(car(Clock()), CONFIG, KEY, rate=rate, seconds=seconds)
