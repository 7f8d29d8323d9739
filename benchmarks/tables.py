"""The tables that a reader sees, made from rows; `to_rich` shows one in the terminal.

The same tables stand in the HTML report (`benchmarks.report`), so both always agree.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table as RichTable
from rich.text import Text

from benchmarks.formats import NONE, duration, interval, memory, number, quantity
from benchmarks.results import Row

BASELINE = "baseline: "
"""How the metric of a row begins that holds a baseline's score."""

SPEED = "training speed"
"""The metric of the row that says how many steps a second were trained."""


@dataclasses.dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: What it says.
        mood: ``"good"``, ``"bad"``, ``"quiet"`` or nothing.
        detail: A second, smaller line, an interval for example.
        share: A number between 0 and 1 that the report draws as a bar below the text.
    """

    text: str
    mood: str = ""
    detail: str = ""
    share: float | None = None


@dataclasses.dataclass(frozen=True)
class Table:
    """A table, and the sentences that tell a newcomer how to read it.

    Attributes:
        title: Its heading.
        lead: How to read it.
        columns: The columns' names; the first ``words`` of them hold words, the others numbers.
        rows: The cells.
        words: How many leading columns hold words.
        details: Columns that stand in the report only, where there is room for them.
        notes: Remarks below the table.
    """

    title: str
    lead: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    words: int
    details: Sequence[str] = ()
    notes: Sequence[str] = ()


def tables(rows: Sequence[Row]) -> list[Table]:
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


def _name(row: Row) -> list[Cell]:
    return [Cell(row.algorithm, "quiet"), Cell(row.problem)]


def _scores(rows: Sequence[Row], title: str, lead: str) -> Table:
    """Make a table with a line per problem: score, reference, baselines, speed and times."""
    baselines = list(dict.fromkeys(row.metric for row in rows if row.metric.startswith(BASELINE)))
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
    columns = ["algorithm", "problem", "metric", "score", "reference"]
    columns += [name.removeprefix(BASELINE) for name in baselines]
    columns += ["seeds", "steps/s", "compile", "run", "memory"]
    return Table(title, lead, columns, lines, 3, ("seeds", "run", "memory"), _notes(rows))


def _score(row: Row, baselines: dict[str, float | None]) -> Cell:
    """Make the cell of a score; its share is how far it is from the random to the best baseline."""
    text, detail = quantity(row.value, row.unit), interval(row.ci_low, row.ci_high, row.unit)
    low, high = (baselines.get(BASELINE + name) for name in ("random", "optimal"))
    if row.value is None:
        return Cell("failed", "bad")
    share = None
    if low is not None and high is not None and low != high:
        share = min(max((row.value - low) / (high - low), 0.0), 1.0)
    return Cell(text, detail=detail, share=share)


def quick_table(rows: Sequence[Row]) -> Table:
    """Make the table of the suite ``quick``."""
    return _scores(
        rows,
        "Quick run",
        "Every algorithm, trained for real on a small problem. Read the score against the two "
        "baselines beside it: what random behaviour reaches, and the best that can be reached. The "
        "bar behind a score says how far it is from the one to the other. Compilation happens once "
        "and is timed apart from the run.",
    )


def scores_table(rows: Sequence[Row]) -> Table:
    """Make the table of the suite ``scores``."""
    return _scores(
        rows,
        "Scores",
        "Full problems over several seeds. A score is the interquartile mean over the seeds (the "
        "mean without the best and the worst quarter); in brackets its 95 % bootstrap interval. "
        "The reference is a published number where there is one, else a known optimum.",
    )


def speed_table(rows: Sequence[Row]) -> Table:
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
    return Table(
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
    text, detail = quantity(row.value, row.unit), interval(row.ci_low, row.ci_high, row.unit)
    if row.value is None:
        return Cell("failed", "bad")
    if row.reference is None:
        return Cell(text, detail=detail)
    return Cell(text, "good" if row.value <= row.reference else "bad", detail)


def peers_table(rows: Sequence[Row]) -> Table:
    """Make the table of the suite ``peers``."""
    lines, notes = [], []
    for group in _groups(rows):
        ratio, difference, ours, theirs = (
            _find(group, metric)
            for metric in ("speed-up", "largest difference", "our time", "peer's time")
        )
        if ratio is None:
            continue
        if ratio.value is None:
            notes.append(f"{ratio.problem}: {ratio.note}")
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
    return Table(
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
        ("our memory", "peer's memory", "bar"),
        notes,
    )


def _speed_up(row: Row) -> Cell:
    if row.value is None:
        return Cell("none, see below", "bad")
    mood = "good" if row.value >= (row.reference or 0.0) else "bad"
    detail = interval(row.ci_low, row.ci_high, row.unit)
    return Cell(quantity(row.value, row.unit), mood, detail)


TABLES: dict[str, Callable[[Sequence[Row]], Table]] = {
    "quick": quick_table,
    "scores": scores_table,
    "peers": peers_table,
    "speed": speed_table,
}

_STYLES = {"good": "green", "bad": "red", "quiet": "dim"}


def to_rich(table: Table) -> Group:
    """Return the table for `rich` to print, narrow enough for a terminal.

    The columns of words become one, and the columns of `Table.details` are left out.
    """
    rich = RichTable(box=SIMPLE_HEAD, title=table.title, title_justify="left", title_style="bold")
    rich.add_column("measured", overflow="fold")
    shown = [
        index
        for index, column in enumerate(table.columns)
        if index >= table.words and column not in table.details
    ]
    for index in shown:
        rich.add_column(table.columns[index], justify="right")
    for row in table.rows:
        words = Text("\n").join(map(_to_text, row[: table.words]))
        rich.add_row(words, *(_to_text(row[index]) for index in shown))
    notes = [Text(f"· {note}", style="dim") for note in table.notes]
    return Group(rich, *notes)


def _to_text(cell: Cell) -> Text:
    text = Text(cell.text, style=_STYLES.get(cell.mood, ""))
    if cell.detail:
        text.append(f"\n{cell.detail}", style="dim")
    return text
