"""The Decision Diffuser: diffusion over states, conditions, and inverse dynamics."""

from rlsuite.algorithms.decision_diffuser.acting import Planner, Walk, walk
from rlsuite.algorithms.decision_diffuser.algorithm import (
    Denoiser,
    Evaluation,
    Metrics,
    Parameters,
    State,
    default_network,
    make,
    planner_of,
    plans,
    schedule_of,
)
from rlsuite.algorithms.decision_diffuser.config import (
    Condition,
    Config,
    Model,
    Planning,
    paper,
    released,
)
from rlsuite.algorithms.decision_diffuser.planning import Plan, Request, draw_plan, sampler_of
from rlsuite.algorithms.decision_diffuser.training import Statistics

__all__ = [
    "Condition",
    "Config",
    "Denoiser",
    "Evaluation",
    "Metrics",
    "Model",
    "Parameters",
    "Plan",
    "Planner",
    "Planning",
    "Request",
    "State",
    "Statistics",
    "Walk",
    "default_network",
    "draw_plan",
    "make",
    "paper",
    "planner_of",
    "plans",
    "released",
    "sampler_of",
    "schedule_of",
    "walk",
]
