"""Dreamer on the host: rows as the table says, checkpoints, and a known optimum."""

import dataclasses
import json
import os
import signal
import sys
import types

import gymnasium
import jax
import numpy as np
import pytest

from rlsuite import grid
from rlsuite.algorithms.dreamer.config import Behaviour, Config, Model
from rlsuite.algorithms.dreamer.host import train
from rlsuite.envs import hosts
from rlsuite.envs.control import control
from rlsuite.problems import dm_control

KEY = jax.random.key(0)
LIMIT = 8
CONFIG = Config(
    learning_rate=3e-3,
    warmup=1,
    batch_size=2,
    sequence_length=4,
    num_environments=2,
    steps_per_update=3,
    replay_size=400,
    prefill=20,
    evaluation_episodes=3,
    evaluation_length=6,
    model=Model(kind="markov", units=8, layers=1, heads="normal"),
    behaviour=Behaviour(horizon=3, policy_layers=1),
)


def car(members=2):
    return hosts.from_control(control("MountainCar-v0", max_steps_in_episode=LIMIT), members)


class Watched:
    """A host environment that keeps what went in and out; may raise a signal on the way."""

    def __init__(self, inner, interrupt_at=None):
        self.inner, self.spec, self.num_environments = inner, inner.spec, inner.num_environments
        self.timesteps, self.actions = [], []
        self.interrupt_at = interrupt_at

    def reset(self, seed):
        self.timesteps.append(self.inner.reset(seed))
        return self.timesteps[-1]

    def step(self, action):
        if len(self.actions) == self.interrupt_at:
            os.kill(os.getpid(), signal.SIGINT)
        self.actions.append(action)
        self.timesteps.append(self.inner.step(action))
        return self.timesteps[-1]


def stacked(trees):
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


def rows_of(result):
    replay = jax.device_get(result.state.replay)
    return jax.tree.map(lambda ring: ring[: int(replay.written)], replay.rows)


@pytest.fixture(scope="module")
def trained():
    environment = Watched(car())
    return environment, train(
        environment, CONFIG, KEY, 12, evaluation=car(2), evaluate_every=10, progress=False
    )


def test_every_time_step_is_remembered_with_the_action_taken_at_it(trained, assert_trees_equal):
    environment, result = trained
    rows = rows_of(result)
    assert len(rows.action) == CONFIG.prefill + 12 * CONFIG.steps_per_update
    assert_trees_equal(rows.timestep, stacked(environment.timesteps[:-1]))
    np.testing.assert_array_equal(rows.action, stacked(environment.actions))
    # The Markov model's state is what was seen.
    np.testing.assert_array_equal(rows.state, rows.timestep.observation)


def test_rows_obey_the_table_of_control(trained):
    _, result = trained
    timestep, action, _ = rows_of(result)
    np.testing.assert_array_equal(timestep.is_first[1:], timestep.is_last[:-1])
    np.testing.assert_array_equal(np.flatnonzero(timestep.is_first[:, 0]), np.arange(0, 56, 9))
    assert not timestep.is_terminal.any()
    np.testing.assert_array_equal(timestep.reward, timestep.is_first - 1.0)
    place, velocity = np.moveaxis(timestep.observation, -1, 0)
    push = np.argmax(action, axis=-1) - 1
    after = velocity + 0.001 * push - 0.0025 * np.cos(3 * place)
    within = ~timestep.is_last[:-1]
    np.testing.assert_allclose(after[:-1][within], velocity[1:][within], atol=1e-6)
    assert np.abs(after[:-1] - velocity[1:])[~within].min() > 1e-6


def test_metrics_count_steps_and_episodes(trained):
    _, result = trained
    steps = 2 * (CONFIG.prefill + CONFIG.steps_per_update * np.arange(1, 13))
    np.testing.assert_array_equal(result.metrics.environment_steps, steps)
    np.testing.assert_array_equal(result.metrics.episode_return, -LIMIT)
    np.testing.assert_array_equal(result.evaluation_steps, [10, 12])
    np.testing.assert_array_equal(result.evaluations.length, CONFIG.evaluation_length)


def test_the_same_key_gives_the_same_run(trained, assert_trees_equal):
    _, result = trained
    again = train(car(), CONFIG, KEY, 12, progress=False)
    assert_trees_equal(again.state, result.state)


