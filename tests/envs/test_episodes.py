"""Episodes as one pytree, against going through them one by one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.envs import episodes as recorded
from rlsuite.envs.episodes import Episode, join

RNG = np.random.default_rng(0)


def one(length, terminal=False, labels=(1.0, 0.0)):
    return Episode(
        RNG.normal(size=(length + 1, 3)).astype(np.float32),
        RNG.normal(size=(length, 2)).astype(np.float32),
        RNG.normal(size=length).astype(np.float32),
        terminal,
        labels,
    )


SOME = [one(3), one(7, True, (0.0, 1.0)), one(1), one(5, True)]
TOGETHER = join(SOME)
PLACES = [(number, t) for number, episode in enumerate(SOME) for t in range(len(episode.rewards))]


def test_taken_apart_they_are_what_was_put_together():
    for before, after in zip(SOME, recorded.split(TOGETHER), strict=True):
        for left, right in zip(before, after, strict=True):
            np.testing.assert_array_equal(left, right)
    assert np.flatnonzero(TOGETHER.terminals).tolist() == [9, 15]


@pytest.mark.parametrize("length", [2, 4, 9])
def test_every_segment(length):
    """Beyond the end the last state is repeated, and no action is real."""
    cut = jax.jit(jax.vmap(lambda start: recorded.segment(TOGETHER, start, length)))
    found = cut(jnp.arange(len(PLACES)))
    for step, (number, t) in enumerate(PLACES):
        episode = SOME[number]
        rest = episode.observations[t : t + length]
        padded = np.concatenate([rest, np.repeat(rest[-1:], length - len(rest), axis=0)])
        np.testing.assert_array_equal(found.states[step], padded)
        real = len(episode.rewards) - t
        assert np.asarray(found.real[step]).tolist() == [i < real for i in range(length - 1)]
        np.testing.assert_array_equal(
            found.actions[step][: min(real, length - 1)], episode.actions[t : t + length - 1]
        )


@pytest.mark.parametrize("overhang", [0, 2])
def test_where_segments_may_begin(overhang):
    wanted = [
        step
        for step, (number, t) in enumerate(PLACES)
        if len(SOME[number].observations) - t >= 5 - overhang
    ]
    found = recorded.segment_starts(TOGETHER, 5, overhang=overhang)
    assert np.asarray(found).tolist() == wanted


def test_returns_and_labels_stay_within_their_episode():
    returns = recorded.returns_to_go(TOGETHER, 0.9)
    labels = jax.vmap(lambda step: recorded.label(TOGETHER, step))(jnp.arange(len(PLACES)))
    for step, (number, t) in enumerate(PLACES):
        rewards = SOME[number].rewards[t:]
        wanted = float(np.sum(0.9 ** np.arange(len(rewards)) * rewards))
        assert float(returns[step]) == pytest.approx(wanted, abs=1e-5)
        assert tuple(np.asarray(labels[step]).tolist()) == SOME[number].labels


@pytest.mark.parametrize(
    ("episodes", "message"),
    [
        ([], "episodes is empty"),
        ([SOME[0]._replace(rewards=np.zeros(0))], r"episodes\[0\] has no step"),
        ([SOME[0], SOME[1]._replace(rewards=np.zeros(3))], r"episodes\[1\].observations has shape"),
        ([SOME[0], SOME[1]._replace(labels=())], r"episodes\[1\].labels has shape \(0,\)"),
        ([SOME[0]._replace(rewards=np.full(3, np.nan))], r"\.rewards has numbers that are not"),
    ],
)
def test_what_does_not_fit_is_refused(episodes, message):
    with pytest.raises(ValueError, match=message):
        join(episodes)


def test_no_episode_is_long_enough():
    with pytest.raises(ValueError, match="length is 9; allowed: from 2 to 8"):
        recorded.segment_starts(TOGETHER, 9)
