"""Gaits: legs obey their servos, shares tell gaits apart, demonstrations are of one each."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.envs import gait
from rlsuite.envs.gait import world

MOVE, SHARES = jax.jit(gait.move), jax.jit(gait.gait_shares, static_argnums=1)
OMEGA = 2 * np.pi * 2.5


@pytest.fixture(scope="module")
def episodes():
    return gait.demonstrations(jax.random.key(0), 300)


def walk(parts, frames=100):
    """Legs that turn as given parts of the gaits say, each with a phase of its own."""
    time = 0.02 * np.arange(frames)
    angles, turns = np.zeros((2, frames, 4))
    for number, (share, phase) in parts.items():
        signs = np.sqrt(share) * world.SIGNS[number]
        angles += signs * np.sin(OMEGA * time + phase)[:, None]
        turns += signs * OMEGA * np.cos(OMEGA * time + phase)[:, None]
    return jnp.asarray(np.concatenate([angles, turns, np.zeros((frames, 5))], axis=1), jnp.float32)


def test_the_gaits_are_an_orthogonal_basis():
    np.testing.assert_array_equal(world.SIGNS @ world.SIGNS.T, 4 * np.eye(4))


@pytest.mark.parametrize("number", range(4))
def test_a_pure_gait_has_the_whole_share(number):
    np.testing.assert_allclose(
        SHARES(walk({number: (1.0, 0.3)}), 1), np.eye(4)[[number] * 100], atol=1e-5
    )


def test_a_mixture_has_its_parts_as_shares():
    found = SHARES(walk({0: (0.5, 0.0), 2: (0.3, 1.0), 1: (0.2, 2.0)}), 1)
    np.testing.assert_allclose(found, np.tile([0.5, 0.2, 0.3, 0.0], (100, 1)), atol=1e-5)


def test_the_window_averages_energy():
    states = jnp.concatenate([walk({0: (1.0, 0.0)}, 20), walk({1: (1.0, 0.0)}, 20)])
    found = np.asarray(SHARES(states, 11))
    np.testing.assert_allclose(found[:15, 0], 1, atol=1e-5)
    np.testing.assert_allclose(found[15:25, 0], np.arange(10, 0, -1) / 11, atol=1e-5)
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-5)


def test_the_classifier_knows_each_demonstration(episodes):
    states = episodes.observations.reshape(300, gait.STEPS, 13)
    shares = np.asarray(SHARES(states, 11))
    skill = np.argmax(episodes.labels, axis=1)
    assert np.bincount(skill).tolist() == [100, 100, 100]
    own = np.take_along_axis(shares, skill[:, None, None], axis=-1)[..., 0]
    assert (shares.argmax(axis=-1) == skill[:, None])[:, 20:].mean() > 0.995
    assert own[:, 20:].min() > 0.95


def test_bodies_pitch_when_bounding_and_roll_when_pacing_and_walk_all_alike(episodes):
    states = np.asarray(episodes.observations).reshape(100, 3, gait.STEPS, 13)[:, :, 50:]
    pitch, roll = states[..., 9].std(axis=(0, 2)), states[..., 10].std(axis=(0, 2))
    assert pitch[0] > 10 * max(pitch[1], pitch[2])
    assert roll[1] > 10 * max(roll[0], roll[2])
    way = np.asarray(episodes.rewards).reshape(100, 3, gait.STEPS).sum(axis=2).mean(axis=0)
    assert way.min() > 4
    assert way.max() / way.min() < 1.1


def test_a_servo_answers_as_a_linear_one_of_second_order():
    state, states = jnp.zeros(13), []
    for _ in range(60):
        state = MOVE(state, jnp.asarray([0.5, -0.5, 0.0, 1.0]))
        states.append(state)
    np.testing.assert_allclose(states[-1][:4], [0.3, -0.3, 0.0, 0.6], atol=1e-3)
    angle = turn = 0.0
    for found in states:
        turn += 0.02 * (400 * (0.3 - angle) - 30 * turn)
        angle += 0.02 * turn
        np.testing.assert_allclose(found[jnp.asarray([0, 4])], [angle, turn], atol=1e-4)


def test_mirrored_legs_mirror_the_body():
    mirror = np.asarray([1, 0, 3, 2])
    state = jnp.asarray(np.random.default_rng(0).normal(size=13), jnp.float32)
    swapped = state[jnp.asarray([*mirror, *(4 + mirror), 8, 9, 10, 11, 12])]
    swapped = swapped.at[jnp.asarray([10, 12])].multiply(-1)
    action = jnp.asarray([0.3, -0.8, 0.1, 0.9])
    one, other = MOVE(state, action), MOVE(swapped, action[mirror])
    np.testing.assert_allclose(one[8:10], other[8:10], atol=1e-6)
    np.testing.assert_allclose(one[10], -other[10], atol=1e-6)


def test_the_environment_repeats_a_demonstration(episodes):
    problem = gait.gait()
    inner = gait.EnvState(time=jnp.int32(0), observation=episodes.observations[0])

    def step(inner, action):
        state, seen = problem.transition(jax.random.key(0), inner, action)
        return state.inner, seen

    _, seen = jax.lax.scan(step, inner, episodes.actions[: gait.STEPS])
    np.testing.assert_allclose(
        seen.observation, episodes.next_observations[: gait.STEPS], atol=1e-4
    )
    np.testing.assert_allclose(seen.reward, episodes.rewards[: gait.STEPS], atol=1e-5)
    assert seen.is_last.tolist() == [False] * (gait.STEPS - 1) + [True]


def test_pictures_name_the_gait():
    states = np.asarray(walk({2: (1.0, 0.0)}, 3))
    figure = gait.draw(states, "walking")
    assert [len(axes.collections) for axes in figure.axes] == [0, 4]
    assert gait.animate(states).startswith(b"GIF89a")


def test_bad_numbers_are_refused():
    with pytest.raises(ValueError, match="window is 4; allowed"):
        gait.gait_shares(jnp.zeros((5, 13)), 4)
    with pytest.raises(ValueError, match="num_episodes is 0"):
        gait.demonstrations(jax.random.key(0), 0)
