"""Offline: files that come back bitwise or not at all; dreams that leave the model as it is."""

import dataclasses
import functools
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dreamer_worlds import SMALL

from rlsuite import run
from rlsuite.algorithms.dreamer.agent import Row
from rlsuite.algorithms.dreamer.algorithm import chunk_length
from rlsuite.algorithms.dreamer.config import Behaviour, Config, Model
from rlsuite.algorithms.dreamer.offline import Dataset, load_replay, make_offline, save_replay
from rlsuite.data import replay as replays
from rlsuite.envs.control import Control, Timestep
from rlsuite.envs.tabular import make as tabular_environment
from rlsuite.ops import tabular

KEY = jax.random.key(0)
CONFIG = Config(
    learning_rate=1e-2,
    warmup=1,
    batch_size=8,
    sequence_length=4,
    updates=2,
    replay_size=300,
    prefill=20,
    evaluation_episodes=8,
    evaluation_length=8,
    model=Model(kind="markov", units=16, layers=1, heads="normal"),
    behaviour=Behaviour(horizon=3, policy_layers=1),
)


def corridor():
    """Three cells, left or right; the way right pays 1 once, and ends there."""
    cells = np.arange(3)
    neighbours = np.stack([np.maximum(cells - 1, 0), np.minimum(cells + 1, 2)], axis=1)
    reward = np.zeros((3, 2), np.float32)
    reward[1, 1] = 1.0
    reward[:2] -= 0.1
    mdp = tabular.MDP(
        tabular.Gather(neighbours), reward, np.eye(3)[0], discount=0.99, terminal=cells == 2
    )
    return Control("corridor", *tabular_environment(mdp, max_steps_in_episode=6))


@pytest.fixture(scope="module")
def problem():
    return jax.tree.map(jnp.asarray, corridor())


@pytest.fixture(scope="module")
def replay(problem):
    """Two hundred random steps of a ring of 220."""

    def step(carry, key):
        replay, state, timestep = carry
        of_action, of_step = jax.random.split(key)
        action = problem.actions.uniform(of_action)
        row = Row(timestep, action, timestep.observation)
        replay = replays.add(replay, jax.tree.map(lambda x: x[None], row))
        return (replay, *problem.step(of_step, state, action)), None

    state, timestep = problem.reset(KEY)
    empty = replays.create(Row(timestep, jnp.zeros(2), timestep.observation), 220, 1)
    strong = jax.tree.map(lambda x: x.astype(x.dtype), (empty, state, timestep))
    return jax.jit(lambda c: jax.lax.scan(step, c, jax.random.split(KEY, 200)))(strong)[0][0]


@pytest.fixture(scope="module")
def spec(problem):
    return problem.spec._replace(inner=None)


def test_a_file_gives_the_replay_back_bitwise(replay, spec, tmp_path, assert_trees_equal):
    path = tmp_path / "replay.npz"
    save_replay(path, replay)
    assert_trees_equal(load_replay(path, spec, CONFIG), replay)
    assert [file.name for file in tmp_path.iterdir()] == ["replay.npz"]


def test_a_ring_that_went_round_comes_back_bitwise(spec, tmp_path, assert_trees_equal):
    example = Row(Timestep(*jax.tree.map(jnp.zeros_like, blank(spec))), jnp.zeros(2), jnp.zeros(3))
    ring = replays.create(example, 7, 2)
    for i in range(10):
        pair = jax.tree.map(lambda x, i=i: jnp.full((2, *x.shape), i).astype(x.dtype), example)
        ring = replays.add(ring, pair)
    save_replay(tmp_path / "ring.npz", ring)
    assert_trees_equal(load_replay(tmp_path / "ring.npz", spec, CONFIG), ring)


def blank(spec):
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), spec.timestep)


def test_states_of_another_model_are_refused_or_left_out(replay, spec, tmp_path):
    path = tmp_path / "replay.npz"
    other = replay._replace(rows=replay.rows._replace(state=jnp.ones((220, 1, 5))))
    save_replay(path, other)
    with pytest.raises(ValueError, match=r"'rows/state' of float32\[200, 1, 5\]; allowed here"):
        load_replay(path, spec, CONFIG)
    found = load_replay(path, spec, CONFIG, blank_states=True)
    np.testing.assert_array_equal(found.rows.action, replay.rows.action)
    recurrent = dataclasses.replace(CONFIG, model=SMALL)
    blank = load_replay(path, spec, recurrent, blank_states=True)
    assert blank.rows.state.deter.shape == (220, 1, SMALL.deter)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(blank.rows.state))


def changed(path, **arrays):
    """Rewrite a file with some arrays replaced, or left out where None."""
    with np.load(path) as file:
        held = {**file, **{name.replace("__", "/"): array for name, array in arrays.items()}}
    np.savez(path, **{name: array for name, array in held.items() if array is not None})


def truncate(path):
    path.write_bytes(path.read_bytes()[:-200])


