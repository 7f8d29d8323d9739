"""The Decision Diffuser: diffusion over states, conditions, and inverse dynamics."""

from rlsuite.algorithms.decision_diffuser.acting import Planner, Walk, act_together, walk
from rlsuite.algorithms.decision_diffuser.algorithm import (
    Evaluation,
    Metrics,
    Parameters,
    State,
    make,
    planner_of,
    plans,
)
from rlsuite.algorithms.decision_diffuser.config import (
    Condition,
    Config,
    Model,
    Planning,
    paper,
    released,
)
from rlsuite.algorithms.decision_diffuser.networks import Denoiser, default_network, schedule_of
from rlsuite.algorithms.decision_diffuser.online import FineTuning, Pretrained, fine_tuning
from rlsuite.algorithms.decision_diffuser.planning import (
    Plan,
    Request,
    always,
    draw_plan,
    sampler_of,
)
from rlsuite.algorithms.decision_diffuser.symmetry import Symmetry, symmetric
from rlsuite.algorithms.decision_diffuser.training import Statistics

__all__ = [
    "Condition",
    "Config",
    "Denoiser",
    "Evaluation",
    "FineTuning",
    "Metrics",
    "Model",
    "Parameters",
    "Plan",
    "Planner",
    "Planning",
    "Pretrained",
    "Request",
    "State",
    "Statistics",
    "Symmetry",
    "Walk",
    "act_together",
    "always",
    "default_network",
    "draw_plan",
    "fine_tuning",
    "make",
    "paper",
    "planner_of",
    "plans",
    "released",
    "sampler_of",
    "schedule_of",
    "symmetric",
    "walk",
]
