"""The study of memories against Bayes, in miniature."""

import dataclasses
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlsuite.algorithms import memory_meta
from rlsuite.envs.bandits import bandits
from rlsuite.envs.prediction import Prediction
from rlsuite.io.stages import Stages
from rlsuite.ops.bandits import BetaArms, UniformArms
from rlsuite.ops.conjugate import DirichletCategorical
from rlsuite.studies.bayes_optimal import beyond, comparison, convergence, ladder, maps, training
from rlsuite.studies.bayes_optimal.comparison import Sizes


@pytest.fixture(scope="module")
def report():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparison, "LENGTH", 6)
        patch.setattr(comparison, "QUICK", Sizes(200, 3, 2, 4, 60, 150, 40, 0, 1))
        return comparison.STUDY.run(quick=True, num_seeds=None, stages=Stages())


def cells(table):
    return [[cell.text for cell in row] for row in table.rows]


def test_there_are_five_parts_with_figures(report):
    titles = [section.title for section in report.sections]
    assert titles == [
        "Dice: behaviour",
        "Dice: structure",
        "Bandit: behaviour",
        "Dice: convergence",
        "Bandit: convergence",
    ]
    for section in report.sections:
        assert all(item.data.startswith(b"\x89PNG") for item in section.pictures)
        assert section.pictures


def test_beside_every_map_stands_the_untrained_agent(report):
    rows = cells(report.sections[1].tables[0])
    assert [row[:2] for row in rows] == [
        ["RNN → Bayes", "trained"],
        ["RNN → Bayes", "untrained"],
        ["Bayes → RNN", "trained"],
        ["Bayes → RNN", "untrained"],
    ]
    outputs = [float(row[3]) for row in rows]
    assert outputs[2] < 0.2 * outputs[3]
    assert all(float(row[2]) > 0.5 * float(row[4]) for row in rows[2:])


def test_training_brings_runs_nearer(report):
    rows = cells(report.sections[3].tables[0])
    assert float(rows[-1][2]) > 10  # The median KL at first over that at last.
    assert float(rows[0][-1]) > 5 * float(rows[-2][-1])  # Distances in the plane.


def test_other_memories_are_trained_to_the_end(monkeypatch):
    """After one update 0.16 nats are lost on dice, 0.31 on longer episodes, 0.17 on the chain."""
    monkeypatch.setattr(beyond, "MEMORIES", ("rnn",))
    monkeypatch.setattr(beyond, "LENGTH", 5)
    monkeypatch.setattr(beyond, "LONGER", 8)
    config = dataclasses.replace(
        comparison.PREDICTION, learning_rate=1e-2, batch_size=32, memory_size=8, annealing_steps=200
    )
    (row,) = cells(beyond.section(config, 200, 1, Stages()).tables[0])
    assert row[0] == "rnn"
    assert all(float(cell) < 0.03 for cell in row[1:])


def test_runs_of_an_lstm_on_dice_are_not_trained_twice(monkeypatch):
    """Of more seeds than are wanted, the first ones are what would be trained."""
    monkeypatch.setattr(beyond, "MEMORIES", ("lstm",))
    monkeypatch.setattr(beyond, "LENGTH", 4)
    monkeypatch.setattr(beyond, "LONGER", 5)
    config = dataclasses.replace(comparison.PREDICTION, batch_size=4, memory_size=4)
    dice = Prediction(DirichletCategorical(jnp.ones(3)), 4)
    known = training.train("more", dice, config, 5, 3, 4, Stages())
    alone, given = (beyond.section(config, 5, 2, Stages(), runs) for runs in (None, known))
    assert cells(given.tables[0]) == cells(alone.tables[0])
    trained = []
    monkeypatch.setattr(
        beyond, "train", lambda name, *how: trained.append(name) or training.train(name, *how)
    )
    beyond.section(config, 5, 2, Stages(), known)
    assert trained == ["chain lstm"]


SEEDS = """
import dataclasses, sys
import jax, jax.numpy as jnp, numpy as np
from rlsuite import programs
programs.use_cores()
assert len(jax.devices()) == int(sys.argv[1])
from rlsuite.envs.prediction import Prediction
from rlsuite.io.stages import Stages
from rlsuite.ops.conjugate import DirichletCategorical
from rlsuite.studies.bayes_optimal import comparison, training
config = dataclasses.replace(comparison.PREDICTION, batch_size=4, memory_size=4)
dice = Prediction(DirichletCategorical(jnp.ones(3)), 4)
runs = training.train("runs", dice, config, 5, 3, 3, Stages())
np.savez(sys.argv[2], *jax.tree.leaves(runs.params))
"""


