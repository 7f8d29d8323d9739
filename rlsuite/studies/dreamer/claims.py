"""The claims of Dreamer, each with its own test: ``rlsuite study dreamer``."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from rlsuite.io.reports import Report, Section
from rlsuite.io.stages import Stages
from rlsuite.registry import Study
from rlsuite.studies.dreamer import efficiency, exploitation, gradients, open_loop, sweep
from rlsuite.studies.dreamer.efficiency import Contest
from rlsuite.studies.parts import chosen


class Sizes(NamedTuple):
    """How large the study is.

    Attributes:
        contests: Where Dreamer meets PPO.
        frozen: Of models that stay as they are, and of policies in them.
        num_batches: Of trajectories, for gradients in each world.
        open_loop: Of the recurrent models.
        sweep: Of λ and horizons.
    """

    contests: tuple[Contest, ...]
    frozen: exploitation.Sizes
    num_batches: int
    open_loop: open_loop.Sizes
    sweep: sweep.Sizes


FULL = Sizes(
    contests=(
        Contest("pendulum", -250.0, 3000, 5),
        Contest("cartpole", 475.0, 8_000, 5),
        Contest("catch", 0.9, 12_000, 3),
    ),
    frozen=exploitation.Sizes((160, 200, 400, 1000, 4000), tuple(exploitation.KINDS), 1500, 400, 4),
    num_batches=32,
    open_loop=open_loop.Sizes(1500, 400, 32),
    sweep=sweep.Sizes((0.0, 0.5, 0.95, 1.0), (1, 3, 7, 15), 2000, 2),
)
QUICK = Sizes(
    contests=(Contest("pendulum", -250.0, 2300, 1),),
    frozen=exploitation.Sizes((200, 1000), ("one model",), 400, 100, 2),
    num_batches=3,
    open_loop=open_loop.Sizes(200, 40, 16),
    sweep=sweep.Sizes((0.5, 0.95), (2, 7), 200, 1),
)

PARTS: Mapping[str, Callable[[Sizes, int | None, Stages], Section]] = {
    "efficiency": lambda sizes, seeds, stages: efficiency.section(sizes.contests, seeds, stages),
    "exploitation": lambda sizes, seeds, stages: exploitation.section(sizes.frozen, seeds, stages),
    "open_loop": lambda sizes, _, stages: open_loop.section(sizes.open_loop, stages),
    "gradients": lambda sizes, seeds, stages: gradients.section(
        sizes.frozen, sizes.num_batches, seeds, stages
    ),
    "sweep": lambda sizes, seeds, stages: sweep.section(sizes.sweep, seeds, stages),
}
"""What is tested: from sizes, the number of seeds and stages to a section of the report."""


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
        num_seeds: How many seeds; each part's own by default. Open-loop predictions have one.
        stages: Keep what is done.
        only: Some of ``PARTS``; empty for all.

    Returns:
        The report.

    Raises:
        ValueError: If there is no such part.
    """
    sizes = QUICK if quick else FULL
    stages = Stages() if stages is None else stages
    return Report(
        "Dreamer's claims",
        "Policies learned in a model of the world, after Hafner et al. 2020 and 2023: how much "
        "experience they need, whether they exploit the model's errors, how far the model sees, "
        "and what the gradient through it is worth.",
        [part(sizes, num_seeds, stages) for part in chosen(PARTS, only)],
    )


STUDY = Study(
    name="dreamer",
    run=study,
    summary="Dreamer against PPO, exploitation of models, open loop, gradients, λ and horizon",
    parts=tuple(PARTS),
)
