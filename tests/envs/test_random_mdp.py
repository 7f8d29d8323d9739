import jax
import numpy as np
import pytest

from rlsuite.envs.mazes import LAYOUTS, maze, mazes
from rlsuite.envs.random_mdp import random_mdp
from rlsuite.envs.stacking import stack
from rlsuite.ops import tabular


def test_rows_are_distributions_over_as_many_successors_as_asked_for():
    probabilities = np.asarray(random_mdp(0, 30, 3, branching=4).transition.probabilities)
    assert probabilities.shape == (30, 3, 30)
    np.testing.assert_allclose(probabilities.sum(-1), 1, rtol=1e-6)
    np.testing.assert_array_equal((probabilities > 0).sum(-1), 4)
    # Successors are drawn anew for each row: of 30 states, 360 draws leave none out.
    assert (probabilities.sum((0, 1)) > 0).all()


def test_concentration_makes_rows_even_or_peaked():
    even = random_mdp(0, 10, 2, concentration=1e4).transition.probabilities
    peaked = random_mdp(0, 10, 2, concentration=1e-3).transition.probabilities
    np.testing.assert_allclose(even, 0.1, atol=0.01)
    assert np.median(peaked.max(-1)) > 0.99


def test_it_is_an_mdp_and_reproducible(assert_trees_equal):
    mdp = random_mdp(5, 12, 3)
    tabular.check(mdp)
    assert_trees_equal(mdp, random_mdp(5, 12, 3))
    assert (mdp.reward != random_mdp(6, 12, 3).reward).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_states": 0}, "num_states is 0"),
        ({"branching": 6}, "branching is 6: it must be between 1 and 5"),
        ({"concentration": 0.0}, "concentration is 0.0: it must be positive"),
        ({"discount": -0.1}, "discount is -0.1"),
    ],
)
def test_bad_numbers_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        random_mdp(0, **{"num_states": 5, "num_actions": 2, **options})


def test_stacking_mdps_adds_a_leading_axis(assert_trees_equal):
    assert_trees_equal(stack([maze(name) for name in LAYOUTS]), mazes())
    traced = jax.jit(lambda one, other: stack([one, other]))(maze("L"), maze("UR"))
    assert_trees_equal(traced, stack([maze("L"), maze("UR")]))


def test_what_does_not_fit_together_is_not_stacked():
    with pytest.raises(ValueError, match=r"problems\[2\] has another structure or other shapes"):
        stack([random_mdp(0, 3, 2), random_mdp(1, 3, 2), random_mdp(0, 4, 2)])
    with pytest.raises(ValueError, match="problems is empty"):
        stack([])
