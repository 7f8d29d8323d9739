"""What the Decision Diffuser refuses: episodes, requests and plans that do not fit its config."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rlsuite.algorithms.decision_diffuser.config import Config
from rlsuite.algorithms.decision_diffuser.planning import Request
from rlsuite.algorithms.decision_diffuser.symmetry import Symmetry
from rlsuite.data.offline import Offline
from rlsuite.ops import diffusion


def fitting(
    problem: Offline, config: Config, request: Any, goal: Any, symmetry: Symmetry | None
) -> None:
    """Refuse to train or to act where something is missing, or does not fit.

    Args:
        problem: The episodes.
        config: The hyperparameters.
        request: What is asked for.
        goal: What plans end with.
        symmetry: Which changes make no difference.

    Raises:
        ValueError: Saying what.
    """
    needed = config.duration - config.overhang * config.stride
    if problem.longest < needed:
        raise ValueError(
            f"config field 'horizon' is {config.horizon}, {needed} steps without the overhang; "
            f"allowed: at most {problem.longest}, those of the longest episode"
        )
    if request is None and config.conditions not in ((), ("return",)):
        raise ValueError(
            f"request is None; allowed with the conditions {config.conditions}: a function from an "
            "observation to a Request"
        )
    weight = config.planning.value_guidance
    if not config.model.value and not isinstance(weight, jax.core.Tracer) and np.any(weight):
        raise ValueError(f"config field 'value_guidance' is {weight}; allowed without 'value': 0")
    if config.goal != (goal is not None):
        raise ValueError(
            f"goal is {goal}, and the config field 'goal' is {config.goal}; allowed: a function "
            "where that is True, None where it is False"
        )
    if "label" in config.conditions and not problem.episodes.labels.shape[1]:
        raise ValueError(
            f"config field 'conditions' is {config.conditions}; allowed with episodes that have no "
            f"labels: none of 'label'"
        )
    if symmetry is not None and config.conditions != ("label",):
        raise ValueError(
            f"config field 'conditions' is {config.conditions}; allowed with a symmetry: ('label',)"
        )


def understood(problem: Offline, config: Config, request: Request) -> Request:
    """A request, if it is of the kind that the network was told.

    Args:
        problem: The episodes.
        config: The hyperparameters.
        request: What is asked for.

    Returns:
        The request.

    Raises:
        ValueError: If its conditions have another width, or its weights another number.
    """
    widths = {
        "return": 1,
        "label": problem.episodes.labels.shape[1],
        "state": problem.episodes.observations.shape[1],
    }
    wanted = sum(widths[name] for name in config.conditions)
    conditions, weights = map(jnp.shape, request)
    if len(conditions) != 2 or conditions[1] != wanted or weights != conditions[:1]:
        raise ValueError(
            f"request has conditions of shape {conditions} and weights of shape {weights}; allowed "
            f"with the conditions {config.conditions}: (any number, {wanted}), and as many weights"
        )
    return request


def known_enough(config: Config, known: diffusion.Known | None) -> None:
    """Refuse to draw plans without a state that the network has always known.

    Args:
        config: The hyperparameters.
        known: The states that are known.

    Raises:
        ValueError: If the first state, or the last one, is not.
    """
    always = config.history and not isinstance(config.free, jax.core.Tracer) and not config.free
    if always and not _holds(known, 0):
        raise ValueError(
            f"known is {'None' if known is None else 'without the first state'}; allowed with a "
            f"history of {config.history} and 'free' 0: at least the first state"
        )
    if config.goal and not _holds(known, -1):
        raise ValueError(
            f"known is {'None' if known is None else 'without the last state'}; allowed with a "
            f"goal: at least the last state"
        )


def _holds(known: diffusion.Known | None, place: int) -> bool:
    """Whether a state is known, as far as that can be told."""
    if known is None:
        return False
    return isinstance(known.where, jax.core.Tracer) or bool(np.all(known.where[place]))
