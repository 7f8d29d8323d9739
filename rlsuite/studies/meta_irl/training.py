"""Meta-training on the mazes, as all studies of this folder need it: many runs in one program."""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from rlsuite.algorithms import task_clustering
from rlsuite.algorithms.task_clustering import Config, Problem, Subtree, Task
from rlsuite.configuration import to_json
from rlsuite.core import Algorithm, run
from rlsuite.envs.gridworld import Layout
from rlsuite.envs.stacking import stack
from rlsuite.io.stages import Stages
from rlsuite.problems.task_clustering import Worlds, maze_tasks

Pair = tuple[int, Subtree]
"""A seed, and the tasks that are meta-trained together."""

OPTIMIZERS = {"adamw": task_clustering.inner_optimizer, "sgd": optax.sgd}
"""Inner optimisers by name."""

CONDITIONS = tuple(
    (metric, feature) for metric in task_clustering.METRICS for feature in task_clustering.FEATURES
)
"""The twelve ways to measure how far tasks are apart."""

_LOADS = 160  # tasks trained at once; their parameters and gradients are some MB each
_TUNED = 20  # tasks fine-tuned at once


class Setup(NamedTuple):
    """All that a meta-training depends on but its seed and its tasks.

    Attributes:
        worlds: The choices about mazes and experts.
        config: The choices about learning.
        num_steps: Outer steps.
        inner: A key of ``OPTIMIZERS``.
        layouts: The mazes, stacked; None for the seven.
    """

    worlds: Worlds = Worlds()
    config: Config = Config()
    num_steps: int = 200
    inner: str = "adamw"
    layouts: Layout | None = None

    def identity(self, *more: Any) -> tuple[Any, ...]:
        """What a stage computed with this depends on."""
        layouts = "" if self.layouts is None else str(self.layouts)
        # Every field by name, so that a change of a default is a change too.
        choices = str(to_json(self.worlds)), str(to_json(self.config))
        return *choices, self.num_steps, self.inner, layouts, *more


class Trained(NamedTuple):
    """One meta-training.

    Attributes:
        params: θ, flat.
        curves: L over the fine-tuning steps from θ, ``[task, step + 1]``, its tasks in order.
    """

    params: np.ndarray
    curves: np.ndarray


def problem_of(setup: Setup, seed: int) -> Problem:
    """A seed's tasks with its own demonstrations, and the parameters it starts from."""
    problem = maze_tasks(seed, setup.worlds, setup.layouts)
    network = task_clustering.reward_network(setup.config)
    start = jax.jit(network.init)(jax.random.fold_in(jax.random.key(1), seed), problem.features)
    return problem._replace(start=start)


def unflatten(setup: Setup, flat: Float[np.ndarray, " parameter"] | Array) -> Any:
    """Parameters from their flat form."""
    start = jax.eval_shape(lambda: problem_of(setup, 0).start)
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), start)
    return ravel_pytree(zeros)[1](jnp.asarray(flat))


