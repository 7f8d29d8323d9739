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
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rlsuite.algorithms import task_clustering
from rlsuite.algorithms.task_clustering import Subtree
from rlsuite.envs.mazes import LAYOUTS
from rlsuite.io.dendrograms import draw_dendrograms
from rlsuite.io.reports import Report, Section, picture
from rlsuite.io.stages import Stages
from rlsuite.io.tables import Cell, Table, number
from rlsuite.registry import Study
from rlsuite.studies.meta_irl import published
from rlsuite.studies.meta_irl.training import CONDITIONS, Base, Pair, Setup, base, few_shot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES = tuple(LAYOUTS)
SUBTREES = (published.SHORT_WALLS, published.HOOKS)
TITLES = ("dθ", "L/‖dθ‖·dθ", "dr", "L/‖dr‖·dr", "θᵢ", "θᵢ − θ")
"""The features as the talk writes them, in the order of ``task_clustering.FEATURES``."""

CLUSTERS = tuple(published.CLUSTERS)
_LEVELS = (0.05, 0.01, 0.001)


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


def name_of(members: Subtree) -> str:
    """A set of tasks by their names: ``{s0, s1, s2}``, or ``all``."""
    if members == published.ALL:
        return "all"
    return "{" + ", ".join(NAMES[i] for i in sorted(members)) + "}"


def title_of(condition: tuple[str, str]) -> str:
    """A metric and a feature: ``dθ, cosine``."""
    metric, feature = condition
    return f"{TITLES[task_clustering.FEATURES.index(feature)]}, {metric}"


def meta_train(stages: Stages, setup: Setup, num_seeds: int, name: str = "meta-training") -> Base:
    """All seeds on all tasks, as one resumable stage."""
    saved = stages(
        name,
        setup.identity(num_seeds),
        lambda: base(setup, num_seeds, label=f"{name}: {num_seeds} seeds")._asdict(),
    )
    return Base(**saved)


def shares(distances: np.ndarray) -> np.ndarray:
    """Experiment 1: the share of seeds with each of ``SUBTREES``, ``[subtree, condition]``."""
    return np.asarray(
        [[task_clustering.share_with(subtree, runs) for runs in distances] for subtree in SUBTREES]
    )


def halves(distances: np.ndarray) -> list[list[list[Subtree]]]:
    """Experiment 2: the two clusters of every condition and seed."""
    return [
        [task_clustering.cut(task_clustering.linkage(pairs), 2) for pairs in runs]
        for runs in distances
    ]


def losses_of(
    clusters: Sequence[Subtree], seed: int, losses: Mapping[Pair, np.ndarray]
) -> np.ndarray:
    """Each task's few-shot loss from its own cluster's meta-parameters, ``[task]``."""
    result = np.zeros(sum(map(len, clusters)))
    for members in clusters:
        result[sorted(members)] = losses[seed, members]
    return result


def smaller(x: np.ndarray, y: np.ndarray) -> float:
    """The p-value of the one-sided rank-sum test that x is smaller than y."""
    from scipy.stats import ranksums

    return float(ranksums(x, y, alternative="less").pvalue)


def stars(p: float) -> int:
    """How many of the levels .05, .01, .001 a p-value is below."""
    return sum(p < level for level in _LEVELS)


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
            _appendix(trained, sizes.angles),
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


def _per_seed(own: Mapping[Pair, np.ndarray], members: Subtree, num_seeds: int) -> np.ndarray:
    """A cluster's few-shot loss, the mean over its tasks, ``[seed]``."""
    return np.asarray([own[seed, members].mean() for seed in range(num_seeds)])


def _on_same_tasks(own: Mapping[Pair, np.ndarray], members: Subtree, num_seeds: int) -> np.ndarray:
    """The few-shot loss of the same tasks from the meta-parameters of all tasks, ``[seed]``."""
    chosen = sorted(members)
    return np.asarray([own[seed, published.ALL][chosen].mean() for seed in range(num_seeds)])


