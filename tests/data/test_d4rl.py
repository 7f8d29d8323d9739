"""D4RL's layout: what rows mean, what is refused, and that nothing is lost on the way."""

import functools

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.data import d4rl
from rlsuite.envs.episodes import Episode, join, split


def _columns(rows=6, **changes):
    """Rows 0, 1, 2 | 3, 4 | 5: an end for good, one by the clock, and one with the file."""
    rng = np.random.default_rng(0)
    columns = {
        "observations": rng.normal(size=(rows, 3)).astype(np.float32),
        "actions": rng.uniform(-1, 1, size=(rows, 2)).astype(np.float32),
        "rewards": np.arange(rows, dtype=np.float32),
        "terminals": np.arange(rows) == 2,
        "timeouts": np.arange(rows) == 4,
        **changes,
    }
    return {name: values for name, values in columns.items() if values is not None}


def _write(path, columns):
    with h5py.File(path, "w") as file:
        for name, values in columns.items():
            file.create_dataset(name, data=values)
        file.create_dataset("infos/qpos", data=np.zeros(3))
    return path


@functools.cache
def _episodes():
    rng = np.random.default_rng(1)

    def one(steps, terminal, label):
        draw = lambda *shape: rng.normal(size=shape).astype(np.float32)  # noqa: E731
        actions = rng.uniform(-1, 1, size=(steps, 2)).astype(np.float32)
        return Episode(draw(steps + 1, 3), actions, draw(steps), terminal, (label, 0.5))

    return join([one(4, True, 1), one(1, False, 2), one(7, False, 3), one(1, True, 4)])


def _assert_equal(found, expected):
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_rows_without_successors(tmp_path):
    columns = _columns()
    found = split(d4rl.load(_write(tmp_path / "x.hdf5", columns)))
    seen, done = columns["observations"], columns["actions"]
    # The last row of the second is but its last state; row 5 leads nowhere and is no episode.
    assert [episode.terminal for episode in found] == [True, False]
    np.testing.assert_array_equal(found[0].observations, seen[[0, 1, 2, 2]])
    np.testing.assert_array_equal(found[0].actions, done[:3])
    np.testing.assert_array_equal(found[1].observations, seen[3:5])
    np.testing.assert_array_equal(found[1].actions, done[3:4])
    np.testing.assert_array_equal(found[1].rewards, [3.0])


def test_rows_with_successors(tmp_path):
    following = np.full((6, 3), 9.0) + np.arange(6)[:, None]
    columns = _columns(next_observations=following, observations=np.zeros((6, 3)))
    found = split(d4rl.load(_write(tmp_path / "x.hdf5", columns)))
    assert [len(episode.rewards) for episode in found] == [3, 2, 1]
    assert [episode.terminal for episode in found] == [True, False, False]
    assert [episode.observations[-1, 0] for episode in found] == [11.0, 13.0, 14.0]


def test_an_end_for_good_on_the_last_tick_is_one_for_good(tmp_path):
    both = np.arange(6) == 5
    columns = _columns(terminals=both, timeouts=both)
    (episode,) = split(d4rl.load(_write(tmp_path / "x.hdf5", columns)))
    assert episode.terminal
    assert len(episode.rewards) == 6


def test_one_number_a_row_may_stand_upright(tmp_path):
    columns = _columns()
    flat = d4rl.load(_write(tmp_path / "flat.hdf5", columns))
    upright = {name: columns[name][:, None] for name in ("rewards", "terminals", "timeouts")}
    _assert_equal(d4rl.load(_write(tmp_path / "up.hdf5", {**columns, **upright})), flat)


def test_refuses_numbers_that_lie_in_other_files(tmp_path):
    path, other = tmp_path / "x.hdf5", _write(tmp_path / "other.hdf5", _columns())
    raw = tmp_path / "raw"
    raw.write_bytes(bytes(24))
    _write(path, _columns(rewards=None))
    with h5py.File(path, "a") as file:
        file["rewards"] = h5py.ExternalLink(str(other), "/rewards")
    with pytest.raises(ValueError, match="'rewards' lies in another file; allowed: in this one"):
        d4rl.load(path)
    with h5py.File(path, "a") as file:
        del file["rewards"]
        file.create_dataset("rewards", 6, np.float32, external=[(str(raw), 0, 24)])
    with pytest.raises(ValueError, match="'rewards' lies in other files; allowed: numbers in this"):
        d4rl.load(path)


def test_refuses_actions_out_of_bounds(tmp_path):
    path = _write(tmp_path / "x.hdf5", _columns(actions=np.full((6, 2), 50.0)))
    with pytest.raises(ValueError, match=r"'actions' has .* up to ±50; allowed: within \[−1, 1\]"):
        d4rl.load(path)


