"""Average-linkage dendrograms of tasks: subtrees, cuts, how many clusters, how stable.

All on the host, in float64, on distances as ``scipy.spatial.distance.pdist`` lists them: pairs
``(0,1), (0,2), …, (n−2,n−1)``. Average linkage (UPGMA) merges the two clusters whose members are
closest on average, so a set of tasks is a subtree where its members join before any other task.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

Distances = Float[np.ndarray, " pair"]
Linkage = Float[np.ndarray, "merge 4"]
Subtree = frozenset[int]

METRICS = ("cosine", "euclidean")
"""The distances between features."""


def distances(features: Float[np.ndarray, "task feature"], metric: str) -> Distances:
    """The distance of every pair of tasks.

    Args:
        features: Of every task; float64, because cosine distances near 0 need it.
        metric: "cosine", 1 − ⟨x, y⟩/‖x‖‖y‖, or "euclidean".

    Returns:
        The distances.

    Raises:
        ValueError: For an unknown metric, fewer than two tasks, or a feature without a direction.

    Example:
        >>> distances(np.asarray([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]]), "cosine").tolist()
        [1.0, 0.0, 1.0]
    """
    from scipy.spatial.distance import pdist

    if metric not in METRICS:
        raise ValueError(f"metric is {metric!r}; allowed: {', '.join(METRICS)}")
    if len(features) < 2:
        raise ValueError(f"features are of {len(features)} tasks; allowed: at least two")
    if not np.isfinite(features).all() or (metric == "cosine" and not features.any(axis=1).all()):
        raise ValueError("features have values that are not finite, or a zero vector for a cosine")
    return pdist(np.asarray(features, np.float64), metric)


def combined(parts: Sequence[Distances]) -> Distances:
    """Distances by several features at once: the mean of each, divided by its own mean.

    Args:
        parts: The distances by each feature; at least one.

    Returns:
        Their combination, whose mean is one.
    """
    return np.mean([part / part.mean() for part in parts], axis=0)


def linkage(pairs: Distances) -> Linkage:
    """The dendrogram by average linkage, as SciPy writes it.

    Args:
        pairs: The distances.

    Returns:
        For each merge the two clusters, the height, and the number of tasks below.
    """
    from scipy.cluster.hierarchy import linkage as scipy_linkage

    return scipy_linkage(pairs, "average")


def subtrees(tree: Linkage) -> set[Subtree]:
    """The sets of tasks below each merge.

    Args:
        tree: The dendrogram.

    Returns:
        One set for each merge; the last has all tasks.

    Example:
        >>> tree = linkage(np.asarray([1.0, 5.0, 5.0]))
        >>> sorted(map(sorted, subtrees(tree)))
        [[0, 1], [0, 1, 2]]
    """
    below = [frozenset((i,)) for i in range(len(tree) + 1)]
    for first, second, *_ in tree:
        below.append(below[int(first)] | below[int(second)])
    return set(below[len(tree) + 1 :])


def cut(tree: Linkage, number: int) -> list[Subtree]:
    """The clusters that are left when the highest merges are undone.

    Args:
        tree: The dendrogram.
        number: How many clusters, from 1 to the number of tasks.

    Returns:
        The clusters, by their smallest members.

    Raises:
        ValueError: If there cannot be so many.

    Example:
        >>> [sorted(cluster) for cluster in cut(linkage(np.asarray([1.0, 5.0, 5.0])), 2)]
        [[0, 1], [2]]
    """
    tasks = len(tree) + 1
    if not 1 <= number <= tasks:
        raise ValueError(f"number is {number}; allowed: from 1 to {tasks}, the number of tasks")
    clusters = {i: frozenset((i,)) for i in range(tasks)}
    for merge, (first, second, *_) in enumerate(tree[: tasks - number]):
        clusters[tasks + merge] = clusters.pop(int(first)) | clusters.pop(int(second))
    return sorted(clusters.values(), key=min)


def labels(clusters: Iterable[Subtree]) -> Int[np.ndarray, " task"]:
    """Each task's cluster by number.

    Args:
        clusters: A partition of the tasks.

    Returns:
        The numbers of the clusters, in their order.

    Example:
        >>> labels([frozenset({0, 2}), frozenset({1})])
        array([0, 1, 0])
    """
    clusters = list(clusters)
    numbers = np.zeros(sum(map(len, clusters)), int)
    for number, members in enumerate(clusters):
        numbers[list(members)] = number
    return numbers


def silhouette(pairs: Distances, clusters: Sequence[Subtree]) -> float:
    """How much nearer tasks are to their own cluster than to the next: from −1 to 1.

    The mean over tasks of (b − a)/max(a, b), a being the mean distance to the others of the own
    cluster and b to the nearest other cluster; 0 for a task on its own (Rousseeuw 1987).

    Args:
        pairs: The distances.
        clusters: A partition of the tasks.

    Returns:
        The mean; 0 for a single cluster.

    Example:
        >>> silhouette(np.asarray([1.0, 5.0, 5.0]), [frozenset({0, 1}), frozenset({2})]).round(3)
        np.float64(0.533)
    """
    from scipy.spatial.distance import squareform

    if len(clusters) < 2:
        return 0.0
    square = squareform(pairs)
    to_cluster = np.stack([square[:, list(c)].sum(axis=1) for c in clusters], axis=1)
    sizes = np.asarray([len(c) for c in clusters])
    own = labels(clusters)
    tasks = np.arange(len(square))
    inside = to_cluster[tasks, own] / np.maximum(sizes[own] - 1, 1)
    outside = to_cluster / sizes
    outside[tasks, own] = np.inf
    nearest = outside.min(axis=1)
    larger = np.maximum(inside, nearest)
    scores = np.where(
        (sizes[own] > 1) & (larger > 0), (nearest - inside) / np.where(larger > 0, larger, 1), 0
    )
    return scores.mean()


def choose_number(pairs: Distances, largest: int | None = None) -> tuple[int, np.ndarray]:
    """The number of clusters with the best silhouette.

    Args:
        pairs: The distances.
        largest: The most clusters to consider; None for one less than there are tasks.

    Returns:
        The number, from 2 on, and the silhouettes of 2, 3, … clusters.

    Example:
        >>> number, scores = choose_number(np.asarray([1.0, 5.0, 5.0, 5.0, 5.0, 1.0]))
        >>> number, scores.round(2).tolist()
        (2, [0.8, 0.4])
    """
    tree = linkage(pairs)
    last = len(tree) if largest is None else min(largest, len(tree))
    scores = np.asarray([silhouette(pairs, cut(tree, number)) for number in range(2, last + 1)])
    return 2 + int(scores.argmax()), scores


def share_with(subtree: Iterable[int], runs: Iterable[Distances]) -> float:
    """In what share of runs a set of tasks is a subtree of the dendrogram.

    Args:
        subtree: The tasks.
        runs: The distances in each run.

    Returns:
        The share.
    """
    wanted = frozenset(subtree)
    return float(np.mean([wanted in subtrees(linkage(pairs)) for pairs in runs]))


def support(
    runs: Float[np.ndarray, "run pair"],
    *,
    resamples: int = 1000,
    seed: int = 0,
    average: Callable[..., np.ndarray] = np.mean,
) -> Mapping[Subtree, float]:
    """How often each subtree of the consensus is found when the runs are drawn again.

    The consensus is the dendrogram of the distances averaged over runs, each run's divided by its
    mean; its stability is judged by a bootstrap over runs (Felsenstein 1985 for trees of species).

    Args:
        runs: The distances in each run.
        resamples: How many samples of as many runs to draw, with replacement.
        seed: Of NumPy's generator.
        average: Over the axis of runs.

    Returns:
        The consensus' subtrees, with the share of samples whose dendrogram has them.
    """
    runs = runs / runs.mean(axis=1, keepdims=True)
    generator = np.random.default_rng(seed)
    found = dict.fromkeys(subtrees(linkage(average(runs, axis=0))), 0)
    for _ in range(resamples):
        sample = runs[generator.integers(len(runs), size=len(runs))]
        for subtree in subtrees(linkage(average(sample, axis=0))) & set(found):
            found[subtree] += 1
    return {subtree: count / resamples for subtree, count in found.items()}


def assign(to_members: Float[np.ndarray, " task"], clusters: Sequence[Subtree]) -> int:
    """The cluster that an unseen task would join: the one nearest on average.

    Args:
        to_members: Its distances to the known tasks.
        clusters: A partition of the known tasks.

    Returns:
        The cluster's number.

    Example:
        >>> assign(np.asarray([1.0, 3.0, 1.5]), [frozenset({0, 1}), frozenset({2})])
        1
    """
    return int(np.argmin([to_members[list(members)].mean() for members in clusters]))
