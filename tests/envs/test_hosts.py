"""Host environments: the time steps are those of the environments' own traces."""

import types

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces

from rlsuite.envs import hosts
from rlsuite.envs.control import Actions, control

STEPS = 80


def walk(environment, actions, seed=0):
    """Time steps from a reset on, leaves [time, environment, …]."""
    timesteps = [environment.reset(seed)]
    timesteps += [environment.step(action) for action in actions]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *timesteps)


def categories(count, sizes, members=1):
    """Random categories, and the same as vectors."""
    rng = np.random.default_rng(0)
    parts = [rng.integers(size, size=(count, members)) for size in sizes]
    vectors = [np.eye(size)[part] for part, size in zip(parts, sizes, strict=True)]
    return np.stack(parts, axis=-1), np.concatenate(vectors, axis=-1)


def own_trace(environment, actions, seed):
    """The environment's own episodes: (observation, reward, first, last, terminal) a row."""
    rows, ended = [(environment.reset(seed=seed)[0], 0.0, True, False, False)], False
    for action in actions:
        if ended:
            rows.append((environment.reset()[0], 0.0, True, False, False))
            ended = False
        else:
            seen, reward, terminated, truncated, _ = environment.step(action)
            ended = terminated or truncated
            rows.append((seen, reward, False, ended, terminated))
    return [np.stack(column) for column in zip(*rows, strict=True)]


@pytest.mark.parametrize(
    ("space", "shape"),
    [
        pytest.param(spaces.Box(-np.inf, np.inf, (4, 3)), (12,), id="a stack of vectors"),
        pytest.param(spaces.Box(0.0, 1.0, (4, 3)), (4, 3), id="a grid"),
        pytest.param(spaces.Box(0, 255, (32, 16), np.uint8), (32, 16, 1), id="shades of grey"),
        pytest.param(spaces.Box(0, 255, (32, 16, 3), np.uint8), (32, 16, 3), id="an image"),
    ],
)
def test_tables_of_numbers_are_no_pictures(space, shape):
    class Shown(gymnasium.Env):
        observation_space, action_space = space, spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return np.ones(space.shape, space.dtype), {}

        def step(self, action):
            return np.ones(space.shape, space.dtype), 0.0, False, False, {}

    environment = hosts.from_gymnasium(Shown)
    assert environment.reset(0).observation.shape == (1, *shape)
    assert environment.spec.timestep.observation.shape == shape


def test_cartpole_gives_gymnasiums_own_trace_and_tells_limits_from_falls():
    def make():
        return gymnasium.make("CartPole-v1", max_episode_steps=20)

    environment = hosts.from_gymnasium(make, 2)
    chosen, vectors = categories(STEPS, [2], members=2)
    found = walk(environment, vectors, seed=5)
    assert environment.spec.actions == Actions(sizes=(2,), single=True)
    for i in range(2):
        shown, *flags = own_trace(make(), chosen[:, i, 0], seed=5 + i)
        np.testing.assert_array_equal(found.observation[:, i], shown)
        for ours, theirs in zip(found[1:5], flags, strict=True):
            np.testing.assert_array_equal(ours[:, i], theirs)
    cut = found.is_last & ~found.is_terminal
    assert cut.any()
    assert found.is_terminal.any()


class Menu(gymnasium.Env):
    """Shows its last action; two choices, the first of which starts at 1."""

    observation_space = spaces.Dict(
        picture=spaces.Box(0, 255, (16, 16, 3), np.uint8),
        step=spaces.Discrete(4, start=1),
        level=spaces.Box(0.0, 9.0, ()),
        inner=spaces.Dict(chosen=spaces.Box(0, 9, (2,), np.int64)),
    )
    action_space = spaces.MultiDiscrete([3, 2], start=[1, 0])

    def _shown(self, chosen):
        shown = {
            "picture": np.full((16, 16, 3), self.time, np.uint8),
            "step": 1 + self.time,
            "level": 2.5,
            "inner": {"chosen": np.asarray(chosen)},
        }
        return shown, {"action_mask": (np.asarray([1, 1, 0]), np.asarray([self.time > 1, 1]))}

    def reset(self, *, seed=None, options=None):
        self.time = 0
        return self._shown([0, 0])

    def step(self, action):
        assert self.action_space.contains(action)
        self.time += 1
        shown, info = self._shown(action)
        return shown, 1.0, False, self.time == 3, info


