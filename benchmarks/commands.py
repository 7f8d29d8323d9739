"""The commands: which rows each suite yields, where they are kept, and how they are shown."""

import dataclasses
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Protocol

import tyro
from rich.console import Console

from benchmarks import report as html_report
from benchmarks import results
from benchmarks.results import Row
from benchmarks.tables import TABLES, for_terminal, tables
from rlsuite import registry
from rlsuite.io.tables import table, to_rich
from rlsuite.io.terminal import guarded, parse

PROGRAM = "python -m benchmarks"
DEFAULT_OUT = Path("results")

_USAGE = f"""usage: {PROGRAM} COMMAND [ALGORITHM …] [--out DIR]

  list     what there is to measure
  quick    every algorithm, trained for real on a small problem; begin here
  scores   the full problems over several seeds
  speed    training speed, compile time, memory, and how they scale
  peers    the same computation by other libraries, which are installed for it
  report   tables and report.html again, from earlier results

Every command takes --help, and --debug, which shows the traceback of an error."""

Progress = Callable[[str], None]
Names = Annotated[tuple[str, ...], tyro.conf.Positional]


class Command(Protocol):
    """What can be run."""

    def run(self) -> int:
        """Run it and return the exit code."""


@dataclasses.dataclass(frozen=True)
class List:
    """List the problems, and what each suite measures beyond them.

    Attributes:
        algorithms: Names of algorithms; all of them by default.
    """

    algorithms: Names = ()

    def run(self) -> int:
        """Print the lists."""
        from benchmarks import extras, peers, quick
        from benchmarks.selection import entries

        chosen = entries(self.algorithms)
        rows = []
        for entry in chosen.values():
            in_quick = quick.problems(entry)
            for name, problem in entry.problems.items():
                mark = "yes" if name in in_quick else ""
                rows.append([entry.name, name, problem.score, mark, problem.summary])
        columns = ["algorithm", "problem", "score", "quick", "summary"]
        console = Console()
        console.print(to_rich(table("Problems", "", columns, rows, words=5)))
        for title, found in ("Extras", extras.titles(chosen)), ("Peers", peers.titles(chosen)):
            console.print(to_rich(table(title, "", ["title"], [[name] for name in found])))
        return 0


@dataclasses.dataclass(frozen=True)
class Quick:
    """Train every algorithm for real on a small problem; make figures and an HTML report.

    Attributes:
        algorithms: Names of algorithms; all of them by default.
        out: Folder for results.jsonl, the figures and report.html.
    """

    algorithms: Names = ()
    out: Path = DEFAULT_OUT

    def run(self) -> int:
        """Run the suite."""
        from benchmarks import quick

        return _measure("quick", self.out, lambda p: quick.rows(self.algorithms, self.out, p))


@dataclasses.dataclass(frozen=True)
class Scores:
    """Train on the full problems with several seeds, and run each algorithm's score studies.

    Attributes:
        algorithms: Names of algorithms; all of them by default.
        problems: Names of problems; by default all of them, and the studies.
        seeds: How many seeds.
        out: Folder for results.jsonl and report.html.
    """

    algorithms: Names = ()
    problems: tuple[str, ...] = ()
    seeds: int = 10
    out: Path = DEFAULT_OUT

    def run(self) -> int:
        """Run the suite."""
        from benchmarks import scores

        if self.seeds < 1:
            raise ValueError(f"seeds is {self.seeds}; it must be at least 1")
        return _measure(
            "scores",
            self.out,
            lambda p: scores.rows(self.algorithms, self.problems, self.seeds, p),
        )


@dataclasses.dataclass(frozen=True)
class Speed:
    """Measure steps per second, compile time, memory, and how they scale.

    Attributes:
        algorithms: Names of algorithms; all of them by default.
        out: Folder for results.jsonl and report.html.
    """

    algorithms: Names = ()
    out: Path = DEFAULT_OUT

    def run(self) -> int:
        """Run the suite."""
        from benchmarks import speed

        return _measure("speed", self.out, lambda p: speed.rows(self.algorithms, p))


@dataclasses.dataclass(frozen=True)
class Peers:
    """Compare with other libraries, each in a virtual environment of its own, made on first use.

    Attributes:
        algorithms: Names of algorithms; all of them by default.
        repetitions: Counted turns of each side, at least 7.
        out: Folder for results.jsonl and report.html.
    """

    algorithms: Names = ()
    repetitions: int = 9
    out: Path = DEFAULT_OUT

    def run(self) -> int:
        """Run the suite."""
        from benchmarks import peers

        if self.repetitions < 7:
            raise ValueError(f"repetitions is {self.repetitions}; it must be at least 7")
        return _measure(
            "peers", self.out, lambda p: peers.rows(self.algorithms, self.repetitions, p)
        )


@dataclasses.dataclass(frozen=True)
class Report:
    """Make the tables and the HTML report again from earlier results.

    Attributes:
        path: A results.jsonl, or the folder that holds one.
    """

    path: Annotated[Path, tyro.conf.Positional] = DEFAULT_OUT

    def run(self) -> int:
        """Show the tables and write the report."""
        file = results.results_file(self.path)
        rows = results.read(file)
        for made in tables(results.latest(rows)):
            Console().print(to_rich(for_terminal(made)))
        _announce(html_report.write(file.parent, rows))
        return 0


def _measure(suite: str, out: Path, measure: Callable[[Progress], Iterator[Row]]) -> int:
    """Keep a suite's rows as they come, show them, and write the report; return the exit code."""
    file = results.prepare(out)
    rows = []
    with Console(stderr=True).status(f"{suite}: starting") as status:
        for row in measure(lambda words: status.update(f"{suite}: {words}")):
            results.append(file, [row])
            rows.append(row)
    if not rows:
        print(f"{suite}: there is nothing to measure for these algorithms")
        return 0
    Console().print(to_rich(for_terminal(TABLES[suite](rows))))
    _announce(html_report.write(out, results.read(file)))
    return int(any(row.failed for row in rows))


def _announce(path: Path) -> None:
    Console().print(f"Report: {path.resolve()}", highlight=False, soft_wrap=True)


COMMANDS: Mapping[str, type[Command]] = {
    "list": List,
    "quick": Quick,
    "scores": Scores,
    "speed": Speed,
    "peers": Peers,
    "report": Report,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: The arguments; those of the process by default.

    Returns:
        The exit code: 0, 1 if a measurement failed, 2 for wrong input, 130 after Ctrl-C.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    if not words or words[0] in ("-h", "--help"):
        print(_USAGE)
        return 0

    def body() -> int:
        command = registry.find("command", words[0], COMMANDS)
        return parse(command, words[1:], prog=f"{PROGRAM} {words[0]}").run()

    return guarded("benchmarks", body, debug=debug)
