"""SOLAR's claims, each with its own test: ``rlsuite study solar``."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from rlsuite.io.reports import Report, Section
from rlsuite.io.stages import Stages
from rlsuite.registry import Study
from rlsuite.studies.parts import chosen
from rlsuite.studies.solar import curves, spectra, transitions


class Sizes(NamedTuple):
    """How large the study is.

    Attributes:
        curves: Of learning curves.
        transitions: Of the comparison of transitions.
        spectra: Of eigenvalues and coverage.
    """

    curves: curves.Sizes
    transitions: transitions.Sizes
    spectra: spectra.Sizes


FULL = Sizes(
    curves.Sizes(100, 3000, 60, 10, 3000, 2000, 10, tuple(curves.METHODS)),
    transitions.Sizes(3000, 300, 3, 20, tuple(transitions.COLOURS), tuple(transitions.SIGHTS)),
    spectra.Sizes(3000, 300, 50),
)
QUICK = Sizes(
    curves.Sizes(20, 60, 10, 2, 40, 4, 2, (curves.SOLAR, "PPO")),
    transitions.Sizes(40, 40, 2, 2, ("mniw", "e2c")),
    spectra.Sizes(40, 40, 5),
)

PARTS: Mapping[str, Callable[[Sizes, Stages], Section]] = {
    "curves": lambda sizes, stages: curves.section(sizes.curves, stages),
    "transitions": lambda sizes, stages: transitions.section(sizes.transitions, stages),
    "spectra": lambda sizes, stages: spectra.section(sizes.spectra, stages),
}
"""What is tested: from sizes and stages to a section of the report."""


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
        num_seeds: How many seeds; each part's own by default. Spectra have one.
        stages: Keep what is done.
        only: Some of ``PARTS``; empty for all.

    Returns:
        The report.

    Raises:
        ValueError: If there is no such part.
    """
    sizes = QUICK if quick else FULL
    stages = Stages() if stages is None else stages
    if num_seeds is not None:
        sizes = sizes._replace(
            curves=sizes.curves._replace(num_seeds=num_seeds),
            transitions=sizes.transitions._replace(num_seeds=num_seeds),
        )
    return Report(
        "SOLAR's claims",
        "Control from pictures in a latent linear-Gaussian model, after Zhang et al. 2019: how "
        "many episodes it needs beside its ablations, planning and PPO; whether linear "
        "transitions are good models, and better ones better controllers; and what it sees.",
        [part(sizes, stages) for part in chosen(PARTS, only)],
    )


STUDY = Study(
    name="solar",
    run=study,
    summary="SOLAR against ablations, planning and PPO; which transition is best; spectra",
    parts=tuple(PARTS),
)
