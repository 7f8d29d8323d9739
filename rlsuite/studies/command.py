"""The command ``rlsuite study``."""

import dataclasses
import pathlib
from collections.abc import Sequence

from rich.console import Console

from rlsuite import programs, registry
from rlsuite.io import reports
from rlsuite.io.checkpoints import prepare
from rlsuite.io.stages import Stages
from rlsuite.io.tables import to_rich
from rlsuite.io.terminal import parse

_BY_CORES = ("bayes-optimal",)
"""Studies that share their seeds out over JAX's devices, of which a CPU's cores then are some."""


def command(arguments: Sequence[str]) -> int:
    """Run a study and write its tables, figures and page.

    Args:
        arguments: What follows on the command line.

    Returns:
        The exit code.

    Raises:
        ValueError: If there is no such study, or an option is wrong.
    """
    # Before anything is imported that computes, as gymnax does.
    if "--quick" in arguments:
        programs.compile_soon()
    if arguments and arguments[0] in _BY_CORES:
        programs.use_cores()
    studies = registry.studies()
    if not arguments or arguments[0].startswith("-"):
        raise ValueError(f"study needs a name first; allowed: {', '.join(studies)}")
    study = registry.find("study", arguments[0], studies)

    @dataclasses.dataclass(frozen=True)
    class Options:
        """What to run, and where the results go.

        Attributes:
            out: Directory for tables (JSON and Markdown), figures (PNG) and report.html.
            quick: A small version of a few minutes.
            seeds: Number of seeds; the study's own by default.
            resume: Go on with the stages that an interrupted study has left in out.
            only: Parts of the study; all by default. Those that are left out may follow with
                resume, and without only, all are put on one page.
        """

        out: pathlib.Path
        quick: bool = False
        seeds: int | None = None
        resume: bool = False
        only: tuple[str, ...] = ()

    options = parse(
        Options, arguments[1:], prog=f"rlsuite study {study.name}", description=study.summary
    )
    if options.seeds is not None and options.seeds < 2:
        raise ValueError(f"seeds is {options.seeds}; allowed: a whole number at least 2")
    if options.only and not study.parts:
        raise ValueError(f"only is {' '.join(options.only)}; {study.name} is run as a whole")
    for name in options.only:
        registry.find("part", name, dict.fromkeys(study.parts))
    only = {"only": options.only} if options.only else {}
    prepare(options.out, 1 << 24)
    programs.keep_compiled()
    stages = Stages(options.out, resume=options.resume)
    report = study.run(quick=options.quick, num_seeds=options.seeds, stages=stages, **only)
    page = reports.save(options.out, report)
    console = Console()
    for section in report.sections:
        for made in section.tables:
            console.print(to_rich(made))
    console.print(f"Report: {page}", highlight=False, soft_wrap=True)
    return 0
