"""Task clustering for meta inverse reinforcement learning.

One initialisation cannot suit all tasks. So meta-train one (MAML on the losses of deep IRL), take
from it a feature of each task, cluster the tasks by average linkage, and meta-train one
initialisation per cluster. A new task is fine-tuned from its cluster's.

=================  =============================================================================
``Config``         every choice; ``make`` meta-trains, ``fine_tune`` adapts to one task
``measure``        what the six ``features`` are made of
``distances``      between features; then ``linkage``, ``subtrees``, ``cut``, ``choose_number`` …
``assign``         an unseen task to its cluster
=================  =============================================================================
"""

from rlsuite.algorithms.task_clustering.algorithm import (
    Evaluation,
    Metrics,
    State,
    fine_tune,
    make,
)
from rlsuite.algorithms.task_clustering.dendrograms import (
    METRICS,
    Subtree,
    assign,
    choose_number,
    combined,
    cut,
    distances,
    labels,
    linkage,
    share_with,
    silhouette,
    subtrees,
    support,
)
from rlsuite.algorithms.task_clustering.features import (
    FEATURES,
    Measured,
    features,
    measure,
    reward_gradients,
    reward_kernel,
    sketches,
)
from rlsuite.algorithms.task_clustering.loss import (
    Config,
    Problem,
    Task,
    descended,
    inner_optimizer,
    kl_loss,
    policy,
    reward_network,
    visitation_loss,
)

__all__ = [
    "FEATURES",
    "METRICS",
    "Config",
    "Evaluation",
    "Measured",
    "Metrics",
    "Problem",
    "State",
    "Subtree",
    "Task",
    "assign",
    "choose_number",
    "combined",
    "cut",
    "descended",
    "distances",
    "features",
    "fine_tune",
    "inner_optimizer",
    "kl_loss",
    "labels",
    "linkage",
    "make",
    "measure",
    "policy",
    "reward_gradients",
    "reward_kernel",
    "reward_network",
    "share_with",
    "silhouette",
    "sketches",
    "subtrees",
    "support",
    "visitation_loss",
]