def test_dictionaries_and_several_choices():
    environment = hosts.from_gymnasium(Menu)
    chosen, vectors = categories(3, [3, 2])
    found = walk(environment, vectors)
    assert environment.spec.actions == Actions(sizes=(3, 2))
    np.testing.assert_array_equal(found.observation["step"][:, 0], np.eye(4))
    assert found.observation["picture"].dtype == np.uint8
    np.testing.assert_array_equal(found.observation["picture"][:, 0, 0, 0, 0], [0, 1, 2, 3])
    np.testing.assert_array_equal(found.observation["level"], np.full((4, 1, 1), 2.5))
    told = found.observation["inner"]["chosen"][1:, 0] - [1, 0]
    np.testing.assert_array_equal(told, chosen[:, 0])
    late = np.arange(4) > 1
    ones = np.ones(4, bool)
    expected = np.stack([ones, ones, ~ones, late, ones], axis=-1)
    np.testing.assert_array_equal(found.mask[:, 0], expected)
    np.testing.assert_array_equal(found.is_last[:, 0], [False, False, False, True])
    assert not found.is_terminal.any()
    shapes = jax.tree.map(lambda leaf: (leaf.shape[2:], leaf.dtype), found)
    assert shapes == jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), environment.spec.timestep)


def test_continuous_actions_span_the_bounds():
    environment = hosts.from_gymnasium(lambda: gymnasium.make("Pendulum-v1"))
    actions = environment.spec.actions
    vectors = np.linspace(-1.5, 1.5, 7)[:, None, None]
    found = walk(environment, vectors)
    torque = np.clip(2 * vectors[:, 0, 0], -2, 2)
    _, sine, velocity = found.observation[:, 0].T
    after = np.clip(velocity[:-1] + (15 * sine[:-1] + 3 * torque) * 0.05, -8, 8)
    np.testing.assert_allclose(after, velocity[1:], atol=1e-5)
    for vector, expected in zip(vectors[:, 0], torque, strict=True):
        np.testing.assert_allclose(actions.decode(jnp.asarray(vector)), [expected], rtol=1e-6)


class Counter:
    """An environment with dm_env's interface: counts up from its seed to an end."""

    def __init__(self, seed, discount=0.0, choices=False):
        self.seed, self.discount, self.choices = seed, discount, choices

    def action_spec(self):
        if self.choices:
            return types.SimpleNamespace(num_values=3, shape=())
        return types.SimpleNamespace(minimum=-2.0, maximum=np.asarray([2.0, 4.0]), shape=(2,))

    def reset(self):
        self.time = 0
        return self._timestep(None, None)

    def step(self, action):
        self.time += 1
        return self._timestep(np.sum(action), self.discount if self.time == 5 else 1.0)

    def _timestep(self, reward, discount):
        return types.SimpleNamespace(
            reward=reward,
            discount=discount,
            observation={"time": np.asarray([self.time, self.seed], np.float64)},
            last=lambda last=self.time == 5: last,
        )


