"""A policy of the state that it infers as it goes."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.ops import lqr
from rlsuite.ops import structured_inference as inference
from rlsuite.ops.gaussian import Moments, Potential, information
from rlsuite.ops.gaussian.steps import move, tell


class Controller(NamedTuple):
    """A policy of inferred states, and what infers them.

    Attributes:
        policy: u ~ N(K s + k, S) at each step.
        dynamics: By which states are predicted.
        start: The law of s_0.
    """

    policy: lqr.Policy
    dynamics: lqr.Dynamics
    start: Moments


class Belief(NamedTuple):
    """What is known before a picture is seen.

    Attributes:
        time: How many actions have been taken.
        predicted: The law of the state.
    """

    time: Array
    predicted: Moments


def first_belief(controller: Controller) -> Belief:
    """What is known before the first picture."""
    return Belief(jnp.int32(0), controller.start)


def respond(
    controller: Controller,
    key: PRNGKeyArray | None,
    belief: Belief,
    seen: Potential,
    *,
    structured: bool = True,
) -> tuple[Float[Array, " m"], Belief]:
    """See a picture, act, and predict.

    Args:
        controller: Who acts.
        key: Key; None for the mean action.
        belief: What was known before.
        seen: What the picture tells.
        structured: Whether what was known before counts; if not, the picture alone does.

    Returns:
        (the action, within [−1, 1], what is known then).
    """
    law = tell(belief.predicted, seen).law
    if not structured:
        law = Moments(*jax.tree.map(lambda x: x[0], inference.alone(_one(seen)).states))
    at = jnp.minimum(belief.time, len(controller.policy.gain) - 1)
    policy, dynamics = jax.tree.map(lambda x: x[at], (controller.policy, controller.dynamics))
    action = policy.gain @ law.mean + policy.offset
    if key is not None:
        action = information.sample(key, Moments(action, policy.covariance))
    action = jnp.clip(action, -1, 1)
    offset = dynamics.action @ action + dynamics.offset
    return action, Belief(belief.time + 1, move(law, dynamics.state, offset, dynamics.noise))


def _one(seen: Potential) -> Potential:
    """A sequence of one."""
    return jax.tree.map(lambda x: x[None], seen)
