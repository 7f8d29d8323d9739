"""Planners trained for a study: several seeds of a problem's own config."""

import jax

from rlsuite.algorithms.decision_diffuser import State
from rlsuite.core import run
from rlsuite.problems.decision_diffuser import ENTRY
from rlsuite.registry import Problem


def trained(problem: Problem, num_steps: int, num_seeds: int, label: str) -> State:
    """Train planners.

    Args:
        problem: What on.
        num_steps: Updates.
        num_seeds: Networks.
        label: Of the progress bar.

    Returns:
        The states, seeds first.
    """
    return run(
        ENTRY.make_for(problem),
        problem.build(),
        problem.config,
        jax.random.key(0),
        num_steps,
        num_seeds=num_seeds,
        progress=label,
    ).state
