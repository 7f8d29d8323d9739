"""Two thousand generated mazes: clustered in seconds, and held-out ones adapted to.

One initialisation is meta-trained on some of the mazes. At its parameters the gradients of all
mazes are sketched and clustered. Each cluster then has an initialisation of its own, and mazes
that nothing has seen are assigned to the nearest and fine-tuned from it.
"""

import functools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from jax.flatten_util import ravel_pytree

from rlsuite.algorithms import task_clustering
from rlsuite.algorithms.task_clustering import Config, Problem
from rlsuite.configuration import to_json
from rlsuite.core import run
from rlsuite.envs.families import maze_families
from rlsuite.envs.stacking import stack
from rlsuite.io.reports import Section, picture
from rlsuite.io.stages import Stages
from rlsuite.io.tables import number, table
from rlsuite.ops.projection import count_sketch
from rlsuite.problems.task_clustering import Worlds, maze_tasks
from rlsuite.studies.meta_irl.training import tuner

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Sizes(NamedTuple):
    """How large it is.

    Attributes:
        mazes: Known mazes.
        trained: How many of them meta-training sees.
        batch: Tasks for each outer step.
        held_out: Further mazes, on which the initialisations are compared.
        num_steps: Outer steps.
        num_seeds: Repetitions: other mazes, demonstrations and first parameters.
        sketch: Numbers that a gradient is projected to.
        most: The most clusters to choose from.
    """

    mazes: int
    trained: int
    batch: int
    held_out: int
    num_steps: int
    num_seeds: int
    sketch: int
    most: int


FULL = Sizes(2000, 200, 10, 100, 200, 2, 512, 10)
QUICK = Sizes(200, 40, 5, 20, 20, 2, 256, 8)

WORLDS = Worlds(absorbing=False, stay=True)
"""Goals that the agent comes to rest at: with absorbing ones, long meta-training leaves gradients
that tell little of where a maze's goal is."""

STARTS = ("one per cluster", "one for all", "one for all, as many steps in all")


class Clustered(NamedTuple):
    """The known mazes' clusters, and what finding them took.

    Attributes:
        labels: Each maze's cluster, by sketches, ``[maze]``.
        exact: By exact gradients, ``[maze]``.
        silhouettes: Of 2, 3, … clusters.
        sketches: ``[maze, sketch]``.
        error: The largest and the mean error of a sketched cosine.
        seconds: Of sketching, of exact inner products, of the distances and the dendrogram.
    """

    labels: np.ndarray
    exact: np.ndarray
    silhouettes: np.ndarray
    sketches: np.ndarray
    error: np.ndarray
    seconds: np.ndarray


def meta_train(
    problem: Problem, config: Config, num_steps: int, label: str, num_problems: int | None = None
) -> Any:
    """Meta-parameters of a problem, or of several stacked ones."""
    result = run(
        task_clustering.make,
        problem,
        config,
        jax.random.key(0),
        num_steps,
        num_problems=num_problems,
        progress=label,
    )
    return result.state.params


def cluster(params: Any, problem: Problem, config: Config, sizes: Sizes) -> Clustered:
    """Cluster all mazes by the cosine of their parameter gradients, projected and exact."""
    network = task_clustering.reward_network(config)
    dimension = ravel_pytree(params)[0].size
    projection = count_sketch(jax.random.key(2), dimension, sizes.sketch)
    sketch = jax.jit(lambda at, p: task_clustering.sketches(at, p, projection, config))
    slopes = jax.jit(lambda at, p: task_clustering.reward_gradients(at, p, config))
    kernel = jax.jit(lambda at, x: task_clustering.reward_kernel(at, x, network))

    def exact(at: Any, problem: Problem) -> np.ndarray:
        gradients = np.asarray(slopes(at, problem), np.float64)
        return gradients @ np.asarray(kernel(at, problem.features), np.float64) @ gradients.T

    sketched, sketch_seconds = _timed(sketch, params, problem)
    products, exact_seconds = _timed(exact, params, problem)
    lengths = np.sqrt(np.diag(products))
    cosines = products / np.outer(lengths, lengths)
    above = np.triu_indices(len(cosines), 1)
    began = time.perf_counter()
    pairs = task_clustering.distances(np.asarray(sketched, np.float64), "cosine")
    number, silhouettes = task_clustering.choose_number(pairs, sizes.most)
    found = task_clustering.cut(task_clustering.linkage(pairs), number)
    linkage_seconds = time.perf_counter() - began
    error = np.abs((1 - pairs) - cosines[above])
    truth = task_clustering.cut(task_clustering.linkage(np.maximum(1 - cosines[above], 0)), number)
    return Clustered(
        labels=task_clustering.labels(found),
        exact=task_clustering.labels(truth),
        silhouettes=silhouettes,
        sketches=np.asarray(sketched),
        error=np.asarray([error.max(), error.mean()]),
        seconds=np.asarray([sketch_seconds, exact_seconds, linkage_seconds]),
    )


