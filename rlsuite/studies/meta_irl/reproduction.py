"""The talk's three experiments, each beside its published numbers.

Experiment 1 meta-trains on all seven mazes and asks, for six features and two metrics, in how many
seeds the dendrogram has {s0, s1, s2} and {invL, UR} as subtrees. The additional experiment
meta-trains on six sets of tasks from scratch and compares their few-shot losses by rank-sum tests.
Experiment 2 cuts every seed's dendrogram in two, meta-trains each half from scratch, and reports
the few-shot loss over all seven tasks. The appendix shows how the angle of random vectors
concentrates, and the norms of θ_i and θ_i − θ.
"""

import collections
import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from rlsuite.algorithms import task_clustering
from rlsuite.algorithms.task_clustering import Subtree
from rlsuite.io.dendrograms import draw_dendrograms
from rlsuite.io.reports import Report, Section, picture
from rlsuite.io.stages import Stages
from rlsuite.io.tables import Cell, Table, number
from rlsuite.registry import Study
from rlsuite.studies.meta_irl import appendix, published
from rlsuite.studies.meta_irl.outcomes import (
    CLUSTERS,
    NAMES,
    SUBTREES,
    TITLES,
    draw_clusters,
    halves,
    losses_of,
    name_of,
    on_same_tasks,
    paired,
    per_seed,
    shares,
    smaller,
    stars,
    title_of,
    with_error,
)
from rlsuite.studies.meta_irl.training import CONDITIONS, Base, Pair, Setup, base, few_shot


class Sizes(NamedTuple):
    """How large the study is.

    Attributes:
        num_seeds: Seeds.
        num_steps: Outer steps of every meta-training.
        angles: Pairs of random vectors for every number of dimensions.
    """

    num_seeds: int
    num_steps: int
    angles: int


FULL = Sizes(published.NUM_SEEDS, Setup().num_steps, 2000)
QUICK = Sizes(3, 40, 500)


def meta_train(stages: Stages, setup: Setup, num_seeds: int, name: str = "meta-training") -> Base:
    """All seeds on all tasks, as one resumable stage."""
    saved = stages(
        name,
        setup.identity(num_seeds),
        lambda: base(setup, num_seeds, label=f"{name}: {num_seeds} seeds")._asdict(),
    )
    return Base(**saved)


def study(
    *, quick: bool = False, num_seeds: int | None = None, stages: Stages | None = None
) -> Report:
    """Run the three experiments and report them beside the published numbers.

    Args:
        quick: The small version.
        num_seeds: How many seeds; the version's own by default.
        stages: Keep what is done.

    Returns:
        The report.
    """
    stages = stages or Stages()
    sizes = QUICK if quick else FULL
    sizes = sizes._replace(num_seeds=num_seeds or sizes.num_seeds)
    setup = Setup(num_steps=sizes.num_steps)
    trained = meta_train(stages, setup, sizes.num_seeds)
    seeds = range(sizes.num_seeds)
    known = {(seed, published.ALL): trained.curves[seed, :, -1] for seed in seeds}
    named = [(seed, members) for seed in seeds for members in CLUSTERS[:-1]]
    own = {**known, **few_shot(stages, "additional experiment", setup, named)}
    cuts = halves(trained.distances)
    wanted = {(seed, half) for runs in cuts for seed, pair in enumerate(runs) for half in pair}
    missing = sorted(wanted - set(own), key=lambda pair: (pair[0], sorted(pair[1])))
    every = {**own, **few_shot(stages, "experiment 2", setup, missing)}
    everything = trained.curves[..., -1]
    halved = [
        np.stack([losses_of(pair, seed, every) for seed, pair in enumerate(runs)]) for runs in cuts
    ]
    return Report(
        "Task-clustering meta inverse reinforcement learning",
        f"The experiments of the thesis talk on its seven mazes, over {sizes.num_seeds} seeds of "
        f"{sizes.num_steps} outer steps (published: {published.NUM_SEEDS} seeds). Colours mark "
        f"where a share differs from the published one by more than sampling allows (two-sided "
        f"Fisher test at .05), and conclusions that hold.",
        [
            _experiment_1(trained, sizes.num_seeds),
            _additional(own, sizes.num_seeds),
            _experiment_2(cuts, halved, everything),
            appendix.section(trained, sizes.angles),
            _conclusions(shares(trained.distances), own, halved, sizes.num_seeds),
        ],
    )


