"""Whole episodes side by side, and what they earn."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rlsuite.envs.control import Control, Timestep

Choose = Callable[[PRNGKeyArray, Timestep, Any], tuple[Float[Array, " action"], Any]]
"""From a key, a time step and what is remembered to an action and what is remembered then; None is
remembered where an episode begins."""


def episode_returns(
    problem: Control, choose: Choose, key: PRNGKeyArray, num_episodes: int, length: int
) -> Float[Array, " episode"]:
    """The undiscounted returns of new episodes, in one program.

    It stops as soon as all have ended.

    Args:
        problem: The environment.
        choose: What acts, in one episode.
        key: Key.
        num_episodes: How many episodes.
        length: After so many actions an episode is left.

    Returns:
        The return of each.

    Raises:
        ValueError: If a number is below 1.

    Example:
        >>> from rlsuite.envs.control import control
        >>> problem = control("CartPole-v1")
        >>> def left(key, timestep, carry):
        ...     return problem.actions.encode(0), carry
        >>> returns = episode_returns(problem, left, jax.random.key(0), 3, 500)
        >>> bool(jnp.all((returns >= 8) & (returns <= 11)))
        True
    """
    for name, value in (("num_episodes", num_episodes), ("length", length)):
        if value < 1:
            raise ValueError(f"{name} is {value}; allowed: a whole number at least 1")

    def act(time: Any, key: PRNGKeyArray, now: Any, carry: Any) -> tuple[Any, Any, Array]:
        of_action, of_step = jax.random.split(jax.random.fold_in(key, time))
        state, timestep = now
        action, carry = choose(of_action, timestep, carry)
        now = problem.transition(of_step, state.inner, action)
        return now, carry, now[1].reward

    def goes_on(loop: Any) -> Bool[Array, ""]:
        time, (state, _), _, _ = loop
        return (time < length) & ~jnp.all(state.is_last)

    def walk(key: PRNGKeyArray) -> Float[Array, " episode"]:
        of_start, of_steps = jax.random.split(key)
        keys = jax.random.split(of_steps, num_episodes)
        first = jax.vmap(problem.reset)(jax.random.split(of_start, num_episodes))

        def step(loop: Any) -> Any:
            time, now, carry, earned = loop
            (state, timestep), carry, reward = jax.vmap(act, (None, 0, 0, 0))(
                time, keys, now, carry
            )
            ended = now[0].is_last
            state = state._replace(is_last=ended | state.is_last)
            earned = earned + jnp.where(ended, 0.0, reward)
            return time + 1, (state, timestep), carry, earned

        begin = (0, first, None, jnp.zeros_like(first[1].reward))
        # What is remembered has no shape before the first action; else that is like all others.
        if _types(jax.eval_shape(step, begin)) != _types(begin):
            begin = step(begin)
        return jax.lax.while_loop(goes_on, step, begin)[3]

    return jax.jit(walk)(key)


def _types(tree: Any) -> Any:
    return jax.tree.map(lambda x: (jnp.shape(x), jnp.result_type(x)), tree)