def test_what_is_saved_is_loaded(tmp_path):
    path = tmp_path / "x.hdf5"
    path.write_bytes(b"an older file")
    d4rl.save(path, _episodes(), d4rl.References(1.0, 3.0), {"goal": np.ones((13, 2))})
    _assert_equal(d4rl.load(path), _episodes())
    problem = d4rl.problem(path)
    assert problem.name == "x"
    np.testing.assert_allclose(problem.score(jnp.asarray(2.0)), 50.0)
    with h5py.File(path) as file:
        assert file["infos/goal"].shape == (13, 2)
        np.testing.assert_array_equal(np.flatnonzero(file["timeouts"]), [4, 11])
        np.testing.assert_array_equal(np.flatnonzero(file["terminals"]), [3, 12])
    assert [each.name for each in tmp_path.iterdir()] == ["x.hdf5"]


def test_equal_data_are_equal_files(tmp_path):
    for name in ("a", "b"):
        d4rl.save(tmp_path / name, _episodes())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_nothing_is_left_of_a_file_that_failed(tmp_path):
    path = tmp_path / "x.hdf5"
    d4rl.save(path, _episodes())
    before = path.read_bytes()
    with pytest.raises(TypeError):
        d4rl.save(path, _episodes(), infos={"names": np.asarray([object()])})
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["x.hdf5"]


def test_references_must_be_known(tmp_path):
    path = tmp_path / "hopper-medium-v2.hdf5"
    d4rl.save(path, _episodes())
    with pytest.raises(ValueError, match=r"references is None, and .* names no random_return"):
        d4rl.problem(path)
    problem = d4rl.problem(path, references=d4rl.PUBLISHED["hopper"])
    np.testing.assert_allclose(problem.score(jnp.asarray(3234.3)), 100.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"timeouts": None}, "'timeouts' is missing; there is actions, infos, observations"),
        ({"observations": np.zeros(6)}, r"'observations' has shape \(6,\); allowed: \(any, any\)"),
        ({"actions": np.zeros((5, 2))}, r"'actions' has shape \(5, 2\); allowed: \(6, any\)"),
        ({"rewards": np.zeros((6, 2))}, r"'rewards' has shape \(6, 2\); allowed: \(6\)"),
        ({"terminals": np.full(6, np.nan)}, "'terminals' has nan; allowed: 0 and 1"),
        ({"timeouts": np.full((6, 1), 2)}, "'timeouts' has 2; allowed: 0 and 1"),
        ({"rewards": np.full(6, 1e300)}, "not finite in single precision"),
        ({"next_observations": np.zeros((6, 2))}, r"allowed: \(6, 3\)"),
        ({"rewards": np.full(6, np.nan)}, r"episodes\[0\].rewards has numbers that are not finite"),
        ({"actions": np.full((6, 2), b"left")}, r"'actions' is of type \|S4; allowed: numbers"),
        ({"metadata/labels": np.zeros((2, 1))}, r"'metadata/labels' has shape \(2, 1\)"),
        (_columns(rows=0), "no episode has a step that leads somewhere, in 0 rows"),
        ({"timeouts": np.ones(6), "terminals": np.zeros(6)}, "no episode has a step"),
    ],
)
def test_refuses_in_one_line_that_names_the_file(changes, message, tmp_path):
    path = _write(tmp_path / "bad.hdf5", _columns(**changes))
    with pytest.raises(ValueError, match=message) as caught:
        d4rl.load(path)
    assert "bad.hdf5'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_refuses_a_group_in_place_of_numbers(tmp_path):
    path = _write(tmp_path / "bad.hdf5", {"observations/pixels": np.zeros(3)})
    with pytest.raises(ValueError, match=r"'observations' is <HDF5 group .*; allowed: numbers"):
        d4rl.load(path)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_the_beginning_of_a_file_is_no_file(share, tmp_path):
    path = tmp_path / "half.hdf5"
    d4rl.save(path, _episodes())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match=r"half.hdf5' is damaged, or no HDF5 file"):
        d4rl.load(path)


def test_a_wrong_bit_is_noticed_or_changes_nothing(tmp_path):
    """All that a file says of itself, and compressed numbers, have checksums."""
    path, random = tmp_path / "worn.hdf5", np.random.default_rng(0)
    d4rl.save(path, _episodes())
    whole, refused = path.read_bytes(), 0
    for place in random.integers(len(whole), size=60).tolist():
        worn = bytearray(whole)
        worn[place] ^= 1 << int(random.integers(8))
        path.write_bytes(worn)
        try:
            _assert_equal(d4rl.load(path), _episodes())
        except ValueError as error:
            assert "worn.hdf5' is damaged" in str(error)  # noqa: PT017
            refused += 1
    assert refused > 30


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not there, or no file"):
        d4rl.load(tmp_path / "nowhere.hdf5")
    with pytest.raises(FileNotFoundError, match="is not there, or no file"):
        d4rl.load(tmp_path)
