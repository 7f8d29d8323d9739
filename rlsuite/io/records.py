"""What a run keeps in its directory: checkpoints, and metrics as JSON lines."""

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from rlsuite.io.checkpoints import Checkpoints, digest, prepare
from rlsuite.io.logs import JSONL
from rlsuite.programs import algorithm_name

_LOG_ROOM = 1 << 20  # bytes for the log, beside the checkpoints


def fingerprint(
    make: Callable[..., Any],
    problem: Any,
    config: Any,
    key: PRNGKeyArray,
    batch: Mapping[str, int],
    shapes: Any,
) -> dict[str, Any]:
    """What makes two runs the same run, as JSON values.

    Args:
        make: The algorithm.
        problem: Its problem; enters by a digest of its arrays.
        config: Its config; enters field by field.
        key: The run's key.
        batch: The sizes of the run's axes.
        shapes: The shapes of its state.

    Returns:
        Names to JSON values. The number of steps is not part of it: a run can be prolonged.
    """
    fields = {
        f"config{jax.tree_util.keystr(path)}": np.asarray(leaf).tolist()
        for path, leaf in jax.tree_util.tree_leaves_with_path(config)
    }
    return {
        "algorithm": algorithm_name(make),
        "batch": dict(batch),
        **fields,
        "static config": str(jax.tree.structure(config)),
        "key": np.asarray(jax.random.key_data(key)).tolist(),
        "problem": digest(problem),
        "state structure": digest(jax.tree.map(lambda s: f"{s.shape} {s.dtype}", shapes)),
    }


class Record:
    """The directory of one run.

    Args:
        directory: Where it is; made if it does not exist.
        shapes: The shapes of the run's state.
        identity: The run's fingerprint.
        resume: Whether a run that is there already is to go on.
        keep: How many checkpoints stay.

    Raises:
        ValueError: If the directory cannot take the run, or holds one and ``resume`` is False.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        shapes: Any,
        identity: Mapping[str, Any],
        *,
        resume: bool,
        keep: int,
    ) -> None:
        size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes))
        self.directory = prepare(directory, (keep + 1) * size + _LOG_ROOM)
        self._checkpoints = Checkpoints(self.directory, identity, keep=keep)
        self._shapes = shapes
        taken = self._checkpoints.steps()
        if taken and not resume:
            raise ValueError(
                f"directory {str(self.directory)!r} already holds a run of {taken[-1]} steps; "
                f"resume it, or give another directory"
            )
        self._steps: int | None = None
        self._seconds = float("inf")
        self._saved_at = time.monotonic()

    def save_every(self, steps: int | None, seconds: float) -> None:
        """Set when a checkpoint is due."""
        self._steps, self._seconds = steps, seconds

    def is_due(self, before: int, after: int) -> bool:
        """Whether to save after the steps from ``before`` to ``after``."""
        by_steps = self._steps is not None and after // self._steps > before // self._steps
        return by_steps or time.monotonic() - self._saved_at >= self._seconds

    def save(self, step: int, state: Any) -> None:
        """Write a checkpoint."""
        self._checkpoints.save(step, state)
        self._saved_at = time.monotonic()

    def latest(self) -> tuple[int, Any] | None:
        """The latest checkpoint's step and state, or None."""
        return self._checkpoints.load_latest(self._shapes)

    def log(self, start: int) -> JSONL:
        """The run's log; lines of steps after ``start`` are dropped."""
        return JSONL(self.directory / "metrics.jsonl", after=start)