def _differs(share: float, known: float, num_seeds: int) -> bool:
    """Whether two shares of seeds differ by Fisher's exact test at .05."""
    from scipy.stats import fisher_exact

    counts = [
        [round(value * total), total - round(value * total)]
        for value, total in ((share, num_seeds), (known, published.NUM_SEEDS))
    ]
    return bool(fisher_exact(counts).pvalue < 0.05)


def _experiment_1(trained: Base, num_seeds: int) -> Section:
    found = shares(trained.distances)
    rows = []
    for i, (metric, feature) in enumerate(CONDITIONS):
        place = task_clustering.FEATURES.index(feature)
        row = [Cell(TITLES[place]), Cell(metric)]
        for subtree, values in zip(SUBTREES, found, strict=True):
            known = published.SHARES[metric, subtree][place]
            off = _differs(values[i], known, num_seeds)
            row += [
                Cell(number(values[i]), share=values[i]),
                Cell(number(known), "quiet"),
                Cell(f"{values[i] - known:+.2f}", "bad" if off else ""),
            ]
        rows.append(row)
    columns = ["feature", "metric"]
    for subtree in SUBTREES:
        columns += [name_of(subtree), "published", "difference"]
    table = Table(
        "Experiment 1",
        "In which share of seeds each set of tasks is a subtree of the dendrogram.",
        columns,
        rows,
        words=2,
    )
    first = {
        title_of(condition): task_clustering.linkage(runs[0])
        for condition, runs in zip(CONDITIONS, trained.distances, strict=True)
    }
    consensus = {
        title_of(condition): task_clustering.linkage(
            (runs / runs.mean(axis=1, keepdims=True)).mean(axis=0)
        )
        for condition, runs in zip(CONDITIONS, trained.distances, strict=True)
    }
    return Section(
        "Experiment 1: dendrograms",
        [table],
        [
            picture(
                "dendrograms-seed-0",
                draw_dendrograms(first, NAMES, columns=4, marked=SUBTREES),
                "The twelve dendrograms of the first seed. Blue: {s0, s1, s2} where it is a "
                "subtree; orange: {invL, UR}.",
            ),
            picture(
                "dendrograms-mean",
                draw_dendrograms(consensus, NAMES, columns=4, marked=SUBTREES),
                "The dendrograms of the distances averaged over seeds.",
            ),
        ],
    )


def _additional(own: Mapping[Pair, np.ndarray], num_seeds: int) -> Section:
    means = {members: per_seed(own, members, num_seeds) for members in CLUSTERS}
    rows = []
    for members, (known, error) in published.CLUSTERS.items():
        values, same = means[members], on_same_tasks(own, members, num_seeds)
        rows.append(
            [
                Cell(name_of(members)),
                Cell(with_error(values)),
                Cell(f"{known:.4f} ± {error:.4f}", "quiet"),
                Cell(f"{values.mean() - known:+.4f}"),
                Cell(with_error(same)),
                Cell("–" if members == published.ALL else number(paired(values, same))),
            ]
        )
    losses = Table(
        "Additional experiment",
        "Few-shot loss from the meta-parameters of six sets of tasks: mean ± standard error over "
        "seeds of the mean over the set's tasks. The last columns ask the same of the same tasks "
        "from the meta-parameters of all seven, and for the p-value of a signed-rank test that the "
        "set's own are better.",
        ["tasks", "own", "published", "difference", "from all", "p (own < all)"],
        rows,
    )
    tests = [[smaller(means[row], means[column]) for column in CLUSTERS] for row in CLUSTERS]
    matrix = [
        [
            Cell(name_of(members)),
            *(
                Cell(
                    f"{stars(p)} ({known})",
                    "quiet" if stars(p) == known else ("good" if stars(p) > known else "bad"),
                )
                for p, known in zip(ps, published.BETTER[i], strict=True)
            ),
        ]
        for i, (members, ps) in enumerate(zip(CLUSTERS, tests, strict=True))
    ]
    wilcoxon = Table(
        "Rank-sum tests",
        "Whether the row's loss is below the column's, one-sided: 1 where p < .05, 2 where "
        "p < .01, 3 where p < .001; in brackets the published.",
        ["row < column", *map(name_of, CLUSTERS)],
        matrix,
    )
    figure = draw_clusters({name_of(members): values for members, values in means.items()})
    return Section(
        "Additional experiment: six sets of tasks",
        [losses, wilcoxon],
        [picture("clusters", figure, "Few-shot losses; a dot is a seed, a line the mean.")],
    )


