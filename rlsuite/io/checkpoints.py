"""Checkpoints of a run: atomic, verified, and refused when they are not ours.

A checkpoint is an orbax checkpoint ``DIRECTORY/checkpoints/<step>`` of the run's state, written
under a temporary name and renamed when complete. Its metadata hold a *fingerprint* of the run
(algorithm, config, key, problem, shapes) and a digest of the state, so that a checkpoint of
another run, or one whose bytes changed on the disk, is an error and never a wrong answer. Nothing
is unpickled.
"""

import contextlib
import errno
import hashlib
import logging
import os
import pathlib
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

_FOLDER = "checkpoints"


class CheckpointError(ValueError):
    """A checkpoint that cannot be used: unreadable, damaged, or of another run."""


def digest(tree: Any) -> str:
    """A hash of the arrays in a pytree: their bytes, shapes and types, in order.

    Args:
        tree: A pytree; leaves that are not arrays enter by their ``repr``.

    Returns:
        A hexadecimal string.

    Example:
        >>> digest({"a": np.zeros(2)}) == digest({"a": np.zeros(2)})
        True
        >>> digest({"a": np.zeros(2)}) == digest({"a": np.zeros(3)})
        False
    """
    total = hashlib.blake2b(digest_size=16)
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        total.update(jax.tree_util.keystr(path).encode())
        if isinstance(leaf, jax.Array | np.ndarray | np.generic):
            array = np.ascontiguousarray(_plain(leaf))
            total.update(f"{array.dtype}{array.shape}".encode())
            total.update(array.view(np.uint8).data if array.ndim else array.tobytes())
        else:
            total.update(repr(leaf).encode())
    return total.hexdigest()


def _plain(leaf: Any) -> np.ndarray:
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return np.asarray(leaf)


def prepare(directory: str | os.PathLike[str], num_bytes: int) -> pathlib.Path:
    """Make an output directory and prove that ``num_bytes`` can be written to it.

    Args:
        directory: Where the run will write; made if it does not exist.
        num_bytes: How much room it needs, in bytes.

    Returns:
        The directory's absolute path.

    Raises:
        ValueError: If the directory cannot be made or written to, or has no room.
    """
    path = pathlib.Path(directory).absolute()
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as probe:
            _reserve(probe.fileno(), max(num_bytes, 1))
    except OSError as error:
        raise ValueError(
            f"directory {str(path)!r} cannot take the {num_bytes:,} bytes that this run writes: "
            f"{error.strerror}; give a writable directory with that much room"
        ) from error
    return path


def _reserve(descriptor: int, num_bytes: int) -> None:
    """Take room for a file, by writing where the file system cannot reserve."""
    try:
        os.posix_fallocate(descriptor, 0, num_bytes)
    except AttributeError:  # no such call on this platform
        os.ftruncate(descriptor, num_bytes)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
            raise
        os.write(descriptor, b"\0")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep orbax's notes on every save out of the terminal."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _taken(state: Any) -> Any:
    """A state without its arrays of no entries, which orbax refuses."""
    return jax.tree.map(lambda leaf: leaf if np.prod(leaf.shape) else None, state)


def _given_back(state: Any, like: Any) -> Any:
    """The state with its arrays of no entries."""

    def fill(wanted: Any, found: Any) -> Any:
        if found is not None:
            return found
        empty = jnp.zeros(wanted.shape, wanted.dtype)
        return empty if wanted.sharding is None else jax.device_put(empty, wanted.sharding)

    return jax.tree.map(fill, like, state)


class Checkpoints:
    """The checkpoints of one run.

    Args:
        directory: The run's directory; the checkpoints lie in its folder ``checkpoints``.
        fingerprint: What identifies the run, as JSON values.
        keep: How many of the latest checkpoints stay.
    """

    def __init__(
        self, directory: pathlib.Path, fingerprint: Mapping[str, Any], *, keep: int = 3
    ) -> None:
        self._folder = directory / _FOLDER
        self._fingerprint = dict(fingerprint)
        self._keep = keep

    def steps(self) -> list[int]:
        """The steps of which there is a complete checkpoint, ascending."""
        if not self._folder.is_dir():
            return []
        return sorted(int(path.name) for path in self._folder.iterdir() if path.name.isdigit())

    def save(self, step: int, state: Any) -> None:
        """Write ``state`` as the checkpoint of ``step``, then delete all but the last few.

        Args:
            step: How many steps the state has behind it.
            state: A pytree of arrays.
        """
        import orbax.checkpoint as orbax

        whole = jax.process_count() == 1
        metadata = {
            "fingerprint": self._fingerprint,
            "step": step,
            "digest": digest(state) if whole else None,
        }
        with _quiet():
            orbax.v1.save(
                self._folder / str(step), _taken(state), overwrite=True, custom_metadata=metadata
            )
            for old in self.steps()[: -self._keep]:
                orbax.v1.delete(self._folder / str(old))

    def load_latest(self, like: Any) -> tuple[int, Any] | None:
        """The latest checkpoint.

        Args:
            like: The state as ``jax.ShapeDtypeStruct``s, with shardings.

        Returns:
            (step, state), or None if there is no checkpoint.

        Raises:
            CheckpointError: If it cannot be read, is damaged, or belongs to another run.
        """
        steps = self.steps()
        return (steps[-1], self.load(steps[-1], like)) if steps else None

    def load(self, step: int, like: Any) -> Any:
        """The state saved at ``step``; see ``load_latest``."""
        import orbax.checkpoint as orbax

        path = self._folder / str(step)
        with _quiet():
            try:
                metadata = orbax.v1.metadata(path).custom_metadata
            except Exception as error:
                raise self._unreadable(path, error) from error
            self._compare(path, metadata)
            try:
                state = _given_back(orbax.v1.load(path, _taken(like)), like)
            except Exception as error:
                raise self._unreadable(path, error) from error
        expected = metadata["digest"]
        if expected is not None and jax.process_count() == 1 and digest(state) != expected:
            raise self._unreadable(path, ValueError("its bytes do not match their digest"))
        return state

    def _compare(self, path: pathlib.Path, metadata: Any) -> None:
        if not isinstance(metadata, Mapping) or "fingerprint" not in metadata:
            raise self._unreadable(path, ValueError("it carries no fingerprint of rlsuite"))
        theirs = metadata["fingerprint"]
        for name, ours in self._fingerprint.items():
            if theirs.get(name) != ours:
                raise CheckpointError(
                    f"checkpoint '{path}' belongs to another run: its {name} is "
                    f"{theirs.get(name)}, this run's is {ours}; give the same {name}, "
                    f"or another directory"
                )

    def _unreadable(self, path: pathlib.Path, error: Exception) -> CheckpointError:
        reason = str(error).split("\n", 1)[0][:200]
        earlier = [step for step in self.steps() if step < int(path.name)]
        advice = (
            f"move it away to resume from step {earlier[-1]}"
            if earlier
            else "it is the only one; give another directory to start anew"
        )
        return CheckpointError(f"checkpoint '{path}' cannot be read ({reason}); {advice}")
