"""Parts of studies, chosen by name: which are run, in which order, with what."""

import pathlib

import pytest

from rlsuite import cli, registry
from rlsuite.io.reports import Section
from rlsuite.io.stages import Stages
from rlsuite.studies.decision_diffuser import claims as diffuser
from rlsuite.studies.dreamer import claims as dreamer
from rlsuite.studies.maml import adaptation as maml
from rlsuite.studies.solar import claims as solar

MODULES = {"decision-diffuser": diffuser, "dreamer": dreamer, "maml": maml, "solar": solar}
WITH_PARTS = pytest.mark.parametrize("name", list(MODULES))


def recorded(monkeypatch, name):
    """Put parts in place that note what they are called with; what they noted."""
    calls = []

    def part(title):
        def section(*given):
            calls.append((title, given))
            return Section(title, [])

        return section

    parts = {title: part(title) for title in registry.studies()[name].parts}
    monkeypatch.setattr(MODULES[name], "PARTS", parts)
    return calls


def test_the_studies_of_several_parts_are_these():
    assert {name for name, study in registry.studies().items() if study.parts} == set(MODULES)
    assert diffuser.STUDY.parts == diffuser.Sizes._fields


@WITH_PARTS
def test_chosen_parts_are_run_in_the_studys_order_and_no_others(name, monkeypatch):
    study = registry.studies()[name]
    first, *_, last = (part for part in study.parts if part != "locomotion")
    calls = recorded(monkeypatch, name)
    report = study.run(quick=True, only=(last, first))
    assert [section.title for section in report.sections] == [first, last]
    assert [title for title, _ in calls] == [first, last]


@WITH_PARTS
def test_the_command_line_runs_what_it_is_told_and_puts_it_on_a_page(name, monkeypatch, tmp_path):
    calls = recorded(monkeypatch, name)
    part = registry.studies()[name].parts[1]
    assert cli.main(["study", name, "--quick", "--out", str(tmp_path), "--only", part]) == 0
    assert [title for title, _ in calls] == [part]
    assert part in pathlib.Path(tmp_path, "report.html").read_text()


def test_parts_are_given_their_sizes_seeds_and_stages(monkeypatch):
    calls, stages = recorded(monkeypatch, "decision-diffuser"), Stages()
    diffuser.study(quick=True, num_seeds=3, stages=stages)
    sizes = diffuser.QUICK
    wanted = [(name, (getattr(sizes, name), 3, stages)) for name in sizes._fields]
    assert calls == wanted[:-1]  # There is no hopper in the quick version.


def test_a_part_that_is_not_there_is_refused_before_anything_is_run(monkeypatch):
    calls = recorded(monkeypatch, "decision-diffuser")
    with pytest.raises(ValueError, match="part 'locomotion' is unknown; allowed: mazes, ring"):
        diffuser.study(quick=True, only=("mazes", "locomotion"))
    assert calls == []
