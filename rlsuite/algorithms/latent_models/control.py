r"""Control by planning in a latent model: see, infer, plan, act, and plan again.

At each time step the belief is told the observation; a sequence of actions is sought of which the
model expects the least cost,

    Σ_{h < H} ℓ(s_{t+h}, a_{t+h}),    s_{t+h+1} = E[s' | s_{t+h}, a_{t+h}],

from the belief's mean s_t, beginning with the last plan, one step later; and its first action is
taken, with noise where episodes are collected to learn from. Of a linear model the expected cost of
a plan differs from this by a number that does not depend on the plan.

Reference:
    Hafner et al.: Learning latent dynamics for planning from pixels. ICML 2019, arXiv:1811.04551,
    algorithm 1 (whose plans are rewarded by sampled states).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from rlsuite.algorithms.latent_models.config import Config
from rlsuite.algorithms.latent_models.model import (
    LatentModel,
    LatentParams,
    cost_of,
    potentials,
)
from rlsuite.algorithms.latent_models.prediction import Belief, advance, first_belief, see
from rlsuite.algorithms.latent_models.transition import settled
from rlsuite.data.pictures import Act, to_light
from rlsuite.ops import planning

Planner = Callable[[PRNGKeyArray, planning.Cost, Array], Array]
"""``(key, cost of actions, where to begin) -> actions``, all within [−1, 1]."""


class Thought(NamedTuple):
    """What a controller remembers.

    Attributes:
        belief: What is known before the next observation.
        plan: What is to be done then, ``[time m]``.
    """

    belief: Belief
    plan: Float[Array, "time m"]


def planner_of(config: Config) -> Planner:
    """The planner that a config names.

    Args:
        config: The hyperparameters.

    Returns:
        The planner.
    """

    def by_draws(key: PRNGKeyArray, cost: planning.Cost, begin: Array) -> Array:
        plan, _ = planning.cross_entropy(
            key,
            cost,
            begin,
            config.plan_deviation,
            iterations=config.plan_iterations,
            samples=config.plan_samples,
            elites=config.plan_elites,
            momentum=config.plan_momentum,
            min_deviation=config.plan_deviation / 10,
        )
        return plan.actions

    def by_gradients(key: PRNGKeyArray, cost: planning.Cost, begin: Array) -> Array:
        del key
        rule = optax.adam(config.plan_rate)
        iterations = config.plan_iterations
        return planning.gradient_descent(cost, begin, iterations=iterations, optimizer=rule).actions

    return by_draws if config.planner == "cross-entropy" else by_gradients


def plan_cost(
    model: LatentModel,
    params: LatentParams,
    known: Any,
    belief: Belief,
    actions: Float[Array, "time m"],
) -> Float[Array, ""]:
    """What a plan costs along the mean path; see the module.

    Args:
        model: The model.
        params: Its parameters.
        known: θ.
        belief: What is known of the state now.
        actions: The plan.

    Returns:
        The sum over its steps.
    """

    def step(now: tuple[Any, Array], action: Array) -> tuple[tuple[Any, Array], Array]:
        carry, law = model.transition.step(known, *now, action)
        return (carry, law.mean), now[1]

    _, states = jax.lax.scan(step, (belief.carry, belief.law.mean), actions)
    return jnp.sum(cost_of(params, states, actions))


def first_thought(
    model: LatentModel, params: LatentParams, known: Any, length: int, size: int
) -> Thought:
    """What is remembered before an episode.

    Args:
        model: The model.
        params: Its parameters.
        known: θ.
        length: How many actions a plan has.
        size: m, of an action.

    Returns:
        The prior belief, and a plan to do nothing.
    """
    return Thought(first_belief(model, params, known), jnp.zeros((length, size)))


def respond(
    key: PRNGKeyArray,
    model: LatentModel,
    params: LatentParams,
    known: Any,
    planner: Planner,
    thought: Thought,
    observation: Any,
    deviation: float | Float[Array, ""] = 0.0,
) -> tuple[Float[Array, " m"], Thought]:
    """See, plan and act.

    Args:
        key: Key.
        model: The model.
        params: Its parameters.
        known: θ.
        planner: How plans are found.
        thought: What is remembered.
        observation: o_t.
        deviation: The standard deviation of normal noise that is added to the action before it is
            clipped; the belief goes on by the sum.

    Returns:
        (the action, within [−1, 1], what is remembered then).
    """
    of_plan, of_step, of_noise = jax.random.split(key, 3)
    belief = see(thought.belief, potentials(model, params, to_light(observation)))
    plan = planner(
        of_plan, lambda actions: plan_cost(model, params, known, belief, actions), thought.plan
    )
    noise = deviation * jax.random.normal(of_noise, plan[0].shape)
    action = jnp.clip(plan[0] + noise, -1, 1)
    ahead = advance(of_step, model.transition, known, belief, action)
    return action, Thought(ahead, planning.shifted(plan))


def planning_agent(
    model: LatentModel,
    params: LatentParams,
    config: Config,
    size: int,
    deviation: float | Float[Array, ""] = 0.0,
) -> tuple[Act, Thought]:
    """What acts by planning, and what it remembers before an episode.

    Args:
        model: The model.
        params: Its parameters.
        config: Of which what concerns plans counts.
        size: m, of an action.
        deviation: Of what is added to actions.

    Returns:
        (what acts, within [−1, 1]; what it remembers at first).
    """
    known, planner = settled(model.transition, params.transition), planner_of(config)

    def act(key: PRNGKeyArray, seen: Any, thought: Thought) -> tuple[Array, Thought]:
        return respond(key, model, params, known, planner, thought, seen, deviation)

    return act, first_thought(model, params, known, config.plan_length, size)
