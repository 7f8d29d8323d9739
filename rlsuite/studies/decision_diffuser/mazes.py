"""Returns in mazes: plans against policies, trained on the same walks, in the same run."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rlsuite.algorithms import decision_diffuser as dd
from rlsuite.configuration import to_json
from rlsuite.core import run
from rlsuite.envs import point_maze
from rlsuite.io.reports import Picture, Section, picture
from rlsuite.io.stages import Stages
from rlsuite.io.tables import table
from rlsuite.ops.diffusion import Known
from rlsuite.problems import behaviour_cloning, cql, decision_diffuser, iql
from rlsuite.problems.mazes import at_rest
from rlsuite.registry import Entry
from rlsuite.studies.summaries import over, text_of

METHODS: dict[str, Entry] = {
    "Decision Diffuser": decision_diffuser.ENTRY,
    "IQL": iql.ENTRY,
    "CQL": cql.ENTRY,
    "BC": behaviour_cloning.ENTRY,
}
"""The rows of the table."""


class Sizes(NamedTuple):
    """How much is done.

    Attributes:
        mazes: Which mazes.
        num_seeds: How many seeds.
        share: Of each problem's own number of updates.
    """

    mazes: tuple[str, ...]
    num_seeds: int
    share: float


def section(sizes: Sizes, num_seeds: int | None, stages: Stages) -> Section:
    """Train all methods everywhere and compare them.

    Args:
        sizes: How much is done.
        num_seeds: How many seeds; None for the sizes' own.
        stages: Keeps what is done.

    Returns:
        The section.
    """
    seeds = num_seeds or sizes.num_seeds
    found = {
        (name, maze): _trained(name, maze, seeds, sizes.share, stages)
        for maze in sizes.mazes
        for name in METHODS
    }
    rows = [
        [name, *(text_of(found[name, maze]["scores"]) for maze in sizes.mazes)] for name in METHODS
    ]
    shown = table(
        "Scores in mazes",
        "Return at the fixed goal: 0 for random forces, 100 for the controller whose walks to "
        "other goals are the data (a hundred thousand steps). Twenty episodes a seed, "
        f"{over(seeds)}.",
        ["method", *sizes.mazes],
        rows,
    )
    last = sizes.mazes[-1]
    return Section("Returns", [shown], _pictures(last, found["Decision Diffuser", last]["plans"]))


def _trained(name: str, maze: str, seeds: int, share: float, stages: Stages) -> dict[str, Any]:
    """The scores of all seeds, and plans of the first one, of a method that plans."""
    entry = METHODS[name]
    problem = entry.problems[f"maze-{maze}"]
    num_steps = max(int(share * problem.num_steps), 1)

    def compute() -> dict[str, Any]:
        result = run(
            entry.make_for(problem),
            problem.build(),
            problem.config,
            jax.random.key(0),
            num_steps,
            num_seeds=seeds,
            progress=f"{name}, {maze}",
        )
        found = {"scores": result.evaluations.score[:, -1]}
        if entry is decision_diffuser.ENTRY:
            first = jax.tree.map(lambda leaf: leaf[0], result.state)
            found["plans"] = _plans(maze, problem.config, first)
        return found

    identity = str((to_json(problem.config), num_steps, seeds))
    return stages(f"{name}, maze {maze}", identity, compute)


def _plans(maze: str, config: dd.Config, state: dd.State) -> np.ndarray:
    """Plans from eight starts to the goal."""
    control = point_maze.point_maze(maze)
    key, goal = jax.random.key(0), at_rest(maze)(None)
    nothing = dd.Request(jnp.zeros((0, 0)), jnp.zeros(0))

    @jax.jit
    @jax.vmap
    def plan(key: Any) -> Any:
        _, seen = control.reset(key)
        shape = (config.horizon, 4)
        known = Known(
            jnp.zeros(shape, bool).at[jnp.asarray([0, -1])].set(True),
            jnp.zeros(shape).at[0].set(seen.observation).at[-1].set(goal),
        )
        return dd.plans(config, state, key, nothing, 1, known=known)[0]

    return np.asarray(plan(jax.random.split(key, 8)))


def _pictures(maze: str, plans: np.ndarray) -> list[Picture]:
    params = point_maze.point_maze(maze).params
    walls, goal = np.asarray(params.walls), np.asarray(params.goal)
    caption = f"Plans of the first seed from eight starts to the goal of the {maze} maze"
    return [
        picture("maze-plans", point_maze.draw_plan(walls, plans, goal), f"{caption}."),
        Picture("maze-walk", point_maze.animate_plan(walls, plans, goal), f"{caption}, walked."),
    ]