def bare(path):
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def flip(path):
    """Change a byte of what is stored, not of the zip's own tables."""
    with zipfile.ZipFile(path) as file:
        start = file.getinfo("rows/action.npy").header_offset + 90
    data = bytearray(path.read_bytes())
    data[start] ^= 0xFF
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate, "cannot be read"),
        (flip, "cannot be read"),
        (lambda path: path.write_bytes(b""), "cannot be read"),
        (lambda path: path.unlink(), "does not exist"),
        (bare, "cannot be read"),
        (lambda path: changed(path, rows__action=None), "lacks 'rows/action'"),
        (lambda path: changed(path, written=None), "lacks 'written'"),
        (lambda path: changed(path, capacity=np.asarray(-1)), "capacity -1; allowed: at least 1"),
        (
            lambda path: changed(path, rows__action=np.zeros((200, 1, 3), np.float32)),
            r"'rows/action' of float32\[200, 1, 3\]; allowed here: float32\[200, 1, 2\]",
        ),
        (
            lambda path: changed(path, rows__timestep__is_last=np.zeros((200, 1))),
            r"'rows/timestep/is_last' of float64.*bool",
        ),
        (
            lambda path: changed(
                path, rows__timestep__reward=np.full((200, 1), np.nan, np.float32)
            ),
            "'rows/timestep/reward' with NaN",
        ),
        (
            lambda path: changed(path, written=np.asarray({}, object)),
            "cannot be read.*allow_pickle",
        ),
    ],
)
def test_damage_is_named(replay, spec, tmp_path, damage, message):
    path = tmp_path / "replay.npz"
    save_replay(path, replay)
    damage(path)
    with pytest.raises(ValueError, match=message):
        load_replay(path, spec, CONFIG)


def test_a_replay_of_several_seeds_is_not_saved(replay, tmp_path):
    with pytest.raises(ValueError, match="allowed: one replay"):
        save_replay(tmp_path / "x.npz", jax.tree.map(lambda x: x[None], replay))


@pytest.fixture(scope="module")
def pretrained(replay, spec, problem):
    """Model and behaviour of two seeds, learned from random steps alone."""
    dataset = Dataset(spec, replay, problem)
    # A chunk length that divides the steps: one program.
    return run(
        make_offline, dataset, CONFIG, KEY, 150, num_seeds=2, chunk_length=50, progress=False
    )


def test_the_best_policy_is_found_without_acting(pretrained):
    np.testing.assert_allclose(pretrained.evaluations.episode_return[:, -1], 0.8, rtol=1e-5)
    losses = pretrained.metrics.world_loss
    assert np.all(losses[:, -20:].mean(axis=1) < losses[:, :5].mean(axis=1) - 1.0)


def test_dreams_improve_the_policy_and_leave_the_model(
    pretrained, replay, spec, problem, assert_trees_equal
):
    learner = jax.tree.map(lambda x: x[0], pretrained.state.learner)
    unlearned = jax.tree.map(jnp.zeros_like, learner.weights.policy)
    weights = learner.weights._replace(policy=unlearned)
    dataset = Dataset(spec, replay, problem, learner._replace(weights=weights))
    make_dreams = functools.partial(make_offline, dream_only=True)
    result = run(make_dreams, dataset, CONFIG, KEY, 100, chunk_length=50, progress=False)
    assert_trees_equal(result.state.learner.weights.world, learner.weights.world)
    assert_trees_equal(result.state.learner.optimizer.world, learner.optimizer.world)
    before, after = result.metrics.imagined_return[:3], result.metrics.imagined_return[-10:]
    assert after.mean() > before.mean() + 0.1
    np.testing.assert_allclose(result.evaluations.episode_return[-1], 0.8, rtol=1e-5)
    act = make_dreams(dataset, CONFIG).act
    np.testing.assert_array_equal(act(None, result.state, problem.reset(KEY)[1], None)[0], [0, 1])


def test_dreams_without_a_model_or_rows_are_refused(replay, spec):
    with pytest.raises(ValueError, match="dream_only is True"):
        make_offline(Dataset(spec, replay), CONFIG, dream_only=True)
    short = replay._replace(written=jnp.asarray(4))
    with pytest.raises(ValueError, match=r"has 4 rows.*at least sequence_length \+ 1, 5"):
        run(make_offline, Dataset(spec, short), CONFIG, KEY, 1)


def test_a_markov_model_s_states_are_what_was_seen(replay, spec, tmp_path, assert_trees_equal):
    """Also of a replay that another model inferred states of."""
    assert np.asarray(replay.rows.state).any()
    path = tmp_path / "replay.npz"
    save_replay(path, replay._replace(rows=replay.rows._replace(state=jnp.zeros((220, 1, 7)))))
    assert_trees_equal(load_replay(path, spec, CONFIG, blank_states=True), replay)


def test_programs_with_images_are_of_one_step(spec, replay):
    assert make_offline(Dataset(spec, replay), CONFIG).chunk_length == 100
    image = spec.timestep._replace(observation=jax.ShapeDtypeStruct((16, 16, 3), jnp.uint8))
    assert chunk_length(spec._replace(timestep=image)) == 1
