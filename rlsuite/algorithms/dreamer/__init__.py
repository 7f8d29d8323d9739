"""Dreamer: learning in imagination; in JAX environments, on the host, offline, in real time."""

from rlsuite.algorithms.dreamer.acting import Actor
from rlsuite.algorithms.dreamer.agent import Agent, Learner, Row, Update, Weights, agent
from rlsuite.algorithms.dreamer.algorithm import Evaluation, Metrics, State, make
from rlsuite.algorithms.dreamer.behaviour import Heads, Losses, Range
from rlsuite.algorithms.dreamer.config import Behaviour, Config, Model, v1, v3
from rlsuite.algorithms.dreamer.dynamics import (
    Dynamics,
    Imagined,
    Outcome,
    Real,
    environment_dynamics,
    imagine,
)
from rlsuite.algorithms.dreamer.host import train
from rlsuite.algorithms.dreamer.latencies import RealTime, figure, summary
from rlsuite.algorithms.dreamer.markov import environment_world, markov_world
from rlsuite.algorithms.dreamer.offline import Dataset, load_replay, make_offline, save_replay
from rlsuite.algorithms.dreamer.realtime import Clock, real_time
from rlsuite.algorithms.dreamer.world import Inferred, WorldModel, rssm_world

__all__ = [
    "Actor",
    "Agent",
    "Behaviour",
    "Clock",
    "Config",
    "Dataset",
    "Dynamics",
    "Evaluation",
    "Heads",
    "Imagined",
    "Inferred",
    "Learner",
    "Losses",
    "Metrics",
    "Model",
    "Outcome",
    "Range",
    "Real",
    "RealTime",
    "Row",
    "State",
    "Update",
    "Weights",
    "WorldModel",
    "agent",
    "environment_dynamics",
    "environment_world",
    "figure",
    "imagine",
    "load_replay",
    "make",
    "make_offline",
    "markov_world",
    "real_time",
    "rssm_world",
    "save_replay",
    "summary",
    "train",
    "v1",
    "v3",
]
