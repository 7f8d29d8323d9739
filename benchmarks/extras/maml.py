"""MAML beyond the registry: what a meta-gradient costs, over steps, methods and tasks.

Always of sinusoids with 10 shots, and a network of two hidden layers of 40 units.
"""

from collections.abc import Iterator
from typing import Any, get_args

import jax
import optax

from benchmarks import statistics
from benchmarks.extras import Study
from benchmarks.measure import TimedCall, timed_call
from benchmarks.results import Row, make_row
from rlsuite.algorithms import maml
from rlsuite.ops import meta

ALGORITHM = "maml"
_RATE = 0.01
_TASKS = 25
_STEPS = 5


def _row(problem: str, metric: str, value: float, **fields: Any) -> Row:
    identity = {"suite": "speed", "algorithm": ALGORITHM, "problem": problem, "metric": metric}
    return make_row(**identity, value=value, **fields)


def _cost_rows(problem: str, call: TimedCall) -> Iterator[Row]:
    """Yield the time of a call, and the memory of its program."""
    value, low, high = statistics.median(call.seconds)
    yield _row(
        problem,
        "meta-gradient",
        value,
        ci_low=low,
        ci_high=high,
        unit="s",
        seeds=len(call.seconds),
        compile_s=call.compile_s,
        wall_s=sum(call.seconds),
        peak_bytes=call.peak_bytes,
    )
    yield _row(problem, "temporary memory", call.temporary_bytes, unit="B")


def _measure(method: meta.Method, num_steps: int, num_tasks: int) -> TimedCall:
    """Time the mean over tasks of the query loss and its gradient."""
    problem = maml.Sinusoids()
    network = maml.default_network(maml.Config())
    of_network, of_tasks, of_loss = jax.random.split(jax.random.key(0), 3)
    params = network.init(of_network, problem.inputs)
    tasks = jax.vmap(problem.sample)(jax.random.split(of_tasks, num_tasks))

    def loss(params: Any, points: maml.Points, key: jax.Array) -> jax.Array:
        return problem.loss(network.apply, params, points, key)

    def of_task(params: Any, task: maml.Task) -> tuple[jax.Array, Any]:
        result = meta.meta_gradient(
            loss,
            params,
            task.support,
            task.query,
            optimizer=optax.sgd(_RATE),
            num_steps=num_steps,
            method=method,
            key=of_loss,
        )
        return result.loss, result.gradient

    def mean(params: Any, tasks: Any) -> Any:
        return meta.mean_over_tasks(of_task, params, tasks)

    return timed_call(mean, params, tasks)


def steps(seeds: int) -> Iterator[Row]:
    """Take more and more inner steps by each method; memory must not grow as they do."""
    del seeds
    for method in get_args(meta.Method):
        calls = {}
        for num_steps in 1, 4, 16, 64, 256:
            calls[num_steps] = _measure(method, num_steps, _TASKS)
            yield from _cost_rows(
                f"{_TASKS} sinusoids, {method}@steps={num_steps}", calls[num_steps]
            )
        yield _row(
            f"{_TASKS} sinusoids, {method}",
            "memory of 256 steps over that of 16",
            calls[256].temporary_bytes / calls[16].temporary_bytes,
            unit="x",
            # The root of 16 and some; the others keep nothing of the way.
            reference=6.0 if method == "maml" else 1.05,
        )


def tasks(seeds: int) -> Iterator[Row]:
    """Adapt to more and more tasks in one program."""
    del seeds
    for count in 1, 8, 64, 512:
        yield from _cost_rows(
            f"sinusoids, maml, {_STEPS} steps@tasks={count}", _measure("maml", _STEPS, count)
        )


SCORES: tuple[Study, ...] = ()

SPEED = (
    Study("meta-gradient over the number of inner steps", steps),
    Study("meta-gradient over the number of tasks", tasks),
)
