"""The numbers of the talk "Task-clustering meta inverse reinforcement learning", over 20 seeds.

Features stand in the order of ``task_clustering.FEATURES``.
"""

from collections.abc import Mapping

from rlsuite.algorithms.task_clustering import Subtree

NUM_SEEDS = 20

SHORT_WALLS: Subtree = frozenset((0, 1, 2))
"""{s0, s1, s2}."""
HOOKS: Subtree = frozenset((4, 5))
"""{invL, UR}."""
ALL: Subtree = frozenset(range(7))

SHARES: Mapping[tuple[str, Subtree], tuple[float, ...]] = {
    ("cosine", SHORT_WALLS): (1.0, 1.0, 0.7, 0.7, 1.0, 1.0),
    ("euclidean", SHORT_WALLS): (1.0, 0.4, 0.7, 0.05, 1.0, 1.0),
    ("cosine", HOOKS): (0.0, 0.0, 0.9, 0.9, 0.6, 0.55),
    ("euclidean", HOOKS): (0.0, 0.15, 0.45, 0.8, 0.6, 0.6),
}
"""Experiment 1: in which share of seeds a set of tasks is a subtree, by metric."""

MEANS: Mapping[str, tuple[float, ...]] = {
    "cosine": (0.0900, 0.0900, 0.0880, 0.0880, 0.0943, 0.0943),
    "euclidean": (0.0995, 0.0891, 0.1091, 0.0880, 0.0943, 0.0943),
}
"""Experiment 2: mean few-shot loss with two clusters, by metric."""

MEDIANS: Mapping[str, tuple[float, ...]] = {
    "cosine": (0.0863, 0.0863, 0.0821, 0.0821, 0.0754, 0.0754),
    "euclidean": (0.0923, 0.0818, 0.0907, 0.0821, 0.0754, 0.0754),
}
"""Experiment 2: median few-shot loss with two clusters, by metric."""

CLUSTERS: Mapping[Subtree, tuple[float, float]] = {
    SHORT_WALLS: (0.0830, 0.0036),
    HOOKS: (0.0533, 0.0042),
    frozenset((0, 1, 2, 4)): (0.1027, 0.0039),
    frozenset((3, 5, 6)): (0.0731, 0.0092),
    frozenset((3, 4, 5, 6)): (0.1028, 0.0111),
    ALL: (0.1172, 0.0070),
}
"""The additional experiment: mean and standard error of the few-shot loss of clusters."""

BETTER: tuple[tuple[int, ...], ...] = (
    (0, 0, 3, 0, 0, 3),
    (3, 0, 3, 1, 3, 3),
    (0, 0, 0, 0, 0, 1),
    (2, 0, 3, 0, 1, 3),
    (0, 0, 0, 0, 0, 0),
    (0, 0, 0, 0, 0, 0),
)
"""Rank-sum tests, row below column, in the order of ``CLUSTERS``: stars of p < .05, .01, .001."""

NORMS = (21.7, 0.11)
"""‖θ‖ and ‖θ_i − θ‖ after meta-training, read off the talk's figures."""
