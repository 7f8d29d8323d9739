"""Deep against linear MaxEnt IRL on objectworld (Wulfmeier et al. 2015, sec. 4.1).

The reward of an objectworld depends on two colours' distances at once, so no linear function of
the features is it. The study learns it from a growing number of optimal paths and measures the
expected value difference: what is lost under the true reward by acting optimally for the learned
one, in the world of the demonstrations, in another world with the same rules, and in that other
world with other dynamics (no slip). All worlds of a cell are trained in one program.
"""

import dataclasses
import functools
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rlsuite.algorithms import maxent_irl
from rlsuite.core import run
from rlsuite.envs.stacking import stack
from rlsuite.io.progress import steps_of
from rlsuite.io.reports import Report, Section, picture
from rlsuite.io.stages import Stages
from rlsuite.io.tables import number, table
from rlsuite.problems.maxent_irl import object_world
from rlsuite.registry import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REWARDS = {
    "linear": maxent_irl.Config(learning_rate=0.05, l2=1e-3),
    "deep": maxent_irl.Config(learning_rate=1e-3, hidden_sizes=(64, 64)),
}
"""Both rewards see the same features; the config of each is the same in every cell."""

PLACES = ("training world", "other world", "other dynamics")


class Sizes(NamedTuple):
    """How large a study is.

    Attributes:
        demonstrations: The numbers of paths.
        num_seeds: How many worlds.
        num_steps: Of training.
    """

    demonstrations: tuple[int, ...]
    num_seeds: int
    num_steps: int


FULL = Sizes((4, 8, 16, 32, 64, 128), 10, 400)
QUICK = Sizes((8, 64), 3, 150)


class Cell(NamedTuple):
    """What one reward reached from one number of demonstrations.

    Attributes:
        reward: A key of ``REWARDS``.
        demonstrations: The number of paths.
        differences: Expected value differences, ``[place, seed]``.
    """

    reward: str
    demonstrations: int
    differences: np.ndarray


def measure(sizes: Sizes, *, stages: Stages | None = None, progress: bool = True) -> list[Cell]:
    """Run the experiment.

    Args:
        sizes: How large.
        stages: Keep the cells that are done.
        progress: Show progress.

    Returns:
        A cell for each number of demonstrations and reward.
    """
    cells = []
    stages = stages or Stages()
    combinations = [(count, name) for count in sizes.demonstrations for name in REWARDS]
    for count, name in steps_of("objectworld", combinations, enabled=progress):
        saved = stages(
            f"{name} {count}",
            (dataclasses.asdict(REWARDS[name]), count, sizes.num_seeds, sizes.num_steps),
            functools.partial(train, REWARDS[name], count, sizes),
        )
        cells.append(Cell(name, count, saved["differences"]))
    return cells


def train(
    config: maxent_irl.Config, num_demonstrations: int, sizes: Sizes
) -> dict[str, np.ndarray]:
    """Learn every world's reward at once; the expected value ``differences``, ``[place, seed]``."""
    worlds = range(sizes.num_seeds)
    problem = stack([object_world(seed, num_demonstrations) for seed in worlds])
    key = jax.random.key(0)
    result = run(
        maxent_irl.make,
        problem,
        config,
        key,
        sizes.num_steps,
        num_problems=sizes.num_seeds,
        progress=False,
    )
    here, elsewhere = (
        result.evaluations.expected_value_difference[:, -1],
        result.evaluations.transfer_value_difference[:, -1],
    )
    steady = _other_dynamics(problem, config, result.state.params)
    return {"differences": np.stack([here, elsewhere, steady])}


def _other_dynamics(problem: maxent_irl.Problem, config: maxent_irl.Config, params: Any) -> Any:
    """The differences in the other worlds without slip."""
    network = maxent_irl.reward_network(config)

    def difference(problem: maxent_irl.Problem, params: Any) -> jax.Array:
        assert problem.transfer is not None
        mdp, features = problem.transfer
        steady = dataclasses.replace(mdp.transition, slip=jnp.zeros_like(mdp.transition.slip))
        mdp = mdp.replace(transition=steady)
        return maxent_irl.value_difference(mdp, network.apply(params, features))

    return np.asarray(jax.jit(jax.vmap(difference))(problem, params))


def draw(cells: list[Cell]) -> "Figure":
    """The expected value difference over the number of demonstrations, a panel for each place."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.6), layout="constrained")
    panels = figure.subplots(1, len(PLACES), sharey=True)
    for place, (axes, title) in enumerate(zip(panels, PLACES, strict=True)):
        for name, colour in zip(REWARDS, ("#dc6803", "#2563eb"), strict=True):
            chosen = [cell for cell in cells if cell.reward == name]
            counts = [cell.demonstrations for cell in chosen]
            values = np.stack([cell.differences[place] for cell in chosen])
            axes.plot(counts, values, ".", color=colour, alpha=0.35, markersize=5)
            axes.plot(counts, values.mean(axis=1), color=colour, label=name)
        axes.set(title=title, xlabel="demonstrations", xscale="log")
        axes.set_xticks(counts, [str(count) for count in counts])
        axes.minorticks_off()
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("expected value difference")
    panels[0].set_ylim(bottom=0)
    panels[0].legend(frameon=False)
    return figure


def _row(cells: list[Cell], place: str, count: int) -> list[str]:
    """A line of the table: one place, one number of paths."""
    linear, deep = (
        next(
            cell.differences[PLACES.index(place)]
            for cell in cells
            if (cell.reward, cell.demonstrations) == (name, count)
        )
        for name in REWARDS
    )
    texts = [
        f"{number(float(values.mean()))} ± {number(float(values.std(ddof=1)) / len(values) ** 0.5)}"
        for values in (linear, deep)
    ]
    return [place, str(count), *texts, f"{np.sum(deep <= linear / 2)} of {len(deep)}"]


def study(
    *, quick: bool = False, num_seeds: int | None = None, stages: Stages | None = None
) -> Report:
    """Run the experiment and report it.

    Args:
        quick: The small version.
        num_seeds: How many worlds; the version's own by default.
        stages: Keep the cells that are done.

    Returns:
        The report.
    """
    sizes = QUICK if quick else FULL
    sizes = sizes._replace(num_seeds=num_seeds or sizes.num_seeds)
    cells = measure(sizes, stages=stages)
    summary = table(
        "Expected value difference",
        f"Means ± standard errors over {sizes.num_seeds} objectworlds of 32×32 cells; 0 is best. "
        f"The last column counts the worlds in which the deep reward loses at most half of what "
        f"the linear one loses.",
        ["measured in", "paths", "linear", "deep", "deep ≤ linear/2"],
        [_row(cells, place, count) for place in PLACES for count in sizes.demonstrations],
    )
    figure = picture(
        "expected-value-difference",
        draw(cells),
        "Lines are means, dots single worlds. The deep reward transfers; the linear one cannot "
        "express what it would have to.",
    )
    return Report(
        "Objectworld: deep against linear rewards",
        "Maximum-entropy IRL from optimal paths of eight steps, after Wulfmeier et al. 2015. The "
        "worlds are drawn anew, so numbers compare with the paper's in order, not in size.",
        [Section(summary.title, [summary], [figure])],
    )


STUDY = Study(
    name="objectworld",
    run=study,
    summary="deep against linear MaxEnt IRL over the number of demonstrations, with transfer",
)
