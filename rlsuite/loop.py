"""The loop between two programs of a run: what the host does from chunk to chunk.

:func:`rlsuite.core.run` prepares a program, a record and a history and hands them to :func:`drive`;
so does whatever runs its environments on the host.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rlsuite.io.interrupts import Interrupt
from rlsuite.io.logs import Sink
from rlsuite.io.progress import Progress
from rlsuite.io.records import Record
from rlsuite.placement import Batch, gather
from rlsuite.programs import Program

State = Any
Metrics = Any


class NonFiniteError(FloatingPointError):
    """A metric became infinite or NaN, or a part of the state NaN; the run stopped there."""


def check(
    num_steps: int,
    chunk_length: int | None,
    evaluate_every: int | None,
    checkpoint_every: int | None,
    checkpoint_minutes: float,
    keep: int,
) -> None:
    """Refuse arguments of a run that are out of range.

    Raises:
        ValueError: Naming the argument, its value and what is allowed.
    """
    for name, value, least in (
        ("num_steps", num_steps, 0),
        ("chunk_length", chunk_length, 1),
        ("evaluate_every", evaluate_every, 1),
        ("checkpoint_every", checkpoint_every, 1),
        ("keep", keep, 1),
    ):
        if value is not None and value < least:
            raise ValueError(f"{name} is {value}; allowed: a whole number at least {least}")
    if not checkpoint_minutes > 0:
        raise ValueError(f"checkpoint_minutes is {checkpoint_minutes}; allowed: a number above 0")


def drive(
    program: Program,
    state: State,
    steps: range,
    length: int,
    evaluate_every: int | None,
    record: Record | None,
    history: "History",
    progress: bool | str,
) -> State:
    """Do the steps chunk by chunk; between chunks, everything that the host does.

    Args:
        program: What compiles and does them.
        state: Where the run stands.
        steps: Which steps are left.
        length: Chunks end at multiples of so many.
        evaluate_every: Evaluate at the first chunk's end after every so many; None: not on the way.
        record: The run's directory; None writes nothing.
        history: Takes metrics and evaluations.
        progress: Show a bar; a string is its label.

    Returns:
        The state after the last step.

    Raises:
        NonFiniteError: If a metric is infinite or NaN, or the state NaN.
        KeyboardInterrupt: After Ctrl-C (or SIGTERM), once the chunk at hand is done and saved.
    """
    label = progress if isinstance(progress, str) else program.name
    with Interrupt() as interrupt, Progress(label, steps, enabled=bool(progress)) as bar:
        for step, chunk in _chunks(steps, length):
            state, metrics, nan = program.steps(state, step, chunk)
            step += chunk
            last = step == steps.stop
            bar.update(step, history.add(step, chunk, gather(metrics)))
            if np.any(gather(nan)):
                history.refuse_nan(step, state)
            if not last and _passes(evaluate_every, step - chunk, step):
                history.evaluated(step, gather(program.evaluate(state, step)))
            if record and (last or interrupt.requested or record.is_due(step - chunk, step)):
                record.save(step, state)
            if interrupt.requested and not last:
                saved = f"; resume from {record.directory}" if record else ""
                raise KeyboardInterrupt(f"stopped after step {step}{saved}")
    return state


def even(num_steps: int, length: int) -> int:
    """The length of chunks that are all as long: one for what is left is one more program.

    Args:
        num_steps: How many steps there are.
        length: The most that a chunk has.

    Returns:
        The length; the most where less than half would be even.

    Example:
        >>> even(150, 100), even(400, 100), even(101, 100), even(30, 100)
        (75, 100, 100, 100)
    """
    lengths = [n for n in range(1, length + 1) if num_steps % n == 0 and 2 * n >= length]
    return max(lengths, default=length)


def _chunks(steps: range, length: int) -> Iterator[tuple[int, int]]:
    """(first step, number of steps) of each chunk; chunks end at multiples of ``length``."""
    step = steps.start
    while step < steps.stop:
        chunk = min(length - step % length, steps.stop - step)
        yield step, chunk
        step += chunk


def _passes(interval: int | None, before: int, after: int) -> bool:
    """Whether a multiple of ``interval`` lies after ``before``, up to ``after``."""
    return interval is not None and after // interval > before // interval


class History:
    """What a run has measured: kept for its result, checked, and passed on to the sinks."""

    def __init__(self, batch: Batch, sinks: Sequence[Sink]) -> None:
        self._batch = batch
        self._sinks = sinks
        self._chunks: list[Metrics] = []
        self._evaluations: list[Metrics] = []
        self.evaluation_steps: list[int] = []

    def add(self, step: int, length: int, metrics: Metrics) -> dict[str, np.ndarray]:
        """Keep a chunk that ended at ``step``; return each metric's mean over the chunk."""
        values = named(metrics)
        self._refuse_non_finite(step - length, values)
        self._chunks.append(metrics)
        means = {name: np.asarray(np.mean(value, axis=-1)) for name, value in values.items()}
        self._write(step, means)
        return means

    def evaluated(self, step: int, metrics: Metrics) -> None:
        """Keep an evaluation; None is none."""
        if metrics is None:
            return
        self._evaluations.append(metrics)
        self.evaluation_steps.append(step)
        self._write(step, {f"evaluate/{name}": value for name, value in named(metrics).items()})

    def stacked(self) -> tuple[Metrics, Metrics, np.ndarray]:
        """All metrics over time, all evaluations, and after which steps these were."""
        metrics = evaluations = None
        if self._chunks:
            metrics = jax.tree.map(lambda *xs: np.concatenate(xs, axis=-1), *self._chunks)
        if self._evaluations:
            evaluations = jax.tree.map(lambda *xs: np.stack(xs, axis=-1), *self._evaluations)
        return metrics, evaluations, np.asarray(self.evaluation_steps)

    def _write(self, step: int, metrics: dict[str, np.ndarray]) -> None:
        if jax.process_index() == 0:
            for sink in self._sinks:
                sink.write(step, metrics)

    def refuse_nan(self, step: int, state: State) -> None:
        """Name the NaN that a state has.

        Args:
            step: After how many steps.
            state: The state.

        Raises:
            NonFiniteError: Naming the first leaf that has one, and the run.
        """
        axes = len(self._batch.axes)
        floats = jax.tree.map(
            lambda leaf: leaf if jnp.issubdtype(leaf.dtype, jnp.inexact) else None, state
        )
        for name, values in named(gather(floats)).items():
            found = np.isnan(values).any(axis=tuple(range(axes, values.ndim)))
            for index in map(tuple, np.argwhere(found).tolist()):
                where = self._batch.name(index)
                raise NonFiniteError(_complaint(f"state {name!r}", np.nan, step, where))
        raise NonFiniteError(_complaint("state", np.nan, step, ""))

    def _refuse_non_finite(self, before: int, metrics: dict[str, np.ndarray]) -> None:
        """Raise for the earliest value that is not finite."""
        bad = [
            (before + 1 + index[-1], name, index)
            for name, value in metrics.items()
            for index in map(tuple, np.argwhere(~np.isfinite(value)).tolist())
        ]
        if bad:
            step, name, index = min(bad)
            where = self._batch.name(index[: len(self._batch.axes)])
            raise NonFiniteError(_complaint(f"metric {name!r}", metrics[name][index], step, where))


def _complaint(what: str, value: Any, step: int, where: str) -> str:
    return (
        f"{what} is {value} at step {step}{f' ({where})' if where else ''}; training stopped, "
        f"checkpoints before this step are kept"
    )


def named(tree: Any) -> dict[str, np.ndarray]:
    """The leaves of a pytree of metrics under their paths, as ``'outer/inner'``.

    Args:
        tree: The pytree.

    Returns:
        Names to NumPy arrays.

    Example:
        >>> list(named({"loss": 0.0, "grad": {"norm": 1.0}}))
        ['grad/norm', 'loss']
    """
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }
