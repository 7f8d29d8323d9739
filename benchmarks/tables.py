"""The tables that a reader sees, made from rows: one for each suite.

The same tables stand in the HTML report and, made narrower by `for_terminal`, in the terminal.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence

from benchmarks.formats import NONE, duration, interval, memory, quantity
from benchmarks.results import Row
from rlsuite.io.tables import Cell, Table, number

BASELINE = "baseline: "
"""How the metric of a row begins that holds a baseline's score."""

SPEED = "training speed"
"""The metric of the row that says how many steps a second were trained."""

DETAILS = ("seeds", "run", "memory", "bar", "our memory", "peer's memory")
"""Columns that stand in the report only, where there is room for them."""


@dataclasses.dataclass(frozen=True)
class SuiteTable(Table):
    """A table of a suite.

    Attributes:
        baselines: Columns that hold the scores of baselines; the terminal shows them as one.
    """

    baselines: Sequence[str] = ()


def tables(rows: Sequence[Row]) -> list[SuiteTable]:
    """Make the tables of every suite that has rows, in the order in which a newcomer reads them."""
    made = []
    for suite, make in TABLES.items():
        if chosen := [row for row in rows if row.suite == suite]:
            made.append(make(chosen))
    return made


def _groups(rows: Iterable[Row]) -> list[list[Row]]:
    """Split rows by algorithm, problem and device, in order of appearance."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.algorithm, row.problem, row.device), []).append(row)
    return list(groups.values())


def _find(group: Iterable[Row], metric: str) -> Row | None:
    return next((row for row in group if row.metric == metric), None)


def _notes(rows: Iterable[Row]) -> list[str]:
    """Collect the remarks of the rows, each once, with the problem they belong to."""
    return list(dict.fromkeys(f"{row.problem}: {row.note}" for row in rows if row.note))


def _value(row: Row) -> str:
    """Write a row's value, and on a line of its own its interval."""
    span = interval(row.ci_low, row.ci_high, row.unit)
    return quantity(row.value, row.unit) + (f"\n{span}" if span else "")


def _name(row: Row) -> list[Cell]:
    return [Cell(row.algorithm, "quiet"), Cell(row.problem)]


def _scores(rows: Sequence[Row], title: str, lead: str) -> SuiteTable:
    """Make a table with a line per problem: score, reference, baselines, speed and times."""
    baselines = sorted(
        {row.metric for row in rows if row.metric.startswith(BASELINE)},
        key=lambda name: (name != BASELINE + "random", name != BASELINE + "optimal", name),
    )
    lines = []
    for group in _groups(rows):
        speed = _find(group, SPEED)
        found = {name: row.value for name in baselines if (row := _find(group, name))}
        for row in group:
            if row.metric in (SPEED, *baselines):
                continue
            lines.append(
                [
                    *_name(row),
                    Cell(row.metric),
                    _score(row, found),
                    Cell(number(row.reference)),
                    *(Cell(number(found.get(name)), "quiet") for name in baselines),
                    Cell(number(row.seeds), "quiet"),
                    Cell(number(speed.value) if speed else NONE),
                    Cell(duration(row.compile_s), "quiet"),
                    Cell(duration(row.wall_s), "quiet"),
                    Cell(memory(row.peak_bytes), "quiet"),
                ]
            )
    names = [name.removeprefix(BASELINE) for name in baselines]
    columns = ["algorithm", "problem", "metric", "score", "reference", *names]
    columns += ["seeds", "steps/s", "compile", "run", "memory"]
    return SuiteTable(title, lead, columns, lines, 3, _notes(rows), names)


def _score(row: Row, baselines: dict[str, float | None]) -> Cell:
    """Make the cell of a score; its share is how far it is from the random to the best baseline."""
    low, high = (baselines.get(BASELINE + name) for name in ("random", "optimal"))
    if row.value is None:
        return Cell("failed", "bad")
    share = None
    if low is not None and high is not None and low != high:
        share = min(max((row.value - low) / (high - low), 0.0), 1.0)
    return Cell(_value(row), share=share)


def quick_table(rows: Sequence[Row]) -> SuiteTable:
    """Make the table of the suite ``quick``."""
    return _scores(
        rows,
        "Quick run",
        "Every algorithm, trained for real on a small problem. Read the score against the two "
        "baselines beside it: what random behaviour reaches, and the best that can be reached. The "
        "bar behind a score says how far it is from the one to the other. Compilation happens once "
        "and is timed apart from the run.",
    )


