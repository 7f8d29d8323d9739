"""MAML against pretraining: sine waves, and a point in the plane (Finn et al. 2017, sec. 5)."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from rlsuite.io.reports import Report, Section
from rlsuite.io.stages import Stages
from rlsuite.registry import Study
from rlsuite.studies.maml import navigation, sinusoids
from rlsuite.studies.parts import chosen


class Sizes(NamedTuple):
    """How large the study is.

    Attributes:
        num_steps: Of training on sine waves.
        variant_steps: Of the variants there; 0 leaves them out.
        num_tasks: On how many new waves each is evaluated.
        navigation_steps: Of training in the plane.
        num_goals: On how many new goals each is evaluated.
        num_seeds: How many seeds.
    """

    num_steps: int
    variant_steps: int
    num_tasks: int
    navigation_steps: int
    num_goals: int
    num_seeds: int


FULL = Sizes(70_000, 10_000, 2000, 200, 100, 5)
QUICK = Sizes(4000, 0, 500, 100, 40, 2)

PARTS: Mapping[str, Callable[[Sizes, int, Stages], Section]] = {
    "sinusoids": lambda sizes, seeds, stages: sinusoids.section(
        sizes.num_steps, sizes.variant_steps, seeds, sizes.num_tasks, stages
    ),
    "navigation": lambda sizes, seeds, stages: navigation.section(
        sizes.navigation_steps, seeds, sizes.num_goals, stages
    ),
}
"""What is compared: from sizes, the number of seeds and stages to a section of the report."""


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
        num_seeds: How many seeds; the version's own by default.
        stages: Keep the trainings that are done.
        only: Some of ``PARTS``; empty for all.

    Returns:
        The report.

    Raises:
        ValueError: If there is no such part.
    """
    sizes = QUICK if quick else FULL
    seeds = num_seeds or sizes.num_seeds
    stages = Stages() if stages is None else stages
    return Report(
        "MAML against pretraining",
        "Model-agnostic meta-learning, after Finn et al. 2017: parameters from which a gradient "
        "step or two learn a new task, against parameters that do well on all tasks at once.",
        [part(sizes, seeds, stages) for part in chosen(PARTS, only)],
    )


STUDY = Study(
    name="maml",
    run=study,
    summary="MAML against pretraining: sine waves and their variants, navigation in the plane",
    parts=tuple(PARTS),
)
