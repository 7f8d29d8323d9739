"""Charts drawn from rows: speed-ups over peers, and curves over a number in the problem's name."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.formats import quantity
from benchmarks.results import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#2563eb", "#dc6803", "#0f9d76", "#9333ea", "#be123c", "#64748b")


class Chart(NamedTuple):
    """A drawn figure and the sentence that stands below it."""

    figure: "Figure"
    caption: str


class Point(NamedTuple):
    """A row as a point of a curve."""

    x: float
    y: float
    row: Row


def charts(suite: str, rows: Sequence[Row]) -> Iterator[Chart]:
    """Yield the charts of a suite's rows."""
    if suite == "peers":
        speed_ups = [row for row in rows if row.metric == "speed-up" and row.value is not None]
        if speed_ups:
            yield speed_up_chart(speed_ups)
    for (algorithm, metric, key), curves in _curves(rows).items():
        yield curve_chart(algorithm, metric, key, curves)


def _new(width: float, height: float) -> "tuple[Figure, Axes]":
    """Return an empty figure that is no part of pyplot's state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", dpi=150)
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="both", color="#e2e8f0", linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def speed_up_chart(rows: Sequence[Row]) -> Chart:
    """Draw the speed-up over each peer as a bar, with its interval and the bar it has to reach."""
    figure, axes = _new(8.5, 0.9 + 0.75 * len(rows))
    for place, row in enumerate(reversed(rows)):
        value, low, high = (x or 0.0 for x in (row.value, row.ci_low, row.ci_high))
        axes.barh(place, value, height=0.5, color=COLOURS[0])
        axes.plot([low, high], [place, place], color="#0f172a", linewidth=1.5)
        if row.reference:
            axes.plot([row.reference] * 2, [place - 0.4, place + 0.4], color=COLOURS[1], lw=2.5)
        axes.text(max(value, high) * 1.06, place, quantity(value, "x"), va="center", weight="bold")
    labels = [row.problem.replace(": ", "\n") for row in reversed(rows)]
    axes.set_yticks(range(len(rows)), labels, fontsize=8)
    axes.set_xscale("log")
    axes.set_xlim(1.0, 2.0 * max(row.ci_high or row.value or 1.0 for row in rows))
    axes.set_xlabel("times faster than the peer (logarithmic)")
    caption = (
        "Speed-up over each peer on the same machine in the same run; the black line is the 95 % "
        "interval, the orange mark the bar we set ourselves."
    )
    return Chart(figure, caption)


def _curves(rows: Sequence[Row]) -> dict[tuple[str, str, str], dict[str, list[Point]]]:
    """Sort rows whose problem is called ``name@key=number`` into curves, one for each name."""
    found: dict[tuple[str, str, str], dict[str, list[Point]]] = {}
    for row in rows:
        name, at, setting = row.problem.partition("@")
        key, equals, value = setting.partition("=")
        if at and equals and row.value is not None:
            curves = found.setdefault((row.algorithm, row.metric, key), {})
            curves.setdefault(name, []).append(Point(float(value), row.value, row))
    return {
        group: {name: sorted(points, key=lambda point: point.x) for name, points in curves.items()}
        for group, curves in found.items()
        if any(len(points) > 1 for points in curves.values())
    }


def curve_chart(algorithm: str, metric: str, key: str, curves: dict[str, list[Point]]) -> Chart:
    """Draw a metric over a number, a line for each name, with its interval."""
    figure, axes = _new(6.5, 3.8)
    unit = ""
    for colour, (name, points) in zip(COLOURS * len(curves), curves.items(), strict=False):
        xs = [point.x for point in points]
        values = [point.y for point in points]
        unit = points[0].row.unit
        axes.plot(xs, values, "o-", color=colour, label=name, markersize=4)
        intervals = [point for point in points if point.row.ci_low is not None]
        axes.fill_between(
            [point.x for point in intervals],
            [point.row.ci_low or 0.0 for point in intervals],
            [point.row.ci_high or 0.0 for point in intervals],
            color=colour,
            alpha=0.18,
            linewidth=0,
        )
    numbers = [point for points in curves.values() for point in points]
    xs = [point.x for point in numbers]
    axes.set_xscale("log" if min(xs) > 0 and max(xs) / min(xs) >= 8 else "linear")
    values = [point.y for point in numbers]
    if min(values) > 0 and max(values) / min(values) >= 30:
        axes.set_yscale("log")
    elif min(values) >= 0:
        axes.set_ylim(bottom=0)
    axes.set_xlabel(key)
    axes.set_ylabel(f"{metric} ({unit})" if unit else metric)
    axes.legend(frameon=False, fontsize=8)
    return Chart(figure, f"{algorithm}: {metric} over {key}; shaded is the 95 % interval.")
