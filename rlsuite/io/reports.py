"""Reports: tables and figures as files, and as one HTML page that needs nothing else."""

import base64
import dataclasses
import html
import io
import json
import os
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from rlsuite.io.tables import Table, to_html, to_json, to_markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FILE_NAME = "report.html"


class Picture(NamedTuple):
    """A picture, and what it shows.

    Attributes:
        name: Its file's name, without an ending.
        data: A PNG, or a GIF.
        caption: What it shows.
    """

    name: str
    data: bytes
    caption: str

    @property
    def kind(self) -> str:
        """``png`` or ``gif``."""
        return "gif" if self.data.startswith(b"GIF8") else "png"


def picture(name: str, figure: "Figure", caption: str) -> Picture:
    """Draw a matplotlib figure.

    Args:
        name: The name of its file.
        figure: The figure.
        caption: What it shows.

    Returns:
        The picture, a PNG.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return Picture(name, buffer.getvalue(), caption)


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of a report: tables, then pictures, below a heading of its own.

    Attributes:
        title: Its heading.
        tables: Its tables.
        pictures: Its pictures.
    """

    title: str
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()


@dataclasses.dataclass(frozen=True)
class Report:
    """A report.

    Attributes:
        title: Its heading.
        lead: What it is about.
        sections: Its parts.
        origin: What it was made on and with, by name.
    """

    title: str
    lead: str
    sections: Sequence[Section]
    origin: Mapping[str, str] = dataclasses.field(default_factory=dict)


def slug(text: str) -> str:
    """A text as the name of a file or an anchor.

    Example:
        >>> slug("Deep against linear (32×32)")
        'deep-against-linear-32-32'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def save(directory: str | os.PathLike[str], report: Report) -> pathlib.Path:
    """Write tables as JSON and Markdown, pictures as files, and all of it as one HTML page.

    Args:
        directory: Where to; made if it does not exist.
        report: The report.

    Returns:
        The path of the page.
    """
    folder = pathlib.Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    for section in report.sections:
        for table in section.tables:
            name = slug(table.title)
            write(folder / f"{name}.json", json.dumps(to_json(table), indent=2).encode())
            write(folder / f"{name}.md", (to_markdown(table) + "\n").encode())
        for item in section.pictures:
            write(folder / f"{item.name}.{item.kind}", item.data)
    return write(folder / FILE_NAME, page(report).encode())


def write(path: pathlib.Path, data: bytes) -> pathlib.Path:
    """Write a file whole or not at all.

    Args:
        path: The file.
        data: Its bytes.

    Returns:
        The path.
    """
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(data)
    part.replace(path)
    return path


def page(report: Report) -> str:
    """The report as one HTML page with everything in it.

    Args:
        report: The report.

    Returns:
        HTML.
    """
    style = pathlib.Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    links = "".join(
        f'<a href="#{slug(section.title)}">{html.escape(section.title)}</a>'
        for section in report.sections
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(report.title)}</title><style>{style}</style></head><body><main>"
        f'<h1>{html.escape(report.title)}</h1><p class="lead">{html.escape(report.lead)}</p>'
        f"<nav>{links}</nav>{''.join(map(_section, report.sections))}{_origin(report.origin)}"
        "</main></body></html>\n"
    )


def _section(section: Section) -> str:
    tables = "".join(
        _table(table, heading=table.title != section.title) for table in section.tables
    )
    figures = "".join(map(_figure, section.pictures))
    return (
        f'<section id="{slug(section.title)}"><h2>{html.escape(section.title)}</h2>{tables}'
        + (f'<div class="figures">{figures}</div>' if figures else "")
        + "</section>"
    )


def _table(table: Table, *, heading: bool) -> str:
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in table.notes)
    return (
        (f"<h3>{html.escape(table.title)}</h3>" if heading else "")
        + f'<p class="lead">{html.escape(table.lead)}</p>{to_html(table)}'
        + (f'<ul class="notes">{notes}</ul>' if notes else "")
    )


def _figure(item: Picture) -> str:
    data = base64.b64encode(item.data).decode()
    caption = html.escape(item.caption)
    return (
        f'<figure><img alt="{caption}" src="data:image/{item.kind};base64,{data}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _origin(facts: Mapping[str, str]) -> str:
    if not facts:
        return ""
    entries = "".join(
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>"
        for name, value in facts.items()
    )
    return f'<section id="origin"><h2>Where this was made</h2><dl>{entries}</dl></section>'
