"""Regression of sine waves: the error over gradient steps (Finn et al. 2017, sec. 5.1, fig. 3)."""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from rlsuite.algorithms import maml
from rlsuite.io.reports import Section, picture
from rlsuite.io.stages import Stages
from rlsuite.io.tables import number, table
from rlsuite.problems.maml import draw_fits
from rlsuite.studies.maml.trials import Outcome, Trial, interval, outcome_of, text_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = {"10 points": maml.Sinusoids(shots=10), "5 points": maml.Sinusoids(shots=5)}
"""What is adapted to; training always sees ten points, as in the paper."""

NUM_STEPS = 10
KEPT = 0.99
"""The worst hundredth of the waves is left out of means: on some, gradient descent diverges."""

SHOWN = (0, 1, 5, 10)
RATES = (0.0003, 0.001, 0.003, 0.01, 0.02)

_JOINT = maml.Config(method="first-order", inner_steps=0)


def main_trials(num_steps: int) -> list[Trial]:
    """The three curves of the paper's figure."""
    told = maml.Sinusoids(shots=10, informed=True)
    return [
        Trial("MAML", maml.Sinusoids(), maml.Config(), num_steps),
        Trial("pretrained", maml.Sinusoids(), _JOINT, num_steps, rates=RATES),
        Trial("oracle", told, _JOINT, num_steps),
    ]


def variant_trials(num_steps: int) -> list[Trial]:
    """MAML and its relatives for the same number of steps."""
    configs = {
        "second-order": maml.Config(),
        "first-order": maml.Config(method="first-order"),
        "Meta-SGD": maml.Config(learned_rates=True),
        "ANIL": maml.Config(adapts="head"),
        "Reptile": maml.Config(method="reptile", inner_steps=5),
        "implicit": maml.Config(
            method="implicit", inner_rate=0.003, inner_steps=8, proximity=40.0, cg_steps=3
        ),
    }
    return [Trial(name, maml.Sinusoids(), config, num_steps) for name, config in configs.items()]


def section(
    num_steps: int, variant_steps: int, num_seeds: int, num_tasks: int, stages: Stages
) -> Section:
    """Train everything and report it.

    Args:
        num_steps: Of the three main trainings.
        variant_steps: Of the variants; 0 leaves them out.
        num_seeds: How many seeds.
        num_tasks: On how many new tasks each is evaluated.
        stages: Keeps what is done.

    Returns:
        The section.
    """

    def outcome(trial: Trial) -> Outcome:
        config = dataclasses.replace(trial.config, evaluation_tasks=num_tasks)
        trial = dataclasses.replace(trial, config=config)
        kinds = {
            name: dataclasses.replace(tasks, informed=trial.tasks.informed)
            for name, tasks in KINDS.items()
        }
        return outcome_of(trial, kinds, num_seeds, stages, num_steps=NUM_STEPS, kept=KEPT)

    main = [outcome(trial) for trial in main_trials(num_steps)]
    tables = [
        *(
            table(
                f"Sine waves from {kind}",
                f"Mean squared error on new waves before adaptation and after gradient steps; mean "
                f"± 95 % interval over {num_seeds} seeds, the worst 1 % of the waves left out; the "
                f"last column is the share of waves on which ten steps diverge. Trained for "
                f"{num_steps:,} steps on ten points a wave. The pretrained network takes the best "
                f"of {len(RATES)} rates, {number(main[1].rates[kind])}; the oracle is told "
                f"amplitude and phase and does not adapt.",
                ["network", *_HEADINGS, "diverge"],
                [_row(found, kind) for found in main],
            )
            for kind in KINDS
        ),
        table(
            "Sine waves: what follows",
            "In how many seeds it holds.",
            ["claim", "points", "seeds"],
            [[_CLAIM, kind, _count(main[0], main[1], kind)] for kind in KINDS],
            words=2,
        ),
    ]
    if variant_steps:
        variants = [outcome(trial) for trial in variant_trials(variant_steps)]
        tables.append(
            table(
                "Sine waves: variants",
                f"As above, ten points, after {variant_steps:,} steps of training; the last column "
                f"is the time of a training step for one seed.",
                ["variant", *_HEADINGS, "diverge", "ms"],
                [[*_row(found, "10 points"), number(found.milliseconds)] for found in variants],
            )
        )
    pictures = [
        picture(
            "sinusoid",
            draw(main),
            "Error over gradient steps on new waves; bands are 95 % intervals over seeds.",
        )
    ]
    if main[0].state is not None:
        fits = draw_fits(KINDS["5 points"], maml.Config(), main[0].state)
        caption = "Three new waves, learned from five points each."
        pictures.append(picture("sinusoid-fits", fits, caption))
    return Section("Regression of sine waves", tables, pictures)


_HEADINGS = ("before", *(f"{step} step{'s' * (step > 1)}" for step in SHOWN[1:]))
_CLAIM = "MAML after 1 step has a lower error than the pretrained network after 10"


def _count(ours: Outcome, theirs: Outcome, kind: str) -> str:
    better = ours.losses[kind][:, 1] < theirs.losses[kind][:, NUM_STEPS]
    return f"{np.sum(better)} of {len(better)}"


def _row(found: Outcome, kind: str) -> list[str]:
    """A network's name and its errors."""
    adapts = found.name != "oracle"
    return [
        found.name,
        *(text_of(found.losses[kind][:, step]) if adapts or step == 0 else "–" for step in SHOWN),
        f"{np.mean(found.diverged[kind]):.2%}" if adapts else "–",
    ]


def draw(outcomes: list[Outcome]) -> "Figure":
    """The error over gradient steps, a panel for each kind of tasks.

    Args:
        outcomes: Of the main trials.

    Returns:
        The figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    panels = figure.subplots(1, len(KINDS), sharey=True)
    steps = np.arange(NUM_STEPS + 1)
    for axes, kind in zip(panels, sorted(KINDS), strict=True):
        for found, colour in zip(outcomes, ("#2563eb", "#dc6803", "#475569"), strict=True):
            losses = found.losses[kind]
            if found.name == "oracle":
                losses = np.repeat(losses[:, :1], len(steps), axis=1)
            mean, half = np.transpose([interval(column) for column in losses.T])
            axes.plot(steps, mean, color=colour, marker="o", markersize=3, label=found.name)
            axes.fill_between(steps, mean - half, mean + half, color=colour, alpha=0.2, linewidth=0)
        axes.set(title=kind, xlabel="gradient steps")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("mean squared error")
    panels[0].set_ylim(bottom=-0.1)
    panels[-1].legend(frameon=False)
    return figure
