r"""A point in the plane that is to find a goal (Finn et al. 2017, sec. 5.3).

The point starts at the origin and moves by the velocity it is given, each component clipped to
±0.1; the reward is −‖x' − g‖² of where it arrives, and the episode terminates within 0.01 of the
goal g, or is truncated after 100 steps. The observation is the position: only rewards tell of the
goal.

The functions here need nothing but JAX; :mod:`rlsuite.envs.navigation_gymnax` has the same as a
gymnax environment.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

SPEED = 0.1
"""The largest component of a velocity that moves the point."""

RADIUS = 0.01
"""How near to the goal an episode terminates."""

HORIZON = 100
"""After how many steps an episode is truncated."""

Act = Callable[[PRNGKeyArray, Float[Array, "trajectory 2"]], Float[Array, "trajectory 2"]]


class Paths(NamedTuple):
    """Trajectories to one goal.

    Attributes:
        positions: Where an action was taken, ``[trajectory, time, 2]``.
        velocities: The action, before it was clipped, ``[trajectory, time, 2]``.
        rewards: ``[trajectory, time]``; 0 after an episode's end.
        alive: Whether the step belongs to the episode, ``[trajectory, time]``.
    """

    positions: Float[Array, "trajectory time 2"]
    velocities: Float[Array, "trajectory time 2"]
    rewards: Float[Array, "trajectory time"]
    alive: Bool[Array, "trajectory time"]

    def returns(self) -> Float[Array, " trajectory"]:
        """The undiscounted return of each trajectory."""
        return jnp.sum(self.rewards, axis=-1)


def move(
    position: Float[Array, "*batch 2"], velocity: Float[Array, "*batch 2"]
) -> Float[Array, "*batch 2"]:
    """Where the point arrives."""
    return position + jnp.clip(velocity, -SPEED, SPEED)


def reward_of(
    position: Float[Array, "*batch 2"], goal: Float[Array, "*batch 2"]
) -> Float[Array, "*batch"]:
    """−‖x − g‖², for arriving at x."""
    return -jnp.sum((position - goal) ** 2, axis=-1)


def arrived(
    position: Float[Array, "*batch 2"], goal: Float[Array, "*batch 2"]
) -> Bool[Array, "*batch"]:
    """Whether the goal is near enough to terminate."""
    return -reward_of(position, goal) < RADIUS**2


def rollout(
    key: PRNGKeyArray,
    act: Act,
    goal: Float[Array, " 2"],
    *,
    num_trajectories: int,
    horizon: int = HORIZON,
) -> Paths:
    """Walk from the origin, several trajectories at once.

    Args:
        key: Step t gives ``fold_in(key, t)`` to ``act``.
        act: From a key and positions ``[trajectory, 2]`` to velocities.
        goal: g.
        num_trajectories: How many.
        horizon: After how many steps episodes are truncated.

    Returns:
        The trajectories; those that have ended stay where they are.

    Example:
        >>> straight = lambda key, positions: jnp.asarray([0.3, 0.4]) - positions
        >>> paths = rollout(
        ...     jax.random.key(0), straight, jnp.asarray([0.3, 0.4]), num_trajectories=1
        ... )
        >>> paths.alive.sum().item(), round(paths.returns()[0].item(), 4)
        (4, -0.19)
    """

    def step(
        carry: tuple[Float[Array, "trajectory 2"], Bool[Array, " trajectory"]],
        time: Int[Array, ""],
    ) -> tuple[tuple[Array, Array], tuple[Array, Array, Array, Array]]:
        position, alive = carry
        velocity = act(jax.random.fold_in(key, time), position)
        there = jnp.where(alive[:, None], move(position, velocity), position)
        reward = jnp.where(alive, reward_of(there, jnp.broadcast_to(goal, there.shape)), 0.0)
        ended = arrived(there, jnp.broadcast_to(goal, there.shape))
        return (there, alive & ~ended), (position, velocity, reward, alive)

    start = (jnp.zeros((num_trajectories, 2)), jnp.ones(num_trajectories, bool))
    _, steps = jax.lax.scan(step, start, jnp.arange(horizon))
    return Paths(*(jnp.moveaxis(leaf, 0, 1) for leaf in steps))
