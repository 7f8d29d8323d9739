"""What a suite measures beyond the registry's problems, a module for each algorithm.

A module is called like its algorithm and has two tuples of `Study`: ``SCORES`` and ``SPEED``.
"""

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator

from benchmarks.results import Row


@dataclasses.dataclass(frozen=True)
class Study:
    """Something that one problem's training run does not tell.

    Attributes:
        name: What the reader sees while it runs.
        rows: ``seeds -> rows``; a study of the suite ``speed`` is given one seed.
    """

    name: str
    rows: Callable[[int], Iterator[Row]]


def studies(suite: str, algorithms: Iterable[str]) -> list[Study]:
    """Return the studies of these algorithms for the suite ``"scores"`` or ``"speed"``."""
    modules = {module.name for module in pkgutil.iter_modules(__path__)}
    found: list[Study] = []
    for name in algorithms:
        if name in modules:
            module = importlib.import_module(f"{__name__}.{name}")
            found += getattr(module, suite.upper())
    return found


def titles(algorithms: Iterable[str]) -> list[str]:
    """Return the names of all studies, each with its suite."""
    names = list(algorithms)
    return [f"{suite}: {s.name}" for suite in ("scores", "speed") for s in studies(suite, names)]
