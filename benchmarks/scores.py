"""The suite ``scores``: the full problems over several seeds, and each algorithm's own studies."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from benchmarks import statistics
from benchmarks.extras import studies
from benchmarks.measure import train
from benchmarks.quick import baseline_rows, describe
from benchmarks.results import Row, make_row
from benchmarks.selection import entries
from benchmarks.tables import SPEED
from rlsuite import registry
from rlsuite.registry import Entry, Problem

SUITE = "scores"


def rows(
    algorithms: Iterable[str],
    problems: Sequence[str],
    seeds: int,
    progress: Callable[[str], None],
) -> Iterator[Row]:
    """Train the algorithms (all if none is named), run their studies, and yield the rows.

    Args:
        algorithms: Names of algorithms.
        problems: Names of problems; without any, all of them and the studies.
        seeds: How many seeds.
        progress: Called with what is being done.

    Raises:
        ValueError: No algorithm has a problem of that name.
    """
    chosen = entries(algorithms)
    known = {name: problem for entry in chosen.values() for name, problem in entry.problems.items()}
    for name in problems:
        registry.find("problem", name, known)
    for entry in chosen.values():
        for name, problem in entry.problems.items():
            if not problems or name in problems:
                progress(f"{entry.name} on {name}, {seeds} seeds")
                yield from _problem_rows(entry, name, problem, seeds)
    if not problems:
        for study in studies(SUITE, chosen):
            progress(study.name)
            yield from study.rows(seeds)


def _problem_rows(entry: Entry, name: str, problem: Problem, seeds: int) -> Iterator[Row]:
    """Train all seeds at once; what goes wrong becomes a row, so that the others still run."""
    identity = {"suite": SUITE, "algorithm": entry.name, "problem": name}
    try:
        training = train(entry, problem, num_seeds=seeds)
        # A problem is a stratum, whose seeds are resampled.
        estimate = statistics.iqm(list(training.scores.reshape(-1, seeds)))
        baselines = problem.baselines(training.problem)
    except Exception as error:
        note = f"failed: {type(error).__name__}: {error}"
        yield make_row(**identity, metric=problem.score, value=None, seeds=seeds, note=note)
        return
    yield make_row(
        **identity,
        metric=problem.score,
        value=estimate.value,
        ci_low=estimate.low,
        ci_high=estimate.high,
        reference=problem.reference,
        seeds=seeds,
        compile_s=training.result.compile_seconds,
        wall_s=training.result.seconds,
        peak_bytes=training.peak_bytes,
        note=describe(problem),
    )
    yield from baseline_rows(identity, baselines)
    yield make_row(
        **identity, metric=SPEED, value=training.steps_per_second, unit="steps/s", seeds=seeds
    )
