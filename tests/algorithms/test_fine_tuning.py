"""Fine-tuning of a planner: what is kept, what it earns, and that it finds what was never shown."""

import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rlsuite.algorithms import decision_diffuser as dd
from rlsuite.algorithms.decision_diffuser import online, training
from rlsuite.core import run
from rlsuite.data.normalizers import Gaussian
from rlsuite.envs.episodes import Episode, join, segment, split
from rlsuite.problems import offline
from rlsuite.problems.decision_diffuser import ENTRY

KEY = jax.random.key(0)
CONFIG = ENTRY.problems["point"].config
WARM = dataclasses.replace(
    CONFIG, planning=dataclasses.replace(CONFIG.planning, temperature=1.0)
)  # fmt: skip


put, surprised = jax.jit(online.put), jax.jit(online.surprised, static_argnums=0)


def recorded():
    one = Episode(np.arange(8.0).reshape(4, 2), np.ones((3, 1)), np.arange(3.0), labels=[1.0])
    return join([one, one])


def walked(offset=0.0):
    """Two episodes of at most four steps; the second ends for good after two."""
    states = offset + 100.0 + np.arange(20.0).reshape(2, 5, 2)
    real = np.asarray([[True] * 4, [True, True, False, False]])
    terminal = np.zeros((2, 4), bool)
    terminal[1, 1] = True
    rewards = np.where(real, np.arange(8.0).reshape(2, 4), 0.0)
    states, actions, rewards = map(np.float32, (states, np.full((2, 4, 1), 0.5), rewards))
    return jax.tree.map(jnp.asarray, dd.Walk(states, actions, rewards, real, terminal))


@functools.cache
def roomy():
    """What was recorded, with room for four episodes of four steps."""
    return jax.jit(online.with_room, static_argnums=(1, 2))(recorded(), 4, 4)


def parts(episodes):
    """The episodes that have a step."""
    kept = np.asarray(episodes.lengths) > 0
    fields = ("starts", "lengths", "labels")
    return split(episodes._replace(**{name: getattr(episodes, name)[kept] for name in fields}))


def test_what_was_walked_lies_beside_what_was_recorded_and_replaces_the_oldest():
    first = recorded()
    assert len(parts(roomy())) == 2
    once = put(roomy(), walked(), jnp.asarray(2), first)
    twice = put(once, walked(50.0), jnp.asarray(0), first)
    again = put(twice, walked(7.0), jnp.asarray(2), first)
    assert [len(one.rewards) for one in parts(once)] == [3, 3, 4, 2]
    found = parts(again)
    assert [len(one.rewards) for one in found] == [3, 3, 4, 2, 4, 2]
    for one, other in zip(found[:2], split(first), strict=True):
        jax.tree.map(np.testing.assert_array_equal, one, other)
    for number, walk in ((2, walked(50.0)), (4, walked(7.0))):
        observations, rewards = np.asarray(walk.observations), np.asarray(walk.rewards)
        np.testing.assert_array_equal(found[number].observations, observations[0])
        np.testing.assert_array_equal(found[number].rewards, rewards[0])
        np.testing.assert_array_equal(found[number + 1].observations, observations[1, :3])
    assert [one.terminal for one in found] == [False, False, False, True, False, True]
    # The last state is repeated, and nothing of the next episode is seen.
    np.testing.assert_array_equal(
        jax.jit(segment, static_argnums=2)(again, jnp.asarray(6 + 4), 4).states,
        np.asarray(walked(50.0).observations[1])[[0, 1, 2, 2]],
    )


def test_no_segment_begins_where_nothing_was_walked():
    first = recorded()
    episodes = put(roomy(), walked(), jnp.asarray(0), first)
    config = dataclasses.replace(CONFIG, horizon=3, overhang=0)
    scale = jax.jit(Gaussian.fit)(first.observations)
    computed = jax.jit(training.statistics, static_argnums=0)(config, episodes, normalizer=scale)
    begins = np.diff(np.asarray(computed.counts), prepend=0)
    # Three states are two steps: two segments of three steps, three of four, one of two.
    assert np.flatnonzero(begins).tolist() == [0, 1, 3, 4, 6, 7, 8, 10]
    np.testing.assert_allclose(
        computed.normalizer.mean, np.asarray(first.observations).mean(axis=0)
    )


def test_surprise_is_added_to_what_was_earned():
    first = recorded()
    episodes = put(roomy(), walked(), jnp.asarray(0), first)
    config = dd.FineTuning(references=3, neighbour=1, episodes=2, capacity=4)
    scale = jax.jit(Gaussian.fit)(first.observations)
    add = functools.partial(surprised, config, episodes, scale)
    np.testing.assert_array_equal(add(jnp.asarray(0.0), KEY).rewards, episodes.rewards)
    extra = np.asarray(add(jnp.asarray(2.0), KEY).rewards) - np.asarray(episodes.rewards)
    real = np.asarray(episodes.ends) > np.arange(episodes.num_steps)
    assert np.all(extra[~real] == 0)
    states = np.asarray(scale.normalize(episodes.next_observations))[real]
    apart = np.maximum(np.linalg.norm(states[:, None] - states, axis=-1), 0.01)
    np.fill_diagonal(apart, np.inf)
    # Which three states stand for all is the key's choice; one choice explains everything. Of the
    # nearest of three in the plane, psi(4) - psi(1) is 11/6; a state that is one of them has two.
    surprises = []
    for choice in itertools.combinations(range(len(states)), 3):
        share = np.where(np.isin(np.arange(len(states)), choice), 3 / 2, 11 / 6)
        surprises.append(share + np.log(np.pi) + 2 * np.log(apart[:, choice].min(axis=1)))
    assert any(np.allclose(extra[real], 2 * surprise, rtol=1e-3) for surprise in surprises)