def _additional(own: Mapping[Pair, np.ndarray], num_seeds: int) -> Section:
    means = {members: _per_seed(own, members, num_seeds) for members in CLUSTERS}
    rows = []
    for members, (known, error) in published.CLUSTERS.items():
        values, same = means[members], _on_same_tasks(own, members, num_seeds)
        rows.append(
            [
                Cell(name_of(members)),
                Cell(_with_error(values)),
                Cell(f"{known:.4f} ± {error:.4f}", "quiet"),
                Cell(f"{values.mean() - known:+.4f}"),
                Cell(_with_error(same)),
                Cell("–" if members == published.ALL else number(_paired(values, same))),
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
    figure = _draw_clusters({name_of(members): values for members, values in means.items()})
    return Section(
        "Additional experiment: six sets of tasks",
        [losses, wilcoxon],
        [picture("clusters", figure, "Few-shot losses; a dot is a seed, a line the mean.")],
    )


def _with_error(values: np.ndarray) -> str:
    return f"{values.mean():.4f} ± {values.std(ddof=1) / len(values) ** 0.5:.4f}"


def _paired(x: np.ndarray, y: np.ndarray) -> float:
    """The p-value of the one-sided signed-rank test that x is below y."""
    from scipy.stats import wilcoxon

    return float(wilcoxon(x, y, alternative="less").pvalue)


def _draw_clusters(values: Mapping[str, np.ndarray]) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.4), layout="constrained")
    axes = figure.add_subplot()
    for place, losses in enumerate(values.values()):
        spread = np.linspace(-0.18, 0.18, len(losses))
        axes.plot(place + spread, np.sort(losses), ".", color="#94a3b8", markersize=5)
        axes.plot([place - 0.25, place + 0.25], [losses.mean()] * 2, color="#2563eb", linewidth=2)
    axes.set_xticks(range(len(values)), list(values), fontsize=8)
    axes.set_ylabel("few-shot loss")
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


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
                Cell(_with_error(losses.mean(axis=1))),
                Cell(f"{mean:.4f}", "quiet"),
                Cell(f"{losses.mean() - mean:+.4f}"),
                Cell(f"{np.median(losses):.4f}"),
                Cell(f"{median:.4f}", "quiet"),
                Cell(f"{np.median(losses) - median:+.4f}"),
            ]
        )
    note = (
        f"From one initialisation for all tasks: mean {_with_error(everything.mean(axis=1))}, "
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
    figure = _draw_clusters(groups)
    figure.set_size_inches(11, 3.6)
    caption = "Few-shot losses with two clusters; a dot is a seed, a line the mean."
    return Section(
        "Experiment 2: two clusters", [table], [picture("two-clusters", figure, caption)]
    )


def _appendix(trained: Base, angles: int) -> Section:
    start, end = trained.norms.T
    table = Table(
        "Norms",
        "Lengths of parameter vectors: mean ± standard deviation over seeds (and tasks).",
        ["", "measured", "published"],
        [
            [Cell("‖θ‖ before meta-training"), Cell(_spread(start)), Cell("–", "quiet")],
            [Cell("‖θ‖"), Cell(_spread(end)), Cell(f"≈ {published.NORMS[0]}", "quiet")],
            [
                Cell("‖θᵢ − θ‖"),
                Cell(_spread(trained.moved)),
                Cell(f"≈ {published.NORMS[1]}", "quiet"),
            ],
        ],
    )
    return Section(
        "Appendix: angles and norms",
        [table],
        [
            picture(
                "angles",
                _draw_angles(angles, trained.params.shape[1]),
                "Angles of random vectors (bars) and their density ∝ sin^{d−2} (line): in the "
                "parameters' dimension all are at 90°, so distances between tasks that are not "
                "mean something.",
            ),
            picture(
                "norms",
                _draw_norms(end, trained.moved),
                "Lengths of the meta-parameters and of what fine-tuning adds, over seeds.",
            ),
        ],
    )


def _spread(values: np.ndarray) -> str:
    return f"{values.mean():.3f} ± {values.std():.3f}"


def random_angles(dimension: int, number: int, seed: int = 0) -> np.ndarray:
    """Angles between random directions, in degrees.

    The cosine of two has the law of 2 Beta((d−1)/2, (d−1)/2) − 1, whatever the dimension d.

    Args:
        dimension: d, at least 2.
        number: How many angles.
        seed: Of NumPy's generator.

    Returns:
        The angles, ``[number]``.
    """
    half = (dimension - 1) / 2
    cosines = 2 * np.random.default_rng(seed).beta(half, half, number) - 1
    return np.degrees(np.arccos(cosines))


def angle_density(degrees: np.ndarray, dimension: int) -> np.ndarray:
    """The density of the angle of random directions, Γ(d/2)/(√π Γ((d−1)/2)) sin^{d−2}, per degree.

    Args:
        degrees: Where, in degrees.
        dimension: d, at least 2.

    Returns:
        The density there.
    """
    from scipy.special import gammaln

    log_scale = gammaln(dimension / 2) - gammaln((dimension - 1) / 2) - np.log(np.pi) / 2
    sine = np.log(np.maximum(np.sin(np.radians(degrees)), 1e-300))
    return np.exp(log_scale + (dimension - 2) * sine) * np.pi / 180


def _draw_angles(number: int, parameters: int) -> "Figure":
    from matplotlib.figure import Figure

    dimensions = (3, 10, 100, parameters)
    figure = Figure(figsize=(11, 2.6), layout="constrained")
    for axes, dimension in zip(figure.subplots(1, len(dimensions)), dimensions, strict=True):
        found = random_angles(dimension, number)
        axes.hist(found, bins=30, density=True, color="#cbd5e1")
        around = np.linspace(found.min(), found.max(), 300)
        axes.plot(around, angle_density(around, dimension), color="#2563eb")
        axes.set_title(f"d = {dimension:,}", fontsize=9)
        axes.set_xlabel("angle in degrees")
        axes.set_yticks([])
        axes.spines[["top", "right", "left"]].set_visible(False)
    return figure


def _draw_norms(norms: np.ndarray, moved: np.ndarray) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 2.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 3))
    left.plot(np.zeros_like(norms), norms, ".", color="#2563eb")
    left.set_xticks([0], ["‖θ‖"])
    for task, values in enumerate(moved.T):
        right.plot(np.full_like(values, task), values, ".", color="#2563eb")
    right.set_xticks(range(len(NAMES)), NAMES)
    right.set_title("‖θᵢ − θ‖", fontsize=9)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


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
    everything = _per_seed(own, published.ALL, num_seeds)
    better = [row[-1] > 0 for row in published.BETTER]
    for members in itertools.compress(CLUSTERS, better):
        p = smaller(_per_seed(own, members, num_seeds), everything)
        same = _paired(_per_seed(own, members, num_seeds), _on_same_tasks(own, members, num_seeds))
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
