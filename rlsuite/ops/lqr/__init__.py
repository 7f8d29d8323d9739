r"""Linear-quadratic control: solutions, laws, filters, iterations and trust regions, all exact.

With the state x, the action u and Gaussian noise w,

    x_{t+1} = A_t x_t + B_t u_t + c_t + w_t,       cost Σ_t ℓ_t([x_t; u_t]) + ℓ_T(x_T),

each ℓ quadratic, with cross and affine terms. Everything is a function of one problem, a NamedTuple
of arrays, to be vmapped over batches of problems: ``solve`` (finite horizon, step by step or
parallel over time, with or without entropy), ``stationary`` (no end, with or without a discount),
``law`` and ``expected_cost`` (what a policy brings about), ``kalman`` and ``lqg`` (a state seen
through noise), ``ilqr`` (any smooth dynamics and costs), ``constrained`` (the best policy within a
divergence of another one), ``fit_quadratic`` and ``fit_slopes`` (a cost from what was paid, of all
steps and of each). No matrix of up to 16 rows passes through LAPACK.

References:
    Bertsekas: Dynamic programming and optimal control. 4th ed., vol. 1, 2017.
    Särkkä and García-Fernández: Temporal parallelization of dynamic programming and linear
    quadratic control. IEEE Transactions on Automatic Control 68, 2023, arXiv:2104.03186.
    Levine and Abbeel: Learning neural network policies with guided policy search under unknown
    dynamics. NeurIPS 2014.
"""

from rlsuite.ops.lqr.infinite import Stationary, stationary
from rlsuite.ops.lqr.iterative import ILQR, approximate, ilqr
from rlsuite.ops.lqr.laws import (
    Trajectory,
    divergence,
    entropy,
    expected_cost,
    law,
    propagate,
)
from rlsuite.ops.lqr.partial import LQG, Filter, Observation, kalman, lqg
from rlsuite.ops.lqr.problem import (
    Dynamics,
    Gaussian,
    Policy,
    Problem,
    Quadratic,
    evaluate,
)
from rlsuite.ops.lqr.regression import fit_quadratic, fit_slopes
from rlsuite.ops.lqr.riccati import Solution, solve
from rlsuite.ops.lqr.trust_region import Constrained, constrained

__all__ = [
    "ILQR",
    "LQG",
    "Constrained",
    "Dynamics",
    "Filter",
    "Gaussian",
    "Observation",
    "Policy",
    "Problem",
    "Quadratic",
    "Solution",
    "Stationary",
    "Trajectory",
    "approximate",
    "constrained",
    "divergence",
    "entropy",
    "evaluate",
    "expected_cost",
    "fit_quadratic",
    "fit_slopes",
    "ilqr",
    "kalman",
    "law",
    "lqg",
    "propagate",
    "solve",
    "stationary",
]
