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
from rlsuite.envs.control import Control, Timestep

Params = Any


class Planner(NamedTuple):
    """What plans and follows plans; everything that does not change within an episode.

    Attributes:
        draw: ``(key, known, request, guess) -> plan``.
        act: ``(s, s') -> a``, both normalised.
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
    """The plan, made anew where it is time to; warm ones begin from a first one, made before."""
    warm = config.planning.warm_steps > 0

    def anew(plan: Plan) -> Plan:
        return plan_now(config, planner, key, observation, plan, warm=warm)

    is_time = plan.time % config.planning.replan_every == 0
    if warm:
        is_time = is_time & (plan.time > 0)
    return jax.lax.cond(is_time, anew, lambda plan: plan, plan)


def _follow(config: Config, planner: Planner, plan: Plan) -> tuple[Float[Array, " m"], Plan]:
    action = planner.act(plan.seen[-1], planning.next_state(config, plan))
    return jnp.clip(action, -1.0, 1.0), plan


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


_EPISODES = Plan(0, 0, None, None, None)  # type: ignore[arg-type]
"""Along which axis of a ``Plan`` episodes lie: times and counts are the same in all of them."""


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

    def each(function: Callable[..., Any]) -> Callable[..., Any]:
        """The function of a key, an observation and a plan, for all episodes."""
        return jax.vmap(function, (0, 0, _EPISODES), _EPISODES)

    def split(key: PRNGKeyArray) -> Array:
        return jax.random.split(key, num_episodes)

    def look(seen: Timestep, plan: Plan) -> Plan:
        states = jax.vmap(planner.normalizer.normalize)(seen.observation)
        return jax.vmap(functools.partial(planning.look, config), (_EPISODES, 0), _EPISODES)(
            plan, states
        )

    renewed = each(functools.partial(_renewed, config, planner))
    follow = jax.vmap(functools.partial(_follow, config, planner), (_EPISODES,), (0, _EPISODES))

    def step(carry: Any, key: PRNGKeyArray) -> tuple[Any, Any]:
        (state, seen), plan, over = carry
        of_move, of_plan = jax.random.split(key)
        action, plan = follow(renewed(split(of_plan), seen.observation, plan))
        state, following = jax.vmap(control.transition)(split(of_move), state.inner, action)
        earned = jnp.where(over, 0.0, following.reward)
        told = (seen.observation, action, earned, ~over, following.is_terminal & ~over)
        return ((state, following), look(following, plan), over | following.is_last), told

    now = jax.vmap(control.reset)(split(of_start))
    states = jax.vmap(planner.normalizer.normalize)(now[1].observation)
    plan = jax.vmap(functools.partial(planning.begin, config), out_axes=_EPISODES)(states)
    if config.planning.warm_steps:
        cold = each(functools.partial(plan_now, config, planner, warm=False))
        plan = cold(split(of_first), now[1].observation, plan)
    carry: Any = (now, plan, jnp.zeros(num_episodes, bool))
    keys = jax.random.split(of_steps, config.evaluation_length)
    last, told = jax.lax.scan(step, carry, keys)
    observations, *rest = (jnp.moveaxis(x, 0, 1) for x in told)
    final = last[0][1].observation[:, None]
    return Walk(jnp.concatenate([observations, final], axis=1), *rest)
