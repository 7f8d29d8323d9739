"""What the talk names as future work, and what a user would ask next.

How many clusters, chosen by the data; combinations of features; how stable the dendrogram is; an
unseen task, assigned to its cluster and adapted; thousands of tasks, by random projections; and a
held-out set of mazes, on which one initialisation per cluster is compared with one for all.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rlsuite.algorithms import task_clustering
from rlsuite.algorithms.task_clustering import Subtree
from rlsuite.io.dendrograms import draw_dendrogram
from rlsuite.io.reports import Report, Section, picture
from rlsuite.io.stages import Stages
from rlsuite.io.tables import Cell, Table, number, table
from rlsuite.registry import Study
from rlsuite.studies.meta_irl import many, published
from rlsuite.studies.meta_irl.outcomes import (
    NAMES,
    SUBTREES,
    TITLES,
    losses_of,
    name_of,
    title_of,
    with_error,
)
from rlsuite.studies.meta_irl.reproduction import meta_train
from rlsuite.studies.meta_irl.training import (
    CONDITIONS,
    Base,
    Setup,
    base,
    few_shot,
    measurer,
    problem_of,
    train,
    tuner,
    unflatten,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CONDITION = CONDITIONS.index(("cosine", "displacement"))
"""The feature that the talk found to cluster best, by which tasks are clustered here."""


class Sizes(NamedTuple):
    """How large the study is.

    Attributes:
        num_seeds: Seeds of the seven mazes.
        num_steps: Outer steps of every meta-training on them.
        unseen_seeds: Seeds of the experiment that leaves every task out in turn.
        resamples: Bootstrap samples.
        many: How large the experiments on generated mazes are.
    """

    num_seeds: int
    num_steps: int
    unseen_seeds: int
    resamples: int
    many: many.Sizes


FULL = Sizes(10, Setup().num_steps, 2, 1000, many.FULL)
QUICK = Sizes(2, 20, 2, 100, many.QUICK)


def study(
    *, quick: bool = False, num_seeds: int | None = None, stages: Stages | None = None
) -> Report:
    """Run all of it.

    Args:
        quick: The small version.
        num_seeds: How many seeds of the seven mazes; the version's own by default.
        stages: Keep what is done.

    Returns:
        The report.
    """
    stages = stages or Stages()
    sizes = QUICK if quick else FULL
    sizes = sizes._replace(num_seeds=num_seeds or sizes.num_seeds)
    setup = Setup(num_steps=sizes.num_steps)
    trained = meta_train(stages, setup, sizes.num_seeds)
    return Report(
        "Task-clustering meta-IRL: beyond the talk",
        f"Its future work, on its seven mazes over {sizes.num_seeds} seeds and on generated ones. "
        f"Tasks are clustered by {title_of(CONDITIONS[CONDITION])}, unless said otherwise.",
        [
            _numbers(stages, setup, trained),
            _combinations(trained),
            _stability(trained, sizes.resamples),
            _unseen(stages, setup, sizes.unseen_seeds),
            *many.sections(stages, sizes.many),
        ],
    )


def _numbers(stages: Stages, setup: Setup, trained: Base) -> Section:
    """The few-shot loss, and the silhouette, of one to seven clusters."""
    distances = trained.distances[CONDITION]
    trees = [task_clustering.linkage(pairs) for pairs in distances]
    sizes = range(1, len(NAMES) + 1)
    cuts = [[task_clustering.cut(tree, size) for size in sizes] for tree in trees]
    known = {(seed, published.ALL): curves[:, -1] for seed, curves in enumerate(trained.curves)}
    wanted = {
        (seed, cluster) for seed, runs in enumerate(cuts) for parts in runs for cluster in parts
    }
    every = {**known, **few_shot(stages, "numbers of clusters", setup, wanted - set(known))}
    losses = np.asarray(
        [[losses_of(parts, seed, every).mean() for parts in runs] for seed, runs in enumerate(cuts)]
    )
    chosen = [task_clustering.choose_number(pairs) for pairs in distances]
    silhouettes = np.stack([scores for _, scores in chosen])
    rows = []
    for i, size in enumerate(sizes):
        score = silhouettes[:, i - 1].mean() if 1 <= i <= silhouettes.shape[1] else None
        picked = float(np.mean([n == size for n, _ in chosen]))
        rows.append([str(size), with_error(losses[:, i]), score, picked])
    losses_table = table(
        "Number of clusters",
        "Few-shot loss of all seven tasks with so many clusters (mean ± standard error over "
        "seeds), the silhouette of the cut, and in which share of seeds it is the best one.",
        ["clusters", "few-shot loss", "silhouette", "chosen in"],
        rows,
    )
    fits = table(
        "How the loss falls with the number of clusters",
        "Least squares of the mean loss on one function of the number x of clusters. R² is the "
        "share of the variance that it explains, over x = 1 … 7.",
        ["function", "R²"],
        [[name, fit] for name, fit in curve_fits(np.asarray(sizes), losses.mean(axis=0)).items()],
    )
    figure = _draw_numbers(np.asarray(sizes), losses, silhouettes)
    caption = "Left: loss over the number of clusters, with the fit of √x; right: the silhouette."
    return Section(
        "Number of clusters",
        [losses_table, fits],
        [picture("number-of-clusters", figure, caption)],
    )


def curve_fits(x: np.ndarray, y: np.ndarray) -> Mapping[str, float]:
    """R² of y = a + b f(x) by least squares, for f = √x and its rivals.

    Args:
        x: Where.
        y: The values.

    Returns:
        Names of f to R².
    """
    functions = {"√x": np.sqrt(x), "x": x, "log x": np.log(x), "1/x": 1 / x}
    return {name: float(np.corrcoef(f, y)[0, 1] ** 2) for name, f in functions.items()}


def _draw_numbers(sizes: np.ndarray, losses: np.ndarray, silhouettes: np.ndarray) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(sizes, losses.T, color="#cbd5e1", linewidth=0.7)
    mean = losses.mean(axis=0)
    left.plot(sizes, mean, "o-", color="#2563eb", label="mean")
    slope, height = np.polyfit(np.sqrt(sizes), mean, 1)
    left.plot(sizes, height + slope * np.sqrt(sizes), "--", color="#dc6803", label="a + b√x")
    left.set(xlabel="clusters", ylabel="few-shot loss")
    left.legend(frameon=False)
    right.plot(sizes[1 : 1 + silhouettes.shape[1]], silhouettes.T, color="#cbd5e1", linewidth=0.7)
    right.plot(sizes[1 : 1 + silhouettes.shape[1]], silhouettes.mean(axis=0), "o-", color="#2563eb")
    right.set(xlabel="clusters", ylabel="silhouette")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _combinations(trained: Base) -> Section:
    """The shares of both subtrees when two features are combined, by cosine."""
    cosine = [i for i, (metric, _) in enumerate(CONDITIONS) if metric == "cosine"]
    # Weighting a gradient does not change its angles.
    apart = [i for i in cosine if not CONDITIONS[i][1].startswith("weighted")]
    rows = []
    for place, first in enumerate(apart):
        for second in apart[place:]:
            runs = [
                task_clustering.combined([a, b])
                for a, b in zip(trained.distances[first], trained.distances[second], strict=True)
            ]
            shares = [task_clustering.share_with(subtree, runs) for subtree in SUBTREES]
            both = float(
                np.mean(
                    [
                        set(SUBTREES) <= task_clustering.subtrees(task_clustering.linkage(pairs))
                        for pairs in runs
                    ]
                )
            )
            titles = [
                TITLES[task_clustering.FEATURES.index(CONDITIONS[i][1])]
                for i in dict.fromkeys((first, second))
            ]
            rows.append([" with ".join(titles), *shares, both])
    made = table(
        "Combinations of features",
        "In which share of seeds a set of tasks is a subtree when the cosine distances of two "
        "features are averaged, each divided by its mean; rows of one feature for comparison.",
        ["features", *map(name_of, SUBTREES), "both"],
        rows,
    )
    return Section("Combinations of features", [made])


def _stability(trained: Base, resamples: int) -> Section:
    """Bootstrap support of the consensus dendrograms."""
    rows, trees = [], {}
    for condition, runs in zip(CONDITIONS, trained.distances, strict=True):
        support = task_clustering.support(runs, resamples=resamples)
        metric, feature = condition
        parts = sorted(support, key=lambda s: (len(s), sorted(s)))
        text = ", ".join(f"{name_of(s)} {support[s]:.2f}" for s in parts if len(s) < len(NAMES))
        rows.append([TITLES[task_clustering.FEATURES.index(feature)], metric, text])
        if metric == "cosine" and not feature.startswith("weighted"):
            scaled = runs / runs.mean(axis=1, keepdims=True)
            trees[title_of(condition)] = (task_clustering.linkage(scaled.mean(axis=0)), support)
    made = table(
        "Stability",
        f"The subtrees of the dendrogram of distances averaged over seeds, each with the share of "
        f"{resamples} bootstrap samples of seeds whose dendrogram has it.",
        ["feature", "metric", "subtrees and their support"],
        rows,
        words=3,
    )
    caption = "Dendrograms of the mean distances; numbers are the bootstrap support of a merge."
    return Section(
        "Stability over seeds", [made], [picture("stability", _draw_support(trees), caption)]
    )


def _draw_support(
    trees: Mapping[str, tuple[np.ndarray, Mapping[Subtree, float]]],
) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 2.8), layout="constrained")
    for axes, (title, (tree, support)) in zip(
        figure.subplots(1, len(trees)), trees.items(), strict=True
    ):
        places = draw_dendrogram(axes, tree, NAMES, marked=SUBTREES)
        for members, (x, y) in places.items():
            axes.annotate(
                f"{support[members]:.2f}",
                (x, y),
                (0, 2),
                fontsize=7,
                ha="center",
                textcoords="offset points",
            )
        axes.set_title(title, fontsize=9)
    return figure


class Unseen(NamedTuple):
    """What became of a task that meta-training had not seen.

    Attributes:
        assigned: Its few-shot loss from the cluster that it was assigned to, ``[seed]``.
        other: From the other cluster.
        one: From one initialisation for all six known tasks.
        fresh: From the parameters before meta-training.
        joined: How often it was assigned to the cluster of each known task, ``[task]``.
    """

    assigned: np.ndarray
    other: np.ndarray
    one: np.ndarray
    fresh: np.ndarray
    joined: np.ndarray


def _unseen(stages: Stages, setup: Setup, num_seeds: int) -> Section:
    """Leave every task out in turn, assign it, and adapt to it."""
    rows, results = [], []
    for task, name in enumerate(NAMES):
        saved = stages(
            f"unseen {name}",
            setup.identity(num_seeds, CONDITION),
            functools.partial(_unseen_arrays, setup, task, num_seeds),
        )
        result = Unseen(**saved)
        results.append(result)
        near = " ".join(
            f"{NAMES[i]} {share:.1f}" for i, share in enumerate(result.joined) if share > 0
        )
        losses = (result.assigned, result.other, result.one, result.fresh)
        rows.append([name, near, *(f"{values.mean():.4f}" for values in losses)])
    right = np.mean([r.assigned < r.other for r in results])
    ahead = np.mean([r.assigned < r.one for r in results])
    from scipy.stats import wilcoxon

    first, one = (np.concatenate([getattr(r, f) for r in results]) for f in ("assigned", "one"))
    p = wilcoxon(first, one, alternative="less").pvalue
    made = Table(
        "Unseen tasks",
        f"Every maze left out in turn, over {num_seeds} seeds: the other six are meta-trained and "
        f"cut into two clusters, each meta-trained on its own; the unseen maze joins the nearer "
        f"and is fine-tuned. Few-shot losses from four starts.",
        [
            "unseen",
            "known tasks in its cluster (share of seeds)",
            "its cluster",
            "the other",
            "all six",
            "no meta-training",
        ],
        [[Cell(text) for text in row] for row in rows],
        words=2,
        notes=[
            f"The assigned cluster is the better of the two in {number(float(right))} of cases, "
            f"and better than one initialisation for all in {number(float(ahead))} (one-sided "
            f"signed-rank p = {number(float(p))})."
        ],
    )
    return Section("Unseen tasks", [made])


def unseen(setup: Setup, task: int, num_seeds: int) -> Unseen:
    """Leave one task out, over seeds.

    Args:
        setup: The choices.
        task: The task that is left out.
        num_seeds: How many seeds.

    Returns:
        Its few-shot losses from four starts, and where it was assigned to.
    """
    known = sorted(published.ALL - {task})
    trained = base(setup, num_seeds, label=f"without {NAMES[task]}", tasks=frozenset(known))
    cuts = [
        [frozenset(known[i] for i in half) for half in task_clustering.cut(tree, 2)]
        for tree in map(task_clustering.linkage, trained.distances[CONDITION])
    ]
    pairs = [(seed, half) for seed, halves in enumerate(cuts) for half in halves]
    clusters = train(setup, pairs, f"clusters without {NAMES[task]}")
    losses = np.zeros((num_seeds, 4))
    joined = np.zeros(len(NAMES))
    for seed, halves in enumerate(cuts):
        start = problem_of(setup, seed).start
        nearest = _nearest(setup, seed, task, trained.params[seed], halves)
        joined[sorted(halves[nearest])] += 1 / num_seeds
        starts = [
            unflatten(setup, clusters[seed, halves[nearest]].params),
            unflatten(setup, clusters[seed, halves[1 - nearest]].params),
            unflatten(setup, trained.params[seed]),
            start,
        ]
        alone = problem_of(setup, seed)._replace(start=None).subset([task])
        tune = tuner(setup.config, setup.inner)
        losses[seed] = [tune(params, alone)[0, -1] for params in starts]
    assigned, other, one, fresh = losses.T
    return Unseen(assigned, other, one, fresh, joined)


def _unseen_arrays(setup: Setup, task: int, num_seeds: int) -> dict[str, np.ndarray]:
    return unseen(setup, task, num_seeds)._asdict()


def _nearest(
    setup: Setup, seed: int, task: int, params: np.ndarray, halves: Sequence[Subtree]
) -> int:
    """Which cluster a task is nearest to on average, at the known tasks' meta-parameters."""
    from scipy.spatial.distance import squareform

    measured = measurer(setup.config, setup.inner)(
        unflatten(setup, params), problem_of(setup, seed)
    )
    metric, feature = CONDITIONS[CONDITION]
    pairs = task_clustering.distances(task_clustering.features(measured)[feature], metric)
    return task_clustering.assign(squareform(pairs)[task], halves)


STUDY = Study(
    name="meta-irl-beyond",
    run=study,
    summary="task-clustering meta-IRL: number of clusters, stability, unseen and 2,000 mazes",
)