def _experiment_2(
    cuts: Sequence[Sequence[Sequence[Subtree]]],
    halved: Sequence[np.ndarray],
    everything: np.ndarray,
) -> Section:
    """The losses ``[seed, task]`` of every condition's halves, and of one initialisation."""
    rows, groups = [], {}
    for (metric, feature), runs, losses in zip(CONDITIONS, cuts, halved, strict=True):
        place = task_clustering.FEATURES.index(feature)
        groups[f"{TITLES[place]}\n{metric}"] = losses.mean(axis=1)
        mean, median = published.MEANS[metric][place], published.MEDIANS[metric][place]
        ((common, times),) = collections.Counter(
            " ".join(map(name_of, pair)) for pair in runs
        ).most_common(1)
        rows.append(
            [
                Cell(TITLES[place]),
                Cell(metric),
                Cell(f"{common} ({times})"),
                Cell(with_error(losses.mean(axis=1))),
                Cell(f"{mean:.4f}", "quiet"),
                Cell(f"{losses.mean() - mean:+.4f}"),
                Cell(f"{np.median(losses):.4f}"),
                Cell(f"{median:.4f}", "quiet"),
                Cell(f"{np.median(losses) - median:+.4f}"),
            ]
        )
    note = (
        f"From one initialisation for all tasks: mean {with_error(everything.mean(axis=1))}, "
        f"median {np.median(everything):.4f}."
    )
    table = Table(
        "Experiment 2",
        "Few-shot loss of all seven tasks when each half of the dendrogram is meta-trained on its "
        "own: mean ± standard error over seeds, and the median over seeds and tasks.",
        [
            "feature",
            "metric",
            "most frequent halves (seeds)",
            "mean",
            "published",
            "difference",
            "median",
            "published",
            "difference",
        ],
        rows,
        words=3,
        notes=[note],
    )
    figure = draw_clusters(groups)
    figure.set_size_inches(11, 3.6)
    caption = "Few-shot losses with two clusters; a dot is a seed, a line the mean."
    return Section(
        "Experiment 2: two clusters", [table], [picture("two-clusters", figure, caption)]
    )


def _conclusions(
    found: np.ndarray,
    own: Mapping[Pair, np.ndarray],
    halved: Sequence[np.ndarray],
    num_seeds: int,
) -> Section:
    """The talk's conclusions, and whether they hold here."""
    share = {
        (subtree, condition): found[i, j]
        for i, subtree in enumerate(SUBTREES)
        for j, condition in enumerate(CONDITIONS)
    }
    claims = []
    for feature in ("parameter-gradient", "adapted", "displacement"):
        value = share[published.SHORT_WALLS, ("cosine", feature)]
        title = title_of(("cosine", feature))
        claims.append((f"{title}: {{s0, s1, s2}} in ≥ .9 of seeds", number(value), value >= 0.9))
    weighted = share[published.HOOKS, ("cosine", "weighted-reward-gradient")]
    plain = share[published.HOOKS, ("cosine", "parameter-gradient")]
    claims.append(
        (
            "L/‖dr‖·dr, cosine, finds {invL, UR} more often than dθ, cosine",
            f"{number(weighted)} against {number(plain)}",
            weighted > plain,
        )
    )
    everything = per_seed(own, published.ALL, num_seeds)
    better = [row[-1] > 0 for row in published.BETTER]
    for members in itertools.compress(CLUSTERS, better):
        p = smaller(per_seed(own, members, num_seeds), everything)
        same = paired(per_seed(own, members, num_seeds), on_same_tasks(own, members, num_seeds))
        text = f"rank-sum p = {number(p)}, same tasks p = {number(same)}"
        claims.append((f"{name_of(members)}: own MAML beats all", text, p < 0.05))
    for name, feature, reduce in (
        ("mean", "weighted-reward-gradient", np.mean),
        ("median", "adapted", np.median),
    ):
        values = [float(reduce(losses)) for losses in halved]
        best = CONDITIONS[int(np.argmin(values))]
        title = TITLES[task_clustering.FEATURES.index(feature)]
        least = min(v for v, (_, f) in zip(values, CONDITIONS, strict=True) if f == feature)
        claims.append(
            (
                f"With two clusters {title} has the lowest {name}",
                f"{least:.4f}; lowest {min(values):.4f}, {title_of(best)}",
                least == min(values),
            )
        )
    rows = [
        [Cell(claim), Cell(text), Cell("holds" if holds else "fails", "good" if holds else "bad")]
        for claim, text, holds in claims
    ]
    table = Table(
        "Conclusions", "The talk's conclusions, tested here.", ["conclusion", "measured", ""], rows
    )
    return Section("Conclusions", [table])


STUDY = Study(
    name="meta-irl",
    run=study,
    summary="task-clustering meta-IRL: the talk's three experiments beside its published tables",
)
