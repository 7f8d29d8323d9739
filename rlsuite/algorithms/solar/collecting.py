"""Episodes: of random actions, and of a policy of the state that it infers as it goes."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.algorithms.solar.model import Episodes
from rlsuite.envs.control import Control
from rlsuite.ops import lqr
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
    controller: Controller, key: PRNGKeyArray | None, belief: Belief, seen: Potential
) -> tuple[Float[Array, " m"], Belief]:
    """See a picture, act, and predict.

    Args:
        controller: Who acts.
        key: Key; None for the mean action.
        belief: What was known before.
        seen: What the picture tells.

    Returns:
        (the action, within [−1, 1], what is known then).
    """
    law = tell(belief.predicted, seen).law
    at = jnp.minimum(belief.time, len(controller.policy.gain) - 1)
    policy, dynamics = jax.tree.map(lambda x: x[at], (controller.policy, controller.dynamics))
    action = policy.gain @ law.mean + policy.offset
    if key is not None:
        action = information.sample(key, Moments(action, policy.covariance))
    action = jnp.clip(action, -1, 1)
    offset = dynamics.action @ action + dynamics.offset
    return action, Belief(belief.time + 1, move(law, dynamics.state, offset, dynamics.noise))


def collect(
    problem: Control,
    act: Callable[[PRNGKeyArray, Any, Any], tuple[Float[Array, " m"], Any]],
    carry: Any,
    key: PRNGKeyArray,
    count: int,
    length: int,
) -> Episodes:
    """Walk through episodes.

    Args:
        problem: What in.
        act: ``(key, observation, carry) -> (action, carry)``.
        carry: At the start of an episode.
        key: Key.
        count: How many.
        length: How many actions each has.

    Returns:
        The episodes.
    """

    def episode(key: PRNGKeyArray) -> Episodes:
        of_start, of_steps = jax.random.split(key)

        def step(now: Any, key: PRNGKeyArray) -> tuple[Any, Any]:
            state, seen, carry = now
            of_act, of_move = jax.random.split(key)
            action, carry = act(of_act, seen.observation, carry)
            state, later = problem.transition(of_move, state.inner, action)
            return (state, later, carry), (to_bytes(seen.observation), action, -later.reward)

        first = (*problem.reset(of_start), carry)
        last, (images, actions, costs) = jax.lax.scan(step, first, jax.random.split(of_steps, length))
        images = jnp.concatenate([images, to_bytes(last[1].observation)[None]])
        return Episodes(images, actions, costs)

    return jax.vmap(episode)(jax.random.split(key, count))


def to_bytes(image: Float[Array, "*picture"]) -> Array:
    """Shares of light as bytes, a quarter of the memory."""
    return jnp.round(255 * image).astype(jnp.uint8)


def to_light(image: Array) -> Float[Array, "*picture"]:
    """Bytes as shares of light."""
    return image.astype(jnp.float32) / 255
