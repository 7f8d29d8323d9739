"""Model-agnostic meta-learning, and its first-order, implicit and partial relatives."""

from rlsuite.algorithms.maml.adaptation import (
    Config,
    State,
    adapt,
    adaptation_curve,
    default_network,
    head,
)
from rlsuite.algorithms.maml.algorithm import Evaluation, Metrics, make
from rlsuite.algorithms.maml.navigation import Gaussian, Navigation, gaussian_policy
from rlsuite.algorithms.maml.tasks import LinearRegressions, Points, Sinusoids, Task, Tasks

__all__ = [
    "Config",
    "Evaluation",
    "Gaussian",
    "LinearRegressions",
    "Metrics",
    "Navigation",
    "Points",
    "Sinusoids",
    "State",
    "Task",
    "Tasks",
    "adapt",
    "adaptation_curve",
    "default_network",
    "gaussian_policy",
    "head",
    "make",
]
