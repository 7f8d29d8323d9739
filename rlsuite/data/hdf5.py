"""Reading and writing HDF5 files: whole or not at all, and errors that say what is wrong."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise ValueError("HDF5 files need h5py: pip install 'rlsuite[data]'") from error
    return h5py


@contextlib.contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[Any]:
    """Open a file to read. Nothing in it is ever executed.

    Args:
        path: The file.

    Yields:
        The ``h5py.File``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: In one line that names the file, if it is damaged or no HDF5 file, and in place
            of a ValueError of the body.
    """
    h5py, name = _h5py(), os.fspath(path)
    if not Path(path).is_file():
        raise FileNotFoundError(f"{name!r} is not there, or no file")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError) as error:
        raise ValueError(f"{name!r} is damaged, or no HDF5 file: {error}") from error
    except ValueError as error:
        raise ValueError(f"{name!r}: {error}") from error


@contextlib.contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[Any]:
    """Open a file to write; it takes its place, or that of an older one, once it is complete.

    Args:
        path: The file.

    Yields:
        The ``h5py.File``.
    """
    path = Path(path)
    part = path.with_name(path.name + ".part")
    try:
        # Since version 1.10 of the library, all that a file says of itself has checksums.
        with _h5py().File(part, "w", libver="v110") as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def numbers(group: Any, name: str, shape: Sequence[int | None]) -> np.ndarray:
    """The numbers of a dataset.

    Args:
        group: The ``h5py.Group`` that it lies in.
        name: What it is called there.
        shape: The shape that it must have; None allows any length.

    Returns:
        The numbers.

    Raises:
        ValueError: If it is not there or in another file, holds something else than numbers, or has
            another shape.
    """
    full, dataset = _full(group, name), member(group, name)
    if not isinstance(dataset, _h5py().Dataset):
        raise ValueError(f"{full!r} is {dataset}; allowed: numbers")
    if dataset.external or dataset.is_virtual:
        raise ValueError(f"{full!r} lies in other files; allowed: numbers in this one")
    if dataset.dtype.kind not in "biuf":
        raise ValueError(f"{full!r} is of type {dataset.dtype}; allowed: numbers")
    fits = [wanted in (None, size) for wanted, size in zip(shape, dataset.shape, strict=False)]
    if len(dataset.shape) != len(shape) or not all(fits):
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(f"{full!r} has shape {dataset.shape}; allowed: ({wanted})")
    return dataset[()]


def flags(group: Any, name: str, shape: Sequence[int | None]) -> np.ndarray:
    """A dataset of what is or is not so.

    Args:
        group: The ``h5py.Group`` that it lies in.
        name: What it is called there.
        shape: The shape that it must have; None allows any length.

    Returns:
        Booleans.

    Raises:
        ValueError: As ``numbers`` does, or if a number is neither 0 nor 1.
    """
    values = numbers(group, name, shape)
    wrong = values[(values != 0) & (values != 1)]
    if wrong.size:
        raise ValueError(f"{_full(group, name)!r} has {wrong[0]}; allowed: 0 and 1")
    return values.astype(bool)


def member(group: Any, name: str) -> Any:
    """What lies in a group: in the same file, wherever its links may lead.

    Args:
        group: The ``h5py.Group``.
        name: What it is called there.

    Returns:
        Another group, or a dataset.

    Raises:
        ValueError: If it is not there, or in another file.
    """
    full = _full(group, name)
    if group.get(name, getlink=True) is None:
        raise ValueError(f"{full!r} is missing; there is {', '.join(group) or 'nothing'}")
    found = group[name]
    if found.file.filename != group.file.filename:
        raise ValueError(f"{full!r} lies in another file; allowed: in this one")
    return found


def _full(group: Any, name: str) -> str:
    return f"{group.name.rstrip('/')}/{name}".lstrip("/")


def put(group: Any, name: str, values: Any) -> None:
    """Write numbers, compressed where there are any.

    Args:
        group: The ``h5py.Group``.
        name: What the dataset is to be called.
        values: The numbers.
    """
    values = np.asarray(values)
    how = {"compression": "gzip", "shuffle": True} if values.size else {}
    group.create_dataset(name, data=values, **how)
