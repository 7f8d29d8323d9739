"""What a run of SOLAR keeps, and what it reports."""

from typing import NamedTuple

from jaxtyping import Array, Float, Int

from rlsuite.algorithms.solar.collecting import Controller
from rlsuite.algorithms.solar.learning import Learner
from rlsuite.data.pictures import PictureEpisodes


class State(NamedTuple):
    """What a run keeps.

    Attributes:
        learner: The model.
        episodes: What was seen; the oldest make room.
        collected: How many episodes there have been.
        controller: Who acts.
        multiplier: Of the bound of a policy's step.
        promised: What the last local model expected of the policy before it, and of its own.
    """

    learner: Learner
    episodes: PictureEpisodes
    collected: Int[Array, ""]
    controller: Controller
    multiplier: Float[Array, ""]
    promised: Float[Array, " 2"]


class Metrics(NamedTuple):
    """Of one step.

    Attributes:
        cost: The mean cost of an episode of the new policy, drawing its actions.
        expected_cost: What the local model expected.
        pictures: Σ_t log p(o_t | s_t) of the last update's batch.
        divergence: Its KL(q(s) ‖ p(s | F, Σ)).
        policy_divergence: Of the new policy from the old one.
        bound: Of that.
        evidence: The bound of the evidence in local inference.
    """

    cost: Float[Array, ""]
    expected_cost: Float[Array, ""]
    pictures: Float[Array, ""]
    divergence: Float[Array, ""]
    policy_divergence: Float[Array, ""]
    bound: Float[Array, ""]
    evidence: Float[Array, ""]


class Evaluation(NamedTuple):
    """Of the mean actions.

    Attributes:
        score: The mean return.
        in_goal: The share of states in the goal; 0 where an environment does not say.
    """

    score: Float[Array, ""]
    in_goal: Float[Array, ""]
