r"""Datasets of Minari, which needs not be there.

A dataset is a folder with ``data/main_data.hdf5`` and ``data/metadata.json``. The first has a group
``episode_0``, ``episode_1``, … for each episode of T steps::

    observations [T + 1, n]   actions [T, m]   rewards [T]   terminations [T]   truncations [T]

(Minari's own collector says ``truncated`` where its files say ``truncations``.) Observations with
parts are groups of such arrays, as ``observation``, ``achieved_goal``, ``desired_goal``. The second
names the spaces: actions are read as vectors within [−1, 1], or one-hot, from what it says of them.

:func:`save` writes what ``minari.load_dataset`` reads; labels are an attribute of each episode.

References:
    Younis et al.: Minari. Farama Foundation, 2024, doi:10.5281/zenodo.13767625.
"""

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from rlsuite.data import hdf5
from rlsuite.envs.episodes import Episode, Episodes, join, split

_PARTS = ("observation",)
_VERSION = "0.5.0"  # Of the format that is written here.
_NAME = re.compile(r"(?:[-\w][-\w/]*[-\w]/)?[-\w]+-v\d+")


def load(path: str | os.PathLike[str], parts: Sequence[str] = _PARTS) -> Episodes:
    """Read a dataset.

    Args:
        path: Its folder, as ``~/.minari/datasets/D4RL/pointmaze/umaze-v2``, or the HDF5 file in it.
        parts: Which parts of an observation that has parts are put side by side, in this order,
            as ``("observation", "desired_goal")``.

    Returns:
        Its episodes.

    Raises:
        FileNotFoundError: If there is no such dataset.
        ValueError: If it is damaged, a dataset is missing or of a wrong shape, a number is not
            finite, actions are of a kind that is not allowed, or there is no episode.
    """
    path = Path(path)
    file_path = path / "data" / "main_data.hdf5" if path.is_dir() else path
    space = _action_space(file_path.with_name("metadata.json"))
    with hdf5.reading(file_path) as file:
        names = [name for name in file if re.fullmatch(r"episode_\d+", name)]
        names.sort(key=lambda name: int(name.removeprefix("episode_")))
        if not names:
            raise ValueError("there is no group 'episode_0'; allowed: at least one episode")
        return join([_episode(hdf5.member(file, name), space, parts) for name in names])


def _action_space(path: Path) -> Mapping[str, Any]:
    """What the metadata say of actions; nothing, where there are none."""
    if not path.is_file():
        return {}
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        space = json.loads(told["action_space"]) if "action_space" in told else {}
    except (ValueError, TypeError) as error:
        raise ValueError(f"{os.fspath(path)!r} is damaged: {error}") from error
    if not isinstance(space, Mapping):
        raise ValueError(f"{os.fspath(path)!r} has action_space {space!r}; allowed: an object")
    return space


def _episode(group: Any, space: Mapping[str, Any], parts: Sequence[str]) -> Episode:
    name = group.name.lstrip("/")
    if not hasattr(group, "keys"):
        raise ValueError(f"{name!r} is {group}; allowed: a group")
    rewards = hdf5.numbers(group, "rewards", (None,))
    count = len(rewards)
    seen = hdf5.member(group, "observations")
    if hasattr(seen, "keys"):
        columns = [hdf5.numbers(seen, part, (count + 1, None)) for part in parts]
        observations = np.concatenate(columns, axis=1)
    elif tuple(parts) != _PARTS:
        raise ValueError(f"parts is {tuple(parts)}, but {name + '/observations'!r} has none")
    else:
        observations = hdf5.numbers(group, "observations", (count + 1, None))
    ends = {flag: hdf5.flags(group, flag, (count,)) for flag in ("terminations", "truncations")}
    for flag, values in ends.items():
        if values[:-1].any():
            raise ValueError(f"{f'{name}/{flag}'!r} is true before the last step")
    labels = np.ravel(group.attrs.get("labels", ()))
    if labels.size and labels.dtype.kind not in "biuf":
        raise ValueError(f"{name!r} has labels of type {labels.dtype}; allowed: numbers")
    # Whatever did not end for good was cut off.
    terminal = bool(ends["terminations"][-1:].any())
    actions = _vectors(group, space, count)
    return Episode(observations, actions, rewards, terminal, tuple(labels.tolist()))


