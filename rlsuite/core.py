"""The contract and the one training loop.

An algorithm is a pure function of (problem, config, key)::

    make(problem, config, **callables) -> Algorithm(init, step, act, evaluate)

so that anything can be jitted, vmapped over seeds, hyperparameters and problems, sharded over
devices, stopped and resumed, without the algorithm knowing. :func:`run` does all of that: it
jits chunks of steps as a ``lax.scan`` with a donated state, and between chunks, on the host, it
logs, evaluates, checkpoints and moves the progress bar.

No key is kept in a state. A run's key is split into three streams (initialisation, steps,
evaluation), and step t draws ``fold_in(step_key, t)``; a run that was stopped and resumed
therefore equals the uninterrupted one bitwise.
"""

import contextlib
import os
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from rlsuite.io.checkpoints import Checkpoints
from rlsuite.io.logs import Sink
from rlsuite.io.records import Record, fingerprint
from rlsuite.loop import History, check, drive, even
from rlsuite.placement import Batch, batch_of, gather, plan, split, traced_arguments
from rlsuite.programs import Program

State = Any
Metrics = Any


class Algorithm(NamedTuple):
    """An algorithm on one problem under one config.

    Attributes:
        init: ``key -> state``.
        step: ``(key, state) -> (state, metrics)``; the state keeps its structure, shapes and
            types.
        act: ``(key, state, observation, carry) -> (action, carry)``, or None. A carry of None
            starts an episode.
        evaluate: ``(key, state) -> metrics``, or None.
        chunk_length: How many steps ``run`` puts into one ``lax.scan``. (Convolutional steps run
            faster on CPU with 1.)
    """

    init: Callable[[PRNGKeyArray], State]
    step: Callable[[PRNGKeyArray, State], tuple[State, Metrics]]
    act: Callable[[PRNGKeyArray, State, Any, Any], tuple[Any, Any]] | None = None
    evaluate: Callable[[PRNGKeyArray, State], Metrics] | None = None
    chunk_length: int = 100


class Result(NamedTuple):
    """What a run leaves.

    Attributes:
        state: The final state; leaves have the axes (problem, config, seed), each only if asked
            for, before their own.
        metrics: Every step's metrics from ``start`` to ``step`` as NumPy arrays: the run's axes,
            then the metric's own, then time. None if no step was left to do.
        evaluations: What ``evaluate`` returned, likewise, over ``evaluation_steps``; None without.
        evaluation_steps: After how many steps it was called, ``[evaluation]``.
        start: The step from which this process ran (not 0 after a resume).
        step: The last step.
        compile_seconds: Time spent tracing and compiling.
        seconds: Time spent on the rest, host work included.
    """

    state: State
    metrics: Metrics
    evaluations: Metrics
    evaluation_steps: np.ndarray
    start: int
    step: int
    compile_seconds: float
    seconds: float


def first_seed(state: State, num_problems: int | None, num_seeds: int | None) -> State:
    """The state of the first seed, out of a state with the axes (problem, seed).

    Args:
        state: A result's state; no configs stacked.
        num_problems: As given to ``run``; that axis stays.
        num_seeds: As given to ``run``.

    Returns:
        The state without the axis of seeds.
    """
    if num_seeds is None:
        return state
    where = (0,) if num_problems is None else (slice(None), 0)
    return jax.tree.map(lambda leaf: leaf[where], state)


