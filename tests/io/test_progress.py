"""Progress: bars in a terminal, lines elsewhere."""

import io

import numpy as np

from rlsuite.io import progress
from rlsuite.io.progress import Progress, steps_of


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_lines_come_now_and_then_where_there_is_no_terminal(monkeypatch, capsys):
    clock = iter([0.0, 5.0, 20.0, 20.0, 25.0, 40.0, 40.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with Progress("irl", range(40)) as bar:
        for step in (10, 20, 30, 40):
            bar.update(step, {"loss": np.asarray([1.0, 2.0])})
    assert capsys.readouterr().err == ("irl: 20/40, loss 1.5 [1, 2]\nirl: 40/40, loss 1.5 [1, 2]\n")


def test_a_terminal_shows_steps_and_metrics(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(progress.sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with Progress("irl", range(5, 40)) as bar:
        bar.update(40, {"loss": np.asarray(0.25)})
    shown = terminal.getvalue()
    assert "irl" in shown
    assert "40/40" in shown
    assert "loss 0.25" in shown


def test_silence_when_disabled(monkeypatch, capsys):
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.0)
    assert list(steps_of("study", [1, 2, 3], enabled=False)) == [1, 2, 3]
    assert capsys.readouterr().err == ""


def test_steps_of_counts_items(monkeypatch, capsys):
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", -1.0)
    assert list(steps_of("study", ["a", "b"])) == ["a", "b"]
    assert capsys.readouterr().err == "study: 1/2\nstudy: 2/2\n"