def _vectors(group: Any, space: Mapping[str, Any], count: int) -> Float[np.ndarray, "step m"]:
    """Actions as vectors; see the module."""
    kind = space.get("type")
    if kind == "Discrete":
        number, start = (int(_told(space, field, ())) for field in ("n", "start"))
        taken = hdf5.numbers(group, "actions", (count,)) - start
        one_hot = taken[:, None] == np.arange(number)
        if not one_hot.any(axis=1).all():
            raise ValueError(f"actions are not all among the {number} from {start} on")
        return one_hot.astype(np.float32)
    actions = hdf5.numbers(group, "actions", (count, None))
    if kind is None:
        return actions
    if kind != "Box":
        raise ValueError(f"actions are of a space {kind!r}; allowed: Box, Discrete")
    low, high = (_told(space, field, actions.shape[1:]) for field in ("low", "high"))
    if np.all(low == -1) and np.all(high == 1):
        return actions  # Nothing is rounded.
    if not np.all(np.isfinite(high - low)):
        raise ValueError("actions have no bounds; allowed: bounds on both sides")
    return 2 * (actions - low) / (high - low) - 1


def _told(space: Mapping[str, Any], field: str, shape: tuple[int, ...]) -> np.ndarray:
    """What the metadata say of actions: one number, or one for each of theirs."""
    try:
        values = np.asarray(space.get(field), float)
    except (TypeError, ValueError):
        values = np.asarray(np.nan)
    if np.isnan(values).any() or values.shape not in ((), shape):
        raise ValueError(
            f"action_space has {field} {space.get(field)!r}; allowed: numbers, one or of the shape "
            f"of actions, {shape}"
        )
    return values


def save(path: str | os.PathLike[str], episodes: Episodes, name: str) -> None:
    """Write a dataset, whole or not at all; ``load`` returns exactly what was written.

    Args:
        path: Its folder, which must not exist.
        episodes: What to write.
        name: What Minari is to call it, as ``"rlsuite/ring-v0"``.

    Raises:
        ValueError: If the folder exists, or Minari does not allow the name.
    """
    path = Path(path)
    if not _NAME.fullmatch(name):
        raise ValueError(f"name is {name!r}; allowed: such as 'rlsuite/ring-v0'")
    if path.exists():
        raise ValueError(f"path {os.fspath(path)!r} exists; allowed: a new folder")
    part = path.with_name(path.name + ".part")
    try:
        (part / "data").mkdir(parents=True)
        _write(part / "data", episodes, name)
        part.rename(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write(folder: Path, episodes: Episodes, name: str) -> None:
    apart = split(episodes)
    with hdf5.writing(folder / "main_data.hdf5") as file:
        for number, episode in enumerate(apart):
            steps = len(episode.rewards)
            group = file.create_group(f"episode_{number}")
            group.attrs.update({"id": number, "total_steps": steps, "labels": episode.labels})
            last = np.arange(steps) == steps - 1
            hdf5.put(group, "observations", episode.observations)
            hdf5.put(group, "actions", episode.actions)
            hdf5.put(group, "rewards", episode.rewards)
            hdf5.put(group, "terminations", last & episode.terminal)
            hdf5.put(group, "truncations", last & (not episode.terminal))
            group.create_group("infos")  # Minari cannot show an episode without.
    metadata = {
        "dataset_id": name,
        "total_episodes": len(apart),
        "total_steps": episodes.num_steps,
        "data_format": "hdf5",
        "observation_space": _box(episodes.observations.shape[1], np.inf),
        "action_space": _box(episodes.actions.shape[1], 1.0),
        "algorithm_name": "rlsuite",
        "author": [],
        "author_email": [],
        "code_permalink": "",
        "minari_version": _VERSION,
    }
    (folder / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")


def _box(size: int, bound: float) -> str:
    """A space of vectors, as Minari writes it."""
    low, high = [-bound] * size, [bound] * size
    return json.dumps(
        {"type": "Box", "dtype": "float32", "shape": [size], "low": low, "high": high}
    )
