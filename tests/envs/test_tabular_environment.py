from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.envs.gridworld import Layout, gridworld
from rlsuite.envs.mazes import maze, mazes
from rlsuite.envs.random_mdp import random_mdp
from rlsuite.envs.tabular import EnvState, TabularEnvironment, make
from rlsuite.ops import tabular

CORRIDOR = gridworld(Layout.parse("...G"), discount=0.5, step_reward=-1.0, goal_reward=8.0)
RIGHT = 3


@jax.jit
def table(transition):
    return jax.vmap(transition.expect, out_axes=-1)(jnp.eye(transition.num_states))


step_env = jax.jit(TabularEnvironment.step_env, static_argnums=0)


def step_everywhere(mdp, key, repetitions=1):
    """Take every action in every state; axes of the results: repetition, state, action."""
    environment, params = make(mdp)
    keys = jax.random.split(key, repetitions)

    def one(key, state, action):
        start = EnvState(time=jnp.int32(0), state=state)
        return environment.step_env(key, start, action, params)

    over_actions = jax.vmap(one, in_axes=(None, None, 0))
    over_states = jax.vmap(over_actions, in_axes=(None, 0, None))
    over_keys = jax.vmap(over_states, in_axes=(0, None, None))
    states, actions = (np.arange(n, dtype=np.int32) for n in (mdp.num_states, mdp.num_actions))
    return jax.tree.map(np.asarray, jax.jit(over_keys)(keys, states, actions))


@pytest.mark.parametrize("name", ["UR", "s1"])
def test_a_deterministic_table_and_its_environment_agree_for_every_state_and_action(name):
    mdp = maze(name, discount=0.9, step_reward=-0.1)
    observation, state, reward, terminated, info = step_everywhere(mdp, jax.random.key(0))
    terminal = np.asarray(mdp.terminal)
    following = np.where(
        terminal[:, None], np.arange(100)[:, None], np.asarray(mdp.transition.next_states)
    )
    np.testing.assert_array_equal(observation[0], following)
    np.testing.assert_array_equal(state.state, observation)
    np.testing.assert_array_equal(terminated[0], terminal[following])
    np.testing.assert_array_equal(info["discount"], 1.0 - terminated)
    values = np.asarray(mdp.reward)
    arriving = terminal[following] & ~terminal[:, None]
    expected = values[:, None] + 0.9 * arriving * values[following]
    np.testing.assert_allclose(reward[0], expected, rtol=1e-6)


def dense_with_a_callable(mdp):
    return mdp.replace(
        transition=tabular.Operator(mdp.transition.expect, mdp.num_states, mdp.num_actions)
    )


@pytest.mark.parametrize(
    "mdp",
    [
        gridworld(Layout.parse("..#\n..G"), slip=0.4, absorbing=False, stay=True),
        random_mdp(0, 5, 3),
        dense_with_a_callable(random_mdp(1, 4, 2)),
    ],
    ids=["slip", "dense", "operator"],
)
def test_transition_frequencies_are_the_probabilities(mdp):
    repetitions = 20_000
    observation = step_everywhere(mdp, jax.random.key(1), repetitions)[0]
    frequency = np.stack([(observation == s).mean(0) for s in range(mdp.num_states)], axis=-1)
    probability = np.asarray(table(mdp.transition))
    # Hoeffding's bound with the failure probability 1e-4 spread over all entries.
    bound = np.sqrt(np.log(2 * probability.size / 1e-4) / (2 * repetitions))
    assert bound < 0.02
    assert np.abs(frequency - probability).max() < bound
    assert (frequency[probability == 0] == 0).all()


def test_episodes_start_as_the_mdp_says():
    mdp = maze("tiL")
    environment, params = make(mdp)
    keys = jax.random.split(jax.random.key(2), 20_000)
    reset = jax.vmap(environment.reset, in_axes=(0, None))
    observation, state = jax.tree.map(np.asarray, reset(keys, params))
    assert observation.dtype == jnp.int32
    np.testing.assert_array_equal(observation, state.state)
    assert (state.time == 0).all()
    frequency, initial = np.bincount(observation, minlength=100) / 20_000, np.asarray(mdp.initial)
    assert np.abs(frequency - initial).max() < np.sqrt(np.log(2e6) / 40_000)
    assert (frequency[initial == 0] == 0).all()


def play(mdp, start, actions):
    """The rewards of a fixed sequence of actions, until the episode terminates."""
    environment, params = make(mdp)
    state, rewards = EnvState(time=jnp.int32(0), state=jnp.int32(start)), []
    for action in actions:
        _, state, reward, terminated, _ = step_env(
            environment, jax.random.key(0), state, action, params
        )
        rewards.append(float(reward))
        if terminated:
            break
    return rewards


@pytest.mark.parametrize("kind", ["state", "action", "transition"])
def test_the_discounted_return_is_the_value(kind):
    by_action = np.arange(16.0, dtype=np.float32).reshape(4, 4)
    reward = {
        "state": CORRIDOR.reward,
        "action": by_action,
        "transition": by_action[:, :, None] * np.arange(4, dtype=np.float32),
    }[kind]
    mdp = CORRIDOR.replace(reward=jnp.asarray(reward))
    to_the_right = jnp.asarray(np.where(np.eye(4)[[RIGHT] * 4], 0.0, -np.inf))
    values = np.asarray(tabular.policy_evaluation(mdp, to_the_right))
    rounding = 4 * float(np.finfo(np.float32).eps) * float(np.abs(reward).max())
    for start in range(4):
        rewards = play(mdp, start, [RIGHT] * 4)
        assert len(rewards) == max(1, 3 - start)
        returns = sum(0.5**t * r for t, r in enumerate(rewards))
        assert returns == pytest.approx(float(values[start]), rel=1e-6, abs=rounding)
    if kind == "state":
        # Two steps, then the last step with the goal's reward one discount later.
        assert play(mdp, 0, [RIGHT] * 4) == [-1.0, -1.0, -1.0 + 0.5 * 8.0]
        assert play(mdp, 3, [RIGHT]) == [8.0]


