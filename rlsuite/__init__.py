"""Reinforcement-learning methods in JAX, each a pure function of (problem, config, key).

The names below are loaded on first use, so that ``import rlsuite`` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rlsuite.configuration import config, grid, setting
    from rlsuite.core import Algorithm, Result, run

__version__ = "0.1.0"

_HOMES = {
    "Algorithm": "rlsuite.core",
    "Result": "rlsuite.core",
    "config": "rlsuite.configuration",
    "grid": "rlsuite.configuration",
    "run": "rlsuite.core",
    "setting": "rlsuite.configuration",
}

__all__ = ["Algorithm", "Result", "config", "grid", "run", "setting"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'rlsuite' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
