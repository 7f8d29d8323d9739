"""The suite ``speed``: training speed over the number of seeds, and each algorithm's studies."""

from collections.abc import Callable, Iterable, Iterator

from benchmarks.extras import studies
from benchmarks.measure import train
from benchmarks.quick import problems
from benchmarks.results import Row, make_row
from benchmarks.selection import entries
from benchmarks.tables import SPEED
from rlsuite.registry import Entry, Problem

SUITE = "speed"
SEEDS = (1, 4, 16)
STEPS = 40
"""Enough to time a step; compilation is timed apart."""


def rows(algorithms: Iterable[str], progress: Callable[[str], None]) -> Iterator[Row]:
    """Measure the algorithms (all if none is named) and yield the rows."""
    chosen = entries(algorithms)
    for entry in chosen.values():
        for name, problem in problems(entry).items():
            for seeds in SEEDS:
                progress(f"{entry.name} on {name}, {seeds} seeds at once")
                yield _training_row(entry, name, problem, seeds)
    for study in studies(SUITE, chosen):
        progress(study.name)
        yield from study.rows(1)


def _training_row(entry: Entry, name: str, problem: Problem, seeds: int) -> Row:
    """Train ``seeds`` seeds in one program and return how many steps a second they took."""
    steps = min(STEPS, problem.num_steps)
    training = train(entry, problem, num_steps=steps, num_seeds=seeds)
    return make_row(
        suite=SUITE,
        algorithm=entry.name,
        problem=f"{name}@seeds={seeds}",
        metric=SPEED,
        value=training.steps_per_second,
        unit="steps/s",
        seeds=seeds,
        compile_s=training.result.compile_seconds,
        wall_s=training.result.seconds,
        peak_bytes=training.peak_bytes,
    )
