"""The studies of task-clustering meta-IRL: their statistics, and the pipeline in miniature."""

import dataclasses

import jax
import numpy as np
import pytest

from rlsuite.algorithms import task_clustering as tc
from rlsuite.envs.gridworld import Layout
from rlsuite.envs.mazes import LAYOUTS
from rlsuite.io.stages import Stages
from rlsuite.studies.meta_irl import (
    appendix,
    beyond,
    choices,
    many,
    outcomes,
    published,
    reproduction,
    training,
)
from rlsuite.studies.meta_irl.training import CONDITIONS, Setup

SMALL = Setup(
    config=tc.Config(
        hidden_sizes=(8,), fine_tuning_steps=2, inner_rate=1e-2, fine_tuning_rate=1e-2
    ),
    num_steps=3,
)


def distances_with(*subtrees, tasks=7):
    """Distances whose dendrogram has the given disjoint sets as subtrees."""
    square = np.full((tasks, tasks), 9.0)
    for members in subtrees:
        for i in members:
            for j in members:
                square[i, j] = 1.0
    return square[np.triu_indices(tasks, 1)]


def test_shares_count_the_seeds_with_a_subtree():
    walls, hooks = published.SHORT_WALLS, published.HOOKS
    runs = np.stack([distances_with(walls, hooks), distances_with(walls), distances_with((0, 6))])
    found = outcomes.shares(np.stack([runs] * len(CONDITIONS)))
    assert found.shape == (2, 12)
    np.testing.assert_allclose(found[0], 2 / 3)
    np.testing.assert_allclose(found[1], 1 / 3)


def test_halves_are_a_partition_and_losses_find_their_place():
    halves = outcomes.halves(np.asarray([[distances_with((0, 1, 2), (3, 4, 5, 6))]]))
    assert halves == [[[frozenset((0, 1, 2)), frozenset((3, 4, 5, 6))]]]
    losses = {
        (0, halves[0][0][0]): np.asarray([0.0, 1, 2]),
        (0, halves[0][0][1]): np.asarray([3.0, 4, 5, 6]),
    }
    np.testing.assert_array_equal(outcomes.losses_of(halves[0][0], 0, losses), np.arange(7.0))


def test_tests_and_stars():
    low, high = np.arange(20.0), np.arange(20.0) + 15
    p = outcomes.smaller(low, high)
    assert p < 1e-4
    assert outcomes.smaller(high, low) > 0.99
    assert [outcomes.stars(x) for x in (0.2, 0.04, 0.004, 0.0004)] == [0, 1, 2, 3]


def test_published_tables_are_whole():
    assert set(published.SHARES) == {
        (metric, subtree) for metric in tc.METRICS for subtree in outcomes.SUBTREES
    }
    rows = [*published.SHARES.values(), *published.MEANS.values(), *published.MEDIANS.values()]
    assert {len(row) for row in rows} == {len(tc.FEATURES)}
    assert {len(row) for row in published.BETTER} == {len(published.CLUSTERS)}
    # What is the same by a metric was published as the same.
    for table in (published.MEANS, published.MEDIANS):
        assert table["cosine"][0] == table["cosine"][1]
        assert table["euclidean"][4] == table["euclidean"][5]
    known = np.asarray(
        [
            [published.SHARES[m, s][tc.FEATURES.index(f)] for m, f in CONDITIONS]
            for s in outcomes.SUBTREES
        ]
    )
    assert choices.distance_to_published(known) == 0
    assert choices.distance_to_published(1 - known) > 0.5


@pytest.mark.parametrize("dimension", [3, 100, 216_065])
def test_angles_of_random_vectors_have_their_density(dimension):
    angles = appendix.random_angles(dimension, 20_000)
    grid = np.linspace(0, 180, 2_000_001)
    density = appendix.angle_density(grid, dimension)
    np.testing.assert_allclose(np.trapezoid(density, grid), 1, rtol=1e-3)
    spread = np.sqrt(np.trapezoid(density * (grid - 90) ** 2, grid))
    np.testing.assert_allclose(angles.std(), spread, rtol=0.03)
    if dimension == 100:
        vectors = np.random.default_rng(0).normal(size=(2, 4000, dimension))
        unit = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
        drawn = np.degrees(np.arccos((unit[0] * unit[1]).sum(-1)))
        np.testing.assert_allclose(drawn.std(), spread, rtol=0.05)


def test_curve_fits_know_the_curve():
    x = np.arange(1.0, 8)
    fits = beyond.curve_fits(x, 3 - 0.5 * np.sqrt(x))
    assert max(fits, key=fits.get) == "√x"
    assert fits["√x"] == pytest.approx(1)


def test_agreement_is_one_for_the_same_and_none_by_chance():
    generator = np.random.default_rng(0)
    labels = generator.integers(4, size=2000)
    assert many.agreement(labels, (labels + 1) % 4) == pytest.approx(1)
    assert abs(many.agreement(labels, generator.permutation(labels))) < 0.01


@pytest.fixture(scope="module")
def trained():
    return training.base(SMALL, 2)


