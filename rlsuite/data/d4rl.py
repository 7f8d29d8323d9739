r"""Files in the layout of D4RL.

One row a step, episode after episode; row t holds what was seen, done and earned::

    observations [row, n]   actions [row, m]   rewards [row]   terminals [row]   timeouts [row]

An episode ends after a row with ``terminals`` (for good) or ``timeouts`` (cut off), or with the
file. Row t + 1 holds the state that row t led to, so the last row of an episode leads nowhere,
unless the file has ``next_observations`` too. Where it has not, the last row of an episode that was
cut off gives its last state and no more; that of an episode that ended for good stays, and its
state stands for the one it led to, which nothing depends on.

:func:`save` writes ``next_observations``, so that nothing is lost; labels lie in
``metadata/labels``, a row an episode, and returns that scores refer to in the file's attributes
``random_return`` and ``expert_return``.

References:
    Fu, Kumar, Nachum, Tucker, Levine: D4RL: datasets for deep data-driven reinforcement learning.
    2020, arXiv:2004.07219.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Shaped

from rlsuite.data import hdf5
from rlsuite.data.offline import Offline, offline
from rlsuite.envs.control import Control
from rlsuite.envs.episodes import Episode, Episodes, join

_ROUNDING = 1e-4


class References(NamedTuple):
    """The mean returns that scores refer to.

    Attributes:
        random_return: Of random actions, whose score is 0.
        expert_return: Of an expert, whose score is 100.
    """

    random_return: float
    expert_return: float


PUBLISHED: Mapping[str, References] = {
    "halfcheetah": References(-280.178953, 12135.0),
    "hopper": References(-20.272305, 3234.3),
    "walker2d": References(1.629008, 4592.3),
    "maze2d-umaze": References(23.85, 161.86),
    "maze2d-medium": References(13.13, 277.39),
    "maze2d-large": References(6.7, 273.99),
}
"""D4RL's own, for its own environments and data."""


def load(path: str | os.PathLike[str]) -> Episodes:
    """Read a file.

    Args:
        path: The file.

    Returns:
        Its episodes; an episode that was cut off after its first row, and leads nowhere, is none.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, a dataset is missing, of a wrong shape or in another file, a
            number is not finite, an action not within [−1, 1], an end neither 0 nor 1, or there is
            no episode with a step in it.
    """
    with hdf5.reading(path) as file:
        return _read(file)


def _read(file: Any) -> Episodes:
    rows = hdf5.numbers(file, "observations", (None, None)).shape[0]
    columns = {
        "observations": hdf5.numbers(file, "observations", (rows, None)),
        "actions": hdf5.numbers(file, "actions", (rows, None)),
        "rewards": _column(hdf5.numbers, file, "rewards", rows),
    }
    greatest = np.max(np.abs(columns["actions"]), initial=0.0)
    if greatest > 1 + _ROUNDING:
        raise ValueError(f"'actions' has numbers up to ±{greatest:g}; allowed: within [−1, 1]")
    terminals = _column(hdf5.flags, file, "terminals", rows)
    timeouts = _column(hdf5.flags, file, "timeouts", rows)
    following = None
    if "next_observations" in file:
        following = hdf5.numbers(file, "next_observations", columns["observations"].shape)
    ends = np.flatnonzero(terminals | timeouts) + 1
    if rows and rows not in ends:
        ends = np.append(ends, rows)
    labels = np.zeros((len(ends), 0))
    if "metadata/labels" in file:
        labels = hdf5.numbers(file, "metadata/labels", (len(ends), None))
    episodes = [
        _episode(columns, following, slice(start, end), bool(terminals[end - 1]), label)
        for start, end, label in zip(np.append(0, ends), ends, labels, strict=False)
    ]
    found = [episode for episode in episodes if len(episode.rewards)]
    if not found:
        raise ValueError(f"no episode has a step that leads somewhere, in {rows} rows")
    return join(found)


def _column(read: Callable[..., np.ndarray], file: Any, name: str, rows: int) -> np.ndarray:
    """One number a row, as ``[row]`` or, which D4RL's own reader allows, too, ``[row, 1]``."""
    upright = getattr(hdf5.member(file, name), "shape", ()) == (rows, 1)
    return read(file, name, (rows, 1) if upright else (rows,)).reshape(rows)


def _episode(
    columns: Mapping[str, np.ndarray],
    following: np.ndarray | None,
    rows: slice,
    terminal: bool,
    labels: np.ndarray,
) -> Episode:
    """Rows as an episode; see the module."""
    observations = columns["observations"][rows]
    if following is not None:
        observations = np.concatenate([observations, following[rows][-1:]])
    elif terminal:
        observations = np.concatenate([observations, observations[-1:]])
    steps = slice(rows.start, rows.start + len(observations) - 1)
    return Episode(
        observations,
        columns["actions"][steps],
        columns["rewards"][steps],
        terminal,
        tuple(labels.tolist()),
    )


def save(
    path: str | os.PathLike[str],
    episodes: Episodes,
    references: References | None = None,
    infos: Mapping[str, Shaped[np.ndarray, "step ..."]] | None = None,
) -> None:
    """Write a file, whole or not at all; ``load`` returns exactly what was written.

    Args:
        path: The file; one that exists is replaced.
        episodes: What to write.
        references: The returns that scores refer to.
        infos: What else is known of each step, for the group ``infos``.
    """
    arrays = jax.tree.map(np.asarray, episodes)
    last = np.arange(episodes.num_steps) + 1 == arrays.ends
    with hdf5.writing(path) as file:
        for name in ("observations", "actions", "rewards", "terminals", "next_observations"):
            hdf5.put(file, name, getattr(arrays, name))
        hdf5.put(file, "timeouts", last & ~arrays.terminals)
        hdf5.put(file, "metadata/labels", arrays.labels)
        for name, values in (infos or {}).items():
            hdf5.put(file, f"infos/{name}", values)
        file.attrs.update({} if references is None else references._asdict())


def problem(
    path: str | os.PathLike[str],
    control: Control | None = None,
    references: References | None = None,
) -> Offline:
    """Read a file as a problem.

    Args:
        path: The file.
        control: Where policies are tried out.
        references: The returns that scores refer to; by default those that the file names.

    Returns:
        The problem.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: As ``load`` and ``offline`` do, or if no returns are known.
    """
    episodes = load(path)
    if references is None:
        with hdf5.reading(path) as file:
            named = [file.attrs.get(name) for name in References._fields]
        if not all(np.isscalar(value) for value in named):
            raise ValueError(
                f"references is None, and {os.fspath(path)!r} names no random_return and "
                f"expert_return; allowed: give them, for D4RL's own files from d4rl.PUBLISHED"
            )
        references = References(*(float(value) for value in named))
    return offline(Path(path).stem, episodes, control, **references._asdict())
