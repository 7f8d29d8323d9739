"""Steps of fine-tuning, each part of them recomputed; and which walks are kept after several."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled import compiled

from rlsuite.algorithms import decision_diffuser as dd
from rlsuite.algorithms.decision_diffuser import online, training
from rlsuite.core import run
from rlsuite.data.offline import offline
from rlsuite.envs import navigation_gymnax
from rlsuite.envs.control import Control
from rlsuite.envs.episodes import Episode, join
from rlsuite.ops.entropy import entropy

KEY, LENGTH = jax.random.key(0), 3
PLANNER = dd.Config(
    batch_size=2,
    transitions=2,
    horizon=2,
    discount=0.5,
    evaluation_length=LENGTH,
    model=dd.Model(kind="mlp", channels=8, multiples=(1,), diffusion_steps=2, inverse_units=8),
    planning=dd.Planning(sampler="ddim", sampling_steps=1, temperature=1.0),
)
CONFIG = dd.FineTuning(
    entropy=-1.0,
    multiplier=0.5,
    multiplier_rate=0.2,
    neighbour=1,
    references=8,
    episodes=2,
    capacity=4,
    updates=1,
    planner=PLANNER,
)


@functools.cache
def problem():
    """Four walks anywhere, far from where new ones begin."""
    control = Control("point", *navigation_gymnax.make(jnp.asarray([0.4, 0.3])))
    rng = np.random.default_rng(0)
    walks = [
        Episode(2 + rng.normal(size=(5, 2)), rng.uniform(-1, 1, (4, 2)), rng.normal(size=4))
        for _ in range(4)
    ]
    return offline("point", join(walks), control)


def run_on(num_steps, **how):
    start = dd.make(problem(), PLANNER).init(KEY)
    start = dd.Pretrained(problem(), start)
    return run(dd.fine_tuning, start, CONFIG, KEY, num_steps, progress=False, **how)


@pytest.fixture(scope="module")
def stepped():
    """Three steps, and what the first one should have led to."""
    start_from = problem()

    @compiled
    def train(key):
        start = dd.make(start_from, PLANNER).init(key)
        made = dd.fine_tuning(dd.Pretrained(start_from, start), CONFIG)

        def step(state, key):
            state, metrics = made.step(key, state)
            return state, (state, metrics)

        keys, begin = jax.random.split(key, 3), made.init(key)
        states = jax.lax.scan(step, begin, keys)[1]
        return states, first_step(start, keys[0])

    return train(KEY)


def first_step(start, key):
    of_walk, of_references, _ = jax.random.split(key, 3)
    recorded = problem().episodes
    planner = dd.planner_of(problem(), PLANNER, start)
    walk = dd.walk(PLANNER, planner, problem().control, of_walk, 2)
    led_to = planner.normalizer.normalize(walk.observations[:, 1:]).reshape(-1, 2)
    found = entropy(led_to, neighbour=1, where=walk.real.reshape(-1), least=0.01)
    multiplier = 0.5 * jnp.exp(0.2 * jnp.clip(-1.0 - found, -1, 1))
    room = online.with_room(recorded, 4, LENGTH)
    kept = online.put(room, walk, jnp.zeros((), int), recorded)
    told = online.surprised(CONFIG, kept, planner.normalizer, multiplier, of_references)
    statistics = training.statistics(PLANNER, told, normalizer=planner.normalizer)
    earned = jnp.mean(jnp.sum(walk.rewards, axis=1))
    return earned, found, multiplier, kept, statistics


def test_a_step_walks_measures_and_learns_from_what_is_surprising(stepped):
    """On the scale that the networks know; what is kept earns what it earned."""
    (states, metrics), (earned, found, multiplier, kept, statistics) = stepped
    first, told = jax.tree.map(lambda leaf: leaf[0], (states, metrics))
    np.testing.assert_allclose(told.episode_return, earned, rtol=1e-5)
    np.testing.assert_allclose(told.entropy, found, rtol=1e-5)
    np.testing.assert_allclose([told.multiplier, first.multiplier], multiplier, rtol=1e-5)
    for name, one, other in zip(kept._fields, first.episodes, kept, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6, err_msg=name)
    now = first.planner.statistics
    for one, other in zip(jax.tree.leaves(now), jax.tree.leaves(statistics), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    assert first.planner.updates == 1


def test_the_oldest_walks_are_replaced_and_each_keeps_its_place(stepped):
    (states, _), _ = stepped
    first, second, third = (
        jax.tree.map(lambda leaf, i=i: leaf[i], states.episodes) for i in range(3)
    )
    assert states.walked.tolist() == [2, 4, 6]
    for found in (first, second, third):
        taken = found.lengths > 0
        starts, lengths = found.starts[taken], found.lengths[taken]
        np.testing.assert_array_equal(found.ends[starts], starts + lengths)
    assert [int((found.lengths > 0).sum()) for found in (first, second, third)] == [6, 8, 8]
    before, middle, last = slice(0, 16), slice(16, 22), slice(22, 28)
    for part, changed in ((before, [0, 0]), (middle, [0, 1]), (last, [1, 0])):
        moved = [
            int(np.any(one.actions[part] != other.actions[part]))
            for one, other in ((first, second), (second, third))
        ]
        assert moved == changed


def test_a_run_of_several_steps_at_once_that_was_stopped_goes_on(tmp_path, assert_trees_equal):
    """The state keeps its shape, and may be saved although no episode has a label."""
    whole = run_on(4, chunk_length=2)
    assert whole.state.episodes.labels.size == 0
    run_on(2, chunk_length=2, directory=tmp_path)
    resumed = run_on(4, chunk_length=2, directory=tmp_path, resume=True)
    assert resumed.start == 2
    assert_trees_equal(resumed.state, whole.state)
