"""Changes that make no difference: to segments in training, and to what a network says."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import compiled

from rlsuite.algorithms import decision_diffuser as dd
from rlsuite.algorithms.decision_diffuser import training
from rlsuite.data.offline import offline
from rlsuite.envs import block_stacking
from rlsuite.problems.blocks import symmetry

SYMMETRY = symmetry()
holds, move = compiled(block_stacking.holds), compiled(block_stacking.move)


@pytest.fixture(scope="module")
def shown():
    return block_stacking.demonstrations(jax.random.key(0), 24)


def test_every_change_is_there_once_and_the_first_changes_nothing():
    """24 names of the blocks, 8 turns and reflections of the table."""
    both = np.concatenate([SYMMETRY.states, SYMMETRY.signs], axis=1)
    assert len(both) == len(np.unique(both, axis=0)) == 192
    np.testing.assert_array_equal(SYMMETRY.states[0], np.arange(16))
    np.testing.assert_array_equal(SYMMETRY.signs[0], np.ones(16))
    np.testing.assert_array_equal(SYMMETRY.labels[0], np.arange(12))
    assert tuple(itertools.permutations(range(4), 2)) == block_stacking.PAIRS


def test_changed_constraints_hold_of_changed_blocks(shown):
    """The last state of each demonstration, under every change."""
    ends = np.asarray(shown.starts + shown.lengths - 1)
    last = np.asarray(shown.next_observations)[ends]
    held = holds(last)
    assert np.all(np.any(held, axis=-1))
    for order, signs, labels in zip(*SYMMETRY[:3], strict=True):
        np.testing.assert_array_equal(holds(last[:, order] * signs), held[:, labels])


def test_the_world_does_not_notice_a_change(shown):
    """One step after a change is the change of one step."""
    state, action = (np.asarray(x)[40] for x in (shown.observations, shown.actions))
    moved = compiled(jax.vmap(block_stacking.move))
    hand = action[np.minimum(SYMMETRY.states[:, :4], 3)] * SYMMETRY.signs[:, :4]
    after = moved(state[SYMMETRY.states] * SYMMETRY.signs, hand)
    plain = move(state, action)
    np.testing.assert_allclose(after, plain[SYMMETRY.states] * SYMMETRY.signs, atol=1e-6)


def test_a_constraint_becomes_the_first():
    for number, renaming in enumerate(SYMMETRY.first):
        assert np.eye(12)[number][SYMMETRY.labels[renaming]].argmax() == 0


def test_segments_are_drawn_under_all_changes(shown):
    config = dd.Config(horizon=4, stride=8, overhang=2, conditions=("label",))

    @compiled
    def examples(shown, keys):
        """Plain ones and changed ones, each with its states in the units of the data."""
        computed = training.statistics(config, shown)
        draw = functools.partial(training.draw, config, shown, computed)
        found = jax.vmap(draw)(keys), jax.vmap(functools.partial(draw, symmetry=SYMMETRY))(keys)
        return found, [computed.normalizer.denormalize(each.states) for each in found]

    (plain, drawn), (raw, changed) = examples(shown, jax.random.split(jax.random.key(1), 2000))
    changes = zip(SYMMETRY.states, SYMMETRY.signs, strict=True)
    every = np.stack([raw[..., order] * signs for order, signs in changes], axis=1)
    apart = np.abs(every - changed[:, None]).max(axis=(2, 3))
    chosen = apart.argmin(axis=1)
    np.testing.assert_allclose(apart.min(axis=1), 0.0, atol=1e-5)
    told = np.take_along_axis(plain.condition, SYMMETRY.labels[chosen], axis=1)
    np.testing.assert_array_equal(drawn.condition, told)
    counts = np.bincount(chosen, minlength=192)
    assert counts.min() > 0
    assert counts.max() < 2000 / 192 * 3


def test_a_symmetric_network_does_not_mind_names():
    """Told a label; told none, it sees what is there."""

    def init(key, inputs, step, condition, present):
        return jax.random.normal(key, (16, 16)), jax.random.normal(key, (12, 16))

    def apply(params, inputs, step, condition, present):
        return jnp.tanh(inputs @ params[0] + step + jnp.where(present, condition, 0) @ params[1])

    plain = dd.Denoiser(init, apply)
    net = dd.symmetric(plain, SYMMETRY)
    x, step = np.asarray(jax.random.normal(jax.random.key(2), (5, 16))), np.asarray(3)
    every = np.eye(12, dtype=np.float32)
    params = jax.jit(net.init)(jax.random.key(3), x, step, every[0], True)
    say, say_plainly = compiled(net.apply), compiled(plain.apply)
    for number, label in enumerate(every):
        said = say(params, x, step, label, True)
        for order, labels in zip(SYMMETRY.states[:24], SYMMETRY.labels[:24], strict=True):
            again = say(params, x[:, order], step, label[labels], True)
            # What is left of the names: of the other two blocks, the lower comes first.
            others = [block for block in range(4) if block not in block_stacking.PAIRS[number]]
            places = [(order[4::3].tolist()).index(4 + 3 * block) for block in others]
            if places == sorted(places):
                np.testing.assert_allclose(again, said[:, order], atol=1e-6)
    np.testing.assert_array_equal(
        say(params, x, step, every[5], False),
        say_plainly(params, x, step, every[5], False),
    )


def test_a_symmetric_network_may_be_told_nothing():
    """As the one that tells returns is."""
    plain = dd.Denoiser(
        lambda key, *given: jnp.ones(16),
        lambda params, inputs, step, told, present: params * inputs,
    )
    inputs = jax.random.normal(jax.random.key(0), (5, 16))
    said = dd.symmetric(plain, SYMMETRY).apply(jnp.ones(16), inputs, jnp.zeros((), int), None, True)
    np.testing.assert_array_equal(said, inputs)


def test_a_symmetry_is_of_labels_alone(shown):
    problem = offline("blocks", shown)
    with pytest.raises(ValueError, match=r"'conditions' is \('return',\); allowed with a symmetry"):
        dd.make(problem, dd.Config(horizon=4), symmetry=SYMMETRY)
