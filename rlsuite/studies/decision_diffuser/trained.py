"""What a study trains: several seeds of a problem's own config."""

import dataclasses
import operator
from typing import Any

import jax

from rlsuite.core import Algorithm, run
from rlsuite.problems.decision_diffuser import ENTRY
from rlsuite.registry import Entry, Problem


def sized(problem: Problem, *, small: bool) -> Problem:
    """A problem with its own network, or with a small one that is soon compiled, for a first look.

    Args:
        problem: The problem.
        small: Whether it is to be a perceptron of two layers of 128.

    Returns:
        The problem.
    """
    if not small:
        return problem
    model = dataclasses.replace(
        problem.config.model, kind="mlp", channels=128, multiples=(1, 1), places=()
    )
    return dataclasses.replace(problem, config=dataclasses.replace(problem.config, model=model))


def trained(
    problem: Problem, num_steps: int, num_seeds: int, label: str, entry: Entry = ENTRY
) -> Any:
    """Train, without evaluating.

    Args:
        problem: What on.
        num_steps: Updates.
        num_seeds: Networks.
        label: Of the progress bar.
        entry: The algorithm; by default the Decision Diffuser.

    Returns:
        The states, seeds first.
    """
    make = entry.make_for(problem)

    def untested(built: Any, config: Any) -> Algorithm:
        return make(built, config)._replace(evaluate=None)

    return run(
        untested,
        problem.build(),
        problem.config,
        jax.random.key(0),
        num_steps,
        num_seeds=num_seeds,
        progress=label,
    ).state


def of_seed(states: Any, seed: int) -> Any:
    """One of several seeds.

    Args:
        states: Pytrees, seeds first.
        seed: Which one.

    Returns:
        Its own.
    """
    return _at(states, seed)


@jax.jit
def _at(states: Any, seed: Any) -> Any:
    return jax.tree.map(operator.itemgetter(seed), states)