def train(setup: Setup, pairs: Iterable[Pair], label: str | bool = False) -> dict[Pair, Trained]:
    """Meta-train on every pair's tasks; those of one number are one vmapped program.

    Args:
        setup: The choices.
        pairs: Seeds and sets of tasks.
        label: Of the progress bar; False shows none.

    Returns:
        What came of each pair.
    """
    pairs = sorted(set(pairs), key=lambda pair: (len(pair[1]), pair[0], sorted(pair[1])))
    problems = {seed: problem_of(setup, seed) for seed in sorted({seed for seed, _ in pairs})}
    trained: dict[Pair, Trained] = {}
    for size in sorted({len(members) for _, members in pairs}):
        alike = [pair for pair in pairs if len(pair[1]) == size]
        most = max(_LOADS // size, 1)
        for first in range(0, len(alike), most):
            group = alike[first : first + most]
            shown = f"{label}: {len(group)} × {size} tasks" if label else False
            results = _train_alike(setup, [problems[s].subset(m) for s, m in group], shown)
            trained.update(zip(group, results, strict=True))
    return trained


@functools.cache
def _maker(inner: str) -> Callable[..., Algorithm]:
    """The same function for the same optimiser, so that programs are compiled once."""
    return functools.partial(task_clustering.make, inner_optimizer=OPTIMIZERS[inner])


def _train_alike(setup: Setup, problems: Sequence[Problem], label: str | bool) -> list[Trained]:
    """Problems with the same number of tasks, in one program."""
    result = run(
        _maker(setup.inner),
        stack(problems),
        setup.config,
        jax.random.key(0),
        setup.num_steps,
        num_problems=len(problems),
        progress=label,
    )
    flat = jax.vmap(lambda params: ravel_pytree(params)[0])(result.state.params)
    curves = result.evaluations.curves[..., -1]
    return [Trained(*parts) for parts in zip(np.asarray(flat), curves, strict=True)]


@functools.cache
def measurer(config: Config, inner: str) -> Callable[[Any, Problem], task_clustering.Measured]:
    """``task_clustering.measure(params, problem)`` under a setup, compiled."""
    return jax.jit(
        functools.partial(task_clustering.measure, config=config, inner_optimizer=OPTIMIZERS[inner])
    )


@functools.cache
def tuner(config: Config, inner: str) -> Callable[[Any, Problem], Float[Array, "task step"]]:
    """L over the fine-tuning of every task of a problem from given parameters, compiled."""

    def curves(params: Any, problem: Problem) -> Float[Array, "task step"]:
        def of_task(task: Task) -> Float[Array, " step"]:
            end = task_clustering.fine_tune(
                params, task, problem.features, config, inner_optimizer=OPTIMIZERS[inner]
            )
            return end.monitored

        return jax.lax.map(of_task, problem.tasks, batch_size=_TUNED)

    return jax.jit(curves)


class Base(NamedTuple):
    """Every seed's meta-training on all tasks, and the tasks' features there.

    Attributes:
        params: θ, ``[seed, parameter]``.
        curves: L over fine-tuning, ``[seed, task, step + 1]``.
        distances: Under every one of ``CONDITIONS``, ``[condition, seed, pair]``.
        norms: ‖θ‖ before and after meta-training, ``[seed, 2]``.
        moved: ‖θ_i − θ‖, ``[seed, task]``.
    """

    params: np.ndarray
    curves: np.ndarray
    distances: np.ndarray
    norms: np.ndarray
    moved: np.ndarray


def base(
    setup: Setup, num_seeds: int, *, label: str | bool = False, tasks: Subtree | None = None
) -> Base:
    """Meta-train all seeds on all tasks at once and measure the features.

    Args:
        setup: The choices.
        num_seeds: How many seeds.
        label: Of the progress bar.
        tasks: Which tasks; None for all of the setup's.

    Returns:
        The trainings.
    """
    problems = [problem_of(setup, seed) for seed in range(num_seeds)]
    if tasks is not None:
        problems = [problem.subset(tasks) for problem in problems]
    trained = _train_alike(setup, problems, label)
    measure = measurer(setup.config, setup.inner)
    pairs, norms, moved = [], [], []
    for problem, one in zip(problems, trained, strict=True):
        measured = measure(unflatten(setup, one.params), problem)
        named = task_clustering.features(measured)
        pairs.append(
            [task_clustering.distances(named[feature], metric) for metric, feature in CONDITIONS]
        )
        before = np.linalg.norm(ravel_pytree(problem.start)[0])
        norms.append([before, np.linalg.norm(one.params)])
        moved.append(np.linalg.norm(named["displacement"], axis=1))
    return Base(
        params=np.stack([one.params for one in trained]),
        curves=np.stack([one.curves for one in trained]),
        distances=np.stack(pairs, axis=1),
        norms=np.asarray(norms),
        moved=np.stack(moved),
    )


def few_shot(
    stages: Stages, name: str, setup: Setup, pairs: Iterable[Pair]
) -> Mapping[Pair, np.ndarray]:
    """Each pair's few-shot losses, ``[task]``, meta-trained in one resumable stage.

    Args:
        stages: Keep them.
        name: The stage's.
        setup: The choices.
        pairs: Seeds and sets of tasks.

    Returns:
        The losses by pair.
    """
    wanted = sorted(set(pairs), key=lambda pair: (pair[0], sorted(pair[1])))

    def compute() -> dict[str, np.ndarray]:
        trained = train(setup, wanted, name)
        return {_name(pair): trained[pair].curves[:, -1] for pair in wanted}

    saved = stages(name, setup.identity([_name(pair) for pair in wanted]), compute)
    return {pair: saved[_name(pair)] for pair in wanted}


def _name(pair: Pair) -> str:
    return f"{pair[0]}: {' '.join(map(str, sorted(pair[1])))}"
