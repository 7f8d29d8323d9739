"""Control problems: no observation is lost, none paired with another episode's action."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.environments import spaces

from rlsuite.envs import tabular as tabular_environments
from rlsuite.envs.control import Actions, Control, control
from rlsuite.ops import tabular

KEY = jax.random.key(0)


def walk(problem, num_steps, key=KEY):
    """Time steps and actions of random acting, stacked."""

    def step(carry, key):
        state, timestep = carry
        of_action, of_step = jax.random.split(key)
        action = problem.actions.uniform(of_action, timestep.mask)
        return problem.step(of_step, state, action), (timestep, state, action)

    start = jax.jit(problem.reset)(key)
    _, rows = jax.jit(lambda c, k: jax.lax.scan(step, c, k))(
        start, jax.random.split(key, num_steps)
    )
    return rows


def test_an_episode_of_cartpole_ends_for_good_or_is_cut_off():
    timesteps, _, _ = walk(control("CartPole-v1", max_steps_in_episode=20), 400)
    first, last, terminal = (
        np.asarray(x) for x in (timesteps.is_first, timesteps.is_last, timesteps.is_terminal)
    )
    assert first[0]
    np.testing.assert_array_equal(first[1:], last[:-1])
    assert np.all(last[terminal])
    np.testing.assert_array_equal(np.asarray(timesteps.reward), 1.0 - first)
    ends, starts = np.flatnonzero(last), np.flatnonzero(first)
    lengths = ends - starts[: len(ends)]
    cut = ~terminal[ends]
    assert cut.any()
    assert terminal[ends].any()
    np.testing.assert_array_equal(lengths[cut], 20)
    assert lengths[terminal[ends]].max() <= 20
    beyond = np.abs(np.asarray(timesteps.observation)[:, [0, 2]]) > [2.4, np.deg2rad(12)]
    np.testing.assert_array_equal(beyond.any(axis=1), terminal)


def test_an_action_leads_to_the_next_row():
    """Pendulum's equations hold from every row to the next, except over the end of an episode."""
    timesteps, _, actions = walk(control("Pendulum-v1", max_steps_in_episode=30), 100)
    seen, torque = np.asarray(timesteps.observation), 2 * np.asarray(actions)[:, 0]
    velocity = seen[:-1, 2] + (15 * seen[:-1, 1] + 3 * torque[:-1]) * 0.05
    within = ~np.asarray(timesteps.is_last)[:-1]
    error = np.abs(np.clip(velocity, -8, 8) - seen[1:, 2])
    assert error[within].max() < 1e-5
    assert error[~within].min() > 1e-3
    angle = np.arctan2(seen[:, 1], seen[:, 0])
    reward = -(angle**2 + 0.1 * seen[:, 2] ** 2 + 0.001 * torque**2)
    np.testing.assert_allclose(reward[:-1][within], timesteps.reward[1:][within], rtol=1e-4)


def test_actions_as_vectors():
    two = Actions(sizes=(2, 3))
    vector = two.encode((1, 0))
    assert vector.tolist() == [0, 1, 1, 0, 0]
    assert [int(part) for part in two.decode(vector)] == [1, 0]
    box = Actions(low=jnp.asarray([0.0, -2.0]), high=jnp.asarray([1.0, 2.0]), shape=(2,))
    assert box.size == 2
    assert box.encode(jnp.asarray([0.5, 2.0])).tolist() == [0, 1]
    assert box.decode(jnp.asarray([-3.0, 0.5])).tolist() == [0, 1]


def test_uniform_actions_are_uniform_over_what_is_allowed():
    actions = Actions(sizes=(3, 2))
    mask = jnp.asarray([True, False, True, True, True])
    keys = jax.random.split(KEY, 4000)
    share = jnp.mean(jax.vmap(lambda key: actions.uniform(key, mask))(keys), axis=0)
    np.testing.assert_allclose(share, [0.5, 0, 0.5, 0.5, 0.5], atol=0.04)


def test_categories_become_one_hot_and_masks_are_told():
    mdp = tabular.MDP(
        tabular.Gather(jnp.asarray([[1, 2], [2, 0], [0, 1]])),
        jnp.ones((3, 2)),
        jnp.eye(3)[0],
        0.9,
        actions=jnp.asarray([[True, False], [True, True], [False, True]]),
    )
    problem = Control("ring", *tabular_environments.make(mdp))
    timesteps, states, actions = walk(problem, 50)
    where = np.asarray(states.inner.state)
    np.testing.assert_array_equal(timesteps.observation, np.eye(3)[where])
    np.testing.assert_array_equal(timesteps.mask, np.asarray(mdp.actions)[where])
    assert np.all(np.sum(np.asarray(actions) * np.asarray(timesteps.mask), axis=-1) == 1)


def test_what_is_refused():
    with pytest.raises(ValueError, match="name is 'Cartpole'; allowed: CartPole-v1"):
        control("Cartpole")
    with pytest.raises(ValueError, match=r"params \['gravitation'\] do not exist"):
        control("CartPole-v1", gravitation=1.0)

    class Odd:
        def action_space(self, params):
            return spaces.Dict({"a": spaces.Discrete(2)})

    with pytest.raises(ValueError, match="environment 'odd' has actions Dict"):
        _ = Control("odd", Odd(), None).actions
