"""Acting by plans, in many episodes side by side within one program.

All episodes plan at the same time steps, so that between them nothing is planned for any: whether
it is time to plan is one number, not one an episode.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rlsuite.algorithms.decision_diffuser import planning
from rlsuite.algorithms.decision_diffuser.config import Config
from rlsuite.algorithms.decision_diffuser.planning import Plan, Request
from rlsuite.data.normalizers import Normalizer
from rlsuite.envs.control import Control

Params = Any


class Planner(NamedTuple):
    """What plans and follows plans; everything that does not change within an episode.

    Attributes:
        draw: ``(key, known, request, guess) -> plan``.
        act: ``(s, s', steps between them) -> a``, states normalised.
        normalizer: The scale of states.
        request: ``observation -> Request``.
        goal: ``observation -> the state to end with``, or None.
    """

    draw: Callable[..., Any]
    act: Callable[..., Any]
    normalizer: Normalizer
    request: Callable[[Any], Request]
    goal: Callable[[Any], Float[Array, " n"]] | None


def plan_now(
    config: Config,
    planner: Planner,
    key: PRNGKeyArray,
    observation: Float[Array, " n"],
    plan: Plan,
    *,
    warm: bool,
) -> Plan:
    """Make the plan anew.

    Args:
        config: The hyperparameters.
        planner: What plans.
        key: Key.
        observation: What is seen.
        plan: What is remembered, the present state included.
        warm: Whether to start from the old plan.

    Returns:
        What is remembered then.
    """
    goal = None
    if planner.goal is not None:
        goal = planner.normalizer.normalize(planner.goal(observation))
    known = planning.what_is_known(config, plan, goal)
    guess = planning.shifted(config, plan) if warm else None
    states = planner.draw(key, known, planner.request(observation), guess)
    return plan._replace(states=states, origin=plan.time - plan.num_seen + 1)


def first_action(
    config: Config, planner: Planner, key: PRNGKeyArray, observation: Float[Array, " n"]
) -> tuple[Float[Array, " m"], Plan]:
    """Plan, and act, where an episode begins.

    Args:
        config: The hyperparameters.
        planner: What plans.
        key: Key.
        observation: What is seen.

    Returns:
        (the action, what is remembered).
    """
    plan = planning.begin(config, planner.normalizer.normalize(observation))
    return _follow(config, planner, plan_now(config, planner, key, observation, plan, warm=False))


def next_action(
    config: Config, planner: Planner, key: PRNGKeyArray, observation: Float[Array, " n"], plan: Plan
) -> tuple[Float[Array, " m"], Plan]:
    """Act, and plan anew where it is time to.

    Args:
        config: The hyperparameters.
        planner: What plans.
        key: Key.
        observation: What is seen.
        plan: What is remembered.

    Returns:
        (the action, what is remembered then).
    """
    plan = planning.look(config, plan, planner.normalizer.normalize(observation))
    return _follow(config, planner, _renewed(config, planner, key, observation, plan))


def _renewed(
    config: Config, planner: Planner, key: PRNGKeyArray, observation: Float[Array, " n"], plan: Plan
) -> Plan:
    """The plan, made anew where it is time to; one for warm starts to begin from is given."""
    warm = config.planning.warm_steps > 0

    def anew(plan: Plan) -> Plan:
        return plan_now(config, planner, key, observation, plan, warm=warm)

    is_time = plan.time % config.planning.replan_every == 0
    if warm:
        is_time = is_time & (plan.time > 0)
    return jax.lax.cond(is_time, anew, lambda plan: plan, plan)


def _follow(config: Config, planner: Planner, plan: Plan) -> tuple[Float[Array, " m"], Plan]:
    action = planner.act(plan.seen[-1], *planning.aim(config, plan))
    return jnp.clip(action, -1.0, 1.0), plan


_EPISODES = Plan._make((0, 0, None, None, None))
"""Along which axis of a ``Plan`` episodes lie: times and counts are the same in all of them."""


def act_together(
    config: Config,
    planner: Planner,
    key: PRNGKeyArray,
    observations: Float[Array, "episode n"],
    plan: Plan | None,
) -> tuple[Float[Array, "episode m"], Plan]:
    """Act in episodes that began together and plan at the same times.

    Args:
        config: The hyperparameters.
        planner: What plans.
        key: Key.
        observations: What is seen in each.
        plan: What is remembered; None where they begin.

    Returns:
        (the actions, what is remembered then).
    """
    of_first, of_next = jax.random.split(key)
    if plan is None:
        plan = _begin(config, planner, of_first, observations)
    else:
        plan = _look(config, planner, observations, plan)
    return _go_on(config, planner, of_next, observations, plan)


def _begin(
    config: Config, planner: Planner, key: PRNGKeyArray, observations: Float[Array, "episode n"]
) -> Plan:
    """What is remembered at first; a plan only where others are to begin from it."""
    states = jax.vmap(planner.normalizer.normalize)(observations)
    plan = jax.vmap(functools.partial(planning.begin, config), out_axes=_EPISODES)(states)
    if not config.planning.warm_steps:
        return plan
    cold = functools.partial(plan_now, config, planner, warm=False)
    keys = jax.random.split(key, len(observations))
    return jax.vmap(cold, (0, 0, _EPISODES), _EPISODES)(keys, observations, plan)


def _look(
    config: Config, planner: Planner, observations: Float[Array, "episode n"], plan: Plan
) -> Plan:
    states = jax.vmap(planner.normalizer.normalize)(observations)
    look = functools.partial(planning.look, config)
    return jax.vmap(look, (_EPISODES, 0), _EPISODES)(plan, states)


def _go_on(
    config: Config,
    planner: Planner,
    key: PRNGKeyArray,
    observations: Float[Array, "episode n"],
    plan: Plan,
) -> tuple[Float[Array, "episode m"], Plan]:
    """Plan anew where it is time to, and follow."""
    keys = jax.random.split(key, len(observations))
    renewed = jax.vmap(functools.partial(_renewed, config, planner), (0, 0, _EPISODES), _EPISODES)(
        keys, observations, plan
    )
    follow = functools.partial(_follow, config, planner)
    return jax.vmap(follow, (_EPISODES,), (0, _EPISODES))(renewed)


class Walk(NamedTuple):
    """What happened in episodes of one length.

    Attributes:
        observations: What was seen before every action, and at the end.
        actions: What was done.
        rewards: What was earned; nothing after an episode's end.
        real: Whether the episode had not ended before.
        terminals: Whether it ended for good there.
    """

    observations: Float[Array, "episode states n"]
    actions: Float[Array, "episode time m"]
    rewards: Float[Array, "episode time"]
    real: Bool[Array, "episode time"]
    terminals: Bool[Array, "episode time"]


def walk(
    config: Config, planner: Planner, control: Control, key: PRNGKeyArray, num_episodes: int
) -> Walk:
    """Act in new episodes, of ``evaluation_length`` steps.

    Args:
        config: The hyperparameters.
        planner: What plans.
        control: The environment.
        key: Key.
        num_episodes: How many.

    Returns:
        What happened.
    """
    of_start, of_first, of_steps = jax.random.split(key, 3)

    def step(carry: Any, key: PRNGKeyArray) -> tuple[Any, Any]:
        (state, seen), plan, over = carry
        of_move, of_plan = jax.random.split(key)
        action, plan = _go_on(config, planner, of_plan, seen.observation, plan)
        moved = jax.random.split(of_move, num_episodes)
        state, following = jax.vmap(control.transition)(moved, state.inner, action)
        earned = jnp.where(over, 0.0, following.reward)
        told = (seen.observation, action, earned, ~over, following.is_terminal & ~over)
        plan = _look(config, planner, following.observation, plan)
        return ((state, following), plan, over | following.is_last), told

    now = jax.vmap(control.reset)(jax.random.split(of_start, num_episodes))
    plan = _begin(config, planner, of_first, now[1].observation)
    carry: Any = (now, plan, jnp.zeros(num_episodes, bool))
    keys = jax.random.split(of_steps, config.evaluation_length)
    last, told = jax.lax.scan(step, carry, keys)
    observations, *rest = (jnp.moveaxis(x, 0, 1) for x in told)
    final = last[0][1].observation[:, None]
    return Walk(jnp.concatenate([observations, final], axis=1), *rest)
