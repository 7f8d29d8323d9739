"""SOLAR beyond the registry: what smoothing and LQR cost in parallel over time.

Depth is read from the traced program: the length of its longest chain of operations that wait for
each other, those of a loop as often as it is walked. In blocks it is some constant and what a tree
of blocks adds, which grows by the same number for every ten times as many steps; step by step it
is so many times as great. Memory is what the compiled program asks for beside its inputs and
results, over the numbers of one matrix for each step.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, Var

from benchmarks.extras import Study
from benchmarks.results import Row, make_row
from rlsuite.ops import gaussian, lqr, scans

ALGORITHM = "solar"
_SIZE, _ACTIONS = 8, 2
_BLOCKS = {"smoothing": scans.BLOCK, "LQR": 16}
_LENGTHS = (1_000, 10_000, 100_000)
_COMPILED = 10_000
_BAR = 10.0


def depth(program: Any) -> int:
    """The longest chain of operations that wait for each other.

    Args:
        program: A jaxpr.

    Returns:
        How many there are.
    """
    jaxpr = program.jaxpr if isinstance(program, ClosedJaxpr) else program
    reached: dict[Any, int] = {}
    for equation in jaxpr.eqns:
        inputs = [reached.get(x, 0) for x in equation.invars if isinstance(x, Var)]
        end = max(inputs, default=0) + _own(equation)
        reached.update(dict.fromkeys(equation.outvars, end))
    return max(reached.values(), default=0)


def _own(equation: Any) -> int:
    """What one operation adds to a chain."""
    parts = jax.tree.leaves(
        list(equation.params.values()), is_leaf=lambda x: isinstance(x, ClosedJaxpr | Jaxpr)
    )
    within = [depth(part) for part in parts if isinstance(part, ClosedJaxpr | Jaxpr)]
    if equation.primitive.name == "scan":
        return int(equation.params["length"]) * max(within)
    return max(within, default=1)


def smoothing(steps: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Smoothing in blocks, and the shapes that it is given."""

    def program(initial: Any, transition: Any, offset: Any, noise: Any, told: Any) -> Any:
        model = gaussian.LinearGaussian(initial, transition, offset, noise)
        return gaussian.smooth(model, told, method="associative", block=_BLOCKS["smoothing"])

    matrix, vector = (_SIZE, _SIZE), (_SIZE,)
    told = gaussian.Potential(_given(steps, *matrix), _given(steps, *vector), _given(steps))
    transition, offset = _given(steps - 1, *matrix), _given(steps - 1, *vector)
    initial = gaussian.Moments(_given(*vector), _given(*matrix))
    return program, (initial, transition, offset, transition, told)


def regulating(steps: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """LQR in blocks, and the shapes that it is given."""
    n, both = _SIZE, _SIZE + _ACTIONS
    dynamics = lqr.Dynamics(
        _given(steps, n, n), _given(steps, n, _ACTIONS), _given(steps, n), _given(steps, n, n)
    )
    cost = lqr.Quadratic(_given(steps, both, both), _given(steps, both), _given(steps))
    last = lqr.Quadratic(_given(n, n), _given(n), _given())

    def program(problem: lqr.Problem) -> Any:
        return lqr.solve(problem, block=_BLOCKS["LQR"]).policy

    return program, (lqr.Problem(dynamics, cost, last),)


def in_parallel(seeds: int) -> Iterator[Row]:
    """Depth over the number of steps; compile time and memory of the longest that is compiled."""
    del seeds
    for name, made in ("smoothing", smoothing), ("LQR", regulating):
        block = _BLOCKS[name]
        for steps in _LENGTHS:
            program, given = made(steps)
            yield make_row(
                suite="speed",
                algorithm=ALGORITHM,
                problem=f"{name} in blocks of {block}@steps={steps}",
                metric="depth",
                value=depth(jax.make_jaxpr(program)(*given)),
                unit="operations",
            )
        program, given = made(_COMPILED)
        began = time.perf_counter()
        compiled = jax.jit(program).lower(*given).compile()
        seconds = time.perf_counter() - began
        analysis: Any = compiled.memory_analysis()
        where = f"{name} in blocks of {block}, {_COMPILED:,} steps of {_SIZE} numbers"
        shared: dict[str, Any] = {"suite": "speed", "algorithm": ALGORITHM, "problem": where}
        yield make_row(metric="compile time", value=seconds, unit="s", reference=_BAR, **shared)
        matrices = analysis.temp_size_in_bytes / (4 * _COMPILED * _SIZE**2)
        yield make_row(metric="memory", value=matrices, unit="matrices per step", **shared)


def _given(*shape: int) -> Any:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


SCORES: tuple[Study, ...] = ()
SPEED = (Study("smoothing and LQR in parallel over time", in_parallel),)
