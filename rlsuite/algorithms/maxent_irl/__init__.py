"""Maximum-entropy inverse reinforcement learning: linear, causal and deep."""

from rlsuite.algorithms.maxent_irl.algorithm import Metrics, State, make, reward_network
from rlsuite.algorithms.maxent_irl.demonstrations import (
    Demonstrations,
    from_counts,
    from_expert,
    from_trajectories,
    from_visitation,
)
from rlsuite.algorithms.maxent_irl.evaluation import (
    Evaluation,
    evaluate_reward,
    policy_kl,
    value_difference,
)
from rlsuite.algorithms.maxent_irl.likelihood import (
    Config,
    Problem,
    build_problem,
    loss_of_reward,
    solve,
    visits,
)
from rlsuite.algorithms.maxent_irl.uncertainty import (
    Identifiability,
    Uncertainty,
    identifiability,
    uncertainty,
)

__all__ = [
    "Config",
    "Demonstrations",
    "Evaluation",
    "Identifiability",
    "Metrics",
    "Problem",
    "State",
    "Uncertainty",
    "build_problem",
    "evaluate_reward",
    "from_counts",
    "from_expert",
    "from_trajectories",
    "from_visitation",
    "identifiability",
    "loss_of_reward",
    "make",
    "policy_kl",
    "reward_network",
    "solve",
    "uncertainty",
    "value_difference",
    "visits",
]
