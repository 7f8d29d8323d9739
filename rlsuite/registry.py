"""Names for the command line and the benchmarks: algorithms, and the problems they come with.

The registry gives nothing but names: every algorithm is used without it by calling ``run`` on its
``make``. Another package adds its own through an entry point of the group ``rlsuite.algorithms``
whose value is an :class:`Entry`::

    [project.entry-points."rlsuite.algorithms"]
    my_algorithm = "my_package:entry"
"""

import dataclasses
import functools
import importlib
import importlib.metadata
from collections.abc import Callable, Mapping
from typing import Any

from rlsuite.configuration import is_config

_GROUP = "rlsuite.algorithms"
_OWN = (
    "rlsuite.problems.maxent_irl",
    "rlsuite.problems.maml",
    "rlsuite.problems.task_clustering",
    "rlsuite.problems.dreamer",
    "rlsuite.problems.ppo",
    "rlsuite.problems.decision_diffuser",
    "rlsuite.problems.behaviour_cloning",
    "rlsuite.problems.iql",
    "rlsuite.problems.cql",
    "rlsuite.problems.solar",
    "rlsuite.problems.memory_meta",
    "rlsuite.problems.latent_models",
    "rlsuite.problems.latent_planning",
)
_OWN_STUDIES = (
    "rlsuite.studies.objectworld",
    "rlsuite.studies.maml.adaptation",
    "rlsuite.studies.dreamer.claims",
    "rlsuite.studies.decision_diffuser.claims",
    "rlsuite.studies.meta_irl.reproduction",
    "rlsuite.studies.meta_irl.choices",
    "rlsuite.studies.meta_irl.beyond",
    "rlsuite.studies.bayes_optimal.comparison",
    "rlsuite.studies.solar.claims",
)
_added: dict[str, "Entry"] = {}


@dataclasses.dataclass(frozen=True)
class Problem:
    """A problem that an algorithm can be run on by name.

    Attributes:
        build: Makes the problem, a pytree; the first argument of ``make``.
        num_steps: How many steps a full run has.
        config: The config with which it is run where no other is given.
        summary: One line.
        score: The evaluation metric that tells how good a run is.
        higher_is_better: Whether a larger score is better.
        reference: A published score, or our own earlier one; None where there is none.
        reference_source: Where ``reference`` is from.
        baselines: ``problem -> {"random": score, "optimal": score}``; empty where unknown.
        draw: ``(problem, config, state) -> matplotlib Figure`` of what one seed learned; None
            without.
        callables: Bound to ``make``: networks, optimisers.
        num_problems: How many problems ``build`` stacks along a first axis; None for one.
        quick: Whether ``python -m benchmarks quick`` runs it.
        quick_steps: How many steps it has there; None for ``num_steps``.
    """

    build: Callable[[], Any]
    num_steps: int
    config: Any
    summary: str
    score: str
    higher_is_better: bool
    reference: float | None = None
    reference_source: str = ""
    baselines: Callable[[Any], Mapping[str, float]] = lambda _: {}
    draw: Callable[[Any, Any, Any], Any] | None = None
    callables: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    num_problems: int | None = None
    quick: bool = False
    quick_steps: int | None = None


@dataclasses.dataclass(frozen=True)
class Entry:
    """An algorithm under its name.

    Attributes:
        name: What the command line calls it.
        make: ``(problem, config, **callables) -> Algorithm``.
        config: The config's class.
        problems: Its problems by name; the first is the default.
        probe: The name of the smallest, whose optimum is known; tests run it.
        summary: One line.
        citation: Whose method it is.
    """

    name: str
    make: Callable[..., Any]
    config: type
    problems: Mapping[str, Problem]
    probe: str
    summary: str
    citation: str

    def make_for(self, problem: Problem) -> Callable[..., Any]:
        """``make`` with the problem's callables bound."""
        return functools.partial(self.make, **problem.callables) if problem.callables else self.make


@dataclasses.dataclass(frozen=True)
class Study:
    """A paper's experiment under its name.

    Attributes:
        name: What the command line calls it.
        run: ``(quick, num_seeds, stages) -> rlsuite.io.reports.Report``; num_seeds None is its own,
            and stages (``rlsuite.io.stages.Stages``) keep its parts where it may be interrupted.
            A study of several parts takes ``only``, too, the names of those that are to be run.
        summary: One line.
        parts: The names of its parts; empty where it is run as a whole.
    """

    name: str
    run: Callable[..., Any]
    summary: str
    parts: tuple[str, ...] = ()


def studies() -> dict[str, Study]:
    """All studies by name.

    Returns:
        Names to studies.
    """
    own = [importlib.import_module(module).STUDY for module in _OWN_STUDIES]
    return {study.name: study for study in own}


def register(entry: Entry) -> None:
    """Add an algorithm for this process.

    Args:
        entry: The algorithm.

    Raises:
        ValueError: If the name is taken, or the entry cannot be used.
    """
    if entry.name in algorithms():
        raise ValueError(f"algorithm {entry.name!r} is registered already; choose another name")
    _added[entry.name] = _checked(entry, "register")


def algorithms() -> dict[str, Entry]:
    """All algorithms by name: ours, those of installed packages, those added by ``register``.

    Returns:
        Names to entries, ours first.

    Raises:
        ValueError: If an entry point's value cannot be used, naming the package.
    """
    own = [importlib.import_module(module).ENTRY for module in _OWN]
    return {entry.name: entry for entry in (*own, *_from_packages(), *_added.values())}


@functools.cache
def _from_packages() -> tuple[Entry, ...]:
    points = importlib.metadata.entry_points(group=_GROUP)
    return tuple(_checked(point.load(), f"entry point {point.value!r}") for point in points)


def _checked(entry: Any, source: str) -> Entry:
    if not isinstance(entry, Entry):
        raise ValueError(f"{source} gives {entry!r}; allowed: an rlsuite.registry.Entry")
    if not is_config(entry.config):
        raise ValueError(
            f"{source}: the config of {entry.name!r} is {entry.config!r}; allowed: a class "
            f"made with rlsuite.config"
        )
    if entry.probe not in entry.problems:
        raise ValueError(
            f"{source}: the probe of {entry.name!r} is {entry.probe!r}; allowed: one of its "
            f"problems, {', '.join(entry.problems) or 'of which there are none'}"
        )
    return entry


def find(kind: str, name: str, choices: Mapping[str, Any]) -> Any:
    """Look a name up.

    Args:
        kind: What is looked up, for the error.
        name: The name.
        choices: What there is.

    Returns:
        ``choices[name]``.

    Raises:
        ValueError: If it is not there, with the names that are, and the nearest first.

    Example:
        >>> find("problem", "mase", {"maze": 1, "grid": 2})
        Traceback (most recent call last):
        ...
        ValueError: problem 'mase' is unknown (did you mean 'maze'?); allowed: maze, grid
    """
    if name in choices:
        return choices[name]
    import difflib

    near = difflib.get_close_matches(name, choices, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise ValueError(f"{kind} {name!r} is unknown{hint}; allowed: {', '.join(choices)}")
