"""Experiment 1 under every choice that the talk leaves open, one changed at a time.

No choice is made for a single cell of the published table: every row of the sweep is the whole
experiment under one setup, and tells how far all 24 shares are from the published ones.
"""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rlsuite.algorithms import task_clustering
from rlsuite.io.progress import steps_of
from rlsuite.io.reports import Report, Section, picture
from rlsuite.io.stages import Stages
from rlsuite.io.tables import Cell, Table, number
from rlsuite.registry import Study
from rlsuite.studies.meta_irl import published
from rlsuite.studies.meta_irl.outcomes import SUBTREES, TITLES, shares
from rlsuite.studies.meta_irl.training import CONDITIONS, Base, Setup, base

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Choice(NamedTuple):
    """A change of the default setup.

    Attributes:
        name: What is changed, to what.
        worlds: Changed fields of the mazes and experts.
        config: Changed fields of the learning.
        setup: Changed fields of the rest.
    """

    name: str
    worlds: Mapping[str, Any] = {}
    config: Mapping[str, Any] = {}
    setup: Mapping[str, Any] = {}

    def apply(self, setup: Setup) -> Setup:
        """The setup with the change made."""
        return setup._replace(
            worlds=dataclasses.replace(setup.worlds, **self.worlds),
            config=dataclasses.replace(setup.config, **self.config),
            **self.setup,
        )


CHOICES = (
    Choice("default"),
    Choice("gradient of the KL", config={"gradient": "kl"}),
    Choice("goal not absorbing, five actions", {"absorbing": False, "stay": True}),
    Choice("goal not absorbing, four actions", {"absorbing": False}),
    Choice("five actions", {"stay": True}),
    Choice("obstacles are walls", {"obstacles": "walls"}),
    Choice("discount .95", {"discount": 0.95}),
    Choice("discount .99", {"discount": 0.99}),
    Choice("horizon 50", {"tail": "drop"}, {"horizon": 50}),
    Choice("first of equal actions", {"ties": "first"}),
    Choice("exact demonstrations", {"demonstrations": "exact"}),
    Choice("walks of 20 steps", {"length": 20}),
    Choice("policy's starts from p₀", config={"starts": "initial"}),
    Choice("μ uniform where unvisited", config={"unvisited": "uniform"}),
    Choice("|S| without obstacles", config={"states": "free"}),
    Choice("hard value iteration", config={"backup": "hard"}),
    Choice("second-order MAML", config={"method": "maml"}),
    Choice("three inner steps", config={"inner_steps": 3, "inner_rate": 1e-4}),
    Choice("inner SGD at .01", config={"inner_rate": 1e-2}, setup={"inner": "sgd"}),
    Choice("fine-tuning at 1e-4", config={"fine_tuning_rate": 1e-4}),
    Choice("outer rate 3e-4", config={"outer_rate": 3e-4}),
    Choice("half the outer steps", setup={"num_steps": 100}),
    Choice("twice the outer steps", setup={"num_steps": 400}),
    Choice("LeCun initialisation", config={"initializer": "lecun_normal"}),
)
"""The sweep; the first row is the default."""


class Sizes(NamedTuple):
    """How large the study is.

    Attributes:
        num_seeds: Seeds.
        num_steps: Outer steps of a meta-training; None for the setup's own.
        choices: How many of ``CHOICES``; None for all.
    """

    num_seeds: int
    num_steps: int | None
    choices: int | None


FULL = Sizes(6, None, None)
QUICK = Sizes(3, 30, 3)


def distance_to_published(found: np.ndarray) -> float:
    """The root mean square difference of all shares, ``[subtree, condition]``, to the published."""
    known = [
        [
            published.SHARES[metric, subtree][task_clustering.FEATURES.index(feature)]
            for metric, feature in CONDITIONS
        ]
        for subtree in SUBTREES
    ]
    return float(np.sqrt(np.mean((found - np.asarray(known)) ** 2)))


