r"""SOLAR: local linear-Gaussian models in a learned space of states, and the policies they allow.

One step of the algorithm is a round: learn the model from all episodes (``learn``, stochastic
variational inference with natural gradients), infer states and dynamics of the latest episodes
(``fit``), improve the policy within a divergence (``improve``), and collect episodes with
it. The pieces are public and useful alone.

References:
    Zhang, Vikram, Smith, Abbeel, Johnson, Levine: SOLAR: deep structured representations for
    model-based reinforcement learning. ICML 2019, arXiv:1808.09105.
"""

from rlsuite.algorithms.solar.algorithm import default_networks, make
from rlsuite.algorithms.solar.collecting import (
    Belief,
    Controller,
    first_belief,
    respond,
)
from rlsuite.algorithms.solar.config import Config, Representation
from rlsuite.algorithms.solar.improving import Improvement, improve, latest_cost
from rlsuite.algorithms.solar.learning import (
    Learner,
    learn,
    learning_prior,
    start_learning,
    update,
)
from rlsuite.algorithms.solar.local import (
    Local,
    adjusted,
    fit,
    fitted_cost,
    local_cost,
    local_problem,
    mean_dynamics,
    refitted,
    weakened,
)
from rlsuite.algorithms.solar.model import (
    Params,
    Parts,
    bound,
    first_state,
    potentials,
    states_of,
)
from rlsuite.algorithms.solar.state import Evaluation, Metrics, State
from rlsuite.nets.sight_networks import (
    BeforeBackground,
    Networks,
    before_background,
    of_pictures,
    of_places,
)

__all__ = [
    "BeforeBackground",
    "Belief",
    "Config",
    "Controller",
    "Evaluation",
    "Improvement",
    "Learner",
    "Local",
    "Metrics",
    "Networks",
    "Params",
    "Parts",
    "Representation",
    "State",
    "adjusted",
    "before_background",
    "bound",
    "default_networks",
    "first_belief",
    "first_state",
    "fit",
    "fitted_cost",
    "improve",
    "latest_cost",
    "learn",
    "learning_prior",
    "local_cost",
    "local_problem",
    "make",
    "mean_dynamics",
    "of_pictures",
    "of_places",
    "potentials",
    "refitted",
    "respond",
    "start_learning",
    "states_of",
    "update",
    "weakened",
]
