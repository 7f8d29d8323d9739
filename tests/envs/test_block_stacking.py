"""The blocks' world keeps its promises, and its expert stacks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.envs import block_stacking as stacking
from rlsuite.envs.block_stacking import expert, world

MOVE, HELD, HOLDS = jax.jit(world.move), jax.jit(world.held), jax.jit(world.holds)
APART = [(-0.6, -0.6, 0.1), (0.6, -0.6, 0.1), (-0.6, 0.6, 0.1), (0.6, 0.6, 0.1)]


def state(blocks=(), gripper=(0.0, 0.0, 0.9), opening=1.0):
    """Blocks are at given places, the others in the corners."""
    places = np.asarray([*blocks, *APART[len(blocks) :]])
    now = world.World(jnp.asarray(gripper), jnp.asarray(opening), jnp.asarray(places))
    return world.pack(jax.tree.map(lambda x: x.astype(jnp.float32), now))


def act(now, *actions):
    for action in actions:
        now = MOVE(now, jnp.asarray(action, jnp.float32))
    return now


CLOSE, OPEN, UP, STAY = (0, 0, 0, -1), (0, 0, 0, 1), (0, 0, 1, -1), (0, 0, 0, 0)


def grasped(*blocks):
    """Block 0 is between the fingers and they are closed."""
    return act(state(blocks, gripper=blocks[0]), *[CLOSE] * 5)


def block(now, number):
    return np.asarray(world.unpack(now).blocks[number])


def test_a_grasped_block_stops_the_fingers_and_goes_with_them():
    now = grasped((0.0, 0.0, 0.1))
    assert world.unpack(now).opening == world.GRIP
    assert HELD(now).tolist() == [True, False, False, False]
    now = act(now, UP, (1, -0.5, 0, -1))
    np.testing.assert_allclose(block(now, 0), (0.1, -0.05, 0.2), atol=1e-6)
    np.testing.assert_allclose(block(now, 1), APART[1], atol=1e-6)
    # A trembling hand holds; an opening one lets go, and the block is down a step later.
    assert HELD(act(now, (0, 0, 0, 0.3)))[0]
    now = act(now, OPEN)
    assert not HELD(now).any()
    np.testing.assert_allclose(block(act(now, OPEN), 0), (0.1, -0.05, 0.1), atol=1e-6)


def test_nothing_between_them_the_fingers_close():
    now = act(state(), *[CLOSE] * 10)
    assert world.unpack(now).opening == 0
    # Closed fingers hold nothing.
    assert not HELD(state([(0.0, 0.0, 0.1)], (0.0, 0.0, 0.1), 0.0)).any()


@pytest.mark.parametrize(
    ("below", "height"),
    [
        ([], 0.1),
        ([(0.15, 0.15, 0.1)], 0.3),
        ([(0.25, 0.0, 0.1)], 0.1),
        ([(0.1, 0.0, 0.1), (0.1, 0.0, 0.3)], 0.5),
    ],
)
def test_a_block_falls_onto_the_highest_one_under_its_footprint(below, height):
    now = act(state([(0.0, 0.0, 0.9), *below]), *[STAY] * 9)
    np.testing.assert_allclose(stacking.heights(now)[0], height, atol=1e-6)
    np.testing.assert_allclose(stacking.heights(act(now, STAY)), stacking.heights(now))


def test_a_block_with_another_on_it_stays():
    now = act(grasped((0.0, 0.0, 0.1), (0.1, 0.0, 0.3)), UP, UP)
    np.testing.assert_allclose(block(now, 0), (0, 0, 0.1), atol=1e-6)
    np.testing.assert_allclose(world.unpack(now).gripper[2], 0.3, atol=1e-6)


def test_a_held_block_goes_through_nothing():
    now = grasped((0.0, 0.0, 0.1), (0.25, 0.0, 0.1))
    aside = act(now, *[(1, 0, 0, -1)] * 5)
    assert block(aside, 0)[0] <= 0.05 + 1e-6
    over = act(now, UP, UP, UP, *[(1, 0, 0, -1)] * 3, *[(0, 0, -1, -1)] * 5)
    np.testing.assert_allclose(block(over, 0), (0.3, 0, 0.3), atol=1e-6)
    np.testing.assert_allclose(block(over, 1), (0.25, 0, 0.1), atol=1e-6)


def test_what_holds_is_what_the_definition_says():
    draw = np.random.default_rng(0)
    states = np.concatenate([state()[:4] * np.ones((300, 1)), np.zeros((300, 12))], axis=1)
    states[:, 4:] = draw.uniform((-0.2, -0.2, 0.1), (0.2, 0.2, 0.5), (300, 4, 3)).reshape(300, 12)
    found = np.asarray(HOLDS(jnp.asarray(states, jnp.float32)))
    for now, some in zip(states, found, strict=True):
        blocks = now[4:].reshape(4, 3)
        for (i, j), yes in zip(stacking.PAIRS, some, strict=True):
            near = np.hypot(*(blocks[i] - blocks[j])[:2]) < 0.2
            assert yes == (near and blocks[i, 2] - blocks[j, 2] > 0.05)
    assert found.mean() > 0.1
    holding = grasped((0.0, 0.0, 0.3), (0.0, 0.0, 0.1))
    assert not HOLDS(holding).any()
    released = act(holding, OPEN)
    np.testing.assert_array_equal(HOLDS(released), stacking.pair(0, 1))


def test_a_tower_of_three_holds_three_constraints():
    tower = state([(0.0, 0.0, 0.5), (0.05, 0.0, 0.3), (0.0, 0.05, 0.1)])
    np.testing.assert_array_equal(HOLDS(tower), stacking.chain(0, 1, 2) + stacking.pair(0, 2))
    assert stacking.obeyed(tower, jnp.asarray(stacking.chain(0, 1, 2)))
    assert not stacking.obeyed(tower, jnp.asarray(stacking.chain(0, 1, 2, 3)))
    assert not stacking.obeyed(
        tower, jnp.asarray(stacking.pair(0, 1)), jnp.asarray(stacking.pair(0, 2))
    )


@pytest.fixture(scope="module")
def episodes():
    return stacking.demonstrations(jax.random.key(0), 240)


def test_the_expert_makes_its_own_constraint_hold_and_no_other(episodes):
    ends = np.asarray(episodes.starts + episodes.lengths) - 1
    found = np.asarray(HOLDS(episodes.next_observations[ends]))
    exactly = (found == np.asarray(episodes.labels > 0)).all(axis=1)
    assert exactly.mean() >= 0.95
    assert np.asarray(episodes.labels).sum(axis=0).tolist() == [20] * 12
    returns = np.add.reduceat(np.asarray(episodes.rewards), np.asarray(episodes.starts))
    np.testing.assert_array_equal(returns[exactly], 1)
    assert episodes.lengths.max() < stacking.STATES
    # Never a tower of three.
    assert np.asarray(HOLDS(episodes.observations)).sum(axis=1).max() == 1


@pytest.mark.parametrize("unwanted", [False, True])
def test_the_environment_repeats_a_demonstration(episodes, unwanted):
    """It earns 1 by what it is labelled with, and loses as much where just that must not be."""
    label = np.asarray(episodes.labels[3])
    pair = (np.zeros(12), label) if unwanted else (label, None)
    problem = stacking.block_stacking(*pair)
    steps = slice(int(episodes.starts[3]), int(episodes.ends[episodes.starts[3]]))
    inner = world.EnvState(time=jnp.int32(0), observation=episodes.observations[steps][0])

    def step(inner, action):
        state, seen = problem.transition(jax.random.key(0), inner, action)
        return state.inner, seen

    _, seen = jax.lax.scan(step, inner, episodes.actions[steps])
    np.testing.assert_allclose(seen.observation, episodes.next_observations[steps], atol=1e-5)
    assert seen.reward.sum() == (-1 if unwanted else 1)
    assert not seen.is_terminal.any()


def test_a_tower_of_three_can_be_built_in_time():
    def built(key):
        start, place = world.laid_out(key)
        work = expert.Work(jnp.asarray([1, 0]), jnp.asarray([2, 1]), jnp.stack([place, place]))

        def step(carry, _):
            action, progress = expert.expert(carry[0], work, carry[1])
            return (world.move(carry[0], action), progress), None

        carry = start, expert.Progress(jnp.int32(0), jnp.int32(0))
        (end, _), _ = jax.lax.scan(step, carry, length=stacking.STATES - 1)
        return stacking.obeyed(end, jnp.asarray(stacking.chain(0, 1, 2)))

    assert jax.jit(jax.vmap(built))(jax.random.split(jax.random.key(0), 100)).mean() >= 0.95


def test_an_episode_starts_with_all_blocks_on_the_table_and_apart(episodes):
    starts = episodes.observations[episodes.starts]
    blocks = np.asarray(world.unpack(starts).blocks)
    apart = np.abs(blocks[:, :, None] - blocks[:, None])[..., :2].max(axis=-1)
    assert apart[:, *np.triu_indices(4, 1)].min() > world.SIDE
    assert np.abs(blocks[..., :2]).max() < 0.7
    np.testing.assert_allclose(blocks[..., 2], 0.1)


def test_pictures_name_what_holds():
    states = np.stack([state(), state([(0.0, 0.0, 0.3), (0.0, 0.0, 0.1)])])
    titles = [axes.get_title() for axes in stacking.draw(states, 2).axes]
    assert titles == ["step 0\n ", "step 1\n0 on 1"]
    assert stacking.animate(states).startswith(b"GIF89a")


def test_what_is_no_tower_is_refused():
    with pytest.raises(ValueError, match="allowed: two different blocks"):
        stacking.pair(1, 1)
    with pytest.raises(ValueError, match="blocks is"):
        stacking.chain(2)
    with pytest.raises(ValueError, match="num_episodes is 0"):
        stacking.demonstrations(jax.random.key(0), 0)