def scores_table(rows: Sequence[Row]) -> SuiteTable:
    """Make the table of the suite ``scores``."""
    return _scores(
        rows,
        "Scores",
        "Full problems over several seeds. A score is the interquartile mean over the seeds (the "
        "mean without the best and the worst quarter); in brackets its 95 % bootstrap interval. "
        "The reference is a published number where there is one, else a known optimum.",
    )


def speed_table(rows: Sequence[Row]) -> SuiteTable:
    """Make the table of the suite ``speed``."""
    lines = [
        [
            *_name(row),
            Cell(row.metric),
            _limited(row),
            Cell(quantity(row.reference, row.unit)),
            Cell(duration(row.compile_s), "quiet"),
            Cell(memory(row.peak_bytes), "quiet"),
        ]
        for row in rows
    ]
    return SuiteTable(
        "Speed, memory and scaling",
        "How long one call takes once it is compiled (median and 95 % interval), how long "
        "compiling takes, and how much memory the compiled program needs. The limit is one that we "
        "set ourselves.",
        ["algorithm", "problem", "metric", "value", "limit", "compile", "memory"],
        lines,
        3,
        notes=_notes(rows),
    )


def _limited(row: Row) -> Cell:
    """Make the cell of a measurement that may have an upper limit."""
    if row.value is None:
        return Cell("failed", "bad")
    if row.reference is None:
        return Cell(_value(row))
    return Cell(_value(row), "good" if row.value <= row.reference else "bad")


def peers_table(rows: Sequence[Row]) -> SuiteTable:
    """Make the table of the suite ``peers``."""
    lines = []
    for group in _groups(rows):
        ratio, difference, ours, theirs = (
            _find(group, metric)
            for metric in ("speed-up", "largest difference", "our time", "peer's time")
        )
        if ratio is None:
            continue
        lines.append(
            [
                *_name(ratio),
                _speed_up(ratio),
                Cell(quantity(ratio.reference, "x"), "quiet"),
                *(Cell(quantity(side.value, "s") if side else NONE) for side in (ours, theirs)),
                *(Cell(memory(side.peak_bytes) if side else NONE) for side in (ours, theirs)),
                Cell(number(difference.value if difference else None), "quiet"),
            ]
        )
    return SuiteTable(
        "Against other libraries",
        "The same computation by us and by another library, in turn on the same machine (median of "
        "interleaved runs, 95 % interval). A speed-up counts only if both results agree; the last "
        "column is the largest difference between any two numbers of them. Memory is what a side "
        "needs beyond its imports.",
        (
            *("algorithm", "problem", "speed-up", "bar", "our time", "peer's time"),
            *("our memory", "peer's memory", "difference"),
        ),
        lines,
        2,
        _notes(row for row in rows if row.metric == "speed-up"),
    )


def _speed_up(row: Row) -> Cell:
    if row.value is None:
        return Cell("none, see below", "bad")
    return Cell(_value(row), "good" if row.value >= (row.reference or 0.0) else "bad")


TABLES: dict[str, Callable[[Sequence[Row]], SuiteTable]] = {
    "quick": quick_table,
    "scores": scores_table,
    "peers": peers_table,
    "speed": speed_table,
}


def for_terminal(table: SuiteTable) -> Table:
    """Make a table narrow: words, and baselines, share a column; intervals break; details go."""
    columns = list(table.columns)
    numbers = [
        index
        for index, column in enumerate(columns)
        if index >= table.words and column not in (*DETAILS, *table.baselines)
    ]
    baselines = [columns.index(name) for name in table.baselines]
    rows = []
    for row in table.rows:
        words = Cell("\n".join(cell.text for cell in row[: table.words]))
        values = [
            dataclasses.replace(row[index], text=row[index].text.replace(", ", ",\n"))
            for index in numbers
        ]
        known = "\n".join(f"{columns[index]} {row[index].text}" for index in baselines)
        rows.append([words, *values, *([Cell(known, "quiet")] if baselines else [])])
    shown = ["measured", *(columns[index] for index in numbers)]
    return Table(
        table.title,
        table.lead,
        [*shown, *(["baselines"] if baselines else [])],
        rows,
        notes=table.notes,
    )
