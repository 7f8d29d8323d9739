"""What is wanted, shown beside what is seen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.data import offline
from rlsuite.envs import block_stacking as stacking
from rlsuite.envs.control import Control, control
from rlsuite.envs.episodes import Episode, join
from rlsuite.envs.told import told

LABEL = jnp.asarray([3.0, -1.0])


def test_it_is_the_same_environment_whose_observations_are_longer():
    own = stacking.block_stacking()
    shown = told(own, LABEL)
    key, action = jax.random.key(0), jnp.asarray([0.3, -0.2, -1.0, 0.5])
    (state, first), (told_state, told_first) = own.reset(key), shown.reset(key)
    for _ in range(3):
        np.testing.assert_array_equal(told_first.observation, [*first.observation, *LABEL])
        assert (told_first.reward, told_first.is_last) == (first.reward, first.is_last)
        state, first = own.transition(key, state.inner, action)
        told_state, told_first = shown.transition(key, told_state.inner, action)
    assert shown.actions.size == own.actions.size
    assert shown.spec.timestep.observation.shape == (18,)


def test_an_episode_ends_when_its_own_environment_says_so():
    shown = told(stacking.block_stacking(), LABEL)
    state, _ = shown.reset(jax.random.key(0))
    late = state.inner.replace(time=jnp.int32(stacking.STEPS - 1))
    _, seen = shown.transition(jax.random.key(0), late, jnp.zeros(4))
    assert (bool(seen.is_last), bool(seen.is_terminal)) == (True, False)


def test_images_and_masks_are_refused():
    with pytest.raises(ValueError, match=r"'Catch-bsuite' shows .*; allowed: one whose obs"):
        told(control("Catch-bsuite"), LABEL)
    masked = Control("masked", Masked(), stacking.EnvParams())
    with pytest.raises(ValueError, match="'masked' masks actions; allowed"):
        told(masked, LABEL)


class Masked(stacking.BlockStacking):
    """Not everything is allowed."""

    def action_mask(self, observation, params):
        return jnp.ones(4, bool)


def test_labels_are_traced_and_programs_shared():
    one, other = (told(stacking.block_stacking(), label) for label in (LABEL, 2 * LABEL))
    assert jax.tree.structure(one) == jax.tree.structure(other)


def test_recorded_observations_end_with_the_labels_of_their_episode():
    episodes = join(
        [
            Episode(np.zeros((3, 1)), np.zeros((2, 1)), np.zeros(2), labels=(1.0, 0.0)),
            Episode(np.ones((2, 1)), np.zeros((1, 1)), np.zeros(1), labels=(0.0, 1.0)),
        ]
    )
    problem = offline.told(offline.offline("two", episodes), LABEL)
    wanted = [[0, 1, 0], [0, 1, 0], [1, 0, 1]]
    assert problem.episodes.observations.tolist() == wanted
    assert problem.episodes.next_observations.tolist() == wanted
    assert problem.control is None


def test_a_label_of_another_length_is_refused():
    episodes = join([Episode(np.zeros((3, 1)), np.zeros((2, 1)), np.zeros(2), labels=(1.0, 0.0))])
    problem = offline.offline("one", episodes)
    with pytest.raises(ValueError, match=r"label has shape \(3,\); allowed: \(2,\)"):
        offline.told(problem, jnp.zeros(3))
    bare = join([Episode(np.zeros((3, 1)), np.zeros((2, 1)), np.zeros(2))])
    with pytest.raises(ValueError, match=r"label has shape \(0,\).*at least one number"):
        offline.told(offline.offline("bare", bare), jnp.zeros(0))
