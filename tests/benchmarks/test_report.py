import base64
import re

import pytest
from matplotlib.figure import Figure

from benchmarks import report
from benchmarks.charts import charts
from benchmarks.results import UNAVAILABLE
from benchmarks.tables import BASELINE, SPEED, for_terminal, tables
from rlsuite.io.tables import Cell


@pytest.fixture
def rows(row):
    """Rows of all suites."""

    def peer(metric, value, **fields):
        return row(suite="peers", problem="p: we against q", metric=metric, value=value, **fields)

    def speed(states, value):
        return row(suite="speed", problem=f"maze@states={states}", metric="solve", value=value)

    return [
        row(value=0.2571, reference=0.2, seeds=1, compile_s=1.5, wall_s=3.0, note="a maze"),
        row(metric=BASELINE + "random", value=1.0),
        row(metric=BASELINE + "optimal", value=0.0),
        row(metric=SPEED, value=12345.6, unit="steps/s"),
        row(suite="scores", value=0.31, ci_low=0.29, ci_high=0.33, seeds=10),
        row(suite="scores", problem="other", value=None, note="failed: ValueError: <b>bad</b>"),
        peer("speed-up", 35.44, unit="x", ci_low=33.1, ci_high=37.2, reference=10.0),
        peer("largest difference", 3.1e-13),
        peer("our time", 0.0028, unit="s", peak_bytes=5 << 20),
        peer("peer's time", 0.0992, unit="s", peak_bytes=210 << 20),
        speed(10_000, 0.1),
        speed(1_000_000, 19.0),
    ]


def cells(table, index=0):
    return dict(zip(table.columns, table.rows[index], strict=True))


def test_a_score_stands_beside_its_reference_and_baselines(rows):
    quick = cells(tables(rows)[0])
    assert [cell.text for cell in quick.values()] == [
        *("toy", "number", "error", "0.257", "0.2", "1", "0"),
        *("1", "12,346", "1.5 s", "3 s", "–"),
    ]
    # 0.2571 lies 74.29 % of the way from 1 to 0.
    assert quick["score"].share == pytest.approx(0.7429)


def test_a_score_beyond_its_baselines_fills_the_bar_only(row):
    (table,) = tables(
        [
            row(value=-5.0),
            row(metric=BASELINE + "random", value=1.0),
            row(metric=BASELINE + "optimal", value=0.0),
        ]
    )
    assert cells(table)["score"].share == 1.0


def test_a_failure_shows_and_says_why(rows):
    scores = tables(rows)[1]
    assert cells(scores, 0)["score"].text == "0.31\n[0.29, 0.33]"
    assert cells(scores, 1)["score"] == Cell("failed", "bad")
    assert scores.notes == ["other: failed: ValueError: <b>bad</b>"]


def test_a_speed_up_stands_beside_both_times(rows):
    peers = cells(tables(rows)[2])
    assert peers["speed-up"].text == "35.4×\n[33.1×, 37.2×]"
    assert peers["speed-up"].mood == "good"
    assert [peers[name].text for name in ("our time", "peer's time", "our memory")] == [
        *("2.8 ms", "99.2 ms", "5 MiB")
    ]
    assert peers["difference"].text == "3.1e-13"


def test_a_speed_up_below_the_bar_and_a_missing_peer_show(row):
    def peer(**fields):
        return row(suite="peers", metric="speed-up", reference=10.0, **fields)

    missing = peer(problem="p", value=None, note=f"{UNAVAILABLE}no network")
    (table,) = tables([peer(value=9.9, unit="x"), missing])
    assert cells(table, 0)["speed-up"].mood == "bad"
    assert cells(table, 1)["speed-up"].text == "none, see below"
    assert table.notes == [f"p: {UNAVAILABLE}no network"]


def test_the_terminal_shows_the_essential_columns(rows):
    narrow = for_terminal(tables(rows)[0])
    assert narrow.columns == [
        *("measured", "score", "reference", "steps/s", "compile", "baselines")
    ]
    assert narrow.rows[0][-1].text == "random 1\noptimal 0"
    assert narrow.rows[0][0].text == "toy\nnumber\nerror"
    assert for_terminal(tables(rows)[1]).rows[0][1].text == "0.31\n[0.29,\n0.33]"


def test_rows_of_one_name_become_a_curve(rows):
    (chart,) = charts("speed", [row for row in rows if row.suite == "speed"])
    (line,) = chart.figure.axes[0].lines
    assert line.get_xdata().tolist() == [10_000, 1_000_000]
    assert line.get_ydata().tolist() == [0.1, 19.0]
    assert chart.figure.axes[0].get_xscale() == "log"


def test_the_report_holds_numbers_figures_and_origin_and_nothing_from_elsewhere(tmp_path, rows):
    figure = Figure(figsize=(1, 1))
    png = report.save_figure(tmp_path, rows[0], figure).read_bytes()
    page = report.write(tmp_path, rows).read_text(encoding="utf-8")
    for text in ("0.257", "12,346", "35.4×", "[33.1×, 37.2×]", "a maze", "jax 0.10.2"):
        assert text in page
    assert "&lt;b&gt;bad&lt;/b&gt;" in page
    assert base64.b64encode(png).decode() in page
    # The saved figure, a chart of the speed-ups and one of the curve.
    assert page.count("<img") == 3
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)


def test_a_report_without_rows_is_a_page_all_the_same(tmp_path):
    assert "0 measurements" in report.write(tmp_path, []).read_text(encoding="utf-8")