def study(
    *, quick: bool = False, num_seeds: int | None = None, stages: Stages | None = None
) -> Report:
    """Sweep the open choices.

    Args:
        quick: The small version: few choices.
        num_seeds: How many seeds; the version's own by default.
        stages: Keep what is done.

    Returns:
        The report.
    """
    stages = stages or Stages()
    sizes = QUICK if quick else FULL
    sizes = sizes._replace(num_seeds=num_seeds or sizes.num_seeds)
    results = {}
    for choice in steps_of("open choices", CHOICES[: sizes.choices]):
        setup = choice.apply(Setup())
        if sizes.num_steps is not None:
            setup = setup._replace(num_steps=sizes.num_steps)
        results[choice.name] = _base(stages, choice.name, setup, sizes.num_seeds)
    table = Table(
        "Open choices",
        f"Experiment 1 with one choice changed at a time, over {sizes.num_seeds} seeds: the share "
        f"of seeds with {{s0, s1, s2}} and, after the bar, {{invL, UR}}, by cosine; the few-shot "
        f"loss; the norms; and the root mean square difference of all 24 shares to the published.",
        [
            "choice",
            *TITLES,
            "few-shot loss",
            "‖θ‖",
            "‖θᵢ − θ‖",
            "difference to published",
        ],
        [_published(), *(_row(name, result) for name, result in results.items())],
    )
    figure = _draw({name: shares(result.distances) for name, result in results.items()})
    caption = "Shares of seeds under each choice, all features and metrics; the published on top."
    return Report(
        "Task-clustering meta-IRL: the open choices",
        "What the talk's slides do not say, varied one at a time from the defaults.",
        [Section("Open choices", [table], [picture("open-choices", figure, caption)])],
    )


def _base(stages: Stages, name: str, setup: Setup, num_seeds: int) -> Base:
    """A choice's experiment; parameters are not kept."""

    def compute() -> dict[str, np.ndarray]:
        made = base(setup, num_seeds, label=name)
        return made._replace(params=made.params[:, :0])._asdict()

    return Base(**stages(name, setup.identity(num_seeds), compute))


def _published() -> list[Cell]:
    first, second = (published.SHARES["cosine", subtree] for subtree in SUBTREES)
    both = [f"{a:g} | {b:g}" for a, b in zip(first, second, strict=True)]
    loss = published.CLUSTERS[published.ALL][0]
    texts = ["published", *both, f"{loss:.4f}", *map(str, published.NORMS), "–"]
    return [Cell(text, "quiet") for text in texts]


def _row(name: str, result: Base) -> list[Cell]:
    found = shares(result.distances)
    cosine = [i for i, (metric, _) in enumerate(CONDITIONS) if metric == "cosine"]
    return [
        Cell(name),
        *(Cell(f"{found[0, i]:.2g} | {found[1, i]:.2g}") for i in cosine),
        Cell(f"{result.curves[..., -1].mean():.4f}"),
        Cell(f"{result.norms[:, 1].mean():.2f}"),
        Cell(f"{result.moved.mean():.3f}"),
        Cell(number(distance_to_published(found))),
    ]


def _draw(found: Mapping[str, np.ndarray]) -> "Figure":
    """A heat map: a row for each choice, a column for each subtree, metric and feature."""
    from matplotlib.figure import Figure

    known = np.asarray(
        [
            [
                published.SHARES[metric, subtree][task_clustering.FEATURES.index(feature)]
                for metric, feature in CONDITIONS
            ]
            for subtree in SUBTREES
        ]
    )
    rows = {"published": known, **found}
    grid = np.stack([values.ravel() for values in rows.values()])
    figure = Figure(figsize=(11, 1.6 + 0.24 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(grid, vmin=0, vmax=1, cmap="YlGnBu", aspect="auto")
    axes.set_yticks(range(len(rows)), list(rows), fontsize=8)
    names = [TITLES[task_clustering.FEATURES.index(feature)] for _, feature in CONDITIONS]
    axes.set_xticks(range(2 * len(names)), names * 2, rotation=90, fontsize=7)
    for place, title in enumerate(
        f"{{{subtree}}}\n{metric}"
        for subtree in ("s0, s1, s2", "invL, UR")
        for metric in task_clustering.METRICS
    ):
        axes.text(6 * place + 2.5, -0.8, title, ha="center", va="bottom", fontsize=8)
        axes.axvline(6 * place - 0.5, color="white", linewidth=3)
    axes.axhline(0.5, color="white", linewidth=3)
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, label="share of seeds", shrink=0.6)
    return figure


STUDY = Study(
    name="meta-irl-choices",
    run=study,
    summary="task-clustering meta-IRL: experiment 1 under every choice that the talk leaves open",
)
