"""Named data sets that are generated here, and the command ``rlsuite generate``."""

import dataclasses
import functools
import importlib
import os
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rlsuite import registry
from rlsuite.data import d4rl, minari
from rlsuite.data.d4rl import References
from rlsuite.envs.episodes import Episodes, join
from rlsuite.envs.rollouts import episode_returns
from rlsuite.io.terminal import parse
from rlsuite.problems.episodes import random_return


class Made(NamedTuple):
    """A data set.

    Attributes:
        episodes: What was recorded.
        references: The returns that scores refer to.
        infos: What else is known of each step.
    """

    episodes: Episodes
    references: References
    infos: Mapping[str, np.ndarray] = {}


class Dataset(NamedTuple):
    """How to make one.

    Attributes:
        summary: One line.
        make: From a number of steps and a seed to the data.
        steps: How many steps it has by default.
    """

    summary: str
    make: Callable[[int, int], Made]
    steps: int


def _mujoco_maze(maze: str, steps: int, seed: int) -> Made:
    from rlsuite.data import mujoco_maze

    episodes, goals = mujoco_maze.walks(maze, steps, seed)
    return Made(episodes, _maze_references(maze), {"goal": goals})


def _maze(maze: str, steps: int, seed: int) -> Made:
    from rlsuite.envs import point_maze

    count = max(round(steps / point_maze.MAZES[maze].length), 1)
    episodes = point_maze.demonstrations(maze, jax.random.key(seed), count)
    return Made(episodes, _maze_references(maze))


def _maze_references(maze: str) -> References:
    """Random forces have a score of 0, the undisturbed controller 100."""
    from rlsuite.envs import point_maze

    problem, length = point_maze.point_maze(maze), point_maze.MAZES[maze].length
    drive = point_maze.controller(problem)
    earned = episode_returns(problem, drive, jax.random.key(0), _EPISODES, length)
    return References(random_return(problem, _EPISODES, length), float(jnp.mean(earned)))


def _locomotion(environment: str, kind: str, steps: int, seed: int) -> Made:
    from rlsuite.problems import behaviours

    make = functools.partial(gymnasium_of, environment)
    learned = _learned(environment, seed)
    episodes = behaviours.record(make, learned, kind, steps, seed=seed)
    return Made(join(episodes), d4rl.PUBLISHED[environment.split("-")[0].lower()])


@functools.cache
def _learned(environment: str, seed: int) -> Any:
    """One run for all kinds of data."""
    from rlsuite.problems import behaviours

    make = functools.partial(gymnasium_of, environment)
    return behaviours.learn(make, behaviours.HOPPER, seed=seed)


def gymnasium_of(name: str) -> Any:
    """An environment of gymnasium, of which nothing is drawn.

    Args:
        name: Its name.

    Returns:
        The environment.

    Raises:
        ValueError: If it needs MuJoCo, which is missing.
    """
    import gymnasium

    os.environ.setdefault("MUJOCO_GL", "disabled")  # Nothing is drawn.
    try:
        return gymnasium.make(name)
    except gymnasium.error.DependencyNotInstalled as error:
        raise ValueError(f"{name} needs MuJoCo; pip install 'rlsuite[mujoco]'") from error


def simulated(
    module: str, environment: str, length: int, best: float
) -> Callable[[int, int], Made]:
    """How to make a data set of an environment in JAX.

    Args:
        module: The module that has it, imported when it is needed, and its ``demonstrations``,
            from a key and a number of episodes.
        environment: The name of the function, in that module, that builds the environment.
        length: How many steps an episode has, about.
        best: The return whose score is 100.

    Returns:
        From a number of steps and a seed to the data.
    """

    def make(steps: int, seed: int) -> Made:
        found = importlib.import_module(module)
        count = max(round(steps / length), 2)
        episodes = found.demonstrations(jax.random.key(seed), count)
        control = getattr(found, environment)()
        chance = random_return(control, max_length=length)
        return Made(episodes, References(chance, best))

    return make


_MAZES = ("umaze", "medium", "large")
_EPISODES = 1000  # Whose mean return has a score of 0, or 100, in a maze.

