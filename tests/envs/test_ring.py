"""The ring: each demonstration obeys one constraint, and may be walked."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.envs import ring


@pytest.fixture(scope="module")
def paths():
    found = ring.demonstrations(jax.random.key(0), 1000, memory=8.0, both=False)
    states = np.concatenate(
        [
            found.observations.reshape(1000, 49, 2),
            found.next_observations.reshape(1000, 49, 2)[:, -1:],
        ],
        axis=1,
    )
    return found, states


def circle(radius, bump=0.0):
    angle = np.linspace(0, 6, 50)
    distance = radius + bump * (np.arange(50) == 20)
    return jnp.asarray(distance[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1))


@pytest.mark.parametrize(
    ("path", "obeyed"),
    [
        (circle(0.85), [True, True]),
        (circle(0.5), [True, False]),
        (circle(1.2), [False, True]),
        (circle(0.85, 0.2), [False, True]),
        (circle(0.85, -0.2), [True, False]),
    ],
)
def test_a_path_obeys_what_holds_at_all_times(path, obeyed):
    assert ring.satisfied(path).tolist() == obeyed


def test_each_demonstration_obeys_its_own_constraint_and_no_other(paths):
    found, states = paths
    assert found.labels.sum(axis=0).tolist() == [500, 500]
    np.testing.assert_array_equal(ring.satisfied(jnp.asarray(states)), found.labels == 1)
    assert np.abs(found.actions).max() <= 1 + 1e-5


def test_the_environment_walks_a_demonstration_again(paths):
    found, states = paths
    problem = ring.ring()
    start, _ = problem.reset(jax.random.key(0))
    start = start._replace(inner=start.inner.replace(position=jnp.asarray(states[7, 0])))

    def step(state, action):
        state, seen = problem.transition(jax.random.key(0), state.inner, action)
        return state, seen

    _, seen = jax.lax.scan(step, start, found.actions[7 * 49 : 8 * 49])
    np.testing.assert_allclose(seen.observation, states[7, 1:], atol=1e-5)
    np.testing.assert_array_equal(seen.reward, found.rewards[7 * 49 : 8 * 49])
    assert seen.is_last.tolist() == [False] * 48 + [True]
    assert not seen.is_terminal.any()


def test_both_kinds_are_alike_within_the_ring_and_spread_over_their_regions(paths):
    found, states = paths
    distance = np.linalg.norm(states, axis=-1)
    for kind, (low, high) in enumerate(((0, 0.95), (0.75, 1.3))):
        of_kind = distance[found.labels[:, kind] == 1]
        inside = (of_kind >= 0.75) & (of_kind <= 0.95)
        assert abs(inside.mean() - 0.37) < 0.04
        assert abs(of_kind[inside].mean() - 0.85) < 0.015
        assert of_kind.min() < low + 0.05
        assert of_kind.max() > high - 0.05
    # All around, and either way.
    x, y = states[..., 0], states[..., 1]
    turn = x[:, :-1] * y[:, 1:] - y[:, :-1] * x[:, 1:]
    assert 0.45 < (turn > 0).mean() < 0.55
    assert np.histogram(np.arctan2(y, x), 8)[0].min() > 0.1 * x.size


@pytest.mark.parametrize(("memory", "low", "high"), [(8.0, 0.01, 0.08), (100.0, 0.28, 0.42)])
def test_chance_keeps_some_paths_in_the_ring(memory, low, high):
    found = ring.demonstrations(jax.random.key(1), 1000, memory=memory)
    states = found.observations.reshape(1000, 49, 2)
    obeyed = np.asarray(ring.satisfied(states))
    assert obeyed[np.asarray(found.labels) == 1].all()
    for kind in range(2):
        assert low < obeyed[kind::2].all(axis=1).mean() < high
    left_out = ring.demonstrations(jax.random.key(1), 1000, memory=memory, both=False)
    states = np.concatenate([left_out.observations, left_out.next_observations], axis=1)
    assert not ring.satisfied(jnp.asarray(states).reshape(1000, 98, 2)).all(axis=1).any()


def test_an_episode_starts_in_the_ring():
    _, first = jax.jit(jax.vmap(ring.ring().reset))(jax.random.split(jax.random.key(0), 500))
    distance = np.linalg.norm(first.observation, axis=-1)
    assert distance.min() >= 0.7
    assert distance.max() <= 1
    assert abs((distance**2).mean() - 0.745) < 0.02


def test_pictures_tell_what_is_obeyed(paths):
    states = paths[1]
    drawn = np.stack([states[0], states[1], np.asarray(circle(0.85))])
    lines = ring.draw(drawn).axes[0].lines
    assert [line.get_color() for line in lines[::2]] == ["#2563eb", "#dc6803", "#059669"]
    assert ring.animate(drawn[:, :3]).startswith(b"GIF89a")


def test_too_few_episodes_and_no_memory_are_refused():
    with pytest.raises(ValueError, match="num_episodes is 1; allowed"):
        ring.demonstrations(jax.random.key(0), 1)
    with pytest.raises(ValueError, match=r"memory is 0\.0; allowed"):
        ring.demonstrations(jax.random.key(0), 10, memory=0.0)
    with pytest.raises(ValueError, match=r"memory is 1\.0; allowed: so long"):
        ring.demonstrations(jax.random.key(0), 40, memory=1.0)
