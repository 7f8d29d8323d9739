"""A better policy: from the latest episodes, by local dynamics, within a divergence of the last."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rlsuite.algorithms.solar import local as locally
from rlsuite.algorithms.solar import model
from rlsuite.algorithms.solar.collecting import Controller
from rlsuite.algorithms.solar.config import Config
from rlsuite.algorithms.solar.learning import Learner
from rlsuite.algorithms.solar.state import State
from rlsuite.data.pictures import PictureEpisodes
from rlsuite.nets.sight_networks import Networks
from rlsuite.ops import lqr, mniw


class Improvement(NamedTuple):
    """A policy's step.

    Attributes:
        controller: Who acts from now on.
        multiplier: Of the bound.
        bound: Of the divergence from the old policy.
        found: What the search under the bound found.
        evidence: The bound of the evidence in local inference.
    """

    controller: Controller
    multiplier: Float[Array, ""]
    bound: Float[Array, ""]
    found: lqr.Constrained
    evidence: Float[Array, ""]


def improve(networks: Networks, config: Config, state: State, learner: Learner) -> Improvement:
    """Infer local dynamics of the latest episodes, and find the best policy near the last one.

    Args:
        networks: Encoder and decoder.
        config: The hyperparameters.
        state: Before this round; its model's count of updates says whether the round is the first.
        learner: The model by now.

    Returns:
        The step.
    """
    recent = latest(state.episodes, state.collected, config.rollouts)
    seen = jax.vmap(lambda o: model.seen(networks, learner.params, o))(recent.images)
    prior = locally.weakened(mniw.to_moments(learner.known), config.data_strength)
    start = model.first_state(learner.params)
    structured = config.representation == "structured"
    local = locally.fit(prior, start, seen, recent.actions, config.rounds, structured=structured)
    old = state.controller.policy
    if config.updates > 0:
        old = locally.refitted(old, local.states, recent.actions)
    cost = latest_cost(networks, config, learner, state.episodes, state.collected)
    if config.cost_strength is not None:
        cost = locally.local_cost(cost, local, recent.actions, recent.costs, config.cost_strength)
    known, begin = locally.local_problem(local, cost)
    multiplier = state.multiplier
    if config.adjust:
        now = lqr.expected_cost(known, lqr.law(known.dynamics, old, begin))
        changed = locally.adjusted(multiplier, state.promised, now)
        multiplier = jnp.where(state.learner.updates == 0, multiplier, changed)
    bound = config.bound * config.length * multiplier
    found = lqr.constrained(known, old, begin, bound, temperature=config.temperature)
    controller = Controller(found.policy, locally.mean_dynamics(local.dynamics), local.start)
    return Improvement(controller, multiplier, bound, found, local.bounds[-1])


def latest_cost(
    networks: Networks,
    config: Config,
    learner: Learner,
    episodes: PictureEpisodes,
    count: Int[Array, ""],
) -> lqr.Quadratic:
    """The cost of [s; a] by what the latest episodes paid.

    Args:
        networks: Encoder and decoder.
        config: Of which ``cost_episodes`` says how many.
        learner: The model.
        episodes: What was seen, and room.
        count: How many episodes there have been, maybe fewer than are looked at.

    Returns:
        The fit.
    """
    number = min(config.cost_episodes, config.capacity)
    some = latest(episodes, count, number)
    known = mniw.expected(mniw.to_moments(learner.known))
    found = jax.vmap(lambda one: model.states_of(networks, learner.params, known, one, config))(
        some
    )
    there = (jnp.arange(number) < count).astype(some.costs.dtype)
    return locally.fitted_cost(found, some.actions, some.costs, there)


def latest(episodes: PictureEpisodes, count: Int[Array, ""], number: int) -> PictureEpisodes:
    """The latest episodes, the last one first, out of a ring in which the oldest make room."""
    where = (count - 1 - jnp.arange(number)) % len(episodes.costs)
    return jax.tree.map(lambda x: x[where], episodes)
