"""Generated data sets: D4RL's kinds from policies that learn, and the command."""

import dataclasses
import functools
import sys
import types

import jax
import numpy as np
import pytest
from follow import Follow

from rlsuite import cli
from rlsuite.algorithms.ppo import Config
from rlsuite.data import d4rl, minari
from rlsuite.envs.episodes import Episode, join
from rlsuite.problems import behaviours, datasets
from rlsuite.problems.episodes import corridor, corridor_returns

CONFIG = Config(
    num_envs=4,
    rollout_length=32,
    num_minibatches=4,
    num_epochs=6,
    learning_rate=3e-3,
    annealing_steps=50,
    entropy_weight=0.0,
    discount=0.9,
    hidden_sizes=(32,),
)


@pytest.fixture(scope="module")
def learned():
    return behaviours.learn(Follow, CONFIG, progress=False)


def _mean(episodes):
    whole = [episode for episode in episodes if len(episode.rewards) == 5]
    return float(np.mean([episode.rewards.sum() for episode in whole]))


def test_kinds_are_d4rls(learned):
    record = functools.partial(behaviours.record, Follow, learned)
    first, last = learned.returns[[0, -1]]
    medium = record("medium", 2000)
    assert sum(len(episode.rewards) for episode in medium) == 2000
    share = (_mean(medium) - first) / (last - first)
    assert 0.2 < share < 0.7  # The best of a noisy mean is a bit above a third.
    both = record("medium-expert", 4000)
    half = len(both) // 2
    np.testing.assert_array_equal(both[0].observations, medium[0].observations)
    assert _mean(both[half:]) > _mean(medium) + 0.25 * (last - first)
    # What was seen is everything up to the medium policy, and no more.
    replay = record("medium-replay", 10**6)
    count = learned.seen.ends.size
    assert sum(len(episode.rewards) for episode in replay) == count
    assert count % (32 * 4) == 0
    assert 32 * 4 <= count < 32 * 4 * 50 // 2
    assert first - 0.3 < _mean(replay) < _mean(medium)
    latest = record("medium-replay", 400)
    assert sum(len(episode.rewards) for episode in latest) == 400


def test_behaviours_refuse(learned):
    with pytest.raises(ValueError, match="annealing_steps is None; allowed: at least 20"):
        behaviours.learn(Follow, dataclasses.replace(CONFIG, annealing_steps=None))
    with pytest.raises(ValueError, match="kind is 'good'; allowed: medium, medium-replay"):
        behaviours.record(Follow, learned, "good", 100)
    with pytest.raises(ValueError, match="steps is 3; allowed: at least 16"):
        behaviours.record(Follow, learned, "medium", 3)


def _tiny(steps, seed):
    values = np.full((steps + 1, 2), float(seed))
    return datasets.Made(
        join([Episode(values, values[1:, :1] / 8, values[1:, 0])]),
        d4rl.References(0.0, 10.0),
        {"goal": values[1:]},
    )


@pytest.fixture
def _own(monkeypatch):
    tiny = {"tiny": datasets.Dataset("a small set", _tiny, 7)}
    monkeypatch.setattr(datasets, "DATASETS", tiny)


@pytest.mark.usefixtures("_own")
def test_the_command_writes_both_layouts(tmp_path, capsys):
    out = tmp_path / "new"
    assert cli.main(["generate", "tiny", "--out", str(out), "--seed", "3"]) == 0
    assert "7 steps in 1 episodes" in capsys.readouterr().out
    words = ["tiny", "--out", str(out), "--steps", "5", "--layout", "minari"]
    assert cli.main(["generate", *words]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["tiny-v0", "tiny.hdf5"]
    problem = d4rl.problem(out / "tiny.hdf5")
    assert (float(problem.expert_return), problem.episodes.num_steps) == (10.0, 7)
    assert float(problem.episodes.rewards[0]) == 3.0
    assert minari.load(out / "tiny-v0").num_steps == 5
    assert cli.main(["generate", *words]) == 2
    assert "exists; allowed: a new folder" in capsys.readouterr().err


@pytest.mark.usefixtures("_own")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tini", "--out", "x"], "data set 'tini' is unknown (did you mean 'tiny'?)"),
        (["--out", "x"], "generate needs a name; allowed: tiny"),
        (["tiny"], "--out"),
        (["tiny", "--out", "x", "--steps", "0"], "steps is 0; allowed: a whole number at least 1"),
    ],
)
def test_the_command_refuses(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["generate", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_sets_in_jax_are_what_their_modules_demonstrate(monkeypatch):
    asked = []

    def demonstrations(key, count):
        asked.append((jax.random.key_data(key).tolist(), count))
        return _tiny(3, 0).episodes

    module = types.SimpleNamespace(demonstrations=demonstrations, world=corridor)
    monkeypatch.setitem(sys.modules, "a_world", module)
    made = datasets.simulated("a_world", "world", 8, 0.7)(32, 5)
    assert asked == [([0, 5], 4)]
    assert made.references.expert_return == 0.7
    known = corridor_returns(corridor())["random"]
    np.testing.assert_allclose(made.references.random_return, known, atol=0.1)
