"""One row per measurement, kept as JSON lines in a file called ``results.jsonl``.

A row stands on its own: it says what was measured, on which problem, with how many seeds and how
uncertain it is, on which device and with which package versions, and from which commit. Rows of
several runs and machines can therefore be concatenated into one file and reported together.
"""

import dataclasses
import functools
import importlib.metadata
import json
import math
import os
import platform
import subprocess
import types
import typing
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

FILE_NAME = "results.jsonl"

PACKAGES = ("rlsuite", "jax", "jaxlib", "numpy", "scipy", "flax", "optax")
"""The packages whose versions stand in every row."""


UNAVAILABLE = "not available here: "
"""How the note begins of a row that could not be measured through no fault of the code."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One measurement.

    Attributes:
        suite: The suite that measured it: ``"quick"``, ``"scores"``, ``"speed"`` or ``"peers"``.
        algorithm: The algorithm's name in the registry.
        problem: The problem's name. Problems that differ in one number only are called
            ``name@key=number``, ``large maze@states=10000``, and are drawn as one curve.
        metric: What was measured.
        value: The result; ``None`` where there is none, and then ``note`` says why.
        unit: The unit of ``value`` and of its interval; empty for a pure number.
        reference: What ``value`` should be read against: a published or known value, or a bar.
        seeds: How many seeds (or, for a timing, how many counted repetitions) stand behind it.
        ci_low: The lower end of the 95 % bootstrap interval.
        ci_high: The upper end of it.
        device: The device it ran on.
        versions: Versions of Python and of the packages that matter.
        compile_s: Seconds of compilation, not contained in ``wall_s``.
        wall_s: Seconds of the run.
        peak_bytes: Peak memory.
        commit: The commit of the code, with ``-dirty`` where the tree had changes; ``None``
            outside a checkout.
        note: One sentence for the reader, above all why a value is missing.
    """

    suite: str
    algorithm: str
    problem: str
    metric: str
    value: float | None
    unit: str = ""
    reference: float | None = None
    seeds: int | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    device: str
    versions: dict[str, str]
    compile_s: float | None = None
    wall_s: float | None = None
    peak_bytes: int | None = None
    commit: str | None = None
    note: str = ""

    @property
    def failed(self) -> bool:
        """Whether this should have been measured, but went wrong."""
        return self.value is None and not self.note.startswith(UNAVAILABLE)

    def __post_init__(self) -> None:
        """Check every field's type, so that a foreign line is found where it is read."""
        for name, allowed in _allowed_types().items():
            value = getattr(self, name)
            if not isinstance(value, allowed) or isinstance(value, bool):
                expected = " or ".join(kind.__name__ for kind in allowed)
                raise ValueError(f"{name} is {value!r}; allowed is {expected}")
        if self.value is None and not self.note:
            raise ValueError("value is None; a row without a value must say why in its note")


@functools.cache
def _allowed_types() -> dict[str, tuple[type, ...]]:
    """Return for each field of a row the types that it may hold."""
    allowed = {}
    for name, hint in typing.get_type_hints(Row).items():
        members = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        members = tuple(typing.get_origin(member) or member for member in members)
        allowed[name] = (*members, int) if float in members else members
    return allowed


def make_row(**fields: Any) -> Row:
    """Make a row, with this machine's device, versions and commit where they are not given."""
    defaults = {"device": device(), "versions": dict(versions()), "commit": commit()}
    return Row(**{**defaults, **fields})


@functools.cache
def device() -> str:
    """Name JAX's device and the processor behind it, for example ``cpu (x86_64, 2 cores)``."""
    import jax

    kinds = sorted({entry.device_kind for entry in jax.devices()})
    number = len(jax.devices())
    name = ", ".join(kinds) if number == 1 else f"{number} x {', '.join(kinds)}"
    return f"{name} ({platform.machine()}, {usable_cores()} cores)"


def usable_cores() -> int:
    """Return how many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def versions() -> tuple[tuple[str, str], ...]:
    """Return the versions of Python and of `PACKAGES`, as far as they are installed."""
    found = [("python", platform.python_version())]
    for name in PACKAGES:
        try:
            found.append((name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            continue
    return tuple(found)


@functools.cache
def commit() -> str | None:
    """Return this checkout's commit, ``-dirty`` added if files differ; ``None`` outside of one."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        revision = git("rev-parse", "--short=12", "HEAD")
        return revision + ("-dirty" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def append(path: Path, rows: Iterable[Row]) -> None:
    """Append rows to a file of JSON lines: all of them in one write, or none.

    One ``write`` of a file opened for appending is not interleaved with that of another process,
    so suites that run side by side may share a file.
    """
    lines = "".join(json.dumps(_plain(row), ensure_ascii=False) + "\n" for row in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab", buffering=0) as file:
        file.write(lines.encode())


def _plain(row: Row) -> dict[str, Any]:
    """Return the row as JSON can hold it: numbers that are not finite become ``None``."""
    fields = dataclasses.asdict(row)
    lost = [name for name, value in fields.items() if _is_not_finite(value)]
    if lost:
        fields.update(dict.fromkeys(lost))
        fields["note"] = fields["note"] or f"not finite: {', '.join(lost)}"
    return fields


def _is_not_finite(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def read(path: Path) -> list[Row]:
    """Read all rows of a results file.

    Raises:
        ValueError: A line is no row. The message names the file, the line and what is wrong.
        FileNotFoundError: There is no such file.
    """
    rows = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            rows.append(_parse(line))
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
    return rows


def _parse(line: bytes) -> Row:
    """Read one line."""
    try:
        fields = json.loads(line)
    except ValueError as error:
        raise ValueError(f"this is no JSON ({error}); the line may be truncated") from error
    if not isinstance(fields, dict):
        raise ValueError(f"expected an object with a row's fields, found {fields!r}")
    known = {field.name for field in dataclasses.fields(Row)}
    if unknown := sorted(set(fields) - known):
        raise ValueError(f"unknown fields {', '.join(unknown)}; this is no row of a benchmark")
    try:
        return Row(**fields)
    except TypeError as error:
        raise ValueError(f"incomplete row: {error}") from error


def prepare(folder: Path) -> Path:
    """Return the results file in ``folder``, after making sure that it can be written.

    Raises:
        OSError: It cannot, which is better known before hours of measuring than after.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / FILE_NAME
    append(file, [])
    return file


def results_file(path: Path) -> Path:
    """Return the results file that a user means by a file or by a folder that holds one.

    Raises:
        FileNotFoundError: There is none.
    """
    file = path / FILE_NAME if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(f"no results at {file}; run a suite with --out {path} first")
    return file


def latest(rows: Sequence[Row]) -> list[Row]:
    """Return the last row of each measurement, in the order in which they first appeared.

    A file collects runs; a reader wants the newest of each, on each device.
    """
    newest = {(row.suite, row.algorithm, row.problem, row.metric, row.device): row for row in rows}
    return list(newest.values())
