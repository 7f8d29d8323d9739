"""The commands: which rows each suite yields, where they are kept, and how they are shown."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table as RichTable

from benchmarks import report as html_report
from benchmarks import results
from benchmarks.results import Row
from benchmarks.tables import TABLES, tables, to_rich

Progress = Callable[[str], None]
Algorithms = Annotated[
    tuple[str, ...],
    tyro.conf.Positional,
    tyro.conf.arg(metavar="[ALGORITHM …]", help="Names of algorithms; all of them by default."),
]
Out = Annotated[Path, tyro.conf.arg(help="Folder for results.jsonl, the figures and report.html.")]

_out = Console()
_progress = Console(stderr=True)


def list_problems(algorithms: Algorithms = ()) -> int:
    """List the algorithms, their problems, and which suites know more about them."""
    from benchmarks import extras, peers, quick
    from benchmarks.selection import entries

    table = RichTable(title="Problems", title_justify="left", title_style="bold")
    for column in ("algorithm", "problem", "score", "in quick", "summary"):
        table.add_column(column, overflow="fold")
    chosen = entries(algorithms)
    for entry in chosen.values():
        for name, problem in entry.problems.items():
            in_quick = "yes" if name in quick.problems(entry) else ""
            table.add_row(entry.name, name, problem.score, in_quick, problem.summary)
    _out.print(table)
    for title, found in ("Studies", extras.titles(chosen)), ("Peers", peers.titles(chosen)):
        _out.print(f"[bold]{title}[/bold]")
        for name in found:
            _out.print(f"  {name}", highlight=False)
    return 0


def run_quick(algorithms: Algorithms = (), out: Out = Path("results")) -> int:
    """Train every algorithm for real on a small problem; make figures and an HTML report."""
    from benchmarks import quick

    return _measure("quick", out, lambda progress: quick.rows(algorithms, out, progress))


def run_scores(algorithms: Algorithms = (), seeds: int = 10, out: Out = Path("results")) -> int:
    """Train on the full problems with several seeds.

    Args:
        algorithms: Names of algorithms; all of them by default.
        seeds: Seeds per problem.
        out: Folder for results.jsonl, the figures and report.html.
    """
    from benchmarks import scores

    _require_positive("seeds", seeds)
    return _measure("scores", out, lambda progress: scores.rows(algorithms, seeds, progress))


def run_speed(algorithms: Algorithms = (), out: Out = Path("results")) -> int:
    """Measure steps per second, compile time, memory, and how they scale."""
    from benchmarks import speed

    return _measure("speed", out, lambda progress: speed.rows(algorithms, progress))


def run_peers(algorithms: Algorithms = (), repetitions: int = 9, out: Out = Path("results")) -> int:
    """Compare with other libraries, each in a virtual environment of its own, made on first use.

    Args:
        algorithms: Names of algorithms; all of them by default.
        repetitions: Counted turns of each side, at least 7.
        out: Folder for results.jsonl and report.html.
    """
    from benchmarks import peers

    if repetitions < 7:
        raise ValueError(f"repetitions is {repetitions}; at least 7 are needed for an interval")
    return _measure("peers", out, lambda progress: peers.rows(algorithms, repetitions, progress))


def make_report(path: Annotated[Path, tyro.conf.Positional] = Path("results")) -> int:
    """Make the tables and the HTML report again from earlier results.

    Args:
        path: A results.jsonl, or the folder that holds one.
    """
    file = results.results_file(path)
    rows = results.read(file)
    for table in tables(results.latest(rows)):
        _out.print(to_rich(table))
    _announce(html_report.write(file.parent, rows))
    return 0


def _require_positive(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} is {value}; it must be at least 1")


def _measure(suite: str, out: Path, measure: Callable[[Progress], Iterator[Row]]) -> int:
    """Keep a suite's rows as they come, show them, and write the report; return the exit code."""
    file = results.prepare(out)
    rows = []
    with _progress.status(f"{suite}: starting") as status:
        for row in measure(lambda words: status.update(f"{suite}: {words}")):
            results.append(file, [row])
            rows.append(row)
    if not rows:
        _out.print(f"{suite}: there is nothing to measure for these algorithms")
        return 0
    _out.print(to_rich(TABLES[suite](rows)))
    _announce(html_report.write(out, results.read(file)))
    return int(any(row.failed for row in rows))


def _announce(path: Path) -> None:
    _out.print(f"Report: {path.resolve()}", highlight=False, soft_wrap=True)


COMMANDS: Mapping[str, Callable[..., int]] = {
    "list": list_problems,
    "quick": run_quick,
    "scores": run_scores,
    "speed": run_speed,
    "peers": run_peers,
    "report": make_report,
}


def main(arguments: Iterable[str] | None = None) -> int:
    """Run a command and return its exit code: 0, 1 if a measurement failed, 2 for wrong input."""
    try:
        return tyro.extras.subcommand_cli_from_dict(
            dict(COMMANDS),
            prog="python -m benchmarks",
            description="Benchmarks of rlsuite: scores, speed, memory, and other libraries.",
            args=None if arguments is None else list(arguments),
        )
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the rows measured so far are kept", file=sys.stderr)
        return 130
