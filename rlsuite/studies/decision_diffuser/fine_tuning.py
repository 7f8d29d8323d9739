"""Going on in the environment: is entropy that is asked for worth what it costs?"""

import dataclasses
import functools
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from rlsuite.algorithms import decision_diffuser as dd
from rlsuite.configuration import to_json
from rlsuite.core import run
from rlsuite.io.reports import Section, picture
from rlsuite.io.stages import Stages
from rlsuite.io.tables import number, table
from rlsuite.problems.decision_diffuser import ENTRY
from rlsuite.problems.offline import sideways
from rlsuite.studies.summaries import BLUE, GREEN, ORANGE, band, over, plain, text_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CONFIG = ENTRY.problems["point"].config
"""Of the planner, and of its plans; they are cool."""


def ways() -> dict[str, dd.FineTuning]:
    """How learning goes on.

    Returns:
        Names to configs: cool and warm plans, with and without entropy that is asked for.
    """
    warm_plans = dataclasses.replace(CONFIG.planning, temperature=1.0)
    planners = {
        f"α = {number(CONFIG.planning.temperature)}": CONFIG,
        "α = 1": dataclasses.replace(CONFIG, planning=warm_plans),
    }
    asked: dict[str, dict[str, Any]] = {
        "returns alone": {"multiplier": 0.0},
        "H ≥ −3": {"multiplier": 0.3, "entropy": -3.0},
        "H ≥ −1": {"multiplier": 0.3, "entropy": -1.0},
    }
    return {
        f"{plans}, {wanted}": dd.FineTuning(planner=planner, **how)
        for plans, planner in planners.items()
        for wanted, how in asked.items()
    }


class Sizes(NamedTuple):
    """How much is done.

    Attributes:
        trained: Updates before.
        num_steps: Steps of fine-tuning.
        num_seeds: From how many keys it goes on.
    """

    trained: int
    num_steps: int
    num_seeds: int


def section(sizes: Sizes, num_seeds: int | None, stages: Stages) -> Section:
    """Train on episodes none of which comes near the goal, and go on in the environment.

    Args:
        sizes: How much is done.
        num_seeds: How many seeds; None for the sizes' own.
        stages: Keeps what is done.

    Returns:
        The section.
    """
    seeds = num_seeds or sizes.num_seeds
    found = {name: _tuned(name, how, sizes, seeds, stages) for name, how in ways().items()}
    how, before = next(iter(ways().values())), float(next(iter(found.values()))["before"])
    summed_up = over(seeds)
    shown = table(
        "Scores of a planner that goes on in the environment",
        "A point whose recorded episodes are all headed past the goal, on either side; 100 is the "
        f"best, 0 random actions. After {sizes.trained:,} updates on them the score is "
        f"{number(before)}, and it goes on for {sizes.num_steps} steps of {how.episodes} episodes "
        f"and {how.updates} updates. In the end, H is the entropy of the states that were walked, "
        f"λ its multiplier. {summed_up[0].upper()}{summed_up[1:]}.",
        ["plans, and what is asked for", "half-way", "in the end", "H", "λ"],
        [
            [
                name,
                *(text_of(one["scores"][:, place]) for place in (_half(one), -1)),
                text_of(one["entropy"]),
                text_of(one["multiplier"]),
            ]
            for name, one in found.items()
        ],
    )
    caption = "Scores over steps of fine-tuning, by what is asked for; dashed: warm plans."
    return Section("Going on", [shown], [picture("fine-tuning", draw(found), caption)])


def _half(found: dict[str, Any]) -> int:
    return (found["scores"].shape[1] - 1) // 2


def _tuned(
    name: str, how: dd.FineTuning, sizes: Sizes, seeds: int, stages: Stages
) -> dict[str, Any]:
    def compute() -> dict[str, Any]:
        start, before = _started(sizes.trained)
        result = run(
            dd.fine_tuning,
            start,
            how,
            jax.random.key(0),
            sizes.num_steps,
            num_seeds=seeds,
            evaluate_every=max(sizes.num_steps // 10, 1),
            progress=f"going on, {name}",
        )
        last = jax.tree.map(lambda leaf: np.asarray(leaf[:, -1]), result.metrics)
        return {
            "before": np.asarray(before),
            "steps": np.asarray(result.evaluation_steps),
            "scores": np.asarray(result.evaluations.score),
            "entropy": last.entropy,
            "multiplier": last.multiplier,
        }

    identity = str((to_json(how), tuple(sizes), seeds))
    return stages(f"fine-tuning, {name}", identity, compute)


@functools.cache
def _started(num_steps: int) -> tuple[dd.Pretrained, float]:
    problem = sideways()
    trained = run(
        dd.make, problem, CONFIG, jax.random.key(0), num_steps, progress="headed past the goal"
    )
    return dd.Pretrained(problem, trained.state), float(trained.evaluations.score[-1])


def draw(found: dict[str, dict[str, Float[np.ndarray, "..."]]]) -> "Figure":
    """Scores over steps.

    Args:
        found: Of each way, as ``ways`` orders them: "steps", and "scores" ``[seed, step]``.

    Returns:
        The figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 3.4), layout="constrained")
    axes = figure.add_subplot()
    colours = (BLUE, GREEN, ORANGE)
    for place, (name, one) in enumerate(found.items()):
        cool = place < len(colours)
        line = {"linestyle": "-" if cool else "--", "label": name if cool else None}
        band(axes, one["steps"], one["scores"], colours[place % 3], **line)
    axes.set(xlabel="steps in the environment", ylabel="score")
    axes.legend(frameon=False)
    plain(axes)
    return figure
