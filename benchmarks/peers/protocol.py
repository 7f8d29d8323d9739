"""The harness's end of the line to a `worker` process."""

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np

WORKER = Path(__file__).with_name("worker.py")


class NotPossibleError(RuntimeError):
    """This machine cannot make the comparison; the message says why."""


class SideError(RuntimeError):
    """A side of a comparison failed; the message says how."""


class SideProcess:
    """A side of a comparison, running in a process of its own while the context is open.

    Args:
        python: The interpreter that has the script's requirements.
        script: The side's script.
        case: The function of it to run.
        inputs: The ``.npz`` file of the problem.
        one_core: Whether it may use one processor core only.
        timeout: Seconds that a single request may take.
    """

    def __init__(
        self,
        python: Path,
        script: Path,
        case: str,
        inputs: Path,
        *,
        one_core: bool = False,
        timeout: float = 600.0,
    ) -> None:
        self._command = [str(python), "-P", str(WORKER), str(script), case, str(inputs)]
        self._name = f"{script.stem}:{case}"
        self._one_core = one_core
        self._timeout = timeout
        self._answers: queue.Queue[str] = queue.Queue()
        self.versions: dict[str, str] = {}

    def __enter__(self) -> Self:
        """Start the process and wait until the case is prepared."""
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        with pinned() if self._one_core else contextlib.nullcontext():
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                text=True,
                encoding="utf-8",
            )
        assert self._process.stdout is not None
        self._reader = threading.Thread(
            target=self._collect, args=(self._process.stdout,), daemon=True
        )
        self._reader.start()
        try:
            self.versions = self._receive()["versions"]
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process."""
        self.close()

    def first(self) -> float:
        """Run the case for the first time and return the seconds that took."""
        return float(self._request(request="first")["seconds"])

    def run(self) -> float:
        """Run the case for a turn and return the seconds of one call, measured in its process."""
        return float(self._request(request="run")["seconds"])

    def result(self) -> tuple[dict[str, np.ndarray], int]:
        """Return the last run's named arrays, and the peak memory beyond that of the imports."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "result.npz"
            memory = self._request(request="save", path=str(path))["peak_bytes"]
            with np.load(path, allow_pickle=False) as arrays:
                return dict(arrays), int(memory)

    def close(self) -> None:
        """End the process, by force if it does not end when its input does."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # It is gone already.
            self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._process.stdout.close()
        self._log.close()

    def _request(self, **message: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # The answer, or its absence, says why.
            print(json.dumps(message), file=self._process.stdin, flush=True)
        return self._receive()

    def _receive(self) -> dict[str, Any]:
        """Return the next answer.

        Raises:
            SideError: The side reported an error, ended without one, or took too long.
        """
        try:
            line = self._answers.get(timeout=self._timeout)
        except queue.Empty:
            self._process.kill()
            raise SideError(f"{self._name} did not answer within {self._timeout:g} s") from None
        if not line:
            code = self._process.wait()
            raise SideError(f"{self._name} ended with exit code {code}{self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise SideError(f"{self._name} failed: {answer['error']}")
        return answer

    def _last_words(self) -> str:
        """Return the last line that the process wrote to its error stream."""
        self._log.seek(0)
        lines = self._log.read().strip().splitlines()
        return f": {lines[-1]}" if lines else ""

    def _collect(self, stream: IO[str]) -> None:
        """Pass on the lines of the process; an empty one when there are no more."""
        for line in stream:
            self._answers.put(line)
        self._answers.put("")


@contextlib.contextmanager
def pinned() -> Iterator[None]:
    """Keep this thread, and processes that it starts meanwhile, on one of its processor cores.

    Raises:
        NotPossibleError: The system cannot do that.
    """
    if not hasattr(os, "sched_setaffinity"):
        raise NotPossibleError("this system cannot keep a process on one core")
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def current_interpreter() -> Path:
    """Return the interpreter that runs this process, which is the one our own side runs in."""
    return Path(sys.executable)