def test_a_resumed_run_begins_new_episodes_and_loses_no_row(trained, tmp_path, assert_trees_equal):
    _, whole = trained
    first = train(car(), CONFIG, KEY, 10, directory=tmp_path, progress=False)
    second = train(car(), CONFIG, KEY, 12, directory=tmp_path, resume=True, progress=False)
    assert (second.start, second.step) == (10, 12)
    before, after, straight = map(rows_of, (first, second, whole))
    kept = len(before.action)
    assert kept == CONFIG.prefill + 10 * CONFIG.steps_per_update
    assert len(after.action) == len(straight.action)
    np.testing.assert_array_equal(after.action[:kept], before.action)
    assert not before.timestep.is_last[-1].any()
    assert after.timestep.is_last[kept - 1].all()
    assert not after.timestep.is_terminal[kept - 1].any()
    assert after.timestep.is_first[kept].all()
    log = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in log] == [10, 12]
    other = dataclasses.replace(CONFIG, learning_rate=1e-2)
    with pytest.raises(ValueError, match="belongs to another run"):
        train(car(), other, KEY, 12, directory=tmp_path, resume=True, progress=False)


def test_ctrl_c_saves_and_the_run_goes_on(tmp_path, capsys):
    environment = Watched(car(), interrupt_at=CONFIG.prefill + 4)
    with pytest.raises(KeyboardInterrupt, match="stopped after step 10; resume from"):
        train(environment, CONFIG, KEY, 12, directory=tmp_path, progress=False)
    again = train(car(), CONFIG, KEY, 12, directory=tmp_path, resume=True, progress=False)
    assert again.start == 10
    assert "once more to stop now" in capsys.readouterr().err


class Buttons(gymnasium.Env):
    """Six moments; the second of two buttons pays 1, which makes 6 the best return."""

    observation_space = gymnasium.spaces.Box(0, 1, (1,))
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        self.time = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.time += 1
        return np.zeros(1, np.float32), float(action), False, self.time == 6, {}


def test_the_best_policy_of_a_gymnasium_environment_is_found():
    found = train(
        hosts.from_gymnasium(Buttons, 2),
        CONFIG,
        KEY,
        150,
        evaluation=hosts.from_gymnasium(Buttons, 2),
        progress=False,
    )
    assert found.evaluations.worst[-1] == 6.0
    assert found.metrics.episode_return[-30:].mean() > 5.0
    assert found.metrics.episode_return[:5].mean() < 5.0


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        (
            dataclasses.replace(CONFIG, num_environments=3),
            {},
            "'num_environments' is 3; allowed: 2",
        ),
        (grid(CONFIG, learning_rate=[1e-3, 1e-2]), {}, "config has 2 values"),
        (
            dataclasses.replace(CONFIG, model=Model(kind="environment")),
            {},
            "model kind is 'environment'; allowed here: 'rssm', 'markov'",
        ),
        (CONFIG, {"checkpoint_every": 0}, "checkpoint_every is 0"),
    ],
)
def test_what_is_not_allowed_is_refused(config, options, message):
    with pytest.raises(ValueError, match=message):
        train(car(), config, KEY, 1, progress=False, **options)


def test_evaluating_where_one_trains_is_refused():
    environment = car()
    with pytest.raises(ValueError, match="evaluation is the environment itself"):
        train(environment, CONFIG, KEY, 1, evaluation=environment, progress=False)


class Suite(types.ModuleType):
    """Stands in for ``dm_control.suite``: a task that shows its seed and pays 1 a step."""

    def load(self, domain, task, task_kwargs):
        def timestep(reward):
            return types.SimpleNamespace(
                reward=reward,
                discount=1.0,
                observation={"seed": np.asarray([task_kwargs["random"]], float)},
                last=lambda: False,
            )

        return types.SimpleNamespace(
            action_spec=lambda: types.SimpleNamespace(minimum=-1.0, maximum=1.0, shape=(2,)),
            reset=lambda: timestep(None),
            step=lambda action: timestep(1.0),
        )


def test_a_task_of_the_control_suite_repeats_its_actions(monkeypatch):
    package = types.ModuleType("dm_control")
    package.suite = Suite("suite")
    monkeypatch.setitem(sys.modules, "dm_control", package)
    environment = dm_control.environment("walker-walk", 3)
    np.testing.assert_array_equal(environment.reset(7).observation["seed"], [[7], [8], [9]])
    np.testing.assert_array_equal(environment.step(np.zeros((3, 2))).reward, [2, 2, 2])


def test_tasks_steps_and_a_missing_package_are_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "dm_control", None)
    with pytest.raises(ValueError, match=r"pip install 'rlsuite\[dm_control\]'"):
        dm_control.environment("walker-walk")
    with pytest.raises(ValueError, match="task is 'fly'; allowed: cartpole-swingup, walker-walk"):
        dm_control.environment("fly")
    with pytest.raises(ValueError, match="steps is 100; allowed: at least 2000"):
        dm_control.num_steps(dm_control.SMALL, 100)
    assert dm_control.main(["fly", "--out", "x"]) == 2
    assert "cartpole-swingup" in capsys.readouterr().err