def test_all_seeds_in_one_program_are_each_themselves(trained):
    """Seeds differ in demonstrations and first parameters; a pair trained alone is the same."""
    assert trained.distances.shape == (12, 2, 21)
    assert trained.curves.shape == (2, 7, 3)
    assert not np.allclose(trained.params[0], trained.params[1])
    alone = training.train(SMALL, [(1, published.ALL)])[1, published.ALL]
    np.testing.assert_allclose(alone.params, trained.params[1], atol=1e-5)
    np.testing.assert_allclose(alone.curves, trained.curves[1], atol=1e-5)
    problem = training.problem_of(SMALL, 1)
    params = training.unflatten(SMALL, trained.params[1])
    measured = training.measurer(SMALL.config, SMALL.inner)(params, problem)
    pairs = tc.distances(tc.features(measured)["adapted"], "cosine")
    np.testing.assert_allclose(pairs, trained.distances[CONDITIONS.index(("cosine", "adapted")), 1])
    np.testing.assert_allclose(
        training.tuner(SMALL.config, SMALL.inner)(params, problem), trained.curves[1], atol=1e-5
    )


def test_few_shot_losses_are_those_of_their_sets(trained, tmp_path):
    # Seven of fourteen mazes, for which there are programs already.
    setup = SMALL._replace(layouts=Layout.stack([*LAYOUTS.values()] * 2))
    pairs = [(0, frozenset(range(2, 9))), (1, frozenset(range(4, 11)))]
    losses = training.few_shot(Stages(tmp_path), "some sets", setup, pairs)
    again = training.few_shot(Stages(tmp_path, resume=True), "some sets", setup, pairs)
    assert set(losses) == set(pairs)
    for pair in pairs:
        np.testing.assert_array_equal(losses[pair], again[pair])
    direct = training.train(setup, pairs)
    for pair in pairs:
        np.testing.assert_allclose(losses[pair], direct[pair].curves[:, -1])


def test_every_choice_can_be_made():
    """Each changes the setup that it is applied to, and all have different names."""
    names = [choice.name for choice in choices.CHOICES]
    assert len(set(names)) == len(names)
    default = Setup()
    for choice in choices.CHOICES[1:]:
        changed = choice.apply(default)
        assert changed.identity() != default.identity(), choice.name
        for part, fields in (("worlds", choice.worlds), ("config", choice.config)):
            for field, value in fields.items():
                assert dataclasses.asdict(getattr(changed, part))[field] == value


@pytest.fixture(scope="module")
def report(trained):
    """The study of the talk's experiments, in miniature, on trainings that are there already."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reproduction, "QUICK", reproduction.Sizes(2, SMALL.num_steps, 100))
        patch.setattr(reproduction, "Setup", lambda num_steps: SMALL._replace(num_steps=num_steps))
        patch.setattr(reproduction, "base", lambda *_, **__: trained)
        # Losses that tell their seed and their set, in place of forty meta-trainings.
        patch.setattr(
            reproduction,
            "few_shot",
            lambda stages, name, setup, pairs: {
                (seed, members): np.full(len(members), 0.1 * len(members) + 0.01 * seed)
                for seed, members in pairs
            },
        )
        return reproduction.study(quick=True)


def test_the_study_reports_every_experiment(report):
    tables = {table.title: table for section in report.sections for table in section.tables}
    assert [len(table.rows) for table in tables.values()] == [12, 6, 6, 12, 3, 10]
    pictures = [picture.name for section in report.sections for picture in section.pictures]
    assert pictures == [
        "dendrograms-seed-0",
        "dendrograms-mean",
        "clusters",
        "two-clusters",
        "angles",
        "norms",
    ]


def test_the_tables_stand_beside_the_published_ones(report, trained):
    tables = {table.title: table for section in report.sections for table in section.tables}
    found = outcomes.shares(trained.distances)
    for row, share in zip(tables["Experiment 1"].rows, found[0], strict=True):
        assert float(row[2].text) == share
        assert float(row[4].text) == pytest.approx(share - float(row[3].text), abs=0.01)
    losses = {row[0].text: row[1].text for row in tables["Additional experiment"].rows}
    assert losses["{s0, s1, s2}"] == "0.3050 ± 0.0050"
    assert losses["{invL, UR}"] == "0.2050 ± 0.0050"
    halves = outcomes.halves(trained.distances)
    expected = [
        np.mean(
            [
                [0.1 * len(h) + 0.01 * seed for h in pair for _ in h]
                for seed, pair in enumerate(runs)
            ]
        )
        for runs in halves
    ]
    for row, mean in zip(tables["Experiment 2"].rows, expected, strict=True):
        assert float(row[3].text.split(" ± ")[0]) == pytest.approx(mean, abs=1e-4)


def test_clustering_generated_mazes_finds_their_families():
    sizes = many.Sizes(60, 30, 5, 10, 40, 1, 256, 8)
    config = dataclasses.replace(tc.Config(), hidden_sizes=(64, 64))
    made = many.maze_families(0, 80)
    problem = many.maze_tasks(0, many.WORLDS, made.layouts)
    known, new = problem.subset(range(60)), problem.subset(range(60, 80))
    params = jax.jit(tc.reward_network(config).init)(jax.random.key(0), problem.features)
    clustered = many.cluster(params, known, config, sizes)
    assert many.agreement(clustered.labels, made.family[:60]) == pytest.approx(1)
    assert many.agreement(clustered.labels, clustered.exact) == pytest.approx(1)
    assert clustered.error[1] < 0.05
    joined = many._assign(params, new, clustered, config, sizes)
    np.testing.assert_array_equal(joined, clustered.labels[:20])
