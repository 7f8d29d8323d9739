"""Tables and reports: the same numbers in the terminal, Markdown, JSON and HTML."""

import io
import json
from html.parser import HTMLParser

import pytest
from matplotlib.figure import Figure
from rich.console import Console

from rlsuite.io import reports, tables


@pytest.fixture
def table():
    made = tables.table(
        "Returns", "Higher is better.", ["task", "n", "score"], [["a|b", 3, 0.12345]]
    )
    return tables.Table(made.title, made.lead, made.columns, made.rows, 1, ("a <note>",))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.5, "0.5"),
        (12345.6, "12,346"),
        (1e-5, "1e-05"),
        (None, "–"),
        (float("inf"), "–"),
    ],
)
def test_number(value, text):
    assert tables.number(value) == text


def test_markdown(table):
    assert tables.to_markdown(table) == (
        "### Returns\n\nHigher is better.\n\n| task | n | score |\n| :--- | ---: | ---: |\n"
        "| a\\|b | 3 | 0.123 |\n\n- a <note>"
    )


def test_json(table):
    found = tables.to_json(table)
    assert found["rows"] == [{"task": "a|b", "n": "3", "score": "0.123"}]
    assert found["notes"] == ["a <note>"]


def test_terminal(table):
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(tables.to_rich(table))
    shown = console.export_text()
    assert "a|b" in shown
    assert "0.123" in shown
    assert "a <note>" in shown


@pytest.mark.parametrize("width", [50, 80, 200])
def test_a_terminal_that_is_narrow_shows_every_character(width):
    rows = [
        ["pixel-swing-up", "a goal, where plans end", *["97.2 (96.8 … 97.7)"] * 5],
        ["pixel-balance", "a state to come", *["-0.0947 (-0.449 … 0.638)"] * 5],
    ]
    columns = ["problem", "asked for", *(f"p = 0.{digit}" for digit in range(5))]
    made = tables.table("Scores", "", columns, rows, words=2)
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(tables.to_rich(made))
    shown = console.export_text()
    assert max(map(len, shown.splitlines())) <= width
    assert "pixel-swing-up" in shown
    for place, texts in enumerate(zip(columns, *rows, strict=True)):
        lines = (line.replace("┃", "│").split("│") for line in shown.splitlines())
        found = "".join(line[place + 1] for line in lines if len(line) > 1)
        assert found.replace(" ", "") == "".join(texts).replace(" ", "")


class Cells(HTMLParser):
    """Collects the texts of a page by tag, and checks that tags close."""

    def __init__(self):
        super().__init__()
        self.open, self.found = [], {}

    def handle_starttag(self, tag, attrs):
        if tag not in ("img", "meta"):
            self.open.append(tag)
        if tag == "img":
            self.found.setdefault("img", []).append(dict(attrs)["src"])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.found.setdefault(self.open[-1], []).append(data)


def test_a_report_is_files_and_one_page(tmp_path, table):
    figure = Figure(figsize=(1, 1))
    figure.add_subplot().plot([0, 1])
    picture = reports.picture("curve", figure, "a rising line")
    gif = reports.Picture("walk", b"GIF89a...", "a walk")
    report = reports.Report(
        "Study <1>",
        "What it is.",
        [reports.Section("Part", [table], [picture, gif])],
        {"device": "cpu"},
    )
    page = reports.save(tmp_path / "out", report)
    assert sorted(path.name for path in page.parent.iterdir()) == [
        "curve.png", "report.html", "returns.json", "returns.md", "walk.gif",
    ]  # fmt: skip
    assert json.loads((page.parent / "returns.json").read_text()) == tables.to_json(table)
    parser = Cells()
    parser.feed(page.read_text())
    assert parser.open == []
    assert parser.found["h1"] == ["Study <1>"]
    assert parser.found["td"] == ["a|b", "3", "0.123"]
    assert parser.found["dd"] == ["cpu"]
    assert [src.split(";")[0] for src in parser.found["img"]] == [
        "data:image/png",
        "data:image/gif",
    ]
    assert "http" not in page.read_text()


def test_writing_is_all_or_nothing(tmp_path, monkeypatch):
    path = tmp_path / "file"
    reports.write(path, b"old")
    monkeypatch.setattr(reports.pathlib.Path, "replace", lambda *_: (_ for _ in ()).throw(OSError))
    with pytest.raises(OSError):  # noqa: PT011
        reports.write(path, b"new")
    assert path.read_bytes() == b"old"
