"""Problems for offline algorithms: a point whose goal two kinds of episodes are headed for, or not.

A point starts at the origin of the plane and has ten steps to come near a goal; a step costs the
squared distance to it. Recorded episodes are headed for the goal, or for the opposite of it, with
noise on every action. Where most are headed the wrong way, so is whoever imitates them.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

from rlsuite.core import Algorithm
from rlsuite.data.offline import Offline, offline
from rlsuite.envs import navigation
from rlsuite.envs.control import Control
from rlsuite.envs.episodes import Episode, join
from rlsuite.problems.episodes import draw_lines, play, random_return
from rlsuite.registry import Problem

POINT_LENGTH = 10
"""The number of steps of an episode of the point."""

_GOAL, _NOISE = np.asarray([0.4, 0.3]), 0.4


def point(share: float, num_episodes: int = 200) -> Offline:
    """The point, and recorded episodes.

    Args:
        share: The share of episodes that are headed for the goal.
        num_episodes: How many episodes.

    Returns:
        The problem. Scores are 0 for random actions and 100 for the best.
    """
    targets = [_GOAL if n < share * num_episodes else -_GOAL for n in range(num_episodes)]
    return _headed_for(targets)


def sideways(num_episodes: int = 200) -> Offline:
    """The point, and recorded episodes that are headed past the goal, on either side.

    Args:
        num_episodes: How many episodes.

    Returns:
        The problem, of whose episodes none comes near the goal. Scores are those of ``point``.
    """
    side = np.asarray([-_GOAL[1], _GOAL[0]])
    return _headed_for([side if n % 2 else -side for n in range(num_episodes)])


def _headed_for(targets: list[np.ndarray]) -> Offline:
    from rlsuite.envs import navigation_gymnax

    control = Control(
        "point", *navigation_gymnax.make(jnp.asarray(_GOAL), max_steps_in_episode=POINT_LENGTH)
    )
    rng = np.random.default_rng(0)
    episodes = [_episode(rng, target, _NOISE) for target in targets]
    best = float(_episode(rng, _GOAL, 0.0).rewards.sum())
    return offline(
        "point",
        join(episodes),
        control,
        random_return=random_return(control, max_length=POINT_LENGTH),
        expert_return=best,
    )


def _episode(rng: np.random.Generator, target: np.ndarray, noise: float) -> Episode:
    """Straight for a target, at full speed, with noise on every action."""
    positions, actions = [np.zeros(2)], list[np.ndarray]()
    while len(actions) < POINT_LENGTH and not _arrived(positions[-1]):
        wanted = (target - positions[-1]) / navigation.SPEED + noise * rng.normal(size=2)
        actions.append(np.clip(wanted, -1.0, 1.0))
        positions.append(positions[-1] + navigation.SPEED * actions[-1])
    path = np.stack(positions)
    rewards = -np.sum((path[1:] - _GOAL) ** 2, axis=-1)
    return Episode(path, np.stack(actions), rewards, terminal=_arrived(path[-1]))


def _arrived(position: np.ndarray) -> bool:
    return bool(np.sum((position - _GOAL) ** 2) < navigation.RADIUS**2)


def problem_of(make: Any, share: float, **how: Any) -> Problem:
    """The point as a problem of the registry, whose score is the normalised one.

    Args:
        make: The algorithm.
        share: The share of episodes that are headed for the goal.
        how: The other arguments of ``registry.Problem``.

    Returns:
        The problem.
    """

    def drawn(problem: Offline, config: Any, state: Any) -> Any:
        algorithm: Algorithm = make(problem, config)
        assert problem.control is not None
        assert algorithm.act is not None
        return draw_lines(play(problem.control, algorithm.act, state, POINT_LENGTH))

    return Problem(
        build=lambda: point(share),
        score="score",
        higher_is_better=True,
        baselines=lambda _: {"random": 0.0, "optimal": 100.0},
        draw=drawn,
        **how,
    )
