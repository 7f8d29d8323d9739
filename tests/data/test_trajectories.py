import os
import pickle
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.data.trajectories import (
    NO_ACTION,
    Trajectories,
    check,
    empirical_visitation,
    empirical_visitation_over_time,
    load,
    mask,
    save,
    state_action_counts,
)

DISCOUNT = 0.7
# The first is cut off, the second ends in the terminal state 2, the third is one step long.
STEPS = [
    [(0, 1), (1, 0), (1, 1), (0, 0)],
    [(1, 1), (2, NO_ACTION)],
    [(0, 0)],
]


@pytest.fixture
def demonstrations():
    # Padding is full of states and actions that would count if it were not masked.
    states, actions = np.full((3, 4), 1), np.full((3, 4), 1)
    for i, steps in enumerate(STEPS):
        states[i, : len(steps)], actions[i, : len(steps)] = zip(*steps, strict=True)
    lengths = [len(steps) for steps in STEPS]
    return Trajectories(jnp.asarray(states), jnp.asarray(actions), jnp.asarray(lengths))


def test_only_real_steps_are_counted(demonstrations):
    np.testing.assert_array_equal(mask(demonstrations).sum(1), [4, 2, 1])
    counts = np.zeros((3, 2))
    for steps in STEPS:
        for state, action in steps:
            if action != NO_ACTION:
                counts[state, action] += 1
    np.testing.assert_array_equal(state_action_counts(demonstrations, 3, 2), counts)


@pytest.mark.parametrize("tail", ["drop", "repeat"])
def test_visitation_agrees_with_sums_over_the_steps(demonstrations, tail):
    states, state_actions = np.zeros(3), np.zeros((3, 2))
    for steps in STEPS:
        weights = [DISCOUNT**t for t in range(len(steps))]
        if tail == "repeat" and steps[-1][1] != NO_ACTION:
            weights[-1] = DISCOUNT ** (len(steps) - 1) / (1 - DISCOUNT)
        for weight, (state, action) in zip(weights, steps, strict=True):
            states[state] += weight / 3
            if action != NO_ACTION:
                state_actions[state, action] += weight / 3
    visits = empirical_visitation(demonstrations, 3, 2, DISCOUNT, tail=tail)
    np.testing.assert_allclose(visits.states, states, rtol=1e-6)
    np.testing.assert_allclose(visits.state_actions, state_actions, rtol=1e-6)


@pytest.mark.parametrize("horizon", [2, 4, 6])
def test_visitation_over_time_keeps_the_times_apart(demonstrations, horizon):
    states, state_actions = np.zeros((horizon, 3)), np.zeros((horizon, 3, 2))
    for steps in STEPS:
        for t, (state, action) in enumerate(steps[:horizon]):
            states[t, state] += DISCOUNT**t / 3
            if action != NO_ACTION:
                state_actions[t, state, action] += DISCOUNT**t / 3
    visits = empirical_visitation_over_time(demonstrations, 3, 2, DISCOUNT, horizon)
    np.testing.assert_allclose(visits.states, states, rtol=1e-6)
    np.testing.assert_allclose(visits.state_actions, state_actions, rtol=1e-6)
    if horizon >= 4:
        whole = empirical_visitation(demonstrations, 3, 2, DISCOUNT)
        np.testing.assert_allclose(visits.states.sum(0), whole.states, rtol=1e-6)


def test_a_horizon_below_one_is_refused(demonstrations):
    with pytest.raises(ValueError, match="horizon is 0: it must be at least 1"):
        empirical_visitation_over_time(demonstrations, 3, 2, DISCOUNT, 0)


def test_a_repeated_tail_completes_the_mass_of_an_endless_episode(demonstrations):
    endless = jax.tree.map(lambda x: x[:1], demonstrations)
    visits = empirical_visitation(endless, 3, 2, DISCOUNT, tail="repeat")
    assert visits.states.sum() == pytest.approx(1 / (1 - DISCOUNT))
    dropped = empirical_visitation(endless, 3, 2, DISCOUNT)
    missing = DISCOUNT**4 / (1 - DISCOUNT)
    assert dropped.states.sum() == pytest.approx(1 / (1 - DISCOUNT) - missing)


def test_undiscounted_visitation_is_the_mean_count(demonstrations):
    visits = empirical_visitation(demonstrations, 3, 2, 1.0)
    counts = state_action_counts(demonstrations, 3, 2)
    np.testing.assert_allclose(visits.state_actions, counts / 3, rtol=1e-6)


