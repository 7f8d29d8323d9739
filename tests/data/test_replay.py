"""Replay: what is kept, what is drawn, and how often."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.data import replay as replays


def filled(num_rows, *, capacity=10, num_environments=2):
    """Row t of environment e holds 100 e + t."""
    replay = replays.create({"x": jnp.zeros(())}, capacity, num_environments)
    for t in range(num_rows):
        replay = replays.add(replay, {"x": 100.0 * jnp.arange(num_environments) + t})
    return replay


@pytest.mark.parametrize("num_rows", [7, 10, 23])
def test_every_sequence_that_is_kept_is_drawn_equally_often(num_rows):
    replay = filled(num_rows)
    _, drawn = replays.sample(jax.random.key(0), replay, num_sequences=20_000, length=3)
    x = np.asarray(replays.rows(replay, drawn)["x"])
    assert np.all(np.diff(x, axis=1) == 1)
    starts, counts = np.unique(x[:, 0], return_counts=True)
    oldest = max(num_rows - 10, 0)
    kept = np.arange(oldest, num_rows - 2)
    assert starts.tolist() == [*kept, *(100 + kept)]
    expected = 20_000 / len(starts)
    assert np.all(np.abs(counts - expected) < 5 * np.sqrt(expected))


def test_fresh_stretches_come_first_once_each_and_overlap():
    replay = filled(4, capacity=40)
    handed = []
    for t in range(4, 30):
        replay = replays.add(replay, {"x": 100.0 * jnp.arange(2) + t})
        before = replay.online
        replay, drawn = replays.sample(
            jax.random.key(t), replay, num_sequences=3, length=5, overlap=1, online=True
        )
        if np.any(before != replay.online):
            handed += np.asarray(replays.rows(replay, drawn)["x"])[:2].tolist()
            assert [row[-1] % 100 for row in handed[-2:]] == [t, t]
    for environment in 0, 1:
        ours = [row for row in handed if row[0] // 100 == environment]
        assert [row[0] % 100 for row in ours] == [0, 4, 8, 12, 16, 20, 24]


def test_a_fresh_stretch_that_was_overwritten_is_passed_over():
    replay = filled(35, capacity=10, num_environments=1)
    replay, drawn = replays.sample(
        jax.random.key(0), replay, num_sequences=2, length=4, online=True
    )
    assert np.asarray(replays.rows(replay, drawn)["x"])[0].tolist() == [25, 26, 27, 28]
    assert replay.online.tolist() == [29]


def test_what_is_written_back_is_read_again():
    replay = filled(23)
    _, drawn = replays.sample(jax.random.key(1), replay, num_sequences=1, length=4)
    rest = drawn.rest(1)
    ring = replays.write(replay.rows["x"], rest, jnp.full((1, 3), -1.0))
    changed = replay._replace(rows={"x": ring})
    before, after = (np.asarray(replays.rows(r, drawn)["x"][0]) for r in (replay, changed))
    assert after.tolist() == [before[0], -1, -1, -1]
    assert np.sum(np.asarray(ring) == -1) == 3


def test_each_row_is_written_once_by_the_last_sequence_that_holds_it():
    """Of two writes to one row, which comes last is the device's choice; so there must be one."""
    rng, capacity = np.random.default_rng(0), 12
    starts, whose = rng.integers(0, capacity, 9), rng.integers(0, 2, 9)
    places = (starts[:, None] + np.arange(5)) % capacity
    drawn = replays.Drawn(jnp.asarray(places), jnp.asarray(whose))
    values = rng.normal(size=(9, 5)).astype(np.float32)
    ring = np.zeros((capacity, 2), np.float32)
    writer = {}
    for sequence, time in np.ndindex(values.shape):
        row = places[sequence, time], whose[sequence]
        ring[row], writer[row] = values[sequence, time], (sequence, time)
    later = np.asarray(jax.jit(replays._written_later, static_argnums=1)(drawn, capacity))
    assert sorted(zip(*np.nonzero(~later), strict=True)) == sorted(writer.values())
    found = jax.jit(replays.write)(jnp.zeros((capacity, 2)), drawn, jnp.asarray(values))
    np.testing.assert_array_equal(found, ring)
