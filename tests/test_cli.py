"""The command line: what it writes, what it prints, how it fails."""

import json
import os
import subprocess
import sys

import pytest

from rlsuite import cli, registry
from rlsuite.io import terminal
from rlsuite.io.logs import read_jsonl


@pytest.fixture(autouse=True)
def no_compilation_cache(monkeypatch, tmp_path_factory):
    """Keep the user's cache out of the tests."""
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))


def call(*words):
    return cli.main([str(word) for word in words])


def error(capsys):
    """The one line that a failed command has printed."""
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.strip().split("\n")
    assert line.startswith("rlsuite: error: ")
    return line.removeprefix("rlsuite: error: ")


TRAIN = ("train", "maxent_irl", "--problem", "random-mdp", "--no-progress")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A directory that the command line has trained in, and what it printed."""
    out = tmp_path_factory.mktemp("runs") / "irl"
    words = [*TRAIN, "--steps", "30", "--seeds", "2", "--config.learning-rate", "0.2"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    done = subprocess.run(
        [sys.executable, "-m", "rlsuite", *words, "--out", str(out)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return out, done.stdout, environment["XDG_CACHE_HOME"]


def test_train_writes_all_that_it_promises(trained):
    out, printed, cache = trained
    assert {path.name for path in out.iterdir()} >= {
        "checkpoints",
        "evaluation.json",
        "evaluation.md",
        "figure.png",
        "metrics.jsonl",
        "report.html",
        "run.json",
    }
    described = json.loads((out / "run.json").read_text())
    assert described["config"]["learning_rate"] == 0.2
    assert described["seeds"] == 2
    lines = read_jsonl(out / "metrics.jsonl")
    assert lines[-1]["step"] == 30
    assert len(lines[0]["loss"]) == 2
    assert (out / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert "visitation_error" in printed
    assert "random" in printed
    assert os.listdir(os.path.join(cache, "rlsuite", "jax")), "nothing was cached"


def test_evaluate_repeats_the_evaluation_and_writes_nothing(trained, capsys):
    out, printed, _ = trained
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert call("evaluate", out) == 0
    shown = capsys.readouterr().out
    (row,) = [line for line in shown.splitlines() if "visitation_error" in line]
    assert row.strip() in printed
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_evaluate_takes_a_relative_path(trained, capsys, monkeypatch):
    out, _, _ = trained
    monkeypatch.chdir(out.parent)
    assert call("evaluate", out.name) == 0
    assert "visitation_error" in capsys.readouterr().out


def test_a_coloured_box_becomes_one_line():
    box = "\x1b[31m╭─ Value error ─╮\x1b[0m\n\x1b[1;31m│\x1b[0m bad value \x1b[31m│\x1b[0m\n"
    box += "\x1b[31m│\x1b[0m ───── \x1b[31m│\x1b[0m\n\x1b[31m│\x1b[0m help \x1b[31m│\x1b[0m\n"
    assert terminal._one_line(box).endswith("bad value")
    assert "\x1b" not in terminal._one_line(box)
    assert "help" not in terminal._one_line(box)


def test_a_directory_in_use_needs_resume(trained, capsys):
    out, _, _ = trained
    assert call(*TRAIN, "--out", out) == 2
    assert "already holds a run; add --resume" in error(capsys)


def test_resume_needs_the_same_run(trained, capsys):
    out, _, _ = trained
    assert call(*TRAIN, "--out", out, "--resume", "--seeds", "2") == 2
    assert "holds a run with config" in error(capsys)
    words = (*TRAIN, "--config.learning-rate", "0.2", "--resume", "--seeds", "3")
    assert call(*words, "--out", out) == 2
    assert "holds a run with seeds 2, not 3" in error(capsys)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("dance",), "command 'dance' is unknown; allowed: list, train, evaluate, study"),
        (("train",), "train needs an algorithm first; allowed: maxent_irl"),
        (("train", "maxent"), "algorithm 'maxent' is unknown (did you mean 'maxent_irl'?)"),
        ((*TRAIN[:2], "--problem", "mase"), "problem 'mase' is unknown (did you mean 'mazes'?)"),
        ((*TRAIN, "--steps", "ten", "--out", "x"), "steps"),
        ((*TRAIN, "--speed", "3", "--out", "x"), "Unrecognized options: --speed"),
        (TRAIN, "--out"),
        (
            (*TRAIN, "--out", "x", "--config.learning-rate", "-1"),
            "config field 'learning_rate' is -1.0; allowed: a number above 0",
        ),
        (("evaluate", "nowhere"), "cannot be read"),
        (("study",), "study needs a name first; allowed: objectworld"),
        (("study", "objectwolrd"), "study 'objectwolrd' is unknown (did you mean 'objectworld'?)"),
        (("study", "objectworld", "--out", "x", "--seeds", "1"), "seeds is 1; allowed"),
        (
            ("study", "objectworld", "--out", "x", "--only", "paths"),
            "only is paths; objectworld is run as a whole",
        ),
        (
            ("study", "dreamer", "--out", "x", "--only", "sweeps"),
            "part 'sweeps' is unknown (did you mean 'sweep'?); allowed: efficiency, exploitation",
        ),
        (("list", "everything"), "unexpected arguments: everything"),
    ],
)
def test_errors_are_one_line_and_exit_code_2(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call(*words) == 2
    assert message in error(capsys)
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_directory_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert call(*TRAIN, "--out", tmp_path / "file" / "x") == 2
    assert "cannot take" in error(capsys)


def test_debug_shows_the_traceback(tmp_path):
    with pytest.raises(ValueError, match="unknown"):
        call("train", "maxent", "--out", tmp_path, "--debug")


def test_list_names_everything(capsys):
    assert call("list") == 0
    shown = capsys.readouterr().out
    for entry in registry.algorithms().values():
        assert entry.name in shown
        assert all(name in shown for name in entry.problems)
    assert all(name in shown for name in registry.studies())


def test_help_and_version(capsys):
    assert call() == 0
    assert "rlsuite train ALGORITHM" in capsys.readouterr().out
    assert call("--version") == 0
    assert capsys.readouterr().out.strip()[0].isdigit()
    with pytest.raises(SystemExit) as stop:
        call("train", "maxent_irl", "--help")
    assert stop.value.code in (0, None)
    assert "--config.learning-rate" in capsys.readouterr().out


DEVICES = """
import sys
from rlsuite import cli
code = cli.main(["study", sys.argv[1], "--out", "nowhere", "--seeds", "1"])
import jax
print(code, len(jax.devices()))
"""


@pytest.mark.parametrize("study", ["bayes-optimal", "objectworld"])
def test_a_study_of_many_small_runs_sees_each_core(study):
    kept = {name: value for name, value in os.environ.items() if name != "JAX_NUM_CPU_DEVICES"}
    program = [sys.executable, "-c", DEVICES, study]
    done = subprocess.run(program, capture_output=True, text=True, env=kept, check=True)
    assert "seeds is 1" in done.stderr
    cores = len(os.sched_getaffinity(0)) if study == "bayes-optimal" else 1
    assert done.stdout.split() == ["2", str(cores)]
