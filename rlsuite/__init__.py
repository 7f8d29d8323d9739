"""Reinforcement-learning methods in JAX, each a pure function of (problem, config, key).

The names below are loaded on first use, so that ``import rlsuite`` costs nothing.

With jaxlib 0.10.2, the last for Python 3.11, importing rlsuite adds
``--xla_cpu_experimental_ynn_fusion_type=-reduce`` to ``XLA_FLAGS``, unless the flag is there: on
CPUs that compiler joins reductions of some ten thousand rows into programs whose results are wrong
(`jax#39103 <https://github.com/jax-ml/jax/issues/39103>`_). JAX reads the flags when it first
computes: import rlsuite before that. If it is later, a warning says so.
"""

import importlib
import importlib.metadata
import os
import sys
import warnings
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

_JOINS_REDUCTIONS_WRONGLY = ("0.10.2",)
_JOINED = "--xla_cpu_experimental_ynn_fusion_type"


def _keep_reductions_apart() -> None:
    """Have a compiler that joins reductions wrongly leave them as they are."""
    flags = os.environ.get("XLA_FLAGS", "")
    if _JOINED in flags or importlib.metadata.version("jaxlib") not in _JOINS_REDUCTIONS_WRONGLY:
        return
    os.environ["XLA_FLAGS"] = f"{flags} {_JOINED}=-reduce".strip()
    bridge = sys.modules.get("jax._src.xla_bridge")
    if bridge is not None and bridge.backends_are_initialized():
        warnings.warn(
            "JAX has computed before rlsuite was imported, so XLA's flags stay as they were: on"
            " CPUs jaxlib 0.10.2 can get sums wrong. Import rlsuite first, or set"
            f" XLA_FLAGS={_JOINED}=-reduce",
            RuntimeWarning,
            stacklevel=2,
        )


_keep_reductions_apart()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'rlsuite' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
