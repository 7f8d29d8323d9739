"""What the suites measure with: training runs, timed calls, and memory."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks.peers.worker import peak_bytes as peak_of_process
from rlsuite.core import Result, run
from rlsuite.loop import named
from rlsuite.registry import Entry, Problem


class Training(NamedTuple):
    """A training run of a registered problem.

    Attributes:
        problem: What was trained on.
        result: What `rlsuite.core.run` returned.
        scores: The final score: ``[problem, seed]``, each axis only if there is one.
        peak_bytes: The most memory in use during the run.
    """

    problem: Any
    result: Result
    scores: np.ndarray
    peak_bytes: int

    @property
    def steps_per_second(self) -> float:
        """Training steps a second, those of all problems and seeds, without compilation."""
        return self.scores.size * self.result.step / self.result.seconds


def train(
    entry: Entry, problem: Problem, *, num_steps: int | None = None, num_seeds: int | None = None
) -> Training:
    """Train an algorithm on one of its problems, as its registry entry says.

    Args:
        entry: The algorithm.
        problem: One of its problems.
        num_steps: How many steps; the problem's own number by default.
        num_seeds: How many seeds to train at once; one, without an axis, by default.

    Returns:
        The run, and the final score of each problem and seed.
    """
    built = problem.build()
    steps = problem.num_steps if num_steps is None else num_steps
    with track_memory() as memory:
        result = run(
            entry.make_for(problem),
            built,
            problem.config,
            jax.random.key(0),
            steps,
            num_seeds=num_seeds,
            num_problems=problem.num_problems,
            progress=False,
        )
    return Training(built, result, final(result, problem.score), memory.peak_bytes)


def final(result: Result, name: str) -> np.ndarray:
    """Return the last value of an evaluation metric, one for each run of the batch.

    Raises:
        ValueError: No evaluation has a metric of that name.
    """
    found = named(result.evaluations)
    if name not in found:
        raise ValueError(f"score is {name!r}; the evaluation has {', '.join(found) or 'nothing'}")
    return found[name][..., -1]


class Memory:
    """The most memory in use while it was tracked; filled in when `track_memory` ends."""

    peak_bytes: int = 0


@contextmanager
def track_memory() -> Iterator[Memory]:
    """Track the most memory in use: the device's, or that of the process where JAX runs on CPU.

    Where the system cannot forget an earlier peak, the peak since the start is reported.
    """
    memory = Memory()
    forget = Path("/proc/self/clear_refs")
    with suppress(OSError):  # Not Linux, or not allowed.
        forget.write_text("5")
    yield memory
    statistics = jax.devices()[0].memory_stats()
    memory.peak_bytes = statistics["peak_bytes_in_use"] if statistics else peak_of_process()


class TimedCall(NamedTuple):
    """A compiled function, timed.

    Attributes:
        output: What its last call returned.
        seconds: Seconds of each counted call.
        compile_s: Seconds of tracing and compiling.
        peak_bytes: Memory of the compiled program: arguments, outputs and temporaries.
        temporary_bytes: The temporaries alone.
    """

    output: Any
    seconds: list[float]
    compile_s: float
    peak_bytes: int
    temporary_bytes: int


def timed_call(function: Callable[..., Any], *arguments: Any, repetitions: int = 7) -> TimedCall:
    """Compile a function for its arguments, call it, and measure both apart.

    Args:
        function: A function that can be jitted.
        *arguments: Its arguments, pytrees of arrays.
        repetitions: Counted calls, after one that is not counted.

    Returns:
        The output, the times, and the memory that the compiled program needs.
    """
    start = time.perf_counter()
    compiled = jax.jit(function).lower(*arguments).compile()
    compile_s = time.perf_counter() - start
    output = jax.block_until_ready(compiled(*arguments))
    seconds = []
    for _ in range(repetitions):
        start = time.perf_counter()
        output = jax.block_until_ready(compiled(*arguments))
        seconds.append(time.perf_counter() - start)
    memory = compiled.memory_analysis()
    assert memory is not None
    temporaries = int(memory.temp_size_in_bytes)
    arrays = memory.argument_size_in_bytes + memory.output_size_in_bytes
    return TimedCall(output, seconds, compile_s, int(arrays) + temporaries, temporaries)
