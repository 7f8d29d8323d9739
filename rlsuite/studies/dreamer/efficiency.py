"""How much experience Dreamer needs, and how much PPO, in the same environments."""

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from rlsuite.configuration import to_json
from rlsuite.core import run
from rlsuite.io.reports import Section, picture
from rlsuite.io.stages import Stages
from rlsuite.io.tables import Table, number, table
from rlsuite.problems import dreamer, ppo
from rlsuite.registry import Entry
from rlsuite.studies.summaries import BLUE, GREY, ORANGE, band, plain, text_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Contest(NamedTuple):
    """An environment in which both learn.

    Attributes:
        name: The name of the problem of both.
        threshold: The return to reach.
        steps: After how many time steps of the environment Dreamer stops.
        num_seeds: How many seeds.
    """

    name: str
    threshold: float
    steps: int
    num_seeds: int


class Curves(NamedTuple):
    """How returns grew with experience.

    Attributes:
        steps: Of the environment, before each evaluation.
        returns: Of the most probable actions.
    """

    steps: Float[np.ndarray, " evaluation"]
    returns: Float[np.ndarray, "seed evaluation"]


IN_A_ROW = 5
"""So many evaluations must reach a return: a policy that has learned nothing may do so once."""

_DREAMER_EVERY, _PPO_EVERY = 100, 1  # steps of each algorithm between evaluations


def first_above(
    curves: Curves, threshold: float, in_a_row: int = IN_A_ROW
) -> Float[np.ndarray, " seed"]:
    """The experience before the first of so many evaluations in a row that reached a threshold.

    Args:
        curves: The evaluations.
        threshold: The return.
        in_a_row: So many evaluations.

    Returns:
        Steps of the environment; infinity where it was never reached.

    Example:
        >>> curves = Curves(np.asarray([10.0, 20.0]), np.asarray([[0.0, 1.0], [0.0, 0.0]]))
        >>> first_above(curves, 0.5, in_a_row=1).tolist()
        [20.0, inf]
    """
    if len(curves.steps) < in_a_row:
        return np.full(len(curves.returns), np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(curves.returns, in_a_row, axis=1)
    reached = np.all(windows >= threshold, axis=-1)
    first = curves.steps[np.argmax(reached, axis=1)]
    return np.where(reached.any(axis=1), first, np.inf)


def section(contests: tuple[Contest, ...], num_seeds: int | None, stages: Stages) -> Section:
    """Train both everywhere and compare them.

    Args:
        contests: Where.
        num_seeds: How many seeds; None for each contest's own.
        stages: Keeps what is done.

    Returns:
        The section.
    """
    found = []
    for contest in contests:
        seeds = num_seeds or contest.num_seeds
        config = dreamer.ENTRY.problems[contest.name].config
        each = config.num_environments * config.steps_per_update
        prefill = config.num_environments * config.prefill
        acted = (contest.steps - prefill) // each
        ours = _curves(
            dreamer.ENTRY, contest.name, acted, _DREAMER_EVERY, seeds, each, prefill, stages
        )
        config = ppo.ENTRY.problems[contest.name].config
        each = config.num_envs * config.rollout_length
        updates = ppo.ENTRY.problems[contest.name].num_steps
        theirs = _curves(ppo.ENTRY, contest.name, updates, _PPO_EVERY, seeds, each, 0, stages)
        found.append((contest, ours, theirs))
    caption = (
        "Return of the most probable actions over time steps of the environment, those acted at "
        "random included: interquartile mean over seeds and its 95 % interval. The dashed line is "
        "the return to reach."
    )
    return Section(
        "Sample efficiency", [_table(found)], [picture("efficiency", draw(found), caption)]
    )


def _curves(
    entry: Entry,
    name: str,
    num_steps: int,
    every: int,
    num_seeds: int,
    each: int,
    before: int,
    stages: Stages,
) -> Curves:
    """Train an algorithm on its problem; a step acts ``each`` times, after ``before``."""
    problem = entry.problems[name]

    def compute() -> dict[str, Any]:
        result = run(
            entry.make_for(problem),
            problem.build(),
            problem.config,
            jax.random.key(0),
            num_steps,
            num_seeds=num_seeds,
            chunk_length=every,
            evaluate_every=every,
            progress=f"{entry.name}, {name}",
        )
        steps = before + each * result.evaluation_steps
        return {"steps": steps.astype(float), "returns": result.evaluations.episode_return}

    identity = str((entry.name, name, to_json(problem.config), num_steps, every, num_seeds))
    return Curves(**stages(f"{entry.name} {name}", identity, compute))


def _table(found: list[tuple[Contest, Curves, Curves]]) -> Table:
    rows = []
    for contest, ours, theirs in found:
        mine, other = (first_above(curves, contest.threshold) for curves in (ours, theirs))
        needed, reference = np.median(mine), np.median(other)
        last = ours.returns[:, -5:].mean(axis=1)
        rows.append(
            [
                contest.name,
                number(contest.threshold),
                _listed(mine),
                _listed(other),
                number(reference / needed if np.isfinite(needed) else None),
                text_of(last),
            ]
        )
    return table(
        "Steps to a return",
        f"Time steps of the environment before the first of {IN_A_ROW} evaluations in a row of the "
        f"most probable actions that reached the return, seed by seed, and the ratio of the "
        f"medians, PPO's over Dreamer's; a dash was not reached. The last column is Dreamer's mean "
        f"return of its last five evaluations: interquartile mean over seeds and 95 % interval.",
        ["environment", "return", "Dreamer", "PPO", "ratio", "held"],
        rows,
    )


def _listed(steps: np.ndarray) -> str:
    return ", ".join(number(float(value)) for value in np.sort(steps))


def draw(found: list[tuple[Contest, Curves, Curves]]) -> "Figure":
    """Returns over experience, a panel for each environment.

    Args:
        found: Contests with the curves of Dreamer and of PPO.

    Returns:
        The figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.6 * len(found) + 0.6, 3.2), layout="constrained")
    for axes, (contest, *both) in zip(
        figure.subplots(1, len(found), squeeze=False)[0], found, strict=True
    ):
        for curves, name, colour in zip(both, ("Dreamer", "PPO"), (BLUE, ORANGE), strict=True):
            band(axes, curves.steps, curves.returns, colour, label=name)
        axes.axhline(contest.threshold, color=GREY, linestyle="--", linewidth=0.8)
        axes.set(title=contest.name, xlabel="time steps", xscale="log")
        plain(axes)
    figure.axes[0].set_ylabel("return")
    figure.axes[0].legend(frameon=False)
    return figure
