"""The study of MAML against pretraining, in miniature."""

import jax
import numpy as np
import pytest

from rlsuite.algorithms.maml import Config, Sinusoids, make
from rlsuite.io.stages import Stages
from rlsuite.studies.maml import adaptation as maml
from rlsuite.studies.maml import navigation, sinusoids, trials
from rlsuite.studies.maml.adaptation import Sizes

RETURNS = {
    "MAML policy": [[-20.0, -4.0, -3.0, -2.0], [-18.0, -6.0, -5.0, -4.0]],
    "pretrained policy": [[-16.0, -12.0, -10.0, -8.0], [-16.0, -9.0, -7.0, -5.0]],
    "untrained policy": [[-90.0, -80.0, -70.0, -60.0], [-50.0, -40.0, -30.0, -20.0]],
}


def given(trial, kinds, num_seeds, stages, *, num_steps):
    """An outcome with known returns, in place of the training of a policy."""
    assert num_steps == 3
    assert trial.num_steps == (0 if trial.name == "untrained policy" else 7)
    losses = {kind: -np.asarray(RETURNS[trial.name]) for kind in kinds}
    diverged = dict.fromkeys(kinds, np.zeros(2))
    state = jax.jit(make(trial.tasks, trial.config, **trial.callables).init)(jax.random.key(0))
    return trials.Outcome(trial.name, losses, diverged, dict.fromkeys(kinds, 0.1), 1.0, state)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("study")


@pytest.fixture(scope="module")
def report(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(maml, "QUICK", Sizes(1000, 0, 100, 7, 4, 2))
        patch.setattr(navigation, "outcome_of", given)
        return maml.STUDY.run(quick=True, num_seeds=None, stages=Stages(folder))


def cells(table):
    return [[cell.text for cell in row] for row in table.rows]


def test_one_step_of_maml_beats_ten_of_the_pretrained_network(report):
    ten, five, claims = report.sections[0].tables
    for table in (ten, five):
        names, *columns = zip(*cells(table), strict=True)
        assert names == ("MAML", "pretrained", "oracle")
        assert columns[1][2] == "–"
    assert [row[-1] for row in cells(claims)] == ["2 of 2", "2 of 2"]


def test_returns_of_navigation_stand_where_they_belong(report):
    summary, claim = report.sections[1].tables
    names, before, *_, last = zip(*cells(summary), strict=True)
    assert names == ("MAML", "pretrained", "untrained")
    assert before == ("-19 ± 10", "-16 ± 0", "-70 ± 300")
    assert last == ("-3 ± 10", "-6.5 ± 20", "-40 ± 300")
    assert cells(claim)[0][1] == "1 of 2"


def test_the_figures_are_pictures(report):
    for section in report.sections:
        assert len(section.pictures) == 2
        assert all(item.data.startswith(b"\x89PNG") for item in section.pictures)


def test_a_training_that_is_done_is_read_back(report, folder, monkeypatch):
    def refuse(*_):
        raise AssertionError("trained again")

    monkeypatch.setattr(trials, "_train", refuse)
    stages = Stages(folder, resume=True)
    again = sinusoids.section(1000, 0, 2, 100, stages)
    assert [cells(table) for table in again.tables] == [
        cells(table) for table in report.sections[0].tables
    ]
    with pytest.raises(AssertionError, match="trained again"):
        sinusoids.section(999, 0, 2, 100, stages)


def test_a_training_that_diverges_is_reported():
    config = Config(inner_rate=1e6, inner_steps=9, num_tasks=2, method="first-order")
    trial = trials.Trial("wild", Sinusoids(), config, 50)
    outcome = trials.outcome_of(trial, sinusoids.KINDS, 2, Stages(), num_steps=10)
    assert outcome.state is None
    assert sinusoids._row(outcome, "5 points") == ["wild", *4 * ["diverged"], "100.00%"]


def test_every_variant_is_another_config():
    configs = [repr(trial.config) for trial in sinusoids.variant_trials(1)]
    assert len(set(configs)) == len(configs) == 6


def test_an_interval_covers_as_often_as_it_says():
    samples = np.random.default_rng(0).normal(size=(4000, 5))
    covered = [abs(mean) <= half for mean, half in map(trials.interval, samples)]
    assert abs(np.mean(covered) - 0.95) < 0.015
