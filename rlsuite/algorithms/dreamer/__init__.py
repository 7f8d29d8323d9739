"""Dreamer: learning in imagination.

Environments on the host are trained in by :func:`rlsuite.algorithms.dreamer.host.train`, and acted
in at a fixed rate by :func:`rlsuite.algorithms.dreamer.realtime.real_time`.
"""

from rlsuite.algorithms.dreamer.agent import Agent, agent
from rlsuite.algorithms.dreamer.algorithm import Metrics, State, make
from rlsuite.algorithms.dreamer.behaviour import Heads
from rlsuite.algorithms.dreamer.config import Behaviour, Config, Model, v1, v3
from rlsuite.algorithms.dreamer.dynamics import Dynamics, Imagined, Outcome, imagine
from rlsuite.algorithms.dreamer.offline import Dataset, load_replay, make_offline, save_replay
from rlsuite.algorithms.dreamer.world import WorldModel

__all__ = [
    "Agent",
    "Behaviour",
    "Config",
    "Dataset",
    "Dynamics",
    "Heads",
    "Imagined",
    "Metrics",
    "Model",
    "Outcome",
    "State",
    "WorldModel",
    "agent",
    "imagine",
    "load_replay",
    "make",
    "make_offline",
    "save_replay",
    "v1",
    "v3",
]
