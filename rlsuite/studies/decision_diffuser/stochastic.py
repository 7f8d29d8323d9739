"""Slippery ground: is it better to ask for a return, for a goal, or for a state to come?"""

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from rlsuite.configuration import to_json
from rlsuite.core import run
from rlsuite.io.reports import Section, picture
from rlsuite.io.stages import Stages
from rlsuite.io.tables import number, table
from rlsuite.problems.decision_diffuser import ENTRY
from rlsuite.problems.slippery_point import GOAL, slippery_point
from rlsuite.registry import Problem
from rlsuite.studies.summaries import BLUE, GREEN, ORANGE, band, over, plain, text_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PROBLEM = ENTRY.problems["slippery-point"]


def ways() -> dict[str, Problem]:
    """What is asked for, each with the networks and planning of the others.

    Returns:
        Names to problems, which differ in what they ask for.
    """
    told = PROBLEM.config
    blind = dataclasses.replace(told, conditions=(), goal=True)
    return {
        "the best return": dataclasses.replace(
            PROBLEM, config=dataclasses.replace(told, conditions=("return",)), callables={}
        ),
        "a goal, where plans end": dataclasses.replace(
            PROBLEM, config=blind, callables={"goal": lambda _: jnp.asarray(GOAL)}
        ),
        "a state to come": PROBLEM,
    }


class Sizes(NamedTuple):
    """How much is done.

    Attributes:
        num_steps: Updates.
        num_seeds: Networks.
        probabilities: How slippery.
    """

    num_steps: int
    num_seeds: int
    probabilities: tuple[float, ...]


def section(sizes: Sizes, num_seeds: int | None, stages: Stages) -> Section:
    """Train in all ways on all grounds.

    Args:
        sizes: How much is done.
        num_seeds: How many seeds; None for the sizes' own.
        stages: Keeps what is done.

    Returns:
        The section.
    """
    seeds = num_seeds or sizes.num_seeds
    scores = {
        name: np.stack([_scores(name, p, sizes, seeds, stages) for p in sizes.probabilities])
        for name in ways()
    }
    shown = table(
        "Scores on slippery ground",
        "With probability p an action is a random one; 100 is what going straight to the goal "
        "earns on the same ground, 0 what random actions do. "
        f"{PROBLEM.config.evaluation_episodes} episodes a seed, {over(seeds)}, after "
        f"{sizes.num_steps:,} updates.",
        ["asked for", *(f"p = {number(p)}" for p in sizes.probabilities)],
        [[name, *(text_of(row) for row in found)] for name, found in scores.items()],
    )
    caption = "Scores over how often an action is a random one, by what plans are asked for."
    drawn = picture("slippery", draw(sizes.probabilities, scores), caption)
    return Section("Chance", [shown], [drawn])


def _scores(
    name: str, probability: float, sizes: Sizes, seeds: int, stages: Stages
) -> Float[np.ndarray, " seed"]:
    problem = ways()[name]

    def compute() -> dict[str, Any]:
        result = run(
            ENTRY.make_for(problem),
            slippery_point(probability),
            problem.config,
            jax.random.key(0),
            sizes.num_steps,
            num_seeds=seeds,
            progress=f"{name}, p = {number(probability)}",
        )
        return {"scores": np.asarray(result.evaluations.score[:, -1])}

    identity = str((to_json(problem.config), sizes.num_steps, seeds))
    return stages(f"slippery {number(probability)}, {name}", identity, compute)["scores"]


def draw(
    probabilities: tuple[float, ...], scores: dict[str, Float[np.ndarray, "probability seed"]]
) -> "Figure":
    """Scores over p.

    Args:
        probabilities: How slippery.
        scores: Of each way.

    Returns:
        The figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 3.4), layout="constrained")
    axes = figure.add_subplot()
    for (name, found), colour in zip(scores.items(), (ORANGE, GREEN, BLUE), strict=False):
        band(axes, probabilities, found.T, colour, label=name)
    axes.set(xlabel="share of actions that are random, p", ylabel="score")
    axes.legend(frameon=False)
    plain(axes)
    return figure
