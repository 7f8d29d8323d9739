"""The report: one HTML file that needs nothing else, made from rows and saved figures."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.charts import charts
from benchmarks.results import Row, latest
from benchmarks.tables import TABLES
from rlsuite.io import reports

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES = "figures"


def save_figure(folder: Path, row: Row, figure: "Figure") -> Path:
    """Save an algorithm's figure beside the results, where the report finds it again."""
    picture = reports.picture(_figure_name(row), figure, "")
    path = folder / FIGURES / f"{picture.name}.{picture.kind}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return reports.write(path, picture.data)


def _figure_name(row: Row) -> str:
    return reports.slug(f"{row.suite} {row.algorithm} {row.problem}")


def write(folder: Path, rows: Sequence[Row]) -> Path:
    """Write the report of ``rows``, with the figures saved in ``folder``, and return its path.

    Args:
        folder: Where it is written; the figures of earlier runs are looked for there.
        rows: All rows; of several about the same the last counts.

    Returns:
        The path of the report.
    """
    page = reports.page(make(latest(rows), folder))
    return reports.write(folder / reports.FILE_NAME, page.encode())


def make(rows: Sequence[Row], folder: Path) -> reports.Report:
    """Make the report: a section for each suite that has rows."""
    sections = []
    for suite, make_table in TABLES.items():
        if chosen := [row for row in rows if row.suite == suite]:
            table = make_table(chosen)
            pictures = [*_saved(chosen, folder), *_drawn(suite, chosen)]
            sections.append(reports.Section(table.title, [table], pictures))
    algorithms = ", ".join(dict.fromkeys(row.algorithm for row in rows)) or "no algorithm"
    lead = (
        f"{len(rows)} measurements of {algorithms}. Each section begins with how to read it. Every "
        "number stands in results.jsonl beside this file, with what it was measured on."
    )
    return reports.Report("rlsuite benchmarks", lead, sections, _origin(rows))


def _saved(rows: Iterable[Row], folder: Path) -> Iterator[reports.Picture]:
    """Yield the saved figures that belong to the rows."""
    for name, row in {_figure_name(row): row for row in rows}.items():
        path = folder / FIGURES / f"{name}.png"
        if path.is_file():
            yield reports.Picture(name, path.read_bytes(), f"{row.algorithm} on {row.problem}")


def _drawn(suite: str, rows: Sequence[Row]) -> Iterator[reports.Picture]:
    """Yield the charts of the rows."""
    for number, chart in enumerate(charts(suite, rows)):
        yield reports.picture(f"{suite}-{number}", chart.figure, chart.caption)


def _origin(rows: Sequence[Row]) -> dict[str, str]:
    """Return what all this was measured on and with."""
    facts = {
        "device": (row.device for row in rows),
        "commit": (row.commit or "not in a checkout" for row in rows),
        "versions": (f"{name} {version}" for row in rows for name, version in row.versions.items()),
    }
    return {name: ", ".join(dict.fromkeys(values)) for name, values in facts.items()}
