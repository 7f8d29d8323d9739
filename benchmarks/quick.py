"""The suite ``quick``: every registered algorithm, for real, on a small problem.

It is what a newcomer runs first. Every algorithm's share, compilation included, is meant to stay
below 45 seconds on two cores.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from benchmarks import report
from benchmarks.measure import train
from benchmarks.results import Row, make_row
from benchmarks.selection import entries
from benchmarks.tables import BASELINE, SPEED
from rlsuite.registry import Entry, Problem

SUITE = "quick"


def problems(entry: Entry) -> dict[str, Problem]:
    """Return the problems of an algorithm that run here: those marked as quick, or its first."""
    marked = {name: problem for name, problem in entry.problems.items() if problem.quick}
    return marked or dict([next(iter(entry.problems.items()))])


def rows(algorithms: Iterable[str], out: Path, progress: Callable[[str], None]) -> Iterator[Row]:
    """Train the algorithms (all if none is named), save a figure of each, and yield their rows."""
    for entry in entries(algorithms).values():
        for name, problem in problems(entry).items():
            progress(f"{entry.name} on {name}")
            yield from _problem_rows(entry, name, problem, out)


def _problem_rows(entry: Entry, name: str, problem: Problem, out: Path) -> Iterator[Row]:
    """Train on one problem; what goes wrong becomes a row, so that the others still run."""
    identity = {"suite": SUITE, "algorithm": entry.name, "problem": name}
    try:
        training = train(entry, problem, num_steps=problem.quick_steps)
        baselines = problem.baselines(training.problem)
        figure = None
        if problem.draw is not None:
            figure = problem.draw(training.problem, problem.config, training.result.state)
    except Exception as error:
        note = f"failed: {type(error).__name__}: {error}"
        yield make_row(**identity, metric=problem.score, value=None, note=note)
        return
    yield (
        score := make_row(
            **identity,
            metric=problem.score,
            value=float(training.scores.mean()),
            reference=problem.reference,
            seeds=1,
            compile_s=training.result.compile_seconds,
            wall_s=training.result.seconds,
            peak_bytes=training.peak_bytes,
            note=describe(problem),
        )
    )
    yield from baseline_rows(identity, baselines)
    yield make_row(
        **identity, metric=SPEED, value=training.steps_per_second, unit="steps/s", seeds=1
    )
    if figure is not None:
        report.save_figure(out, score, figure)


def describe(problem: Problem) -> str:
    """Return what a reader needs to know about a score."""
    sense = "higher is better" if problem.higher_is_better else "lower is better"
    summary = problem.summary.rstrip(".")
    source = f"; reference: {problem.reference_source.rstrip('.')}" if problem.reference else ""
    return f"{summary} ({problem.score}: {sense}{source})."


def baseline_rows(identity: Mapping[str, str], baselines: Mapping[str, float]) -> Iterator[Row]:
    """Yield a row for each baseline's score."""
    for name, value in baselines.items():
        yield make_row(**identity, metric=BASELINE + name, value=float(value))
