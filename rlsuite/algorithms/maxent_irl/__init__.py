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

__all__ = [
    "Config",
    "Demonstrations",
    "Evaluation",
    "Metrics",
    "Problem",
    "State",
    "build_problem",
    "evaluate_reward",
    "from_counts",
    "from_expert",
    "from_trajectories",
    "from_visitation",
    "loss_of_reward",
    "make",
    "policy_kl",
    "reward_network",
    "solve",
    "value_difference",
    "visits",
]
