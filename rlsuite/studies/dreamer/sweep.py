"""λ and the horizon, every pair of them, trained in one program."""

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from rlsuite.algorithms import dreamer
from rlsuite.algorithms.dreamer import Config
from rlsuite.configuration import grid, to_json
from rlsuite.core import run
from rlsuite.io.reports import Section, picture
from rlsuite.io.stages import Stages
from rlsuite.io.tables import number, table
from rlsuite.problems.dreamer import ENTRY
from rlsuite.studies.summaries import summary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PROBLEM = ENTRY.problems["pendulum"]
_STARTS = 32
_EVALUATE_EVERY = 100
_LAST = 3  # evaluations that the end is averaged over


class Sizes(NamedTuple):
    """How much is done.

    Attributes:
        lambdas: Values of λ.
        horizons: Numbers of imagined steps that count.
        num_steps: Of the algorithm, a multiple of 100.
        num_seeds: How many seeds.
    """

    lambdas: tuple[float, ...]
    horizons: tuple[int, ...]
    num_steps: int
    num_seeds: int


def config_of(sizes: Sizes) -> Config:
    """All pairs as one stacked config; horizons vary fastest."""
    behaviour = dataclasses.replace(
        PROBLEM.config.behaviour, starts=_STARTS, horizon=max(sizes.horizons)
    )
    stacked = grid(behaviour, lambda_=sizes.lambdas, reach=sizes.horizons)
    return dataclasses.replace(PROBLEM.config, behaviour=stacked)


def section(sizes: Sizes, num_seeds: int | None, stages: Stages) -> Section:
    """Train all pairs and show where they end.

    Args:
        sizes: Which, and how long.
        num_seeds: How many seeds; None for the sizes' own.
        stages: Keeps what is done.

    Returns:
        The section.
    """
    seeds = num_seeds or sizes.num_seeds
    config = config_of(sizes)

    def compute() -> dict[str, Any]:
        result = run(
            dreamer.make,
            PROBLEM.build(),
            config,
            jax.random.key(0),
            sizes.num_steps,
            num_seeds=seeds,
            evaluate_every=_EVALUATE_EVERY,
            progress="λ and horizon",
        )
        last = result.evaluations.episode_return[..., -_LAST:].mean(-1)
        return {"returns": last.reshape(len(sizes.lambdas), len(sizes.horizons), seeds)}

    identity = str((to_json(config), sizes.num_steps, seeds))
    returns = stages("sweep", identity, compute)["returns"]
    each = config.num_environments * config.steps_per_update
    acted = config.prefill * config.num_environments + each * sizes.num_steps
    middle = summary(np.moveaxis(returns, -1, 0)).middle
    shown = table(
        "Return by λ and horizon",
        f"Pendulum after {acted:,} time steps, from {_STARTS} imagined starts an update: return of "
        f"the most probable actions, mean of the last {_LAST} evaluations, interquartile mean over "
        f"{seeds} seed{'s' * (seeds > 1)}. All {middle.size} pairs are one compiled program.",
        ["λ", *(f"horizon {horizon}" for horizon in sizes.horizons)],
        [
            [number(lambda_), *map(float, row)]
            for lambda_, row in zip(sizes.lambdas, middle, strict=True)
        ],
    )
    caption = f"Return of the pendulum after {acted:,} time steps, by λ and horizon."
    return Section("λ and horizon", [shown], [picture("sweep", draw(sizes, middle), caption)])


def draw(sizes: Sizes, returns: Float[np.ndarray, "lambda horizon"]) -> "Figure":
    """A heat map.

    Args:
        sizes: The pairs.
        returns: Of each.

    Returns:
        The figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.8), layout="constrained")
    axes = figure.add_subplot()
    shown = axes.imshow(returns, cmap="viridis", origin="lower", aspect="auto")
    bright = returns > (returns.max() + returns.min()) / 2
    for (row, column), value in np.ndenumerate(returns):
        colour = "black" if bright[row, column] else "white"
        axes.text(column, row, number(float(value)), ha="center", va="center", color=colour)
    axes.set(xlabel="horizon", ylabel="λ")
    axes.set_xticks(range(len(sizes.horizons)), [str(horizon) for horizon in sizes.horizons])
    axes.set_yticks(range(len(sizes.lambdas)), [number(lambda_) for lambda_ in sizes.lambdas])
    figure.colorbar(shown, label="return")
    return figure
