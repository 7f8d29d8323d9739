"""The command line: ``rlsuite list | train | evaluate | study | generate``."""

import contextlib
import dataclasses
import importlib.metadata
import json
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from rlsuite import programs, registry
from rlsuite.io.terminal import guarded, parse

_USAGE = """usage: rlsuite COMMAND …

  rlsuite list                           the algorithms, their problems, the studies
  rlsuite train ALGORITHM --out DIR      train; add --help for the options
  rlsuite evaluate DIR                   evaluate what was trained
  rlsuite study NAME --out DIR           a paper's experiment: tables, figures, a page
  rlsuite generate NAME --out DIR        data sets; add --help for their names
  rlsuite --version

Every command takes --debug, which shows the traceback of an error."""

_RUN_FILE = "run.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: The arguments; those of the process by default.

    Returns:
        The exit code: 0, 2 after an error, 130 after Ctrl-C.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    if not words or words[0] in ("-h", "--help"):
        print(_USAGE)
        return 0
    if words[0] == "--version":
        print(importlib.metadata.version("rlsuite"))
        return 0

    def body() -> int:
        command = registry.find("command", words[0], _COMMANDS)
        return command(words[1:])

    return guarded("rlsuite", body, debug=debug)


def _console() -> Any:
    from rich.console import Console

    return Console()


def _list(arguments: Sequence[str]) -> int:
    """Show the algorithms, their problems and the studies."""
    from rlsuite.io.tables import table, to_rich

    _no_more(arguments)
    rows = [
        [entry.name if i == 0 else "", name, problem.score, problem.summary]
        for entry in registry.algorithms().values()
        for i, (name, problem) in enumerate(entry.problems.items())
    ]
    console = _console()
    console.print(
        to_rich(table("Algorithms", "", ["algorithm", "problem", "score", ""], rows, words=4))
    )
    studies = [[study.name, study.summary] for study in registry.studies().values()]
    console.print(to_rich(table("Studies", "", ["study", ""], studies, words=2)))
    return 0


def _no_more(arguments: Sequence[str]) -> None:
    if arguments:
        raise ValueError(f"unexpected arguments: {' '.join(arguments)}")


@dataclasses.dataclass(frozen=True)
class _TrainOptions:
    """How to train.

    Attributes:
        out: Directory for checkpoints, metrics, a summary and a figure.
        steps: Number of steps; the problem's own by default.
        seeds: Number of seeds, trained at once.
        seed: Seed of the random key.
        resume: Go on from the directory's latest checkpoint.
        evaluate_every: Evaluate after every so many steps, and at the end.
        checkpoint_every: Save after every so many steps.
        checkpoint_minutes: Save when so many minutes have passed.
        keep: How many checkpoints stay.
        log: Logs beside metrics.jsonl.
        progress: Show progress.
    """

    out: pathlib.Path
    steps: int | None = None
    seeds: int | None = None
    seed: int = 0
    resume: bool = False
    evaluate_every: int | None = None
    checkpoint_every: int | None = None
    checkpoint_minutes: float = 10.0
    keep: int = 3
    log: tuple[Literal["tensorboard", "wandb"], ...] = ()
    progress: bool = True


def _train(arguments: Sequence[str]) -> int:
    """Train an algorithm on one of its problems."""
    algorithms = registry.algorithms()
    if not arguments or arguments[0].startswith("-"):
        names = ", ".join(algorithms)
        if arguments and arguments[0] in ("-h", "--help"):
            print(f"usage: rlsuite train ALGORITHM [OPTIONS]\n\nalgorithms: {names}")
            return 0
        raise ValueError(f"train needs an algorithm first; allowed: {names}")
    entry = registry.find("algorithm", arguments[0], algorithms)
    name = _option(arguments, "--problem") or next(iter(entry.problems))
    problem = registry.find("problem", name, entry.problems)
    options, config = _train_options(entry, name, problem, arguments[1:])
    programs.keep_compiled()
    _keep_run_file(options, entry, name, config)
    built = problem.build()
    result = _run(entry, problem, built, config, options)
    _summarise(entry, name, problem, built, config, options, result)
    return 0


