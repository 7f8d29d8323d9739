"""Point mazes as problems of offline learning: to a fixed goal, from walks to goals anywhere.

All algorithms learn from the same walks; scores are 0 for random forces and 100 for the controller
that walked. Rewards are those of the fixed goal. Whoever plans is given the walks as journeys, each
of which ends at its goal.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rlsuite.data.offline import Offline, offline
from rlsuite.problems.datasets import DATASETS, Made
from rlsuite.registry import Problem

LENGTHS: Mapping[str, int] = {"umaze": 300, "medium": 600, "large": 800}
"""How long an episode in each maze is."""

EPISODES = 100
"""How many an evaluation has: where they begin decides what can be earned."""

_STEPS, _SEED = 100_000, 0


@functools.cache
def maze(name: str, *, journeys: bool = False) -> Offline:
    """A maze and a hundred thousand steps of walking in it.

    Args:
        name: "umaze", "medium" or "large".
        journeys: Whether every way from one goal to the next is an episode of its own.

    Returns:
        The problem.
    """
    from rlsuite.envs import point_maze

    made = _walks(name, _STEPS)
    episodes = made.episodes
    if journeys:
        count = len(episodes.lengths)
        key = jax.random.key(_SEED)
        episodes = point_maze.demonstrations(name, key, count, journeys=True)
    return offline(
        f"maze-{name}",
        episodes,
        point_maze.point_maze(name),
        random_return=float(made.references.random_return),
        expert_return=float(made.references.expert_return),
    )


@functools.cache
def _walks(name: str, num_steps: int) -> Made:
    return DATASETS[f"pointmaze-{name}-jax"].make(num_steps, _SEED)


def at_rest(name: str) -> Callable[[Any], Float[Array, " 4"]]:
    """Where to be, and to stay, whatever is seen: in the middle of the goal.

    Args:
        name: Of the maze.

    Returns:
        For ``decision_diffuser.make``.
    """

    def goal(observation: Any) -> Float[Array, " 4"]:
        from rlsuite.envs import point_maze

        del observation
        return jnp.append(point_maze.point_maze(name).params.goal, jnp.zeros(2))

    return goal


def problems(
    make: Callable[..., Any],
    config_of: Callable[[str], Any],
    num_steps: int,
    *,
    journeys: bool = False,
    callables: Callable[[str], Mapping[str, Any]] = lambda _: {},
) -> dict[str, Problem]:
    """The three mazes as problems of the registry.

    Args:
        make: The algorithm.
        config_of: From a maze's name to the config.
        num_steps: How many steps a full run has.
        journeys: See ``maze``.
        callables: From a maze's name to what is bound to ``make``.

    Returns:
        Names to problems.
    """

    def problem(name: str) -> Problem:
        bound = callables(name)

        def drawn(problem: Offline, config: Any, state: Any) -> Any:
            return draw(problem, make(problem, config, **bound), state)

        return Problem(
            build=lambda: maze(name, journeys=journeys),
            num_steps=num_steps,
            config=config_of(name),
            callables=bound,
            summary=f"a ball finds its way through the {name} maze, from walks to other goals",
            score="score",
            higher_is_better=True,
            baselines=lambda _: {"random": 0.0, "optimal": 100.0},
            draw=drawn,
        )

    return {f"maze-{name}": problem(name) for name in LENGTHS}


def draw(problem: Offline, algorithm: Any, state: Any) -> Any:
    """An episode in the maze.

    Args:
        problem: Of ``maze``.
        algorithm: What acts.
        state: Its state.

    Returns:
        The figure.
    """
    from rlsuite.envs import point_maze
    from rlsuite.problems.episodes import play

    assert problem.control is not None
    walked = play(problem.control, algorithm.act, state).observations
    params = problem.control.params
    return point_maze.draw_plan(np.asarray(params.walls), walked[None], np.asarray(params.goal))