def test_fine_tuning_takes_what_the_planner_was_made_with():
    """Among it an optimiser, which planning has no use for."""
    start, _ = sideways()
    config = dd.FineTuning(
        planner=dataclasses.replace(WARM, evaluation_length=2), episodes=2, capacity=2, updates=1
    )
    rule = optax.sgd  # Its steps are those of the learning rate, and nothing else.
    make = functools.partial(dd.fine_tuning, optimizer=rule)
    start = dataclasses.replace(
        start, start=start.start._replace(optimizer=rule(0.1).init(start.start.params))
    )
    result = run(make, start, config, KEY, 1, progress=False)
    assert int(result.state.walked) == 2
    assert jax.tree.structure(result.state.planner.optimizer) == jax.tree.structure(
        start.start.optimizer
    )


def test_pairs_are_drawn_where_something_was_walked():
    first = recorded()
    episodes = put(roomy(), walked(), jnp.asarray(0), first)
    config = dataclasses.replace(CONFIG, horizon=2, overhang=0, transitions=600)

    @jax.jit
    def steps(episodes):
        computed = training.statistics(
            config, episodes, normalizer=Gaussian.fit(first.observations)
        )
        return training.draw_pairs(config, episodes, computed, KEY).steps

    counts = np.bincount(steps(episodes), minlength=episodes.num_steps)
    real = np.asarray(episodes.ends) > np.arange(episodes.num_steps)
    assert np.all(counts[~real] == 0)
    np.testing.assert_allclose(counts[real] / 600, 1 / real.sum(), atol=0.04)


@functools.cache
def sideways():
    """A planner that was shown two ways, none of which leads to the goal."""
    problem = offline.sideways()
    trained = run(dd.make, problem, CONFIG, KEY, 500, chunk_length=100, progress=False)
    return dd.Pretrained(problem, trained.state), float(trained.evaluations.score[-1])


def tuned(num_steps, **changes):
    config = dd.FineTuning(planner=WARM, references=128, **changes)
    start, _ = sideways()
    return run(dd.fine_tuning, start, config, KEY, num_steps, evaluate_every=25, progress=False)


def test_what_was_never_shown_is_found():
    _, before = sideways()
    result = tuned(50, multiplier=0.1, entropy=-3.0)
    assert before < 0
    assert result.evaluations.score[-1] > 15
    short = np.clip(-3.0 - np.asarray(result.metrics.entropy), -1, 1)
    assert np.mean(short) < -0.3
    multipliers = 0.1 * np.exp(0.1 * np.cumsum(short))
    np.testing.assert_allclose(result.metrics.multiplier, multipliers, rtol=1e-3)
    assert int(result.state.walked) == 50 * 16
    assert np.all(np.asarray(result.state.episodes.lengths) > 0)


def test_plans_follow_a_value_that_was_learned():
    """Diffuser: nothing is told; half of what was shown leads away from the goal."""
    problem = offline.point(0.5)
    model = dataclasses.replace(CONFIG.model, value=True)
    config = dataclasses.replace(CONFIG, conditions=(), model=model)
    trained = run(dd.make, problem, config, KEY, 600, chunk_length=100, progress=False).state

    def score(weight):
        planning = dataclasses.replace(CONFIG.planning, value_guidance=weight)
        followed = dataclasses.replace(config, planning=planning)
        return float(jax.jit(dd.make(problem, followed).evaluate)(KEY, trained).score)

    assert score(0.0) < 50
    assert score(3.0) > 90


def test_what_is_refused():
    for changes, message in (
        ({"capacity": 20}, "'capacity' is 20; allowed: a multiple of 'episodes', 16"),
        ({"planner": dd.Config(conditions=("state",))}, "'conditions' is .*; allowed: with 'ret"),
        ({"planner": dd.Config(conditions=("return", "label"))}, "'conditions' .* without 'label'"),
        ({"neighbour": 40, "references": 30}, "'neighbour' is 40; allowed: at most 29"),
    ):
        with pytest.raises(ValueError, match=message):
            dd.FineTuning(**changes)
    start, _ = sideways()
    blind = dataclasses.replace(start, offline=dataclasses.replace(start.offline, control=None))
    with pytest.raises(ValueError, match=r"offline.control is None; allowed: an environment"):
        dd.fine_tuning(blind, dd.FineTuning(planner=CONFIG))