DATASETS: Mapping[str, Dataset] = {
    **{
        f"pointmaze-{maze}": Dataset(
            f"MuJoCo's point maze, {maze}: a controller from goal to goal",
            functools.partial(_mujoco_maze, maze),
            100_000,
        )
        for maze in _MAZES
    },
    **{
        f"pointmaze-{maze}-jax": Dataset(
            "the same, computed in JAX", functools.partial(_maze, maze), 100_000
        )
        for maze in _MAZES
    },
    **{
        f"hopper-{kind}": Dataset(
            f"MuJoCo's hopper, D4RL's {kind}, from policies that PPO learns first",
            functools.partial(_locomotion, "Hopper-v5", kind),
            200_000,
        )
        for kind in ("medium", "medium-replay", "medium-expert")
    },
    "ring": Dataset(
        "a point that obeys one of two constraints",
        simulated("rlsuite.envs.ring", "ring", 49, 49.0),
        49_000,
    ),
    "block-stacking": Dataset(
        "four blocks and a gripper: single stackings",
        simulated("rlsuite.envs.block_stacking", "block_stacking", 99, 1.0),
        2400 * 99,
    ),
    "gait": Dataset(
        "four legs that bound, pace or trot",
        simulated("rlsuite.envs.gait", "gait", 250, 4.7),
        2500 * 250,
    ),
}


def generate(name: str, steps: int | None = None, seed: int = 0) -> Made:
    """Make a data set.

    Args:
        name: Of ``DATASETS``.
        steps: How many steps, about; its own number by default.
        seed: Of everything.

    Returns:
        The data.

    Raises:
        ValueError: If there is none of that name, or ``steps`` is below 1.
    """
    dataset = registry.find("data set", name, DATASETS)
    if steps is not None and steps < 1:
        raise ValueError(f"steps is {steps}; allowed: a whole number at least 1")
    return dataset.make(dataset.steps if steps is None else steps, seed)


def save(folder: pathlib.Path, name: str, made: Made, layout: str) -> pathlib.Path:
    """Write a data set.

    Args:
        folder: Where to.
        name: What it is called.
        made: The data.
        layout: ``"d4rl"`` or ``"minari"``.

    Returns:
        The file, or folder, that was written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if layout == "minari":
        path = folder / f"{name}-v0"
        minari.save(path, made.episodes, f"rlsuite/{path.name}")
    else:
        path = folder / f"{name}.hdf5"
        d4rl.save(path, made.episodes, made.references, made.infos)
    return path


def command(arguments: Sequence[str]) -> int:
    """``rlsuite generate``.

    Args:
        arguments: What follows on the command line.

    Returns:
        The exit code.
    """
    import tyro

    @dataclasses.dataclass(frozen=True)
    class Options:
        """Where the data go, and how many there are.

        Attributes:
            names: Which sets.
            out: The folder that they are written to.
            steps: How many steps each, about; its own number by default.
            seed: Of everything.
            layout: D4RL's, a file NAME.hdf5, or Minari's, a folder NAME-v0.
        """

        names: tyro.conf.Positional[tuple[str, ...]]
        out: pathlib.Path
        steps: int | None = None
        seed: int = 0
        layout: Literal["d4rl", "minari"] = "d4rl"

    listed = "\n".join(f"  {name:22}{dataset.summary}" for name, dataset in DATASETS.items())
    description = f"Generate data sets.\n\n{listed}"
    options = parse(Options, arguments, prog="rlsuite generate", description=description)
    if not options.names:
        raise ValueError(f"generate needs a name; allowed: {', '.join(DATASETS)}")
    for name in options.names:
        registry.find("data set", name, DATASETS)
    for name in options.names:
        began = time.monotonic()
        made = generate(name, options.steps, options.seed)
        path = save(options.out, name, made, options.layout)
        print(
            f"{path}: {made.episodes.num_steps} steps in {len(made.episodes.lengths)} episodes, "
            f"{time.monotonic() - began:.0f} s; score 0 is a return of "
            f"{made.references.random_return:.4g}, 100 of {made.references.expert_return:.4g}"
        )
    return 0