@pytest.mark.parametrize(("discount", "terminal"), [(0.0, True), (1.0, False)])
def test_dm_envs_discount_tells_an_end_from_a_time_limit(discount, terminal):
    environment = hosts.from_dm_control(lambda seed: Counter(seed, discount), 2)
    vectors = np.tile([[0.5, -0.5], [1.0, 3.0]], (7, 1, 1))
    found = walk(environment, vectors, seed=7)
    np.testing.assert_array_equal(found.observation["time"][:, 1, 0], [0, 1, 2, 3, 4, 5, 0, 1])
    np.testing.assert_array_equal(found.observation["time"][:, :, 1], [[7, 8]] * 8)
    np.testing.assert_allclose(found.reward[:, 0], [0, *[0.5] * 5, 0, 0.5])
    np.testing.assert_allclose(found.reward[:, 1], [0, *[6.0] * 5, 0, 6.0])
    np.testing.assert_array_equal(np.flatnonzero(found.is_first[:, 0]), [0, 6])
    np.testing.assert_array_equal(np.flatnonzero(found.is_last[:, 0]), [5])
    assert found.is_terminal[5, 0] == terminal


def test_a_repeated_action_earns_the_sum_up_to_the_end():
    environment = hosts.from_dm_control(lambda seed: Counter(seed, choices=True), repeat=2)
    assert environment.spec.actions == Actions(sizes=(3,), single=True)
    found = walk(environment, np.tile(np.eye(3)[2], (4, 1, 1)))
    np.testing.assert_array_equal(found.observation["time"][:, 0, 0], [0, 2, 4, 5, 0])
    np.testing.assert_array_equal(found.reward[:, 0], [0, 4, 4, 2, 0])


def test_a_jax_environment_steps_from_the_host_as_it_does_by_itself():
    problem = control("CartPole-v1", max_steps_in_episode=20)
    _, vectors = categories(STEPS, [2], members=3)
    environment = hosts.from_control(problem, 3)
    found, again = (walk(environment, vectors, seed=1) for _ in range(2))
    np.testing.assert_array_equal(found.observation, again.observation)
    np.testing.assert_array_equal(found.is_first[1:], found.is_last[:-1])
    np.testing.assert_array_equal(found.reward, 1.0 - found.is_first)
    step = jax.jit(problem.step)
    state, _ = problem.reset(jax.random.key(0))
    for time in range(10):
        if found.is_last[time, 0]:
            break
        inner = state.inner.replace(
            **dict(
                zip(
                    ("x", "x_dot", "theta", "theta_dot"),
                    found.observation[time, 0],
                    strict=True,
                )
            )
        )
        _, there = step(jax.random.key(0), state._replace(inner=inner), vectors[time, 0])
        np.testing.assert_allclose(there.observation, found.observation[time + 1, 0], atol=1e-6)


def space(**spaces_):
    """A maker of an environment with one space replaced."""
    return lambda: type("Odd", (Menu,), spaces_)()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (space(action_space=spaces.MultiBinary(3)), "has actions MultiBinary"),
        (space(action_space=spaces.MultiDiscrete([[2, 3]])), "MultiDiscrete with one axis"),
        (space(action_space=spaces.Box(0, np.inf, (2,))), "allowed: bounds on both sides"),
        (space(observation_space=spaces.Text(3)), r"has observations Text.*Box, Discrete, or a"),
        (lambda: object(), "allowed: a single gymnasium.Env"),
    ],
)
def test_spaces_that_are_not_allowed_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        hosts.from_gymnasium(make)


def test_counts_below_one_are_refused():
    with pytest.raises(ValueError, match="num_environments is 0"):
        hosts.from_gymnasium(Menu, 0)
    with pytest.raises(ValueError, match="num_environments is 0"):
        hosts.from_control(control("CartPole-v1"), 0)
    with pytest.raises(ValueError, match="repeat is 0"):
        hosts.from_dm_control(Counter, repeat=0)


def test_unbounded_or_unknown_dm_env_actions_are_refused():
    class Unbounded(Counter):
        def action_spec(self):
            return types.SimpleNamespace(minimum=-np.inf, maximum=1.0, shape=(1,))

    class Unknown(Counter):
        def action_spec(self):
            return "any"

    with pytest.raises(ValueError, match="bounds on both sides"):
        hosts.from_dm_control(Unbounded)
    with pytest.raises(ValueError, match="has actions any"):
        hosts.from_dm_control(Unknown)
