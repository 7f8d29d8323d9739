"""The compiled parts of a run: initialise, a chunk of steps, evaluate.

Programs are compiled ahead of time, so that compiling can be timed and shown, and are kept: a
second run of the same algorithm on inputs of the same shapes compiles nothing.
"""

import contextlib
import functools
import os
import pathlib
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from rlsuite.placement import Arguments, Placement, Structure

_MODES = (
    "jax_enable_x64",
    "jax_numpy_dtype_promotion",
    "jax_default_matmul_precision",
    "jax_debug_nans",
)

_MAPPINGS = pathlib.Path("/proc/self/maps")

compiler_options: dict[str, Any] = {}
"""What XLA is told of each program of a run, beside what ``XLA_FLAGS`` says of all programs."""


def keep_compiled() -> None:
    """Keep compiled programs on the disk, for the next call of the command line.

    They lie where ``JAX_COMPILATION_CACHE_DIR`` says, else in the user's cache; in this are those
    that took half a second, or as ``JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS`` says.
    """
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    root = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    jax.config.update("jax_compilation_cache_dir", str(pathlib.Path(root) / "rlsuite" / "jax"))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def compile_soon(level: int = 1) -> None:
    """Have XLA compile in less than half the time, for programs that will not run for long.

    It sets ``XLA_FLAGS``, which processes started from here inherit, and has to be called before
    JAX computes anything.

    Args:
        level: How much LLVM does. On CPU most programs run as fast with 1 as with all that it
            could do; with 0 they compile in half the time again, and loops of small operations run
            a tenth to a third slower.
    """
    flags = [f"--xla_backend_optimization_level={level}"]
    flags.append("--xla_cpu_parallel_codegen_split_count=1")
    if jax.__version_info__ < (0, 11):  # XLA ends a process that gives it a flag it does not know.
        flags.append("--xla_cpu_use_fusion_emitters=false")
    os.environ["XLA_FLAGS"] = " ".join([*flags, os.environ.get("XLA_FLAGS", "")]).strip()


def use_cores() -> None:
    """Have JAX see each core of a CPU as a device, so that runs can be done beside each other.

    Programs of small operations hardly use a second core. Nothing changes where JAX has computed
    before, or where ``JAX_NUM_CPU_DEVICES`` says a number.
    """
    if "JAX_NUM_CPU_DEVICES" in os.environ:
        return
    allowed = getattr(os, "sched_getaffinity", None)  # Linux alone says which cores are ours.
    cores = len(allowed(0)) if allowed else os.cpu_count() or 1
    with contextlib.suppress(RuntimeError):  # JAX's devices are counted by now.
        jax.config.update("jax_num_cpu_devices", cores)


class Program:
    """The parts of one run, over its whole batch, each compiled when it is first called.

    Args:
        make: ``(problem, config) -> Algorithm``.
        structure: The static part of the problem.
        placement: The batch and its devices.
        arguments: The traced inputs.

    Attributes:
        name: The algorithm's name.
        chunk_length: The algorithm's own.
        shapes: The state's shapes, types and shardings.
        compile_seconds: Time spent tracing and compiling so far.
    """

    def __init__(
        self,
        make: Callable[..., Any],
        structure: Structure,
        placement: Placement,
        arguments: Arguments,
    ) -> None:
        self._static = (make, structure, placement)
        self._arguments = arguments
        self.name = algorithm_name(make)
        began = time.monotonic()
        begin = _begin(*self._static, *self._described(0))
        self.compile_seconds = time.monotonic() - began
        self.shapes = placement.annotate(begin.traced.out_info)
        self.chunk_length = begin.chunk_length
        self._evaluates = begin.evaluates

    def init(self) -> Any:
        """The states at step 0."""
        return self._call(_init, (), 0)

    def steps(self, state: Any, start: int, length: int) -> tuple[Any, Any, Any]:
        """Do ``length`` steps; ``state`` is donated.

        Returns:
            (state, metrics with time last, whether the state has a NaN).
        """
        return self._call(_steps, (length,), start, state)

    def evaluate(self, state: Any, step: int) -> Any:
        """What the algorithm's ``evaluate`` returns after ``step`` steps; None if it has none."""
        return self._call(_evaluate, (), step, state) if self._evaluates else None

    def _call(
        self, part: Callable[..., Any], options: tuple[int, ...], step: int, *state: Any
    ) -> Any:
        began = time.monotonic()
        compiled = _compile(part, options, *self._static, *self._described(step, *state))
        self.compile_seconds += time.monotonic() - began
        return compiled(np.asarray(step, np.int32), *self._arguments, *state)

    def _described(self, step: int, *state: Any) -> tuple[Any, ...]:
        """What distinguishes programs of the same static inputs: structure, shapes and modes."""
        inputs = (np.asarray(step, np.int32), *self._arguments, *state)
        leaves, tree = jax.tree.flatten(inputs)
        sharded = self._static[2].mesh is not None
        return tree, tuple(_shape(leaf, sharded=sharded) for leaf in leaves), _modes()


def algorithm_name(make: Callable[..., Any]) -> str:
    """The dotted name of a ``make``, or of what a ``functools.partial`` binds."""
    while isinstance(make, functools.partial):
        make = make.func
    return f"{make.__module__}.{getattr(make, '__qualname__', type(make).__qualname__)}"


