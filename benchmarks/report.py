"""The report: one HTML file that needs nothing else, made from rows and saved figures."""

import base64
import html
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.charts import charts
from benchmarks.results import Row, latest
from benchmarks.tables import TABLES, Cell, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FILE_NAME = "report.html"
FIGURES = "figures"


class Picture(NamedTuple):
    """A picture as PNG, and what it shows."""

    png: bytes
    caption: str


def save_figure(folder: Path, row: Row, figure: "Figure") -> Path:
    """Save an algorithm's figure beside the results, where the report finds it again."""
    path = folder / FIGURES / _figure_name(row)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(to_png(figure))
    return path


def _figure_name(row: Row) -> str:
    words = f"{row.suite} {row.algorithm} {row.problem}"
    return "".join(c if c.isalnum() else "-" for c in words) + ".png"


def to_png(figure: "Figure") -> bytes:
    """Return a matplotlib figure as a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()


def write(folder: Path, rows: Sequence[Row]) -> Path:
    """Write the report of ``rows``, with the figures saved in ``folder``, and return its path.

    Args:
        folder: Where it is written; the figures of earlier runs are looked for there.
        rows: All rows; of several about the same the last counts.

    Returns:
        The path of the report.
    """
    path = folder / FILE_NAME
    part = path.with_suffix(".part")
    part.write_text(page(latest(rows), folder), encoding="utf-8")
    part.replace(path)
    return path


def page(rows: Sequence[Row], folder: Path) -> str:
    """Return the report as HTML."""
    sections, links = [], []
    for suite, make_table in TABLES.items():
        chosen = [row for row in rows if row.suite == suite]
        if not chosen:
            continue
        table = make_table(chosen)
        links.append(f'<a href="#{suite}">{html.escape(table.title)}</a>')
        pictures = [*_saved(chosen, folder), *_drawn(suite, chosen)]
        sections.append(_section(suite, table, pictures))
    links.append('<a href="#origin">Where this was measured</a>')
    style = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    algorithms = ", ".join(dict.fromkeys(row.algorithm for row in rows)) or "no algorithm"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>rlsuite benchmarks</title><style>{style}</style></head><body><main>"
        "<h1>rlsuite benchmarks</h1>"
        f'<p class="lead">{len(rows)} measurements of {html.escape(algorithms)}. Each section '
        "begins with how to read it; every number stands in <code>results.jsonl</code> beside this "
        "file, together with what it was measured on.</p>"
        f"<nav>{''.join(links)}</nav>{''.join(sections)}{_origin(rows)}</main></body></html>\n"
    )


def _saved(rows: Iterable[Row], folder: Path) -> Iterator[Picture]:
    """Yield the saved figures that belong to the rows."""
    for name, row in {_figure_name(row): row for row in rows}.items():
        path = folder / FIGURES / name
        if path.is_file():
            yield Picture(path.read_bytes(), f"{row.algorithm} on {row.problem}")


def _drawn(suite: str, rows: Sequence[Row]) -> Iterator[Picture]:
    """Yield the charts of the rows."""
    for chart in charts(suite, rows):
        yield Picture(to_png(chart.figure), chart.caption)


def _section(suite: str, table: Table, pictures: Sequence[Picture]) -> str:
    figures = "".join(map(_figure, pictures))
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in table.notes)
    return (
        f'<section id="{suite}"><h2>{html.escape(table.title)}</h2>'
        f'<p class="lead">{html.escape(table.lead)}</p>{_table(table)}'
        + (f'<ul class="notes">{notes}</ul>' if notes else "")
        + (f'<div class="figures">{figures}</div>' if figures else "")
        + "</section>"
    )


def _figure(picture: Picture) -> str:
    data = base64.b64encode(picture.png).decode()
    caption = html.escape(picture.caption)
    return (
        f'<figure><img alt="{caption}" src="data:image/png;base64,{data}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _table(table: Table) -> str:
    kinds = ["word" if index < table.words else "" for index in range(len(table.columns))]
    head = "".join(
        f'<th class="{kind}">{html.escape(column)}</th>'
        for kind, column in zip(kinds, table.columns, strict=True)
    )
    body = "".join("<tr>" + "".join(map(_cell, row, kinds)) + "</tr>" for row in table.rows)
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cell(cell: Cell, kind: str) -> str:
    text = html.escape(cell.text)
    if cell.detail:
        text += f'<span class="detail">{html.escape(cell.detail)}</span>'
    if cell.share is not None:
        text += f'<span class="track"><span style="width:{cell.share:.1%}"></span></span>'
        kind += " share"
    return f'<td class="{kind} {cell.mood}">{text}</td>'


def _origin(rows: Sequence[Row]) -> str:
    """Return the section that says on what all this was measured."""
    facts = {
        "device": dict.fromkeys(row.device for row in rows),
        "commit": dict.fromkeys(row.commit or "not in a checkout" for row in rows),
        "versions": dict.fromkeys(
            f"{name} {version}" for row in rows for name, version in row.versions.items()
        ),
    }
    entries = "".join(
        f"<dt>{name}</dt><dd>{html.escape(', '.join(values))}</dd>"
        for name, values in facts.items()
    )
    return f'<section id="origin"><h2>Where this was measured</h2><dl>{entries}</dl></section>'