def _timed(function: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    """A function's result, and the seconds of its second call, which compiles nothing."""
    jax.block_until_ready(function(*arguments))
    began = time.perf_counter()
    result = jax.block_until_ready(function(*arguments))
    return result, time.perf_counter() - began


def agreement(first: np.ndarray, second: np.ndarray) -> float:
    """The adjusted Rand index of two labellings: 1 where they agree, 0 by chance.

    Reference: Hubert and Arabie (1985), "Comparing partitions", Journal of Classification 2.

    Args:
        first: Labels, ``[item]``.
        second: Labels, ``[item]``.

    Returns:
        The index.

    Example:
        >>> agreement(np.asarray([0, 0, 1, 1]), np.asarray([1, 1, 0, 0]))
        1.0
    """
    table = np.zeros((first.max() + 1, second.max() + 1))
    np.add.at(table, (first, second), 1)

    def pairs(counts: np.ndarray) -> float:
        return float((counts * (counts - 1) / 2).sum())

    together, rows, columns = pairs(table), pairs(table.sum(axis=1)), pairs(table.sum(axis=0))
    expected = rows * columns / (len(first) * (len(first) - 1) / 2)
    highest = (rows + columns) / 2
    return (together - expected) / (highest - expected) if highest != expected else 1.0


def experiment(seed: int, sizes: Sizes) -> dict[str, np.ndarray]:
    """One repetition; see the module.

    Args:
        seed: Of the mazes, demonstrations and first parameters.
        sizes: How large.

    Returns:
        The clusters' parts by name, ``curves`` of L over fine-tuning the held-out mazes,
        ``[start, maze, step + 1]``, and the mazes' ``family`` and ``goal``.
    """
    made = maze_families(seed, sizes.mazes + sizes.held_out)
    everything = maze_tasks(seed, WORLDS, made.layouts)
    known, held_out = (
        everything._replace(tasks=jax.tree.map(lambda leaf, w=where: leaf[w], everything.tasks))
        for where in (slice(sizes.mazes), slice(sizes.mazes, None))
    )
    config = Config(num_tasks=sizes.batch)
    network = task_clustering.reward_network(config)
    start = network.init(jax.random.key(seed), known.features)
    seen = known.subset(range(sizes.trained))._replace(start=start)
    one = meta_train(seen, config, sizes.num_steps, f"one initialisation, seed {seed}")

    clustered = cluster(one, known, config, sizes)
    count = int(clustered.labels.max()) + 1
    longer = meta_train(seen, config, count * sizes.num_steps, f"as many steps, seed {seed}")
    members = [np.flatnonzero(clustered.labels == c) for c in range(count)]
    generator = np.random.default_rng(seed)
    share = max(sizes.trained // count, sizes.batch)
    parts = stack(
        [
            seen._replace(tasks=known.subset(generator.choice(m, share, replace=True)).tasks)
            for m in members
        ]
    )
    own = meta_train(parts, config, sizes.num_steps, f"{count} clusters, seed {seed}", count)

    joined = _assign(one, held_out, clustered, config, sizes)
    tune = tuner(config, "adamw")
    curves = np.zeros((len(STARTS), sizes.held_out, config.fine_tuning_steps + 1))
    for c in range(count):
        here = np.flatnonzero(joined == c)
        if here.size:
            params = jax.tree.map(lambda leaf, c=c: leaf[c], own)
            curves[0, here] = tune(params, held_out)[here]
    curves[1], curves[2] = tune(one, held_out), tune(longer, held_out)
    goal = np.argwhere(made.layouts.goal)[:, 1:]
    return {**clustered._asdict(), "curves": curves, "family": made.family, "goal": goal}


def _assign(
    params: Any,
    held_out: Problem,
    clustered: Clustered,
    config: Config,
    sizes: Sizes,
) -> np.ndarray:
    """Each held-out maze's cluster, by its sketch's cosine distances to the known mazes."""
    dimension = ravel_pytree(params)[0].size
    projection = count_sketch(jax.random.key(2), dimension, sizes.sketch)
    sketch = jax.jit(lambda at, p: task_clustering.sketches(at, p, projection, config))
    new = np.asarray(sketch(params, held_out), np.float64)
    old = clustered.sketches.astype(np.float64)
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (new, old)]
    apart = 1 - unit[0] @ unit[1].T
    clusters = [
        frozenset(np.flatnonzero(clustered.labels == c).tolist())
        for c in range(int(clustered.labels.max()) + 1)
    ]
    return np.asarray([task_clustering.assign(row, clusters) for row in apart])


def sections(stages: Stages, sizes: Sizes) -> list[Section]:
    """The report's two sections on generated mazes.

    Args:
        stages: Keep what is done.
        sizes: How large.

    Returns:
        The sections.
    """
    results = [
        stages(
            f"generated mazes {seed}",
            (sizes, str(to_json(WORLDS)), str(to_json(Config()))),
            functools.partial(experiment, seed, sizes),
        )
        for seed in range(sizes.num_seeds)
    ]
    return [_clustering(results, sizes), _held_out(results, sizes)]


def _clustering(results: list[dict[str, np.ndarray]], sizes: Sizes) -> Section:
    rows = []
    for seed, result in enumerate(results):
        family = result["family"][: sizes.mazes]
        labels = result["labels"]
        rows.append(
            [
                str(seed),
                *(f"{seconds:.2f}" for seconds in result["seconds"]),
                int(labels.max()) + 1,
                agreement(labels, family),
                agreement(labels, result["exact"]),
                *result["error"],
            ]
        )
    made = table(
        f"{sizes.mazes:,} mazes",
        f"Gradients in 216,065 dimensions projected to {sizes.sketch}, and exactly by the "
        f"network's kernel; seconds of the second call, on the machine that made this page. "
        f"Agreement is the adjusted Rand index; five families of goals were generated.",
        [
            "seed",
            "sketches, s",
            "exact, s",
            "dendrogram, s",
            "clusters chosen",
            "agreement with families",
            "with exact",
            "largest error of a cosine",
            "mean",
        ],
        rows,
    )
    caption = (
        "The mazes of the first seed: two principal components of their sketches, and their "
        "goals; colours are the clusters found."
    )
    return Section(
        "Thousands of mazes",
        [made],
        [picture("many-mazes", _draw_mazes(results[0], sizes), caption)],
    )


def _draw_mazes(result: dict[str, np.ndarray], sizes: Sizes) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    unit = result["sketches"] / np.linalg.norm(result["sketches"], axis=1, keepdims=True)
    centred = unit - unit.mean(axis=0)
    _, _, axes_of = np.linalg.svd(centred, full_matrices=False)
    x, y = (centred @ axes_of[:2].T).T
    left.scatter(x, y, c=result["labels"], cmap="tab10", s=5)
    left.set(xlabel="first component", ylabel="second component")
    jitter = np.random.default_rng(0).uniform(-0.4, 0.4, (sizes.mazes, 2))
    row, column = (result["goal"][: sizes.mazes] + jitter).T
    right.scatter(column, row, c=result["labels"], cmap="tab10", s=5)
    right.invert_yaxis()
    right.set_aspect("equal")
    right.set(xlabel="goal's column", ylabel="goal's row")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _held_out(results: list[dict[str, np.ndarray]], sizes: Sizes) -> Section:
    from scipy.stats import wilcoxon

    curves = np.stack([result["curves"] for result in results], axis=1)  # start, seed, maze, step
    last = curves[..., -1].reshape(len(STARTS), -1)
    rows = []
    for i, name in enumerate(STARTS):
        p = wilcoxon(last[0], last[i], alternative="less").pvalue if i else None
        better = float(np.mean(last[0] < last[i])) if i else None
        by_seed = curves[i, :, :, -1].mean(axis=1)
        rows.append(
            [
                name,
                float(curves[i, ..., 0].mean()),
                float(last[i].mean()),
                " ".join(map(number, by_seed.tolist())),
                better,
                p,
            ]
        )
    made = table(
        "Held-out mazes",
        f"{sizes.held_out} mazes that nothing has seen, in each of {sizes.num_seeds} repetitions: "
        f"the loss at the start and after fine-tuning, its mean in each repetition, in which share "
        f"of mazes the clusters' start is better, and the one-sided signed-rank p of that.",
        ["start", "loss before", "few-shot loss", "by repetition", "clusters better", "p"],
        rows,
    )
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3), layout="constrained")
    axes = figure.add_subplot()
    for name, values, colour in zip(
        STARTS, curves.mean(axis=(1, 2)), ("#2563eb", "#dc6803", "#94a3b8"), strict=True
    ):
        axes.plot(values, color=colour, label=name)
    axes.set(xlabel="fine-tuning step", ylabel="loss")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    caption = "Fine-tuning on held-out mazes: the mean over mazes and repetitions."
    return Section("Held-out mazes", [made], [picture("held-out", figure, caption)])