def test_seeds_are_shared_out_over_devices(tmp_path):
    """Three seeds on two devices, of which one does the last seed twice, and on one."""
    found = []
    for count in (1, 2):
        file = tmp_path / f"{count}.npz"
        told = {**os.environ, "JAX_NUM_CPU_DEVICES": str(count)}
        program = [sys.executable, "-c", SEEDS, str(count), str(file)]
        subprocess.run(program, check=True, env=told)
        found.append(np.load(file))
    one, two = found
    assert one.files == two.files
    for name in one.files:
        assert one[name].shape[:2] == (3, 3)
        np.testing.assert_allclose(one[name], two[name], rtol=1e-5, atol=1e-6)
        assert np.ptp(one[name][-1], axis=0).max() > 0


def test_the_ladder_is_exact(report):
    rows = {row[0]: row[1] for row in cells(report.sections[2].tables[0])}
    game = bandits(UniformArms(2), 6)
    assert float(rows["random"]) == pytest.approx(float(game.best) - 3.0, abs=5e-3)
    found = ladder.rungs(game, depth=60)
    assert found.pop("width") < 1e-3
    values = list(found.values())
    assert values[0] == max(values)
    assert 0 <= found["Gittins, γ = 0.95"] < found["myopic"] < found["Thompson"]


def test_scaling_keeps_distances_in_the_plane():
    points = np.random.default_rng(0).normal(size=(12, 2))
    distances = np.linalg.norm(points[:, None] - points, axis=-1)
    found = convergence.scaling(distances)
    np.testing.assert_allclose(np.linalg.norm(found[:, None] - found, axis=-1), distances)
    np.testing.assert_array_equal(found[-1], 0.0)


def test_distances_are_roots_of_both_divergences():
    """Against NumPy: one program for both of them came out wrong (jax 0.10.2 on CPU)."""
    config = dataclasses.replace(comparison.PREDICTION, batch_size=4, memory_size=4)
    dice = Prediction(DirichletCategorical(jnp.ones(3)), 4)
    runs = training.train("runs", dice, config, 5, 2, 3, Stages())
    lost, matrix = convergence.predictions(dice, config, runs, 7)
    network = memory_meta.prediction.default_network(dice, config)

    @jax.jit
    def said(params):
        x = dice.samples(jax.random.key(9), 7)
        heads = jax.vmap(lambda one: memory_meta.predict(dice, network, one, x))(params)
        return jax.nn.log_softmax(jnp.concatenate([heads, dice.best(x)[None]]))

    logs = np.asarray(said(runs.flat), float)
    chances, apart = np.exp(logs), logs[:, None] - logs
    both = np.mean(np.sum((chances[:, None] - chances) * apart, axis=-1), axis=(2, 3)) / 2
    np.testing.assert_allclose(matrix**2, both, rtol=1e-3, atol=1e-6)
    bayes = np.mean(np.sum(chances[-1] * -apart[:-1, -1], axis=-1), axis=(1, 2))
    np.testing.assert_allclose(lost.ravel(), bayes, rtol=1e-3, atol=1e-6)


def test_the_floor_is_what_no_map_undercuts():
    """Groups of 50 with a variance of 0.04 around means with a variance of 1."""
    rng = np.random.default_rng(0)
    statistics = np.repeat(np.arange(200.0), 50)[:, None]
    means = np.repeat(rng.normal(size=(200, 3)), 50, axis=0)
    found = maps.floor(means + 0.2 * rng.normal(size=means.shape), statistics)
    assert found == pytest.approx(0.04 / (np.var(means[::50]) + 0.04), rel=0.1)
    assert maps.floor(means, statistics) < 1e-12


def test_a_map_is_learned():
    x = jax.random.normal(jax.random.key(0), (2000, 2))
    y = jax.jit(lambda x: jnp.stack([x[:, 0] * x[:, 1], 10.0 + jnp.sin(x[:, 0])], axis=1))(x)
    found = maps.fit(x, y, 1000)
    assert jax.jit(lambda found: maps.dissimilarity(found(x), y))(found) < 0.01


@pytest.mark.parametrize("game", ["dice", "bandit"])
def test_runs_that_are_done_are_read_back(tmp_path, monkeypatch, game):
    """Also if the problem is built anew, as after an interruption; not those of another prior."""

    def trained(stages, weight=1.0):
        weights = np.full(3, weight, np.float32)
        problem = Prediction(DirichletCategorical(weights), 4)
        config = comparison.PREDICTION
        if game == "bandit":
            problem = bandits(BetaArms(weights, weights), 2)
            config = dataclasses.replace(comparison.BANDIT, batch_size=2, memory="rnn")
        return problem, training.train(game, problem, config, 3, 2, 3, stages)

    kept, first = trained(Stages(tmp_path))
    assert first.steps.tolist() == [0, 1, 3]
    monkeypatch.setattr(training, "itertools", None)  # It walks from checkpoint to checkpoint.
    other, again = trained(Stages(tmp_path, resume=True))
    assert kept is not other
    jax.tree.map(np.testing.assert_array_equal, first.params, again.params)
    with pytest.raises(AttributeError, match="pairwise"):
        trained(Stages(tmp_path, resume=True), 2.0)
