"""Parts of a long study, kept as they are done, so that an interrupted study goes on from there."""

import io
import json
import os
import pathlib
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rlsuite.io.checkpoints import digest
from rlsuite.io.reports import slug, write

FOLDER = "stages"
_IDENTITY = "identity of the stage"


class Stages:
    """The stages of a study: computed, saved, and on a resume read back.

    A stage is a file ``DIRECTORY/stages/<name>.npz``. It is read back only if what it was computed
    from is the same; a damaged file is computed again. Nothing is unpickled.

    Args:
        directory: The study's directory; None keeps nothing.
        resume: Whether to go on with the stages that are there.

    Raises:
        ValueError: If there are some and ``resume`` is False.

    Example:
        >>> stages = Stages(None)
        >>> stages("squares", 3, lambda: {"x": np.arange(3) ** 2})["x"].tolist()
        [0, 1, 4]
    """

    def __init__(
        self, directory: str | os.PathLike[str] | None = None, *, resume: bool = False
    ) -> None:
        self._folder = None if directory is None else pathlib.Path(directory) / FOLDER
        if self._folder is None:
            return
        if not resume and any(self._folder.glob("*.npz")):
            raise ValueError(
                f"directory {str(directory)!r} holds stages of a study; allowed: --resume to go on "
                f"with it, or another directory"
            )
        self._folder.mkdir(parents=True, exist_ok=True)

    def __call__(
        self, name: str, identity: Any, compute: Callable[[], Mapping[str, Any]]
    ) -> dict[str, np.ndarray]:
        """A stage's arrays, computed or read back.

        Args:
            name: The stage's name, its own within the study.
            identity: All that the result depends on, a pytree; a stage that was saved with
                another one is computed again.
            compute: Makes the arrays.

        Returns:
            The arrays by name.
        """
        if self._folder is None:
            return {key: np.asarray(value) for key, value in compute().items()}
        path = self._folder / f"{slug(name)}.npz"
        described = json.dumps({"stage": name, "identity": digest(identity)})
        saved = _read(path)
        if saved is not None and str(saved.pop(_IDENTITY, "")) == described:
            return saved
        arrays = {key: np.asarray(value) for key, value in compute().items()}
        buffer = io.BytesIO()
        contents: dict[str, Any] = {**arrays, _IDENTITY: np.asarray(described)}
        np.savez(buffer, **contents)
        write(path, buffer.getvalue())
        return arrays


def _read(path: pathlib.Path) -> dict[str, np.ndarray] | None:
    """The arrays of a file; None if there is none, or it is damaged."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None
