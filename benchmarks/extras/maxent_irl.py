"""MaxEnt IRL beyond the registry: objectworlds, and how its inner loop scales.

The limits are those that we set ourselves for a machine with two cores.
"""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from benchmarks import statistics
from benchmarks.extras import Study
from benchmarks.measure import TimedCall, timed_call, track_memory
from benchmarks.results import Row, make_row
from rlsuite.envs.gridworld import gridworld
from rlsuite.envs.layouts import perfect_maze, random_layout
from rlsuite.ops import tabular
from rlsuite.studies import objectworld

ALGORITHM = "maxent_irl"
_TOLERANCE = 1e-6


def _row(problem: str, metric: str, value: float, *, suite: str = "speed", **fields: Any) -> Row:
    identity = {"suite": suite, "algorithm": ALGORITHM, "problem": problem, "metric": metric}
    return make_row(**identity, value=value, **fields)


def _estimate_row(problem: str, metric: str, estimate: statistics.Estimate, **fields: Any) -> Row:
    value, low, high = estimate
    return _row(problem, metric, value, ci_low=low, ci_high=high, **fields)


def _time_row(problem: str, metric: str, call: TimedCall, limit: float | None = None) -> Row:
    return _estimate_row(
        problem,
        metric,
        statistics.median(call.seconds),
        unit="s",
        reference=limit,
        seeds=len(call.seconds),
        compile_s=call.compile_s,
        wall_s=sum(call.seconds),
        peak_bytes=call.peak_bytes,
    )


def _maze(side: int, discount: float) -> tabular.MDP:
    return gridworld(perfect_maze(0, side, side), discount=discount)


def _partition(mdp: tabular.MDP, **options: Any) -> Callable[[Float[Array, " state"]], Array]:
    """Return the log-partition of MaxEnt IRL as a function of the reward; its gradient visits."""

    def of(reward: Float[Array, " state"]) -> Array:
        solution = tabular.value_iteration(
            mdp.replace(reward=reward), temperature=1.0, tolerance=_TOLERANCE, **options
        )
        return jnp.vdot(mdp.initial, solution.values)

    return of


def states(seeds: int) -> Iterator[Row]:
    """Solve, and differentiate, mazes of growing size; the largest is only solved."""
    del seeds
    for side, repetitions, limit in (31, 7, None), (101, 5, None), (317, 3, 10.0):
        mdp = _maze(side, 0.99)
        call = timed_call(jax.value_and_grad(_partition(mdp)), mdp.reward, repetitions=repetitions)
        name = f"perfect maze, discount 0.99@states={mdp.num_states}"
        yield _time_row(name, "solve and gradient", call, limit)
    with track_memory() as memory:
        mdp = _maze(1001, 0.99)
        call = timed_call(_partition(mdp), mdp.reward, repetitions=1)
    name = f"perfect maze, discount 0.99, {mdp.num_states:,} states"
    yield _time_row(name, "solve", call)
    yield _row(name, "memory of the process", memory.peak_bytes, unit="B", reference=2e9)


def problems(seeds: int) -> Iterator[Row]:
    """Solve thousands of small mazes in one program."""
    del seeds

    def solve(mdp: tabular.MDP) -> tabular.Visitation:
        solution = tabular.value_iteration(mdp, temperature=1.0, tolerance=_TOLERANCE)
        return tabular.visitation(mdp, solution.log_policy)

    for count in 1, 16, 256, 4096:
        mdps = gridworld(random_layout(0, 10, 10, count=count))
        call = timed_call(jax.vmap(solve), mdps, repetitions=5)
        name = f"random mazes of 10x10 in one program@mazes={count}"
        yield _time_row(name, "solve and visitation", call)


def iterations(seeds: int) -> Iterator[Row]:
    """Count Newton steps near discount 1, and see that memory does not grow with iterations."""
    del seeds
    with jax.enable_x64(True):
        mdp = _maze(101, 0.9999)
        solution = tabular.value_iteration(mdp, temperature=1.0, tolerance=1e-8, method="newton")
    yield _row(
        f"perfect maze, discount 0.9999, {mdp.num_states:,} states, float64",
        "Newton steps",
        float(solution.iterations),
        reference=50,
        note=f"the residual left is {float(solution.residual):.1e}",
    )

    mdp = _maze(101, 0.9999)
    name = f"perfect maze, discount 0.9999, {mdp.num_states:,} states"
    few, many = (
        timed_call(
            jax.grad(_partition(mdp, max_iterations=limit)), mdp.reward, repetitions=1
        ).temporary_bytes
        for limit in (100, 10_000)
    )
    metric = "gradient's memory at 10,000 iterations over that at 100"
    yield _row(name, metric, many / few, unit="x", reference=1.05)


def objectworlds(seeds: int) -> Iterator[Row]:
    """Run the study of deep against linear rewards and yield a row for each cell of it."""
    differences: dict[tuple[str, int], np.ndarray] = {}
    for cell in objectworld.measure(objectworld.FULL._replace(num_seeds=seeds), progress=False):
        differences[cell.reward, cell.demonstrations] = cell.differences[0]
        for place, values in zip(objectworld.PLACES, cell.differences, strict=True):
            yield _estimate_row(
                f"objectworld, {place}, {cell.reward}@paths={cell.demonstrations}",
                "expected value difference",
                statistics.iqm([values]),
                suite="scores",
                seeds=seeds,
            )
    for count in objectworld.FULL.demonstrations:
        halved = differences["deep", count] <= differences["linear", count] / 2
        yield _row(
            f"objectworld, training world@paths={count}",
            "share of worlds with deep at most half of linear",
            float(halved.mean()),
            suite="scores",
            reference=0.8,
            seeds=seeds,
        )


SCORES = (Study("objectworld: deep against linear over the number of paths", objectworlds),)

SPEED = (
    Study("solve and gradient over the number of states", states),
    Study("thousands of mazes in one program", problems),
    Study("iterations and memory", iterations),
)
