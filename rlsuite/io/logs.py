"""Where a run's metrics go: JSON lines by default, TensorBoard and W&B where asked for.

A sink is anything with ``write(step, metrics)`` and ``close()``; ``metrics`` maps names to NumPy
arrays whose axes are the run's (problem, config, seed), or to scalars for a single run.
"""

import json
import math
import os
import pathlib
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class Sink(Protocol):
    """Receives the metrics of a run."""

    def write(self, step: int, metrics: Mapping[str, np.ndarray]) -> None:
        """Take the metrics at ``step``."""

    def close(self) -> None:
        """Flush and release what is held."""


class JSONL:
    """One JSON object a line: ``{"step": …, name: value or nested list, …}``.

    Args:
        path: The file; appended to.
        after: Lines of later steps than this are dropped first, so that a resumed run's file
            equals an uninterrupted run's. None keeps all.
    """

    def __init__(self, path: str | os.PathLike[str], *, after: int | None = None) -> None:
        self._path = pathlib.Path(path)
        if after is not None and self._path.exists():
            _drop_after(self._path, after)
        self._file = self._path.open("a", encoding="utf-8")

    def write(self, step: int, metrics: Mapping[str, np.ndarray]) -> None:
        """Append a line and flush it."""
        line = {"step": step} | {name: _jsonable(value) for name, value in metrics.items()}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _jsonable(value: Any) -> Any:
    """Nested lists of numbers; what JSON has no number for (NaN, infinities) becomes null."""
    plain = np.asarray(value).tolist()
    return _finite(plain)


def _finite(value: Any) -> Any:
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_jsonl(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The lines of a JSON-lines file; a last line cut off by a crash is left out.

    Args:
        path: The file.

    Returns:
        One dict a line.

    Raises:
        ValueError: If a line before the last is not a JSON object, naming file and line.
    """
    lines = pathlib.Path(path).read_text(encoding="utf-8").split("\n")
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            if number == len(lines):
                break
            raise ValueError(f"{path}, line {number}: not JSON ({error.msg})") from error
        if not isinstance(row, dict):
            raise ValueError(f"{path}, line {number}: {line[:40]!r} is not a JSON object")
        rows.append(row)
    return rows


def _drop_after(path: pathlib.Path, step: int) -> None:
    kept = [json.dumps(row) + "\n" for row in read_jsonl(path) if row["step"] <= step]
    temporary = path.with_suffix(".tmp")
    temporary.write_text("".join(kept), encoding="utf-8")
    temporary.replace(path)


class TensorBoard:
    """Scalars for TensorBoard, through tensorboardX (extra ``logging``).

    Args:
        directory: Where the event files go.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        try:
            import tensorboardX
        except ImportError as error:
            raise ValueError(
                "the TensorBoard log needs tensorboardX; pip install 'rlsuite[logging]'"
            ) from error
        self._writer = tensorboardX.SummaryWriter(os.fspath(directory))

    def write(self, step: int, metrics: Mapping[str, np.ndarray]) -> None:
        """Write each metric's mean, and every run's own value beneath it."""
        for name, value in _scalars(metrics).items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush and close the event file."""
        self._writer.close()


class WandB:
    """Metrics for Weights & Biases (extra ``logging``).

    Args:
        **options: What ``wandb.init`` takes: project, name, mode, …
    """

    def __init__(self, **options: Any) -> None:
        try:
            import wandb
        except ImportError as error:
            raise ValueError("the W&B log needs wandb; pip install 'rlsuite[logging]'") from error
        self._run = wandb.init(**options)

    def write(self, step: int, metrics: Mapping[str, np.ndarray]) -> None:
        """Log each metric's mean, and every run's own value beneath it."""
        self._run.log(_scalars(metrics), step=step)

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()


def _scalars(metrics: Mapping[str, np.ndarray]) -> dict[str, float]:
    """The mean under a metric's own name; below it one scalar per run where there are several."""
    scalars = {}
    for name, value in metrics.items():
        scalars[name] = float(np.mean(value))
        if np.ndim(value):
            runs = np.ndenumerate(np.asarray(value))
            scalars |= {f"{name}/{'.'.join(map(str, index))}": float(x) for index, x in runs}
    return scalars
