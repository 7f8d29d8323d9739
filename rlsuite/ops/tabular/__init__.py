"""Dynamic programming on tabular Markov decision processes: hard and soft, all differentiable.

A process is an :class:`MDP` whose transition is a linear operator. On an infinite horizon,
:func:`value_iteration` finds V = T V and its policy, :func:`policy_evaluation` and
:func:`visitation` the values and the discounted visits of any policy; on a finite one,
:func:`backward_induction`, :func:`finite_policy_evaluation` and :func:`finite_visitation`. Each
works under ``jax.jit``, ``jax.vmap`` and ``jax.grad`` (to any order), in float32 and float64.
"""

from rlsuite.ops.tabular.bellman import action_values, backup, log_policy
from rlsuite.ops.tabular.checks import check
from rlsuite.ops.tabular.finite import (
    FiniteSolution,
    backward_induction,
    finite_policy_evaluation,
    finite_visitation,
)
from rlsuite.ops.tabular.mdp import MDP
from rlsuite.ops.tabular.solvers import Solution, policy_evaluation, value_iteration
from rlsuite.ops.tabular.transitions import (
    Dense,
    Gather,
    Operator,
    Transition,
    expected_reward,
    log_expect_exp,
    push,
)
from rlsuite.ops.tabular.visitation import Visitation, visitation

__all__ = [
    "MDP",
    "Dense",
    "FiniteSolution",
    "Gather",
    "Operator",
    "Solution",
    "Transition",
    "Visitation",
    "action_values",
    "backup",
    "backward_induction",
    "check",
    "expected_reward",
    "finite_policy_evaluation",
    "finite_visitation",
    "log_expect_exp",
    "log_policy",
    "policy_evaluation",
    "push",
    "value_iteration",
    "visitation",
]
