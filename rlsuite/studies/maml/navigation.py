"""Finding a goal in the plane: returns before and after updates (Finn et al. 2017, sec. 5.3)."""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from rlsuite.io.reports import Section, picture
from rlsuite.io.stages import Stages
from rlsuite.io.tables import number, table
from rlsuite.problems.maml import ENTRY, draw_paths
from rlsuite.studies.maml.trials import Outcome, Trial, interval, outcome_of, text_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PROBLEM = ENTRY.problems["navigation"]
NUM_UPDATES = 3
RATES = (0.03, 0.1, 0.3, 1.0, 3.0)


def trials(num_steps: int) -> list[Trial]:
    """MAML, joint training on all goals, and an untrained policy."""
    joint = dataclasses.replace(PROBLEM.config, method="first-order", inner_steps=0)
    common = {"tasks": PROBLEM.build(), "callables": PROBLEM.callables}
    return [
        Trial("MAML policy", config=PROBLEM.config, num_steps=num_steps, **common),
        Trial("pretrained policy", config=joint, num_steps=num_steps, rates=RATES, **common),
        Trial("untrained policy", config=joint, num_steps=0, rates=RATES, **common),
    ]


def section(num_steps: int, num_seeds: int, num_tasks: int, stages: Stages) -> Section:
    """Train everything and report it.

    Args:
        num_steps: Of training.
        num_seeds: How many seeds.
        num_tasks: On how many new goals each is evaluated.
        stages: Keeps what is done.

    Returns:
        The section.
    """
    outcomes = []
    for trial in trials(num_steps):
        config = dataclasses.replace(trial.config, evaluation_tasks=num_tasks)
        trial = dataclasses.replace(trial, config=config)
        kinds = {"goals": trial.tasks}
        outcomes.append(outcome_of(trial, kinds, num_seeds, stages, num_steps=NUM_UPDATES))
    baselines = {name: -value for name, value in PROBLEM.baselines(PROBLEM.build()).items()}
    rates = " and ".join(number(found.rates["goals"]) for found in outcomes[1:])
    summary = table(
        "Navigation",
        f"Returns on new goals before and after updates, each on twenty trajectories; mean ± 95 % "
        f"interval over {num_seeds} seeds. Going straight to the goal returns "
        f"{number(baselines['optimal'])}, resting at the start "
        f"{number(baselines['no adaptation'])}. Trained for {num_steps} steps; the pretrained and "
        f"the untrained policy take the best of {len(RATES)} rates, {rates}; all "
        f"halve it after the first update.",
        ["policy", "before", *(f"{n} update{'s' * (n > 1)}" for n in range(1, NUM_UPDATES + 1))],
        [_row(found) for found in outcomes],
    )
    ours, pretrained = (found.losses["goals"] for found in outcomes[:2])
    better = ours[:, 1] < pretrained[:, NUM_UPDATES]
    claim = table(
        "Navigation: what follows",
        "In how many seeds it holds.",
        ["claim", "seeds"],
        [
            [
                "MAML after 1 update returns more than the pretrained policy after 3",
                f"{np.sum(better)} of {len(better)}",
            ]
        ],
    )
    caption = "Returns over updates; bars are 95 % intervals. What is below −25 is not shown."
    pictures = [picture("navigation", draw(outcomes), caption)]
    if outcomes[0].state is not None:
        paths = draw_paths(PROBLEM.build(), PROBLEM.config, outcomes[0].state)
        caption = "Paths of the MAML policy to four goals (stars)."
        pictures.append(picture("navigation-paths", paths, caption))
    return Section("Navigation in the plane", [summary, claim], pictures)


def _row(found: Outcome) -> list[str]:
    texts = [text_of(column) for column in -found.losses["goals"].T]
    return [found.name.removesuffix(" policy"), *texts]


def draw(outcomes: list[Outcome]) -> "Figure":
    """Returns over updates.

    Args:
        outcomes: Of all trials.

    Returns:
        The figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.6), layout="constrained")
    axes = figure.add_subplot()
    updates = np.arange(NUM_UPDATES + 1)
    for found, colour in zip(outcomes, ("#2563eb", "#dc6803", "#475569"), strict=True):
        mean, half = np.transpose([interval(column) for column in -found.losses["goals"].T])
        axes.errorbar(updates, mean, half, color=colour, capsize=3, marker="o", label=found.name)
    axes.set(xlabel="updates", ylabel="return", xticks=updates, ylim=(-25, 0))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure
