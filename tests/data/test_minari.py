"""Minari's datasets, in the structure that minari 0.5.4 writes and reads."""

import json

import h5py
import jax
import numpy as np
import pytest

from rlsuite.data import minari
from rlsuite.envs.episodes import Episode, join, split

UNIT = {"type": "Box", "dtype": "float32", "shape": [2], "low": [-1.0] * 2, "high": [1.0] * 2}


def _episode(number=0, steps=4, **changes):
    rng = np.random.default_rng(number)
    return {
        "observations": rng.normal(size=(steps + 1, 3)),
        "actions": rng.uniform(-1, 1, size=(steps, 2)).astype(np.float32),
        "rewards": rng.normal(size=steps),
        "terminations": np.zeros(steps, bool),
        "truncations": np.arange(steps) == steps - 1,
        "infos": {"success": np.zeros(steps + 1, bool)},
        **changes,
    }


def _put(group, values):
    for name, value in values.items():
        if isinstance(value, dict):
            _put(group.create_group(name), value)
        elif value is not None:
            group.create_dataset(name, data=value)


def _write(folder, *episodes, space=UNIT):
    (folder / "data").mkdir(parents=True)
    with h5py.File(folder / "data" / "main_data.hdf5", "w") as file:
        for number, values in enumerate(episodes):
            _put(file.create_group(f"episode_{number}"), values)
    metadata = {"data_format": "hdf5", "action_space": json.dumps(space)}
    (folder / "data" / "metadata.json").write_text(json.dumps(metadata))
    return folder


def test_reads_episodes_in_the_order_of_their_numbers(tmp_path):
    episodes = [_episode(i, rewards=np.full(4, float(i))) for i in range(12)]
    ended = np.asarray([False, False, False, True])
    episodes[1] = _episode(1, terminations=ended, truncations=~ended & False)
    folder = _write(tmp_path / "maze-v0", *episodes)
    found = split(minari.load(folder))
    assert [episode.rewards[0] for episode in found[2:]] == list(range(2, 12))
    assert [episode.terminal for episode in found] == [i == 1 for i in range(12)]
    for episode, expected in zip(found, episodes, strict=True):
        wanted = expected["observations"].astype(np.float32)
        np.testing.assert_array_equal(episode.observations, wanted)
        np.testing.assert_array_equal(episode.actions, expected["actions"])
    from_file = minari.load(folder / "data" / "main_data.hdf5")
    jax.tree.map(np.testing.assert_array_equal, from_file, join(found))


def test_parts_of_observations_side_by_side(tmp_path):
    seen = {"observation": np.ones((5, 4)), "desired_goal": np.full((5, 2), 2.0)}
    folder = _write(tmp_path / "maze-v0", _episode(observations=seen))
    assert minari.load(folder).observations.shape == (4, 4)
    found = minari.load(folder, ("desired_goal", "observation"))
    np.testing.assert_array_equal(found.observations[0], [2, 2, 1, 1, 1, 1])
    with pytest.raises(ValueError, match="'episode_0/observations/goal' is missing; there is des"):
        minari.load(folder, ("goal",))


def test_actions_become_vectors(tmp_path):
    low, high = [-2.0, 0.0], [2.0, 10.0]
    space = {**UNIT, "low": low, "high": high}
    taken = np.asarray([[-2.0, 0.0], [2.0, 10.0], [0.0, 5.0], [1.0, 7.5]])
    folder = _write(tmp_path / "a-v0", _episode(actions=taken), space=space)
    np.testing.assert_allclose(minari.load(folder).actions, [[-1, -1], [1, 1], [0, 0], [0.5, 0.5]])
    space = {"type": "Discrete", "dtype": "int64", "start": 1, "n": 3}
    folder = _write(tmp_path / "b-v0", _episode(actions=np.asarray([1, 3, 2, 1])), space=space)
    np.testing.assert_array_equal(minari.load(folder).actions, np.eye(3)[[0, 2, 1, 0]])


