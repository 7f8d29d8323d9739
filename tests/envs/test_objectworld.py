import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.envs.objectworld import SLIP, binaryworld, objectworld
from rlsuite.ops import tabular

SIZE = 9


def brute_force_distances(world, num_colours):
    """Distance of each cell to the nearest object of each outer, then each inner colour."""
    distances = np.full((SIZE * SIZE, 2 * num_colours), np.inf)
    for state in range(SIZE * SIZE):
        for (row, column), outer, inner in zip(
            world.positions.tolist(), world.outer.tolist(), world.inner.tolist(), strict=True
        ):
            d = np.hypot(state // SIZE - row, state % SIZE - column)
            for k in (outer, num_colours + inner):
                distances[state, k] = min(distances[state, k], d)
    return distances


@pytest.mark.parametrize("num_colours", [2, 3])
def test_objectworld_agrees_with_its_definition(num_colours):
    world = objectworld(1, SIZE, num_objects=7, num_colours=num_colours)
    distances = brute_force_distances(world, num_colours)
    reward = np.zeros(SIZE * SIZE)
    reward[distances[:, 0] < 3] = -1
    reward[(distances[:, 0] < 3) & (distances[:, 1] < 2)] = 1
    np.testing.assert_array_equal(world.mdp.reward, reward)
    assert set(reward) == {-1.0, 0.0, 1.0}
    indicators = [distances[:, k] < d for k in range(2 * num_colours) for d in range(1, SIZE + 1)]
    np.testing.assert_array_equal(world.features, np.stack(indicators, axis=-1))
    continuous = objectworld(1, SIZE, num_objects=7, num_colours=num_colours, features="continuous")
    np.testing.assert_allclose(
        continuous.features, distances / np.hypot(SIZE - 1, SIZE - 1), rtol=1e-6
    )
    assert continuous.features.max() <= 1


def test_the_reward_is_a_function_of_the_discrete_features():
    world = objectworld(0)
    rewards = {}
    for features, reward in zip(world.features, world.mdp.reward.tolist(), strict=True):
        rewards.setdefault(np.asarray(features).tobytes(), set()).add(reward)
    assert all(len(values) == 1 for values in rewards.values())


def test_objects_lie_apart_and_every_colour_occurs():
    for seed in range(20):
        world = objectworld(seed, 8, num_objects=4, num_colours=4)
        assert len(np.unique(world.positions, axis=0)) == 4
        assert sorted(world.outer.tolist()) == sorted(world.inner.tolist()) == [0, 1, 2, 3]
    assert len(objectworld(0, 32).positions) == 51


def test_another_action_is_executed_in_thirty_percent_of_the_steps():
    world = objectworld(0, SIZE)
    assert world.mdp.num_actions == 5
    centre = SIZE * SIZE // 2
    around = [centre - SIZE, centre + SIZE, centre - 1, centre + 1, centre]
    table = jax.vmap(world.mdp.transition.expect, out_axes=-1)(jnp.eye(SIZE * SIZE))
    np.testing.assert_allclose(
        table[centre][:, np.array(around)], 0.7 * np.eye(5) + 0.075 * (1 - np.eye(5)), atol=1e-6
    )
    assert world.mdp.transition.slip == pytest.approx(SLIP) == pytest.approx(0.375)
    tabular.check(world.mdp)


def test_transfer_worlds():
    world = objectworld(0, SIZE)
    other_objects = objectworld(1, SIZE)
    other_dynamics = objectworld(0, SIZE, slip=0.0)
    assert other_objects.features.shape == world.features.shape
    assert (other_objects.mdp.reward != world.mdp.reward).any()
    np.testing.assert_array_equal(other_dynamics.mdp.reward, world.mdp.reward)
    np.testing.assert_array_equal(other_dynamics.features, world.features)
    assert other_dynamics.mdp.transition.slip == 0


def test_binaryworld_agrees_with_its_definition():
    world = binaryworld(2, SIZE)
    blue = np.asarray(world.blue)
    for state in range(SIZE * SIZE):
        row, column = divmod(state, SIZE)
        around = [
            0 <= r < SIZE and 0 <= c < SIZE and bool(blue[r, c])
            for r in range(row - 1, row + 2)
            for c in range(column - 1, column + 2)
        ]
        np.testing.assert_array_equal(world.features[state], np.array(around, dtype=float))
        assert world.mdp.reward[state] == {4: 1.0, 5: -1.0}.get(sum(around), 0.0)
    assert set(world.mdp.reward.tolist()) == {-1.0, 0.0, 1.0}
    assert world.mdp.transition.slip == pytest.approx(SLIP)
    tabular.check(world.mdp)


def test_half_of_the_cells_of_a_binaryworld_are_blue():
    share = np.mean([binaryworld(seed).blue.mean() for seed in range(10)])
    assert abs(share - 0.5) < 4 * 0.5 / np.sqrt(10 * 1024)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_colours": 1}, "num_colours is 1"),
        ({"num_objects": 1}, r"num_objects is 1: it must lie between num_colours \(2\)"),
        ({"num_objects": 82}, r"num_objects is 82: .* cells \(81\)"),
        ({"slip": 2.0}, "slip is 2.0"),
        ({"discount": 1.0}, "discount is 1.0"),
    ],
)
def test_bad_worlds_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        objectworld(0, SIZE, **options)
    with pytest.raises(ValueError, match="size is 0"):
        binaryworld(0, 0)


def test_the_greedy_policy_of_a_large_world_is_a_distribution():
    """In float32 values of about 5 cancel to a Q of nearly 0, whose own size is no scale."""
    solve = jax.jit(lambda mdp: tabular.value_iteration(mdp).log_policy)
    for seed in (0, 3, 5, 8):
        total = jnp.exp(solve(objectworld(seed).mdp)).sum(axis=1)
        np.testing.assert_allclose(total, 1, rtol=1e-6)
