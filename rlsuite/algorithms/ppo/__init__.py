"""Proximal policy optimisation, of policies with or without memory."""

from rlsuite.algorithms.ppo.algorithm import clipped_adam, default_network, make
from rlsuite.algorithms.ppo.experience import Experience, Walkers, collect, episodes, estimate
from rlsuite.algorithms.ppo.host import HostPPO, HostStep
from rlsuite.algorithms.ppo.learning import Batch, Losses, improve, loss, shuffle
from rlsuite.algorithms.ppo.networks import (
    ActorCritic,
    Outputs,
    actor_critic,
    distribution,
    feed_forward,
    head_size,
    recurrent,
)
from rlsuite.algorithms.ppo.normalization import Moments, Rewards
from rlsuite.algorithms.ppo.state import Config, Evaluation, Metrics, State

__all__ = [
    "ActorCritic",
    "Batch",
    "Config",
    "Evaluation",
    "Experience",
    "HostPPO",
    "HostStep",
    "Losses",
    "Metrics",
    "Moments",
    "Outputs",
    "Rewards",
    "State",
    "Walkers",
    "actor_critic",
    "clipped_adam",
    "collect",
    "default_network",
    "distribution",
    "episodes",
    "estimate",
    "feed_forward",
    "head_size",
    "improve",
    "loss",
    "make",
    "recurrent",
    "shuffle",
]
