"""Comparisons with other libraries, each in a virtual environment of its own.

A folder here belongs to one algorithm. Its ``__init__`` lists `COMPARISONS`; its other modules are
the sides: small scripts that are never imported by this package, but run by `worker` in the
interpreter that has their requirements.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator

from benchmarks.peers.comparison import Comparison, compare
from benchmarks.results import Row
from benchmarks.selection import entries


def comparisons(algorithms: Iterable[str]) -> list[Comparison]:
    """Return the comparisons of these algorithms."""
    folders = {module.name for module in pkgutil.iter_modules(__path__) if module.ispkg}
    return [
        comparison
        for name in algorithms
        if name in folders
        for comparison in importlib.import_module(f"{__name__}.{name}").COMPARISONS
    ]


def titles(algorithms: Iterable[str]) -> list[str]:
    """Return what is compared with whom."""
    return [comparison.title for comparison in comparisons(algorithms)]


def rows(
    algorithms: Iterable[str], repetitions: int, progress: Callable[[str], None]
) -> Iterator[Row]:
    """Run the comparisons of these algorithms (all if none is named) and yield their rows."""
    for comparison in comparisons(entries(algorithms)):

        def report(words: str, title: str = comparison.title) -> None:
            progress(f"{title}: {words}")

        yield from compare(comparison, repetitions=repetitions, progress=report)