def _option(arguments: Sequence[str], flag: str) -> str | None:
    """The value of an option that must be known before the others can be parsed."""
    for i, word in enumerate(arguments):
        if word.startswith(f"{flag}="):
            return word.split("=", 1)[1]
        if word == flag and i + 1 < len(arguments):
            return arguments[i + 1]
    return None


def _train_options(
    entry: registry.Entry, name: str, problem: registry.Problem, arguments: Sequence[str]
) -> tuple[_TrainOptions, Any]:
    import tyro

    names = Literal[tuple(entry.problems)]  # type: ignore[valid-type]

    def collect(
        options: Annotated[_TrainOptions, tyro.conf.arg(name="")],
        problem: Annotated[names, tyro.conf.arg(help="What to train on.")] = name,  # type: ignore[valid-type]
        config: entry.config = problem.config,  # type: ignore[name-defined]
    ) -> tuple[_TrainOptions, Any]:
        del problem
        return options, config

    program = f"rlsuite train {entry.name}"
    return parse(
        collect, arguments, prog=program, description=f"{entry.summary}\n\n{entry.citation}"
    )


def _keep_run_file(
    options: _TrainOptions, entry: registry.Entry, problem: str, config: Any
) -> None:
    """Write what ``evaluate`` must know; a resumed run must agree with what is there."""
    from rlsuite.configuration import to_json
    from rlsuite.io.checkpoints import prepare
    from rlsuite.io.reports import write

    described = {
        "algorithm": entry.name,
        "problem": problem,
        "config": to_json(config),
        "seed": options.seed,
        "seeds": options.seeds,
        "rlsuite": importlib.metadata.version("rlsuite"),
    }
    path = prepare(options.out, 1 << 20) / _RUN_FILE
    if path.exists():
        existing = _read_run_file(path)
        if not options.resume:
            raise ValueError(
                f"directory {str(options.out)!r} already holds a run; add --resume, or give "
                f"another directory"
            )
        for name in ("algorithm", "problem", "config", "seed", "seeds"):
            if existing[name] != described[name]:
                raise ValueError(
                    f"directory {str(options.out)!r} holds a run with {name} {existing[name]}, "
                    f"not {described[name]}; give the same, or another directory"
                )
    else:
        write(path, json.dumps(described, indent=2).encode())


def _read_run_file(path: pathlib.Path) -> Mapping[str, Any]:
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
        missing = {"algorithm", "problem", "config", "seed", "seeds"} - set(described)
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(
            f"{str(path)!r} cannot be read ({error}); give a directory that rlsuite train made"
        ) from error
    if missing:
        raise ValueError(f"{str(path)!r} lacks {', '.join(sorted(missing))}")
    return described


def _run(
    entry: registry.Entry,
    problem: registry.Problem,
    built: Any,
    config: Any,
    options: _TrainOptions,
) -> Any:
    import jax

    from rlsuite import core
    from rlsuite.io import logs

    with contextlib.ExitStack() as stack:
        sinks: list[Any] = []
        if "tensorboard" in options.log:
            sinks.append(logs.TensorBoard(options.out / "tensorboard"))
        if "wandb" in options.log:
            sinks.append(logs.WandB(project="rlsuite", name=options.out.name))
        for sink in sinks:
            stack.callback(sink.close)
        return core.run(
            entry.make_for(problem),
            built,
            config,
            jax.random.key(options.seed),
            problem.num_steps if options.steps is None else options.steps,
            num_seeds=options.seeds,
            num_problems=problem.num_problems,
            evaluate_every=options.evaluate_every,
            directory=options.out,
            resume=options.resume,
            checkpoint_every=options.checkpoint_every,
            checkpoint_minutes=options.checkpoint_minutes,
            keep=options.keep,
            sinks=sinks,
            progress=options.progress and entry.name,
        )