def test_an_episode_ends_at_the_goal_and_the_next_one_begins():
    environment, params = make(CORRIDOR.replace(initial=jnp.eye(4)[0]), max_steps_in_episode=10)
    key = jax.random.key(0)
    _, state = environment.reset(key, params)
    seen = []
    for _ in range(4):
        observation, state, _, terminated, truncated, info = environment.step(
            key, state, RIGHT, params
        )
        seen.append((int(observation), int(info["final_observation"]), bool(terminated)))
        assert not truncated
    assert seen == [(1, 1, False), (2, 2, False), (0, 3, True), (1, 1, False)]
    assert state.time == 1


def test_an_episode_is_cut_off_without_being_terminated():
    environment, params = make(CORRIDOR.replace(initial=jnp.eye(4)[1]), max_steps_in_episode=2)
    key = jax.random.key(0)
    _, state = environment.reset(key, params)
    left = 2
    _, state, _, terminated, truncated, _ = environment.step(key, state, left, params)
    assert (bool(terminated), bool(truncated)) == (False, False)
    observation, state, reward, terminated, truncated, info = environment.step(
        key, state, left, params
    )
    assert (bool(terminated), bool(truncated)) == (False, True)
    assert (int(observation), int(info["final_observation"]), float(reward)) == (1, 0, -1.0)
    assert state.time == 0


def test_a_terminal_state_on_the_last_step_is_terminated_and_truncated():
    environment, params = make(CORRIDOR.replace(initial=jnp.eye(4)[2]), max_steps_in_episode=1)
    _, state = environment.reset(jax.random.key(0), params)
    *_, terminated, truncated, _ = environment.step(jax.random.key(0), state, RIGHT, params)
    assert (bool(terminated), bool(truncated)) == (True, True)


def test_many_mazes_step_in_one_program():
    environment, params = make(mazes(), max_steps_in_episode=30)
    assert environment == TabularEnvironment(100, 4)
    axes = environment_axes(params)

    def walk(key, params):
        def step(state, key):
            action_key, step_key = jax.random.split(key)
            action = jax.random.randint(action_key, (), 0, 4)
            _, following, _, terminated, truncated, info = environment.step(
                step_key, state, action, params
            )
            return following, (
                state.state,
                action,
                info["final_observation"],
                terminated,
                truncated,
            )

        reset_key, walk_key = jax.random.split(key)
        _, state = environment.reset(reset_key, params)
        return jax.lax.scan(step, state, jax.random.split(walk_key, 200))[1]

    keys = jax.random.split(jax.random.key(3), 7)
    states, actions, following, terminated, truncated = map(
        np.asarray, jax.jit(jax.vmap(walk, (0, axes)))(keys, params)
    )
    next_states = np.asarray(params.mdp.transition.next_states)
    for i in range(7):
        terminal = np.asarray(params.mdp.terminal)[i]
        expected = np.where(terminal[states[i]], states[i], next_states[i, states[i], actions[i]])
        np.testing.assert_array_equal(following[i], expected)
        np.testing.assert_array_equal(terminated[i], terminal[following[i]])
        carries_on = ~(terminated[i] | truncated[i])[:-1]
        np.testing.assert_array_equal(states[i][1:][carries_on], following[i][:-1][carries_on])
    assert truncated.any()
    assert terminated.any()


def environment_axes(params):
    """Axes for vmap: the MDPs are stacked, the time limit is shared."""
    return params.replace(mdp=jax.tree.map(lambda _: 0, params.mdp), max_steps_in_episode=None)


def test_environments_of_one_size_share_their_programs():
    (one, params), (other, _) = make(maze("L")), make(maze("UR"))
    assert one == other
    assert hash(one) == hash(other)
    assert one != TabularEnvironment(100, 5)
    assert one != "L"
    assert one.num_actions == one.action_space(params).n == 4
    assert one.observation_space(params).n == 100
    assert one.observation_space(params).contains(jnp.int32(99))
    assert set(one.state_space(params).spaces) == {"time", "state"}


def test_masks_and_terminal_states_are_exposed():
    allowed = jnp.array([[True, False], [True, True]])
    mdp = random_mdp(0, 2, 2).replace(actions=allowed)
    environment, params = make(mdp)
    np.testing.assert_array_equal(environment.action_mask(jnp.int32(0), params), [True, False])
    unmasked = make(mdp.replace(actions=None))[1]
    assert environment.action_mask(jnp.int32(0), unmasked).all()
    state = partial(EnvState, time=jnp.int32(0))
    assert not environment.is_terminated(state(state=jnp.int32(0)), params)
    environment, params = make(CORRIDOR)
    assert environment.is_terminated(state(state=jnp.int32(3)), params)
    assert environment.observe(jax.random.key(0), state(state=jnp.int32(2)), None, params) == 2


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="max_steps_in_episode is 0: it must be at least 1"):
        make(CORRIDOR, max_steps_in_episode=0)
    environment, _ = make(CORRIDOR)
    with pytest.raises(ValueError, match="params is missing"):
        environment.reset(jax.random.key(0))
