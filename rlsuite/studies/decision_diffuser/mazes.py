"""Returns in mazes: plans against policies, trained on the same walks, in the same run."""

import dataclasses
import functools
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from rlsuite.algorithms import decision_diffuser as dd
from rlsuite.algorithms.decision_diffuser.planning import begin
from rlsuite.configuration import to_json
from rlsuite.core import run
from rlsuite.envs import point_maze
from rlsuite.io.reports import Picture, Section, picture
from rlsuite.io.stages import Stages
from rlsuite.io.tables import Table, table
from rlsuite.ops.diffusion import Known
from rlsuite.problems import behaviour_cloning, cql, decision_diffuser, iql
from rlsuite.problems.mazes import EPISODES, at_rest
from rlsuite.registry import Entry, Problem
from rlsuite.studies.decision_diffuser.samplers import SAMPLERS
from rlsuite.studies.decision_diffuser.trained import of_seed, sized
from rlsuite.studies.summaries import over, text_of

ENTRY = decision_diffuser.ENTRY

METHODS: dict[str, Entry] = {
    "Decision Diffuser": ENTRY,
    "IQL": iql.ENTRY,
    "CQL": cql.ENTRY,
    "BC": behaviour_cloning.ENTRY,
}
"""The rows of the table."""

STEPS = (
    "ancestral, 100 steps",
    "ancestral, 20 from the last plan",
    "DDIM, 10 steps",
    "DPM-Solver++, 10 steps",
    "DPM-Solver++, 2 of 10 from the last plan",
    "DPM-Solver++, 5 steps",
)
"""The samplers whose plans are followed."""


class Sizes(NamedTuple):
    """How much is done.

    Attributes:
        mazes: Which mazes.
        num_seeds: How many seeds.
        share: Of each problem's own number of updates.
        samplers: Which ones, by their names in ``SAMPLERS``; the first is what others are held to.
        small: Whether the network that plans is a small one, which compiles sooner.
    """

    mazes: tuple[str, ...]
    num_seeds: int
    share: float
    samplers: tuple[str, ...]
    small: bool = False


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
        (name, maze): _trained(name, maze, seeds, sizes, stages)
        for maze in sizes.mazes
        for name in METHODS
    }
    rows = [
        [
            name,
            *(text_of(found[name, maze]["scores"]) for maze in sizes.mazes),
            f"{_updates(_problem(name, sizes.mazes[0], sizes), sizes):,}",
        ]
        for name in METHODS
    ]
    shown = table(
        "Scores in mazes",
        "Return at the fixed goal: 0 for random forces, 100 for the controller whose walks to "
        f"other goals are the data (a hundred thousand steps). {EPISODES} episodes a seed, "
        f"{over(seeds)}.",
        ["method", *sizes.mazes, "updates"],
        rows,
    )
    last = sizes.mazes[-1]
    few = _few_steps(sizes, {maze: found["Decision Diffuser", maze] for maze in sizes.mazes}, seeds)
    return Section(
        "Returns", [shown, few], _pictures(last, found["Decision Diffuser", last]["plans"])
    )


def _few_steps(sizes: Sizes, found: dict[str, dict[str, Any]], seeds: int) -> Table:
    """What is lost by walking fewer steps, and what is gained."""
    rows = []
    for number, name in enumerate(sizes.samplers):
        scores = [text_of(found[maze]["few steps"][number]) for maze in sizes.mazes]
        times = [np.asarray(found[maze]["seconds"]) for maze in sizes.mazes]
        ratio = float(np.median([each[0] / each[number] for each in times]))
        rows.append([name, *scores, f"{ratio:.1f} ×"])
    return table(
        "Few steps, and warm starts",
        f"Scores of the same networks by how their plans are drawn, {over(seeds)}; and how much "
        f"sooner a plan is drawn than with {sizes.samplers[0]}.",
        ["plans", *sizes.mazes, "speed"],
        rows,
    )


def _sampled(problem: Problem, states: dd.State, samplers: tuple[str, ...]) -> dict[str, Any]:
    """Scores ``[sampler, seed]``, and seconds that an action with a plan takes."""
    built = problem.build()

    def one(name: str) -> tuple[Array, float]:
        planning = dataclasses.replace(problem.config.planning, **SAMPLERS[name])
        config = dataclasses.replace(problem.config, planning=planning)
        algorithm = ENTRY.make_for(problem)(built, config)
        evaluate, act = algorithm.evaluate, algorithm.act
        assert evaluate is not None
        assert act is not None
        evaluated = jax.jit(jax.vmap(evaluate, (None, 0)))(jax.random.key(1), states)
        return evaluated.score, _seconds(act, config, of_seed(states, 0))

    scores, seconds = zip(*map(one, samplers), strict=True)
    return {"few steps": np.asarray(scores), "seconds": np.asarray(seconds)}


def _seconds(act: Any, config: dd.Config, state: dd.State) -> float:
    """The time of an action that a plan is made for, not the first; the least of ten."""
    seen = np.zeros(state.statistics.bound.shape, np.float32)
    carry = jax.jit(functools.partial(begin, config))(seen)
    carry = carry._replace(time=carry.time + config.planning.replan_every - 1)
    again = jax.jit(lambda state, carry: act(None, state, seen, carry))
    jax.block_until_ready(again(state, carry))
    times = []
    for _ in range(10):
        began = time.perf_counter()
        jax.block_until_ready(again(state, carry))
        times.append(time.perf_counter() - began)
    return min(times)


def _problem(name: str, maze: str, sizes: Sizes) -> Problem:
    entry = METHODS[name]
    return sized(entry.problems[f"maze-{maze}"], small=sizes.small and entry is ENTRY)


def _updates(problem: Problem, sizes: Sizes) -> int:
    return max(int(sizes.share * problem.num_steps), 1)


def _trained(name: str, maze: str, seeds: int, sizes: Sizes, stages: Stages) -> dict[str, Any]:
    """The scores of all seeds, and plans of the first one, of a method that plans."""
    entry, problem = METHODS[name], _problem(name, maze, sizes)
    plans, num_steps = entry is ENTRY, _updates(problem, sizes)

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
        if plans:
            found["plans"] = _plans(maze, problem.config, of_seed(result.state, 0))
            found |= _sampled(problem, result.state, sizes.samplers)
        return found

    named = {name: SAMPLERS[name] for name in sizes.samplers}
    identity = str((to_json(problem.config), num_steps, seeds, named if plans else ()))
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
