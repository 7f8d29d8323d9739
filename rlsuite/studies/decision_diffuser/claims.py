"""The claims of the Decision Diffuser, each tested: ``rlsuite study decision-diffuser``."""

from typing import NamedTuple

from rlsuite.io.reports import Report
from rlsuite.io.stages import Stages
from rlsuite.registry import Study
from rlsuite.studies.decision_diffuser import (
    fine_tuning,
    locomotion,
    mazes,
    ring,
    skills,
    stacking,
    stochastic,
)


class Sizes(NamedTuple):
    """How large the study is.

    Attributes:
        mazes: Of the returns in mazes.
        ring: Of the constraints on a ring.
        stacking: Of the constraints on blocks.
        skills: Of the gaits.
        stochastic: Of slippery ground.
        fine_tuning: Of what goes on in the environment.
        locomotion: Of the hopper, which needs MuJoCo and an hour for its data and policies; None
            leaves it out.
    """

    mazes: mazes.Sizes
    ring: ring.Sizes
    stacking: stacking.Sizes
    skills: skills.Sizes
    stochastic: stochastic.Sizes
    fine_tuning: fine_tuning.Sizes
    locomotion: locomotion.Sizes | None


FULL = Sizes(
    mazes=mazes.Sizes(("umaze", "medium", "large"), 5, 1.0, mazes.STEPS),
    ring=ring.Sizes(
        ring.PROBLEM.num_steps,
        5,
        1000,
        250,
        (0.5, 1.0, 1.5, 2.0, 3.0),
        (0.25, 0.5, 0.7, 1.0),
        ring.STEPS,
    ),
    stacking=stacking.Sizes(stacking.PROBLEM.num_steps, 5, 25, 12),
    skills=skills.Sizes(skills.PROBLEM.num_steps, 5, 20),
    stochastic=stochastic.Sizes(stochastic.PROBLEM.num_steps, 10, (0.0, 0.1, 0.2, 0.3, 0.4)),
    fine_tuning=fine_tuning.Sizes(500, 100, 5),
    locomotion=locomotion.Sizes(200_000, 5, 10, 1.0),
)
QUICK = Sizes(
    mazes=mazes.Sizes(("umaze",), 1, 0.01, ("DPM-Solver++, 10 steps",), small=True),
    ring=ring.Sizes(
        1000, 1, 100, 32, (1.0, 1.5), (0.5, 1.0), ("DPM-Solver++, 5 steps",), small=True
    ),
    stacking=stacking.Sizes(200, 1, 2, 2, share=0.01, small=True),
    skills=skills.Sizes(150, 1, 2, small=True),
    stochastic=stochastic.Sizes(300, 2, (0.2,)),
    fine_tuning=fine_tuning.Sizes(100, 2, 1),
    locomotion=None,
)


def study(
    *, quick: bool = False, num_seeds: int | None = None, stages: Stages | None = None
) -> Report:
    """Run the experiments and report them.

    Args:
        quick: The small version.
        num_seeds: How many seeds; each part's own by default.
        stages: Keep the parts that are done.

    Returns:
        The report.

    Raises:
        ValueError: If MuJoCo is missing, which the full version needs.
    """
    sizes = QUICK if quick else FULL
    stages = Stages() if stages is None else stages
    if sizes.locomotion is not None:
        locomotion.require()
    sections = [
        mazes.section(sizes.mazes, num_seeds, stages),
        ring.section(sizes.ring, num_seeds, stages),
        stacking.section(sizes.stacking, num_seeds, stages),
        skills.section(sizes.skills, num_seeds, stages),
        stochastic.section(sizes.stochastic, num_seeds, stages),
        fine_tuning.section(sizes.fine_tuning, num_seeds, stages),
    ]
    if sizes.locomotion is not None:
        sections.append(locomotion.section(sizes.locomotion, num_seeds, stages))
    return Report(
        "The Decision Diffuser's claims",
        "Plans drawn from a diffusion model of states, after Ajay et al. 2023: what they earn "
        "beside policies learned from the same data, whether constraints that were asked for "
        "alone hold together, and how few steps a plan needs.",
        sections,
    )


STUDY = Study(
    name="decision-diffuser",
    run=study,
    summary="returns in mazes, constraints on paths and blocks, gaits, chance, fine-tuning",
)
