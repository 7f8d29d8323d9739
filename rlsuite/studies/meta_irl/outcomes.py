"""Names, tests and the figure of the experiments' outcomes.

Distances are ``[condition, seed, pair of tasks]``; losses by (seed, cluster) are ``[task]``.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from rlsuite.algorithms import task_clustering
from rlsuite.algorithms.task_clustering import Subtree
from rlsuite.envs.mazes import LAYOUTS
from rlsuite.studies.meta_irl import published
from rlsuite.studies.meta_irl.training import Pair

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES = tuple(LAYOUTS)
"""Of the tasks, in their order."""

SUBTREES = (published.SHORT_WALLS, published.HOOKS)
"""The sets of tasks that the talk looks for in dendrograms."""

TITLES = ("dθ", "L/‖dθ‖·dθ", "dr", "L/‖dr‖·dr", "θᵢ", "θᵢ − θ")
"""The features as the talk writes them, in the order of ``task_clustering.FEATURES``."""

CLUSTERS = tuple(published.CLUSTERS)
"""The sets of tasks of the additional experiment; the last one is all."""

_LEVELS = (0.05, 0.01, 0.001)


def name_of(members: Subtree) -> str:
    """A set of tasks by their names: ``{s0, s1, s2}``, or ``all``."""
    if members == published.ALL:
        return "all"
    return "{" + ", ".join(NAMES[i] for i in sorted(members)) + "}"


def title_of(condition: tuple[str, str]) -> str:
    """A metric and a feature: ``dθ, cosine``."""
    metric, feature = condition
    return f"{TITLES[task_clustering.FEATURES.index(feature)]}, {metric}"


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


def per_seed(own: Mapping[Pair, np.ndarray], members: Subtree, num_seeds: int) -> np.ndarray:
    """A cluster's few-shot loss, the mean over its tasks.

    Args:
        own: Losses from each cluster's own meta-parameters.
        members: The cluster.
        num_seeds: How many seeds.

    Returns:
        ``[seed]``.
    """
    return np.asarray([own[seed, members].mean() for seed in range(num_seeds)])


def on_same_tasks(own: Mapping[Pair, np.ndarray], members: Subtree, num_seeds: int) -> np.ndarray:
    """The few-shot loss of the same tasks from the meta-parameters of all tasks.

    Args:
        own: Losses, those from all tasks' meta-parameters among them.
        members: The cluster.
        num_seeds: How many seeds.

    Returns:
        ``[seed]``.
    """
    chosen = sorted(members)
    return np.asarray([own[seed, published.ALL][chosen].mean() for seed in range(num_seeds)])


def with_error(values: np.ndarray) -> str:
    """The mean and its standard error: ``0.0123 ± 0.0012``."""
    return f"{values.mean():.4f} ± {values.std(ddof=1) / len(values) ** 0.5:.4f}"


def paired(x: np.ndarray, y: np.ndarray) -> float:
    """The p-value of the one-sided signed-rank test that x is below y, seed by seed."""
    from scipy.stats import wilcoxon

    return float(wilcoxon(x, y, alternative="less").pvalue)


def draw_clusters(values: Mapping[str, np.ndarray]) -> "Figure":
    """Losses ``[seed]`` by name: a dot is a seed, a line the mean."""
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