def _shape(leaf: Any, *, sharded: bool) -> jax.ShapeDtypeStruct:
    sharding = getattr(leaf, "sharding", None) if sharded else None
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)


def _modes() -> tuple[Any, ...]:
    """The settings that change what a program computes, or how."""
    modes = [getattr(jax.config, name) for name in _MODES]
    return (*modes, *sorted(compiler_options.items()))


def make_room(most: int = 40_000) -> None:
    """Let go of the programs that are kept, JAX's own too, if they take too many mappings.

    On CPUs a program takes from a few mappings of memory to some thousands. Linux allows a process
    65,530; beyond that XLA crashes while it compiles. Programs that are running are not touched,
    and what is needed again is compiled again. Elsewhere than on Linux nothing happens.

    Args:
        most: So many mappings may stay.
    """
    if not _MAPPINGS.exists() or _MAPPINGS.read_bytes().count(b"\n") <= most:
        return
    _compile.cache_clear()
    _begin.cache_clear()
    jax.clear_caches()


@functools.lru_cache(maxsize=64)
def _compile(
    part: Callable[..., Any],
    options: tuple[int, ...],
    make: Callable[..., Any],
    structure: Structure,
    placement: Placement,
    tree: Any,
    shapes: tuple[jax.ShapeDtypeStruct, ...],
    modes: tuple[Any, ...],
) -> Callable[..., Any]:
    make_room()
    if part is _init:
        traced = _begin(make, structure, placement, tree, shapes, modes).traced
    else:
        donated = (4,) if part is _steps else ()
        traced = _trace(part(make, structure, *options), placement, tree, shapes, donated)
    return traced.lower().compile(compiler_options=dict(compiler_options))


class _Begin(NamedTuple):
    """What is known of a run before anything is compiled."""

    traced: jax.stages.Traced
    chunk_length: int
    evaluates: bool


@functools.lru_cache(maxsize=64)
def _begin(
    make: Callable[..., Any],
    structure: Structure,
    placement: Placement,
    tree: Any,
    shapes: tuple[jax.ShapeDtypeStruct, ...],
    modes: tuple[Any, ...],
) -> _Begin:
    """Trace ``init``, once for the state's shapes and for the program."""
    del modes  # only distinguishes programs
    told: list[tuple[int, bool]] = []

    def noting(problem: Any, config: Any) -> Any:
        made = make(problem, config)
        told.append((made.chunk_length, made.evaluate is not None))
        return made

    traced = _trace(_init(noting, structure), placement, tree, shapes)
    return _Begin(traced, *told[0])


def _trace(
    part: Callable[..., Any],
    placement: Placement,
    tree: Any,
    shapes: tuple[jax.ShapeDtypeStruct, ...],
    donated: tuple[int, ...] = (),
) -> jax.stages.Traced:
    """Trace a part, over the batch."""
    function = placement.batch.over(part)
    jitted = jax.jit(function, donate_argnums=donated, out_shardings=placement.of_runs())
    return jitted.trace(*jax.tree.unflatten(tree, shapes))


def _strong(tree: Any) -> Any:
    """Make every array's type strong: a weak one would change, and recompile, after a step."""
    return jax.tree.map(lambda x: jax.lax.convert_element_type(x, jnp.asarray(x).dtype), tree)


def _init(make: Callable[..., Any], structure: Structure) -> Callable[..., Any]:
    def init(start: Any, problem: Any, config: Any, key: PRNGKeyArray) -> Any:
        del start
        init_key, _, _ = jax.random.split(key, 3)
        return _strong(make(structure.rebuild(problem), config).init(init_key))

    return init


def _steps(make: Callable[..., Any], structure: Structure, length: int) -> Callable[..., Any]:
    def steps(start: Any, problem: Any, config: Any, key: PRNGKeyArray, state: Any) -> Any:
        algorithm = make(structure.rebuild(problem), config)
        _, step_key, _ = jax.random.split(key, 3)

        def step(state: Any, t: jax.Array) -> tuple[Any, Any]:
            state, metrics = algorithm.step(jax.random.fold_in(step_key, t), state)
            return _strong(state), metrics

        if length == 1:  # a scan of one step would still hide it from some of XLA's kernels
            state, metrics = step(state, start)
            metrics = jax.tree.map(lambda x: jnp.asarray(x)[..., None], metrics)
        else:
            state, metrics = jax.lax.scan(step, state, start + jnp.arange(length, dtype=jnp.int32))
            metrics = jax.tree.map(lambda x: jnp.moveaxis(x, 0, -1), metrics)
        return state, metrics, has_nan(state)

    return steps


def has_nan(state: Any) -> jax.Array:
    """Whether a state holds a NaN: one answer, for the host asks after every chunk.

    Args:
        state: A pytree.

    Returns:
        The answer.
    """
    leaves = [leaf for leaf in jax.tree.leaves(state) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    found = [jnp.any(jnp.isnan(leaf)) for leaf in leaves]
    return jnp.any(jnp.stack(found)) if found else jnp.zeros((), bool)


def _evaluate(make: Callable[..., Any], structure: Structure) -> Callable[..., Any]:
    def evaluate(step: Any, problem: Any, config: Any, key: PRNGKeyArray, state: Any) -> Any:
        algorithm = make(structure.rebuild(problem), config)
        _, _, evaluate_key = jax.random.split(key, 3)
        return algorithm.evaluate(jax.random.fold_in(evaluate_key, step), state)

    return evaluate