def run(
    make: Callable[..., Algorithm],
    problem: Any,
    config: Any,
    key: PRNGKeyArray,
    num_steps: int,
    *,
    num_seeds: int | None = None,
    num_problems: int | None = None,
    mesh: jax.sharding.Mesh | None = None,
    chunk_length: int | None = None,
    evaluate_every: int | None = None,
    directory: str | os.PathLike[str] | None = None,
    resume: bool = False,
    checkpoint_every: int | None = None,
    checkpoint_minutes: float = 10.0,
    keep: int = 3,
    sinks: Sequence[Sink] = (),
    progress: bool | str = True,
) -> Result:
    """Train: ``num_steps`` steps of an algorithm, over seeds, configs and problems at once.

    Args:
        make: The algorithm; ``functools.partial`` binds callables (networks, optimisers) to it.
            It is called inside the jitted function: the problem's arrays are arguments.
        problem: A pytree. Its arrays are traced; its other leaves are static and hashable.
        config: The algorithm's config. Float fields that hold arrays ``[n]`` (see ``grid``) make
            the run train n configs.
        key: A typed key. With ``num_seeds``, seed i has ``fold_in(key, i)``; configs and problems
            share seeds.
        num_steps: How many steps in all, those before a resume counted in.
        num_seeds: How many seeds to train; None trains one, without an axis.
        num_problems: How many problems are stacked along the first axis of the problem's arrays;
            None for one problem.
        mesh: A mesh of one axis to shard the batch over. By default all devices (of all
            processes), or as many as divide an axis of the batch.
        chunk_length: Steps between two visits to the host; by default the algorithm's own, or
            somewhat fewer where all chunks are as long then, and one program does them.
        evaluate_every: Evaluate at the first chunk's end after every so many steps. A run also
            evaluates at its end.
        directory: Where checkpoints and ``metrics.jsonl`` go; None writes nothing.
        resume: Go on from the directory's latest checkpoint if it has one.
        checkpoint_every: Save at the first chunk's end after every so many steps.
        checkpoint_minutes: Save when so many minutes have passed. A run also saves at its end.
        keep: How many checkpoints stay.
        sinks: Further receivers of the metrics (``rlsuite.io.logs``).
        progress: Show a bar with live metrics; a string is its label.

    Returns:
        The final state, every step's metrics, the evaluations, and times.

    Raises:
        ValueError: For an argument out of range, an unwritable or occupied directory, or a
            checkpoint that cannot be used, all before training starts.
        NonFiniteError: Naming the step, the run and the metric; the checkpoints before it stay.
        KeyboardInterrupt: After Ctrl-C (or SIGTERM), once the chunk at hand is done and saved.

    Example:
        >>> def make(target, rate):
        ...     def step(key, x):
        ...         return x - rate * (x - target), {"loss": (x - target) ** 2}
        ...     return Algorithm(lambda key: jnp.zeros(()), step)
        >>> result = run(make, jnp.asarray(3.0), 0.5, jax.random.key(0), 40, progress=False)
        >>> float(result.state)
        3.0
    """
    check(num_steps, chunk_length, evaluate_every, checkpoint_every, checkpoint_minutes, keep)
    batch, program = _prepare(make, problem, config, key, num_seeds, num_problems, mesh)
    record = None
    if directory is not None:
        identity = fingerprint(make, problem, config, key, batch.axes, program.shapes)
        record = Record(directory, program.shapes, identity, resume=resume, keep=keep)
        record.save_every(checkpoint_every, 60 * checkpoint_minutes)

    began = time.monotonic() - program.compile_seconds
    start, state = (record and record.latest()) or (0, program.init())
    if start > num_steps:
        raise ValueError(f"num_steps is {num_steps}, but the checkpoint is at step {start}")
    with contextlib.ExitStack() as stack:
        log = [stack.enter_context(contextlib.closing(record.log(start)))] if record else []
        history = History(batch, [*sinks, *log])
        length = chunk_length or program.chunk_length
        if not (chunk_length or record or evaluate_every):
            length = even(num_steps, length)
        steps = range(start, num_steps)
        state = drive(program, state, steps, length, evaluate_every, record, history, progress)
        history.evaluated(num_steps, gather(program.evaluate(state, num_steps)))
    return Result(
        state,
        *history.stacked(),
        start=start,
        step=num_steps,
        compile_seconds=program.compile_seconds,
        seconds=time.monotonic() - began - program.compile_seconds,
    )


def restore(
    make: Callable[..., Algorithm],
    problem: Any,
    config: Any,
    key: PRNGKeyArray,
    directory: str | os.PathLike[str],
    *,
    num_seeds: int | None = None,
    num_problems: int | None = None,
    mesh: jax.sharding.Mesh | None = None,
) -> Result:
    """The latest checkpoint of a run, evaluated; nothing is written.

    Args:
        make: The algorithm, as it was given to ``run``; so are the next three.
        problem: Its problem.
        config: Its config.
        key: Its key.
        directory: The run's directory.
        num_seeds: As given to ``run``.
        num_problems: As given to ``run``.
        mesh: Where to put it, which need not be where it was trained.

    Returns:
        The result that ``run`` would return at that step, without metrics.

    Raises:
        ValueError: If there is no checkpoint, or it cannot be used.
    """
    batch, program = _prepare(make, problem, config, key, num_seeds, num_problems, mesh)
    identity = fingerprint(make, problem, config, key, batch.axes, program.shapes)
    loaded = Checkpoints(pathlib.Path(directory).absolute(), identity).load_latest(program.shapes)
    if loaded is None:
        raise ValueError(f"directory {str(directory)!r} has no checkpoint")
    step, state = loaded
    began = time.monotonic() - program.compile_seconds
    history = History(batch, [])
    history.evaluated(step, gather(program.evaluate(state, step)))
    seconds = time.monotonic() - began - program.compile_seconds
    return Result(state, *history.stacked(), step, step, program.compile_seconds, seconds)


def _prepare(
    make: Callable[..., Algorithm],
    problem: Any,
    config: Any,
    key: PRNGKeyArray,
    num_seeds: int | None,
    num_problems: int | None,
    mesh: jax.sharding.Mesh | None,
) -> tuple[Batch, Program]:
    """Place a run's inputs on the devices."""
    if not jnp.issubdtype(key.dtype, jax.dtypes.prng_key) or key.shape:
        raise ValueError(
            f"key is {key.dtype}{list(key.shape)}; allowed: one typed key, jax.random.key(seed)"
        )
    arrays, structure = split(problem)
    batch = batch_of(arrays, config, num_problems, num_seeds)
    placement = plan(batch, mesh)
    arguments = placement.put(traced_arguments(arrays, config, key, batch))
    return batch, Program(make, structure, placement, arguments)
