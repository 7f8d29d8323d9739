"""Planning in a latent model that is learned from what planning leads to, as PlaNet does.

    episodes of random actions → [train on all episodes → episodes of plans, with noise] again …

The cost that plans are judged by is the convex quadratic function of filtered states and actions
that is closest to what all kept episodes paid; the one that shapes states, by gradients, is slow to
follow states that move.

Reference:
    Hafner et al.: Learning latent dynamics for planning from pixels. ICML 2019, arXiv:1811.04551,
    algorithm 1.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rlsuite.algorithms.latent_models import learning
from rlsuite.algorithms.latent_models.algorithm import Recorded, default_model
from rlsuite.algorithms.latent_models.config import Config
from rlsuite.algorithms.latent_models.control import Thought, planning_agent
from rlsuite.algorithms.latent_models.model import LatentModel, LatentParams
from rlsuite.algorithms.latent_models.prediction import filter_states
from rlsuite.algorithms.latent_models.rounds import RoundsConfig, begun, rounds_of, trained
from rlsuite.algorithms.latent_models.transition import settled
from rlsuite.configuration import config
from rlsuite.core import Algorithm
from rlsuite.data.pictures import Act, PictureEpisodes, judge, kept, to_light, with_room
from rlsuite.envs.control import Control
from rlsuite.nets.costs import CostParams
from rlsuite.ops import positive_definite
from rlsuite.ops.gaussian import Moments
from rlsuite.ops.lqr import Gaussian, fit_quadratic


@config
class PlanningConfig(RoundsConfig):
    """What a run that plans is told: nothing else."""


class PlanningState(NamedTuple):
    """What a run keeps.

    Attributes:
        learner: The model.
        episodes: What was seen; the oldest make room.
        collected: How many episodes there have been.
        cost: What plans are judged by.
    """

    learner: learning.State
    episodes: PictureEpisodes
    collected: Int[Array, ""]
    cost: CostParams


class PlanningMetrics(NamedTuple):
    """Of one step.

    Attributes:
        cost: The mean cost of an episode of plans, with noise.
        pictures: Σ log p(o | s) of the last update's batch.
        divergence: Its KL(q(s) ‖ p(s | a)).
    """

    cost: Float[Array, ""]
    pictures: Float[Array, ""]
    divergence: Float[Array, ""]


class PlanningEvaluation(NamedTuple):
    """Of plans, without noise.

    Attributes:
        score: The mean return.
        in_goal: The share of states in the goal; 0 where an environment does not say.
    """

    score: Float[Array, ""]
    in_goal: Float[Array, ""]


def refitted_cost(
    key: PRNGKeyArray,
    model: LatentModel,
    params: LatentParams,
    episodes: PictureEpisodes,
    have: Int[Array, ""],
) -> CostParams:
    """The cost of states and actions, by what episodes paid.

    Args:
        key: Key; not looked at where the transition is linear.
        model: The model.
        params: Its parameters, whose cost gives the deviation.
        episodes: What was seen, and room.
        have: How many there are.

    Returns:
        The fit; see the module.
    """
    count, steps, size = episodes.actions.shape
    known = settled(model.transition, params.transition)

    def states(given: tuple[PRNGKeyArray, PictureEpisodes]) -> Moments:
        key, episode = given
        images = to_light(episode.images)
        laws = filter_states(key, model, params, known, images, episode.actions).law
        return jax.tree.map(lambda x: x[:-1], laws)

    mean, covariance = jax.lax.map(states, (jax.random.split(key, count), episodes))
    points = Gaussian(
        jnp.concatenate([mean, episodes.actions], axis=-1),
        jnp.pad(covariance, ((0, 0), (0, 0), (0, size), (0, size))),
    )
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), points)
    weights = jnp.repeat((jnp.arange(count) < have).astype(mean.dtype), steps)
    found = fit_quadratic(flat, episodes.costs.ravel(), weights=weights)
    # The root of a convex function that is flat somewhere.
    hessian = found.hessian + 1e-6 * jnp.eye(len(found.gradient))
    root = positive_definite.cholesky(hessian)
    return CostParams(root, found.gradient, found.constant, params.cost.log_deviation)


def make_planner(
    problem: Control,
    config: PlanningConfig = PlanningConfig(),  # noqa: B008
    *,
    model: Callable[[Recorded, Config], LatentModel] = default_model,
    optimizer: optax.GradientTransformation | None = None,
    first: Callable[[Control], Control] | None = None,
) -> Algorithm:
    """Control of one environment by planning in a latent model.

    Args:
        problem: Whose actions are numbers, whose observations are pictures of light from 0 to 1 or
            vectors, and whose episodes have at least ``config.length`` actions.
        config: The hyperparameters.
        model: ``(episodes, config) -> LatentModel``, of which the episodes' shapes count.
        optimizer: By default Adam, with gradients clipped.
        first: From the problem to where the first episodes, of random actions, are collected: the
            same world with starts spread all over (``rlsuite.envs.pixels.scattered``), say, as
            PC3 collects them. By default the problem itself.

    Returns:
        The algorithm; a step is one round: learn, plan and collect. ``act`` is ``make``'s.

    Raises:
        ValueError: If actions are categories, or what ``first`` gives is seen or acted in
            otherwise than ``problem``.

    Example:
        >>> from rlsuite.envs.pixels import pixel_navigation
        >>> config = PlanningConfig(first_rollouts=5, rollouts=1, capacity=8)
        >>> algorithm = make_planner(pixel_navigation(order=1, side=16), config)
        >>> state = jax.eval_shape(algorithm.init, jax.random.key(0))
        >>> state.episodes.images.shape
        (8, 51, 16, 16, 1)
    """
    rounds = rounds_of(problem, config, model, optimizer, first)
    latent, size = rounds.learner.model, rounds.actions

    def agent(state: PlanningState, deviation: float | Array = 0.0) -> tuple[Act, Thought]:
        params = state.learner.params._replace(cost=state.cost)
        return planning_agent(latent, params, config.model, size, deviation)

    def init(key: PRNGKeyArray) -> PlanningState:
        started, shown = begun(key, rounds)
        count = jnp.int32(config.first_rollouts)
        kept_ones = with_room(shown, config.capacity)
        return PlanningState(started, kept_ones, count, started.params.cost)

    def step(key: PRNGKeyArray, state: PlanningState) -> tuple[PlanningState, PlanningMetrics]:
        of_model, of_cost, of_episodes = jax.random.split(key, 3)
        have = jnp.minimum(state.collected, config.capacity)
        learned, parts = trained(of_model, rounds, state.learner, state.episodes, have)
        cost = refitted_cost(of_cost, latent, learned.params, state.episodes, have)
        after = state._replace(learner=learned, cost=cost)
        fresh = rounds.walk(of_episodes, *agent(after, config.exploration), config.rollouts)
        after = after._replace(
            episodes=kept(state.episodes, fresh, state.collected),
            collected=state.collected + config.rollouts,
        )
        paid = jnp.mean(jnp.sum(fresh.costs, axis=1))
        return after, PlanningMetrics(paid, parts.pictures, parts.divergence)

    def act(
        key: PRNGKeyArray | None, state: PlanningState, observation: Any, carry: Thought | None
    ) -> tuple[Array, Thought]:
        respond, first = agent(state)
        key = jax.random.key(0) if key is None else key
        seen = getattr(observation, "observation", observation)
        return respond(key, seen, first if carry is None else carry)

    def evaluate(key: PRNGKeyArray, state: PlanningState) -> PlanningEvaluation:
        count = config.model.evaluation_episodes
        return PlanningEvaluation(*judge(problem, *agent(state), key, count, config.length))

    return Algorithm(init, step, act, evaluate, chunk_length=1)
