"""Tables for people: one object, shown in the terminal, in Markdown, as JSON and in HTML."""

import dataclasses
import html
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import rich.table

_NAME = 20  # characters: up to here, a word may be a name
_STYLES = {"good": "green", "bad": "red", "quiet": "dim"}


def number(value: float | None) -> str:
    """Write a number with three digits that count.

    Args:
        value: The number; None, NaN and infinities become a dash.

    Returns:
        Its text.

    Example:
        >>> number(0.0), number(12345.6), number(0.01234), number(1.5e-9), number(None)
        ('0', '12,346', '0.0123', '1.5e-09', '–')
    """
    if value is None or not math.isfinite(value):
        return "–"
    size = abs(value)
    if size >= 1e7 or 0 < size < 1e-3:
        return f"{value:.2g}"
    return f"{value:,.0f}" if size >= 100 else f"{value:.3g}"


@dataclasses.dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: What it says.
        mood: How it is meant: ``good``, ``bad``, ``quiet`` or nothing.
        share: Between 0 and 1, drawn as a bar behind the text in HTML; None draws none.
    """

    text: str
    mood: str = ""
    share: float | None = None


@dataclasses.dataclass(frozen=True)
class Table:
    """A table, and the sentences that tell a newcomer how to read it.

    Attributes:
        title: Its heading.
        lead: How to read it.
        columns: The columns' names.
        rows: The cells.
        words: How many leading columns hold words (aligned left); the others hold numbers.
        notes: Remarks below the table.
    """

    title: str
    lead: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    words: int = 1
    notes: Sequence[str] = ()


def table(
    title: str, lead: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, words: int = 1
) -> Table:
    """Make a table of plain values: texts stay, numbers are written by ``number``.

    Args:
        title: Its heading.
        lead: How to read it.
        columns: The columns' names.
        rows: The values.
        words: How many leading columns hold words.

    Returns:
        The table.

    Example:
        >>> print(to_markdown(table("Scores", "", ["task", "score"], [["maze", 0.5]])))
        ### Scores
        <BLANKLINE>
        | task | score |
        | :--- | ---: |
        | maze | 0.5 |
    """
    cells = [[Cell(x) if isinstance(x, str) else Cell(number(x)) for x in row] for row in rows]
    return Table(title, lead, columns, cells, words)


def to_rich(table: Table) -> "rich.table.Table":
    """The table for ``rich`` to print."""
    from rich.table import Table as RichTable
    from rich.text import Text

    made = RichTable(title=table.title, title_justify="left", title_style="bold")
    made.caption = "\n".join(table.notes) or None
    made.caption_justify = "left"
    for index, column in enumerate(table.columns):
        # Names stay whole; all else goes on in the next line where there is not room enough.
        words, texts = index < table.words, [row[index].text for row in table.rows]
        names = words and all(len(text) <= _NAME and " " not in text for text in texts)
        made.add_column(
            column, justify="left" if words else "right", overflow="fold", no_wrap=names
        )
    for row in table.rows:
        made.add_row(*(Text(cell.text, style=_STYLES.get(cell.mood, "")) for cell in row))
    return made


def to_markdown(table: Table) -> str:
    """The table in Markdown, with its title, lead and notes."""
    rule = [":---" if i < table.words else "---:" for i in range(len(table.columns))]
    lines = [table.columns, rule, *([cell.text for cell in row] for row in table.rows)]
    grid = "\n".join(
        "| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in lines
    )
    notes = "\n".join(f"- {note}" for note in table.notes)
    return "\n\n".join(part for part in (f"### {table.title}", table.lead, grid, notes) if part)


def to_json(table: Table) -> dict[str, Any]:
    """The table as JSON values: its texts under ``rows``, one object a row."""
    rows = [
        dict(zip(table.columns, (cell.text for cell in row), strict=True)) for row in table.rows
    ]
    return {
        "title": table.title,
        "lead": table.lead,
        "columns": list(table.columns),
        "rows": rows,
        "notes": list(table.notes),
    }


def to_html(table: Table) -> str:
    """The table as an HTML element."""
    kinds = ["word" if index < table.words else "" for index in range(len(table.columns))]
    head = "".join(
        f'<th class="{kind}">{html.escape(column)}</th>'
        for kind, column in zip(kinds, table.columns, strict=True)
    )
    body = "".join(f"<tr>{''.join(map(_cell, row, kinds))}</tr>" for row in table.rows)
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cell(cell: Cell, kind: str) -> str:
    text = html.escape(cell.text)
    if cell.share is not None:
        text += f'<span class="track"><span style="width:{cell.share:.1%}"></span></span>'
        kind += " share"
    return f'<td class="{kind} {cell.mood}">{text}</td>'
