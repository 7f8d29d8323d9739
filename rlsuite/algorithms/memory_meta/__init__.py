"""Memory-based meta-learning: networks that learn within an episode, compared with Bayes' rule.

==============  ====================================================================================
``make``        the algorithm: to predict sequences, or to pull arms
``prediction``  log-loss on sequences whose law is drawn anew; KL from the exact predictions
``impala``      actor-critic with V-trace for environments; ``experience`` has conventions of time
``play``        an agent at a bandit, and exactly what its choices lose
``trace``       what an agent remembers, step by step
==============  ====================================================================================
"""

from rlsuite.algorithms.memory_meta import experience, impala, prediction
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
    "experience",
    "flat",
    "impala",
    "make",
    "play",
    "predict",
    "prediction",
    "schedule",
    "trace",
    "unflat",
]
