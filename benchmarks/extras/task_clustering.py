"""Task clustering beyond the registry: how long thousands of mazes take."""

import functools
from collections.abc import Iterator

import jax
import numpy as np
from jax.flatten_util import ravel_pytree

from benchmarks import statistics
from benchmarks.extras import Study
from benchmarks.measure import timed_call
from benchmarks.results import Row, make_row
from rlsuite.algorithms import task_clustering
from rlsuite.envs.families import maze_families
from rlsuite.ops.projection import count_sketch
from rlsuite.problems.task_clustering import maze_tasks

ALGORITHM = "task_clustering"
_SKETCH = 512


def mazes(seeds: int) -> Iterator[Row]:
    """Sketch the parameter gradients of mazes at the network's first parameters."""
    del seeds
    config = task_clustering.Config()
    network = task_clustering.reward_network(config)
    for count in 125, 500, 2000:
        problem = maze_tasks(0, layouts=maze_families(0, count).layouts)
        params = network.init(jax.random.key(0), problem.features)
        dimension = ravel_pytree(params)[0].size
        projection = count_sketch(jax.random.key(1), dimension, _SKETCH)

        sketches = functools.partial(task_clustering.sketches, config=config)
        call = timed_call(sketches, params, problem, projection, repetitions=3)
        value, low, high = statistics.median(call.seconds)
        yield make_row(
            suite="speed",
            algorithm=ALGORITHM,
            problem=f"generated mazes, gradients sketched to {_SKETCH} numbers@mazes={count}",
            metric="reward gradients and sketches",
            value=value,
            ci_low=low,
            ci_high=high,
            unit="s",
            seeds=len(call.seconds),
            compile_s=call.compile_s,
            wall_s=float(np.sum(call.seconds)),
            peak_bytes=call.peak_bytes,
        )


SPEED = (Study("sketches of thousands of mazes", mazes),)
