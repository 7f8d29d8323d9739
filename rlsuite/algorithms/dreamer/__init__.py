"""Dreamer: learning in imagination."""

from rlsuite.algorithms.dreamer.agent import Agent, agent
from rlsuite.algorithms.dreamer.algorithm import Metrics, State, make
from rlsuite.algorithms.dreamer.config import Behaviour, Config, Model, v1, v3
from rlsuite.algorithms.dreamer.dynamics import Dynamics, Imagined, Outcome, imagine

__all__ = [
    "Agent",
    "Behaviour",
    "Config",
    "Dynamics",
    "Imagined",
    "Metrics",
    "Model",
    "Outcome",
    "State",
    "agent",
    "imagine",
    "make",
    "v1",
    "v3",
]
