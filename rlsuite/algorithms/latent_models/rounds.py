"""Rounds of learning a latent model and of collecting what it is learned from, whoever acts."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int, PRNGKeyArray

from rlsuite.algorithms.latent_models import learning
from rlsuite.algorithms.latent_models.algorithm import Recorded, check_learning
from rlsuite.algorithms.latent_models.config import Config
from rlsuite.algorithms.latent_models.learning import Learner, default_optimizer
from rlsuite.algorithms.latent_models.model import LatentModel
from rlsuite.configuration import config, setting
from rlsuite.data.pictures import Act, PictureEpisodes, check_length, collect, wander
from rlsuite.envs.control import Control


@config
class RoundsConfig:
    """What a run is told that goes on in rounds.

    Attributes:
        length: T, how many actions an episode has.
        first_rollouts: Episodes of random actions before anything is learned.
        rollouts: Episodes in each step of the algorithm.
        capacity: How many episodes are kept; the oldest go.
        as_bytes: Whether their pictures are kept as bytes; as numbers, they take four times the
            memory, and a plan's smallest changes are seen.
        first_updates: Updates of the model in the first step.
        updates: Updates in each later step; 0: it is not trained again.
        exploration: The deviation of random actions, and of what is added to planned ones; a policy
            of latent states explores by itself, and then only the first episodes have it.
        persistence: The correlation of each random action of the first episodes with the last one.
        model: The model, its updates, and, where there are plans, how they are found; what
            concerns predictions (``horizon``, ``evaluation_samples``) does not count.
    """

    length: int = setting(default=50, at_least=1)
    first_rollouts: int = setting(default=100, at_least=1)
    rollouts: int = setting(default=10, at_least=1)
    capacity: int = setting(default=200, at_least=1)
    as_bytes: bool = True
    first_updates: int = setting(default=2000, at_least=1)
    updates: int = setting(default=200, at_least=0)
    exploration: float = setting(default=0.3, above=0)
    persistence: float = setting(default=0.0, at_least=0, below=1)
    model: Config = Config()

    def __post_init__(self) -> None:
        """Check what no field's own range says."""
        if self.capacity < self.first_rollouts + self.rollouts:
            raise ValueError(
                f"config field 'capacity' is {self.capacity}; allowed: at least first_rollouts + "
                f"rollouts, {self.first_rollouts + self.rollouts}"
            )


class Rounds(NamedTuple):
    """What goes on in rounds.

    Attributes:
        learner: What learns the model.
        walk: ``(key, act, carry, count) -> episodes``.
        wander: ``key -> episodes``, the first ones, of random actions.
        config: The hyperparameters.
        actions: m, of an action.
    """

    learner: Learner
    walk: Callable[[PRNGKeyArray, Act, Any, int], PictureEpisodes]
    wander: Callable[[PRNGKeyArray], PictureEpisodes]
    config: RoundsConfig
    actions: int


def rounds_of(
    problem: Control,
    config: RoundsConfig,
    model: Callable[[Recorded, Config], LatentModel],
    optimizer: optax.GradientTransformation | None,
    first: Callable[[Control], Control] | None = None,
) -> Rounds:
    """Rounds in one environment.

    Args:
        problem: The environment.
        config: The hyperparameters.
        model: ``(episodes, config) -> LatentModel``, of which the episodes' shapes count.
        optimizer: By default Adam, with gradients clipped.
        first: From the problem to where the first episodes, of random actions, are collected; by
            default the same.

    Returns:
        The rounds.

    Raises:
        ValueError: If actions are categories, episodes end before ``length`` of them, what is seen
            or done in ``first``'s world is of another kind, or the model's config asks for what its
            transition does not have.
    """
    _check(problem, config.length)
    beginning = problem
    if first is not None:
        beginning = first(problem)
        _check(beginning, config.length)
        _check_alike(beginning, problem)
    size = problem.actions.size
    as_bytes = config.as_bytes and len(problem.spec.timestep.observation.shape) == 3

    def walk(key: PRNGKeyArray, act: Act, carry: Any, count: int) -> PictureEpisodes:
        return collect(problem, act, carry, key, count, config.length, as_bytes=as_bytes)[0]

    def at_first(key: PRNGKeyArray) -> PictureEpisodes:
        agent, count = wander(size, config.exploration, config.persistence), config.first_rollouts
        return collect(beginning, *agent, key, count, config.length, as_bytes=as_bytes)[0]

    shapes = jax.eval_shape(at_first, jax.random.key(0))
    latent = model(Recorded(shapes, shapes), config.model)
    check_learning(config.model, latent.transition, config.length)
    learner = Learner(latent, optimizer or default_optimizer(config.model), config.model)
    return Rounds(learner, walk, at_first, config, size)


def _check(problem: Control, length: int) -> None:
    """Refuse where episodes of numbers as actions do not go on for so long."""
    if problem.actions.is_discrete:
        raise ValueError("problem has actions that are categories; allowed: numbers")
    check_length(problem, length)


def _check_alike(first: Control, problem: Control) -> None:
    """Refuse to begin where something else is seen or done than later."""
    seen = [each.spec.timestep.observation.shape for each in (first, problem)]
    done = [each.actions.size for each in (first, problem)]
    for name, (found, wanted) in (("observations", seen), ("actions", done)):
        if found != wanted:
            raise ValueError(f"first gives {name} of {found}; allowed: {wanted}, the problem's")


def begun(key: PRNGKeyArray, rounds: Rounds) -> tuple[learning.State, PictureEpisodes]:
    """Episodes of random actions, and a model of them that has learned nothing yet.

    Args:
        key: Key.
        rounds: The rounds.

    Returns:
        (the model's state, the episodes).
    """
    of_model, of_episodes = jax.random.split(key)
    shown = rounds.wander(of_episodes)
    return learning.start(of_model, rounds.learner, shown), shown


def trained(
    key: PRNGKeyArray,
    rounds: Rounds,
    state: learning.State,
    episodes: PictureEpisodes,
    have: Int[Array, ""],
) -> tuple[learning.State, learning.Metrics]:
    """The model after one round's updates, of which the first round has more.

    Args:
        key: Key.
        rounds: The rounds.
        state: The model's state.
        episodes: What was seen, and room.
        have: How many there are.

    Returns:
        (the model's state then, the parts of the last update).
    """

    def one(number: Array, carry: Any) -> Any:
        at = jax.random.fold_in(key, number)
        return learning.update(at, rounds.learner, carry[0], episodes, have)

    config = rounds.config
    number = jnp.where(state.updates == 0, config.first_updates, config.updates)
    return jax.lax.fori_loop(0, number, one, (state, learning.Metrics(*jnp.zeros(3))))