def _evaluate(arguments: Sequence[str]) -> int:
    """Evaluate the latest checkpoint of a directory."""
    import jax

    from rlsuite import core
    from rlsuite.configuration import from_json
    from rlsuite.io.tables import to_rich

    @dataclasses.dataclass(frozen=True)
    class Options:
        """Evaluate the latest checkpoint of a directory that ``rlsuite train`` made."""

        directory: Annotated[pathlib.Path, _positional()]

    directory = parse(Options, arguments, prog="rlsuite evaluate").directory
    described = _read_run_file(directory / _RUN_FILE)
    entry = registry.find("algorithm", described["algorithm"], registry.algorithms())
    problem = registry.find("problem", described["problem"], entry.problems)
    programs.keep_compiled()
    built = problem.build()
    result = core.restore(
        entry.make_for(problem),
        built,
        from_json(entry.config, described["config"]),
        jax.random.key(described["seed"]),
        directory,
        num_seeds=described["seeds"],
        num_problems=problem.num_problems,
    )
    _console().print(to_rich(_summary(entry, described["problem"], problem, built, result)))
    return 0


def _positional() -> Any:
    import tyro

    return tyro.conf.Positional


def _summary(
    entry: registry.Entry, name: str, problem: registry.Problem, built: Any, result: Any
) -> Any:
    """The last evaluation, the score beside its baselines."""
    import numpy as np

    from rlsuite.io.tables import number, table
    from rlsuite.loop import named

    beside = dict(problem.baselines(built))
    if problem.reference is not None:
        beside["reference"] = problem.reference
    rows: list[list[Any]] = []
    for metric, values in named(result.evaluations).items():
        last = values[..., -1]
        text = number(float(np.mean(last)))
        if last.size > 1:
            text += f" [{number(float(np.min(last)))}, {number(float(np.max(last)))}]"
        is_score = metric == problem.score
        rows.append([metric, text, *(value if is_score else "" for value in beside.values())])
    return table(
        "Evaluation",
        f"{entry.name} on {name} after {result.step} steps: the mean over seeds and problems, in "
        f"brackets the least and the greatest. Beside the score stands what is known of it.",
        ["metric", "value", *beside],
        rows,
    )


def _summarise(
    entry: registry.Entry,
    name: str,
    problem: registry.Problem,
    built: Any,
    config: Any,
    options: _TrainOptions,
    result: Any,
) -> None:
    """Print the summary and write it, with a figure, as files and a page."""
    from rlsuite.core import first_seed
    from rlsuite.io import reports
    from rlsuite.io.tables import to_rich

    summary = _summary(entry, name, problem, built, result)
    pictures = []
    if problem.draw is not None:
        state = first_seed(result.state, problem.num_problems, options.seeds)
        figure = problem.draw(built, config, state)
        pictures.append(reports.picture("figure", figure, problem.summary))
    section = reports.Section(summary.title, [summary], pictures)
    report = reports.Report(
        f"{entry.name} on {name}", f"{entry.summary} {entry.citation}", [section]
    )
    page = reports.save(options.out, report)
    console = _console()
    console.print(to_rich(summary))
    console.print(
        f"{result.step - result.start} steps in {result.seconds:.1f} s, "
        f"compiled in {result.compile_seconds:.1f} s. Report: {page}",
        highlight=False,
        soft_wrap=True,
    )


def _study(arguments: Sequence[str]) -> int:
    """Run a study and write its tables, figures and page."""
    from rlsuite.studies.command import command

    return command(arguments)


def _generate(arguments: Sequence[str]) -> int:
    """Generate data sets."""
    from rlsuite.problems.datasets import command

    programs.keep_compiled()
    return command(arguments)


_COMMANDS = {
    "list": _list,
    "train": _train,
    "evaluate": _evaluate,
    "study": _study,
    "generate": _generate,
}
