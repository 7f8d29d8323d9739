"""Memory-based meta-learning: networks that learn within an episode, compared with Bayes' rule.

``make`` is the algorithm, to predict sequences or to pull arms. The module ``prediction`` has the
log-loss on sequences whose law is drawn anew, and KL from the exact predictions; ``impala`` an
actor-critic with V-trace for environments, and ``experience`` its conventions of time. ``play`` is
an agent at a bandit, and exactly what its choices lose; ``trace`` what it remembers, step by step.
"""

from rlsuite.algorithms.memory_meta.algorithm import BanditEvaluation, Play, make, play
from rlsuite.algorithms.memory_meta.config import Config, cell, clipped_adam, schedule
from rlsuite.algorithms.memory_meta.networks import Agent, agent, flat, trace, unflat
from rlsuite.algorithms.memory_meta.prediction import divergences, exact_divergence, predict

__all__ = [
    "Agent",
    "BanditEvaluation",
    "Config",
    "Play",
    "agent",
    "cell",
    "clipped_adam",
    "divergences",
    "exact_divergence",
    "flat",
    "make",
    "play",
    "predict",
    "schedule",
    "trace",
    "unflat",
]
