"""Comparing one of our computations with a peer's: interleaved timing, agreement, ratio."""

import dataclasses
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from benchmarks import statistics
from benchmarks.peers import environment
from benchmarks.peers.environment import InstallError, Requirements
from benchmarks.peers.protocol import NotPossibleError, SideError, SideProcess, current_interpreter
from benchmarks.results import UNAVAILABLE, Row, make_row, usable_cores

SUITE = "peers"
DEFAULT_REPETITIONS = 9
Progress = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Side:
    """A script and the case of it to run.

    Attributes:
        name: What the reader sees.
        script: The script's path.
        case: The function in it.
        requirements: What it needs; ``None`` for our own side, which runs in this interpreter.
    """

    name: str
    script: Path
    case: str
    requirements: Requirements | None = None

    def interpreter(self) -> Path:
        """Return an interpreter in which the script can run."""
        if self.requirements is None:
            return current_interpreter()
        try:
            return environment.interpreter(self.requirements)
        except InstallError as error:
            raise InstallError(f"{self.name} cannot be installed: {error}") from error


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One computation, done by us and by a peer.

    Attributes:
        algorithm: The algorithm's name in the registry.
        problem: What is computed, on what.
        ours: Our side.
        peer: The peer's side.
        inputs: Makes the arrays that both sides are given.
        tolerance: The largest absolute difference at which both still computed the same thing.
        bar: The ratio that we aim at.
        one_core: Whether both sides are kept on one processor core.
    """

    algorithm: str
    problem: str
    ours: Side
    peer: Side
    inputs: Callable[[], Mapping[str, np.ndarray]]
    tolerance: float
    bar: float
    one_core: bool = False

    @property
    def title(self) -> str:
        """What is compared with whom."""
        where = ", on one core" if self.one_core else ""
        return f"{self.problem}{where}: {self.ours.name} against {self.peer.name}"


@dataclasses.dataclass(frozen=True)
class Timing:
    """What was measured of one side."""

    first: float
    seconds: list[float]
    result: Mapping[str, np.ndarray]
    peak_bytes: int
    versions: dict[str, str]

    @property
    def compile_s(self) -> float:
        """The first call beyond a usual one: compilation and whatever else is done but once."""
        return max(0.0, self.first - float(np.median(self.seconds)))


def compare(
    comparison: Comparison,
    *,
    repetitions: int = DEFAULT_REPETITIONS,
    progress: Progress = lambda _: None,
) -> list[Row]:
    """Run both sides in turn and return the rows of what was found.

    Args:
        comparison: What to compare.
        repetitions: Counted calls of each side, after one that is not counted.
        progress: Called with a word about what is being done.

    Returns:
        The speed-up with its interval, the disagreement, and each side's time and memory. Where a
        side cannot be installed, fails or disagrees there is no speed-up, and its row says why.
    """
    try:
        busy = busy_note()
        progress("installing")
        ours, peer = _measure(comparison, repetitions, progress)
    except NotPossibleError as error:
        return [_row(comparison, "speed-up", None, note=f"{UNAVAILABLE}{error}")]
    except SideError as error:
        return [_row(comparison, "speed-up", None, note=f"failed: {error}")]
    return list(_rows(comparison, ours, peer, busy))


def busy_note() -> str:
    """Return a warning if other programs use the machine; nothing if they do not.

    A library whose threads wait for each other loses far more on a busy machine than one thread.
    """
    load, cores = os.getloadavg()[0], usable_cores()
    if load <= 1.5 * cores:  # Our own last comparison may still count in it.
        return ""
    return f"the machine was busy (load {load:.1f} on {cores} cores): not to be relied upon"


def _measure(comparison: Comparison, repetitions: int, progress: Progress) -> tuple[Timing, Timing]:
    """Time both sides in turn."""
    interpreters = [side.interpreter() for side in (comparison.ours, comparison.peer)]
    progress("preparing")
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder) / "inputs.npz"
        np.savez(inputs, allow_pickle=False, **comparison.inputs())
        our_side, peer_side = (
            SideProcess(python, side.script, side.case, inputs, one_core=comparison.one_core)
            for python, side in zip(interpreters, (comparison.ours, comparison.peer), strict=True)
        )
        with our_side, peer_side:
            processes = (our_side, peer_side)
            firsts = [process.first() for process in processes]
            seconds: tuple[list[float], list[float]] = ([], [])
            for repetition in range(repetitions):
                progress(f"repetition {repetition + 1} of {repetitions}")
                for times, process in zip(seconds, processes, strict=True):
                    times.append(process.run())
            ours, peer = (
                Timing(first, times, *process.result(), process.versions)
                for first, times, process in zip(firsts, seconds, processes, strict=True)
            )
            return ours, peer


def _rows(comparison: Comparison, ours: Timing, peer: Timing, busy: str) -> Iterator[Row]:
    """Yield the rows of a comparison that ran through."""
    difference, problem = disagreement(ours.result, peer.result, comparison.tolerance)
    versions = {**ours.versions, **peer.versions}
    if problem:
        note = f"the sides disagree: {problem}"
        yield _row(comparison, "speed-up", None, note=note, versions=versions)
    else:
        ratio = statistics.ratio_of_medians(peer.seconds, ours.seconds)
        yield _row(
            comparison,
            "speed-up",
            ratio,
            unit="x",
            reference=comparison.bar,
            seeds=len(ours.seconds),
            versions=versions,
            note=busy,
        )
    yield _row(
        comparison,
        "largest difference",
        difference,
        reference=comparison.tolerance,
        versions=versions,
        note="reference: the tolerance" if np.isfinite(difference) else problem,
    )
    for metric, timing in ("our time", ours), ("peer's time", peer):
        yield _row(
            comparison,
            metric,
            statistics.median(timing.seconds),
            unit="s",
            seeds=len(timing.seconds),
            compile_s=timing.compile_s,
            wall_s=sum(timing.seconds),
            peak_bytes=timing.peak_bytes,
            versions=timing.versions,
        )


def _row(
    comparison: Comparison,
    metric: str,
    value: statistics.Estimate | float | None,
    **fields: object,
) -> Row:
    """Make a row of a comparison."""
    identity = {
        "suite": SUITE,
        "algorithm": comparison.algorithm,
        "problem": comparison.title,
        "metric": metric,
    }
    if isinstance(value, statistics.Estimate):
        fields = {**fields, "ci_low": value.low, "ci_high": value.high}
        value = value.value
    if value is not None and not np.isfinite(value):
        value = None
    return make_row(**identity, value=value, **fields)


def disagreement(
    ours: Mapping[str, np.ndarray], peer: Mapping[str, np.ndarray], tolerance: float
) -> tuple[float, str]:
    """Compare two results.

    Returns:
        The largest absolute difference over all arrays (infinite if they cannot be compared), and
        what is wrong; an empty string if they agree.
    """
    if set(ours) != set(peer) or not ours:
        return np.inf, f"we return {sorted(ours)}, the peer {sorted(peer)}"
    differences = {}
    for name, value in ours.items():
        other = peer[name]
        if value.shape != other.shape:
            return np.inf, f"{name} has shape {value.shape} here and {other.shape} there"
        if not (np.isfinite(value).all() and np.isfinite(other).all()):
            return np.inf, f"{name} is not finite"
        differences[name] = float(np.max(np.abs(value - other), initial=0.0))
    worst = max(differences, key=differences.__getitem__)
    if differences[worst] <= tolerance:
        return differences[worst], ""
    return (
        differences[worst],
        f"{worst} differs by {differences[worst]:.3g}; allowed is {tolerance:g}",
    )
