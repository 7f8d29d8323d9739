"""Families of generated mazes."""

import numpy as np
import pytest

from rlsuite.envs.families import maze_families


def test_goals_stay_near_their_familys_centre():
    made = maze_families(0, 500, num_families=4, spread=1, density=0.2)
    maze, row, column = np.nonzero(made.layouts.goal)
    np.testing.assert_array_equal(maze, np.arange(500))
    apart = np.abs(np.stack([row, column], 1) - made.centres[made.family])
    assert apart.max() == 1
    assert np.bincount(made.family).tolist() == [125] * 4
    share = made.layouts.obstacle.mean()
    assert abs(share - 0.2 * 0.99) < 0.01


def test_centres_are_far_apart():
    centres = maze_families(3, 5, num_families=5).centres
    gaps = np.abs(centres[:, None] - centres).sum(-1) + 99 * np.eye(5, dtype=int)
    assert gaps.min() >= 6


def test_a_seed_is_one_set_of_mazes():
    first, again, other = (maze_families(seed, 20) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.layouts.obstacle, again.layouts.obstacle)
    assert not np.array_equal(first.layouts.obstacle, other.layouts.obstacle)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "count is 0"),
        ({"count": 3, "density": 1.0}, r"density is 1.0: it must be in \[0, 1\)"),
        ({"count": 3, "size": 2, "spread": 1}, "size is 2: it must be at least 3"),
    ],
)
def test_bad_numbers_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        maze_families(0, **options)