def test_what_is_saved_is_loaded(tmp_path):
    first = Episode(np.ones((3, 2)), np.full((2, 1), 0.1), np.ones(2), True, (1.0, 0.0))
    second = Episode(np.zeros((6, 2)), np.full((5, 1), 0.7), np.ones(5), False, (0.0, 1.0))
    minari.save(tmp_path / "ring-v0", join([first, second]), "rlsuite/ring-v0")
    found = minari.load(tmp_path / "ring-v0")
    jax.tree.map(np.testing.assert_array_equal, found, join([first, second]))
    assert [each.name for each in tmp_path.iterdir()] == ["ring-v0"]
    told = json.loads((tmp_path / "ring-v0" / "data" / "metadata.json").read_text())
    assert (told["total_episodes"], told["total_steps"]) == (2, 7)
    assert json.loads(told["observation_space"])["low"] == [-np.inf] * 2
    with h5py.File(tmp_path / "ring-v0" / "data" / "main_data.hdf5") as file:
        group = file["episode_1"]
        assert dict(group.attrs)["total_steps"] == 5
        np.testing.assert_array_equal(group["truncations"], np.arange(5) == 4)
        assert group["observations"].shape == (6, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"truncations": None}, "'episode_1/truncations' is missing; there is actions"),
        ({"observations": np.zeros((4, 3))}, r"has shape \(4, 3\); allowed: \(5, any\)"),
        ({"rewards": np.full(4, np.inf)}, r"episodes\[1\].rewards has numbers that are not fin"),
        ({"rewards": np.zeros(0)}, r"'episode_1/observations' has shape \(5, 3\); allowed: \(1"),
        ({"actions": np.zeros((4, 3))}, r"action_space has low \[-1.0, -1.0\]; allowed: .* \(3,\)"),
        ({"terminations": np.ones(4)}, "'episode_1/terminations' is true before the last step"),
        ({"truncations": np.full(4, 2)}, "'episode_1/truncations' has 2; allowed: 0 and 1"),
    ],
)
def test_refuses_in_one_line_that_names_the_file(changes, message, tmp_path):
    folder = _write(tmp_path / "bad-v0", _episode(), _episode(**changes))
    with pytest.raises(ValueError, match=message) as caught:
        minari.load(folder)
    assert "main_data.hdf5'" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"type": "Tuple", "subspaces": []}, "space 'Tuple'; allowed: Box, Discrete"),
        ({**UNIT, "low": [-np.inf] * 2}, "actions have no bounds"),
        ({**UNIT, "high": ["one", "two"]}, r"action_space has high \['one', 'two'\]; allowed: num"),
        (["Box"], r"metadata.json' has action_space \['Box'\]; allowed: an object"),
    ],
)
def test_refuses_actions_that_are_no_vectors(space, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        minari.load(_write(tmp_path / "bad-v0", _episode(), space=space))


def test_refuses_actions_that_are_no_categories(tmp_path):
    space = {"type": "Discrete", "start": 0, "n": 3}
    episode = _episode(actions=np.asarray([0, 2, 7, 1]))
    with pytest.raises(ValueError, match="actions are not all among the 3 from 0 on"):
        minari.load(_write(tmp_path / "a-v0", episode, space=space))
    with pytest.raises(ValueError, match="action_space has n None; allowed: numbers"):
        minari.load(_write(tmp_path / "b-v0", episode, space={"type": "Discrete", "start": 0}))


def test_refuses_parts_where_there_are_none_and_labels_that_are_words(tmp_path):
    folder = _write(tmp_path / "a-v0", _episode())
    with pytest.raises(ValueError, match=r"parts is \('goal',\), but 'episode_0/obs.*' has none"):
        minari.load(folder, ("goal",))
    with h5py.File(folder / "data" / "main_data.hdf5", "a") as file:
        file["episode_0"].attrs["labels"] = "good"
    with pytest.raises(ValueError, match="'episode_0' has labels of type <U4; allowed: numbers"):
        minari.load(folder)


def test_refuses_an_episode_in_another_file_or_that_is_none(tmp_path):
    other = _write(tmp_path / "other-v0", _episode()) / "data" / "main_data.hdf5"
    folder = _write(tmp_path / "a-v0", _episode())
    path = folder / "data" / "main_data.hdf5"
    with h5py.File(path, "a") as file:
        file["episode_1"] = h5py.ExternalLink(str(other), "/episode_0")
    with pytest.raises(ValueError, match="'episode_1' lies in another file; allowed: in this one"):
        minari.load(folder)
    with h5py.File(path, "a") as file:
        del file["episode_1"]
        file["episode_1"] = np.zeros(3)
    with pytest.raises(ValueError, match=r"'episode_1' is <HDF5 dataset.*; allowed: a group"):
        minari.load(folder)


def test_refuses_what_is_no_dataset(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"main_data.hdf5' is not there"):
        minari.load(tmp_path)
    with pytest.raises(ValueError, match="no group 'episode_0'; allowed: at least one"):
        minari.load(_write(tmp_path / "empty-v0"))
    folder = _write(tmp_path / "torn-v0", _episode())
    (folder / "data" / "metadata.json").write_text('{"action_space": "{')
    with pytest.raises(ValueError, match=r"metadata.json' is damaged"):
        minari.load(folder)


def test_refuses_a_name_or_a_folder(tmp_path):
    episodes = join([Episode(np.ones((3, 2)), np.ones((2, 1)), np.ones(2))])
    with pytest.raises(ValueError, match="name is 'ring'; allowed: such as 'rlsuite/ring-v0'"):
        minari.save(tmp_path / "ring", episodes, "ring")
    with pytest.raises(ValueError, match="exists; allowed: a new folder"):
        minari.save(tmp_path, episodes, "ring-v0")
