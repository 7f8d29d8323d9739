"""Progress of a run: a live bar in a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import TypeVar

import numpy as np

_SECONDS_BETWEEN_LINES = 15.0
_T = TypeVar("_T")


def describe(metrics: Mapping[str, np.ndarray], limit: int = 4) -> str:
    """The first few metrics on one line; the mean and range where there are several runs.

    Args:
        metrics: Names to values.
        limit: How many metrics to show.

    Returns:
        One line.

    Example:
        >>> describe({"loss": np.asarray(0.25), "kl": np.asarray([1.0, 3.0])})
        'loss 0.25, kl 2 [1, 3]'
    """
    parts = []
    for name, value in list(metrics.items())[:limit]:
        text = f"{name} {np.mean(value):.4g}"
        if np.size(value) > 1:
            text += f" [{np.min(value):.4g}, {np.max(value):.4g}]"
        parts.append(text)
    return ", ".join(parts)


class Progress:
    """Shows how far a run is; a context manager.

    Args:
        label: What runs.
        steps: Its steps, from the one that it starts (or resumes) from.
        enabled: False shows nothing.
    """

    def __init__(self, label: str, steps: range, *, enabled: bool = True) -> None:
        self._label, self._total, self._enabled = label, steps.stop, enabled
        self._last_line = time.monotonic()
        self._bar = None
        if enabled and sys.stderr.isatty():
            from rich import progress
            from rich.console import Console

            self._bar = progress.Progress(
                progress.TextColumn("{task.description}"),
                progress.BarColumn(),
                progress.MofNCompleteColumn(),
                progress.TimeElapsedColumn(),
                progress.TimeRemainingColumn(),
                progress.TextColumn("{task.fields[note]}"),
                console=Console(stderr=True),
            )
            self._task = self._bar.add_task(
                label, total=steps.stop, completed=steps.start, note="compiling…"
            )

    def __enter__(self) -> "Progress":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, step: int, metrics: Mapping[str, np.ndarray]) -> None:
        """Move on to ``step`` and show the metrics."""
        if self._bar is not None:
            self._bar.update(self._task, completed=step, note=describe(metrics))
        elif self._enabled and time.monotonic() - self._last_line > _SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            line = ", ".join(
                part for part in (f"{self._label}: {step}/{self._total}", describe(metrics)) if part
            )
            print(line, file=sys.stderr, flush=True)


def steps_of(label: str, items: Sequence[_T], *, enabled: bool = True) -> Iterator[_T]:
    """Go through items, showing how many are done.

    Args:
        label: What is done.
        items: The items.
        enabled: False shows nothing.

    Yields:
        Each item.
    """
    with Progress(label, range(len(items)), enabled=enabled) as bar:
        for done, item in enumerate(items, start=1):
            yield item
            bar.update(done, {})
