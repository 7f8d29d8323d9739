"""The claims of the Decision Diffuser, each tested: ``rlsuite study decision-diffuser``."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from rlsuite.io.reports import Report, Section
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
from rlsuite.studies.parts import chosen


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

PARTS: Mapping[str, Callable[[Any, int | None, Stages], Section]] = {
    "mazes": mazes.section,
    "ring": ring.section,
    "stacking": stacking.section,
    "skills": skills.section,
    "stochastic": stochastic.section,
    "fine_tuning": fine_tuning.section,
    "locomotion": locomotion.section,
}
"""What is tested, in the order of ``Sizes``: from its own, the number of seeds and stages to a
section of the report."""


def study(
    *,
    quick: bool = False,
    num_seeds: int | None = None,
    stages: Stages | None = None,
    only: Sequence[str] = (),
) -> Report:
    """Run the experiments and report them.

    Args:
        quick: The small version.
        num_seeds: How many seeds; each part's own by default.
        stages: Keep what is done.
        only: Some of ``PARTS``; empty for all.

    Returns:
        The report.

    Raises:
        ValueError: If there is no such part, or MuJoCo is missing, which the last one needs.
    """
    sizes = QUICK if quick else FULL
    stages = Stages() if stages is None else stages
    wanted = [name for name, size in sizes._asdict().items() if size is not None]
    names = chosen({name: name for name in wanted}, only)
    if "locomotion" in names:
        locomotion.require()
    return Report(
        "The Decision Diffuser's claims",
        "Plans drawn from a diffusion model of states, after Ajay et al. 2023: what they earn "
        "beside policies learned from the same data, whether constraints that were asked for "
        "alone hold together, and how few steps a plan needs.",
        [PARTS[name](getattr(sizes, name), num_seeds, stages) for name in names],
    )


STUDY = Study(
    name="decision-diffuser",
    run=study,
    summary="returns in mazes, constraints on paths and blocks, gaits, chance, fine-tuning",
    parts=tuple(PARTS),
)