def test_visitation_can_be_differentiated_by_the_discount(demonstrations):
    def start_visits(discount):
        return empirical_visitation(demonstrations, 3, 2, discount).states[0]

    # State 0 is visited at times 0 and 3 of the first, 0 of the third: (1 + γ³ + 1) / 3.
    assert jax.grad(start_visits)(0.5) == pytest.approx(3 * 0.5**2 / 3)


def test_a_file_returns_what_was_written(demonstrations, tmp_path, assert_trees_equal):
    path = tmp_path / "expert.npz"
    save(path, demonstrations)
    assert_trees_equal(load(path), demonstrations)
    save(str(path), jax.tree.map(lambda x: x[:2], demonstrations))
    assert load(path).lengths.tolist() == [4, 2]
    assert os.listdir(tmp_path) == ["expert.npz"]


class Touch:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def damaged_files(directory, demonstrations):
    good = directory / "good.npz"
    save(good, demonstrations)
    content = good.read_bytes()
    parts = {key: np.asarray(value) for key, value in demonstrations._asdict().items()}
    bomb = np.empty(1, dtype=object)
    bomb[0] = Touch(directory / "touched")
    files = {
        "empty": b"",
        "truncated": content[: len(content) // 2],
        "text": b"state,action\n0,1\n",
        "pickle": pickle.dumps(Touch(directory / "touched")),
    }
    for name, data in files.items():
        (directory / name).write_bytes(data)
    flipped = bytearray(content)
    flipped[len(content) // 3] ^= 0xFF
    (directory / "flipped").write_bytes(flipped)
    np.save(directory / "array.npy", np.arange(3))
    arrays = {
        "foreign.npz": {"weights": np.ones(3)},
        "more.npz": {**parts, "rewards": np.ones(3)},
        "floats.npz": {**parts, "states": parts["states"] + 0.5},
        "objects.npz": {**parts, "actions": bomb},
        "shapes.npz": {**parts, "lengths": parts["lengths"][:2]},
        "lengths.npz": {**parts, "lengths": parts["lengths"] + 4},
        "states.npz": {**parts, "states": parts["states"] - 1},
        "actions.npz": {**parts, "actions": parts["actions"] - 1},
    }
    for name, content in arrays.items():
        np.savez(directory / name, **content)
    with zipfile.ZipFile(directory / "zip.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
    good.unlink()
    return sorted(path for path in directory.iterdir())


def test_damaged_and_foreign_files_are_refused_by_name_and_never_executed(demonstrations, tmp_path):
    files = damaged_files(tmp_path, demonstrations)
    assert len(files) == 15
    for path in files:
        with pytest.raises(ValueError, match="is no file of trajectories") as caught:
            load(path)
        assert path.name in str(caught.value)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "touched").exists()


def test_a_missing_file_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nowhere.npz")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lengths": [4, 2, 0]}, "lengths contains 0: it must be between 1 and 4"),
        ({"lengths": [4, 2]}, r"the shapes \(3, 4\), \(3, 4\) and \(2,\)"),
        ({"states": np.full((3, 4), -2)}, "states contains -2: it must be at least 0"),
        ({"actions": np.full((3, 4), -2)}, "actions contains -2: it must be at least -1"),
        ({"actions": np.full((3, 4), -1)}, "only a trajectory's last step may have it"),
        (
            {"states": np.ones((0, 4), int), "actions": np.ones((0, 4), int), "lengths": []},
            "must be",
        ),
    ],
)
def test_trajectories_that_do_not_fit_together_are_not_written(
    demonstrations, tmp_path, changes, message
):
    changed = demonstrations._replace(**{k: jnp.asarray(v) for k, v in changes.items()})
    with pytest.raises(ValueError, match=message):
        save(tmp_path / "bad.npz", changed)
    assert not list(tmp_path.iterdir())


def test_trajectories_are_checked_against_the_size_of_a_table(demonstrations):
    check(demonstrations, 3, 2)
    with pytest.raises(ValueError, match="states contains 2: it must be between 0 and 1"):
        check(demonstrations, 2, 2)
    with pytest.raises(ValueError, match="actions contains 1: it must be between -1 and 0"):
        check(demonstrations, 3, 1)


def test_bad_discounts_are_refused(demonstrations):
    with pytest.raises(ValueError, match=r"discount is 1\.5: it must be in"):
        empirical_visitation(demonstrations, 3, 2, 1.5)
    with pytest.raises(ValueError, match="discount is 1: with the tail 'repeat'"):
        empirical_visitation(demonstrations, 3, 2, 1.0, tail="repeat")
