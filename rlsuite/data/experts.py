"""Experts that solve an MDP by dynamic programming and write trajectories."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rlsuite.data.trajectories import NO_ACTION, Trajectories
from rlsuite.ops import tabular


def demonstrate(
    key: PRNGKeyArray,
    mdp: tabular.MDP,
    num_trajectories: int,
    length: int,
    *,
    temperature: float | Float[Array, ""] | None = None,
) -> Trajectories:
    """Write trajectories of the optimal policy, or of the soft-optimal one of a temperature.

    Compiled as a whole; `jax.vmap` over keys and stacked MDPs works.

    Args:
        key: random key.
        mdp: the MDP.
        num_trajectories: how many trajectories to write, at least 1.
        length: the number of steps after which a trajectory is cut off, at least 1.
        temperature: None for the greedy policy (ties shared uniformly); otherwise positive, the
            policy being softmax(Q/temperature).

    Returns:
        The trajectories; one that reaches a terminal state ends there.

    Raises:
        ValueError: if a number is not as described.

    Example:
        >>> from rlsuite.envs.gridworld import Layout, gridworld
        >>> corridor = gridworld(Layout.parse("...G")).replace(initial=jnp.eye(4)[0])
        >>> expert = demonstrate(jax.random.key(0), corridor, num_trajectories=1, length=6)
        >>> expert.states.tolist(), expert.actions.tolist(), expert.lengths.tolist()
        ([[0, 1, 2, 3, 3, 3]], [[3, 3, 3, -1, -1, -1]], [4])
    """
    if isinstance(temperature, int | float) and not temperature > 0:
        raise ValueError(f"temperature is {temperature}: it must be positive, or None")
    solution = tabular.value_iteration(mdp, temperature=temperature)
    return rollout(key, mdp, solution.log_policy, num_trajectories, length)


def rollout(
    key: PRNGKeyArray,
    mdp: tabular.MDP,
    log_policy: Float[Array, "state action"],
    num_trajectories: int,
    length: int,
) -> Trajectories:
    """Write trajectories of a policy.

    Args:
        key: random key.
        mdp: the MDP.
        log_policy: log π(a|s); actions of probability zero have −inf.
        num_trajectories: how many trajectories to write, at least 1.
        length: the number of steps after which a trajectory is cut off, at least 1.

    Returns:
        The trajectories; one that reaches a terminal state ends there.

    Raises:
        ValueError: if a number is below 1.

    Example:
        >>> from rlsuite.envs.random_mdp import random_mdp
        >>> uniform = jnp.full((5, 2), jnp.log(0.5))
        >>> rollout(jax.random.key(0), random_mdp(0, 5, 2), uniform, 3, 7).states.shape
        (3, 7)
    """
    for name, value in (("num_trajectories", num_trajectories), ("length", length)):
        if value < 1:
            raise ValueError(f"{name} is {value}: it must be at least 1")
    return _rollout(key, mdp, log_policy, num_trajectories, length)


@partial(jax.jit, static_argnames=("num_trajectories", "length"))
def _rollout(
    key: PRNGKeyArray,
    mdp: tabular.MDP,
    log_policy: Float[Array, "state action"],
    num_trajectories: int,
    length: int,
) -> Trajectories:
    start_key, walk_key = jax.random.split(key)
    starts = jax.random.choice(start_key, mdp.num_states, (num_trajectories,), p=mdp.initial)
    keys = jax.random.split(walk_key, num_trajectories)
    states, actions = jax.vmap(partial(_walk, mdp=mdp, log_policy=log_policy, length=length))(
        keys, starts.astype(jnp.int32)
    )
    ended = actions == NO_ACTION
    lengths = jnp.where(ended.any(1), ended.argmax(1) + 1, length)
    return Trajectories(states, actions, lengths.astype(jnp.int32))


def _walk(
    key: PRNGKeyArray,
    start: Int[Array, ""],
    *,
    mdp: tabular.MDP,
    log_policy: Float[Array, "state action"],
    length: int,
) -> tuple[Int[Array, " time"], Int[Array, " time"]]:
    """One trajectory; from a terminal state on, the state is repeated without an action."""

    def step(state: Int[Array, ""], key: PRNGKeyArray) -> tuple[Array, tuple[Array, Array]]:
        action_key, next_key = jax.random.split(key)
        action = jax.random.categorical(action_key, log_policy[state]).astype(jnp.int32)
        next_state = mdp.transition.sample(next_key, state, action).astype(jnp.int32)
        if mdp.terminal is not None:
            ended = mdp.terminal[state]
            action = jnp.where(ended, NO_ACTION, action)
            next_state = jnp.where(ended, state, next_state)
        return next_state, (state, action)

    _, (states, actions) = jax.lax.scan(step, start, jax.random.split(key, length))
    return states, actions
