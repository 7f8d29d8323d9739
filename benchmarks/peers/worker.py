"""One side of a comparison: runs a script's case whenever the harness asks for it.

Started as ``python -P worker.py SCRIPT CASE INPUTS`` in whichever interpreter has the script's
requirements; it therefore needs nothing but the standard library and NumPy. Both sides of a
comparison, ours too, are run by this file and timed by the same two lines of it.

A script defines each of its cases as a function ``case(inputs) -> (run, result)``. ``inputs`` are
the arrays of the problem. ``run()`` is what is timed: it computes, and returns only when all of it
is computed. ``result(output)`` turns what the last ``run`` returned into named arrays to be
compared with the other side's; corrections of known defects belong here, where no clock runs.

Requests are lines of JSON on standard input: ``{"request": "first"}``, ``{"request": "run"}``,
``{"request": "save", "path": …}``. Each is answered by one line on standard output, an object that
has the key ``error`` if the request failed.
"""

import importlib.metadata
import importlib.util
import json
import os
import platform
import resource
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

TURN_SECONDS = 0.2

Case = tuple[Callable[[], Any], Callable[[Any], dict[str, np.ndarray]]]


def peak_bytes() -> int:
    """Return the most memory that this process has held so far.

    Linux passes the peak of ``getrusage`` on from the process that started this one; its own stands
    in ``/proc``.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return 1024 * int(fields["VmHWM"].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def load_script(path: Path) -> Any:
    """Import a script from its path, without its folder on ``sys.path``.

    A script may be called like the library that it imports.
    """
    spec = importlib.util.spec_from_file_location(f"side_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python script")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of this interpreter and of the packages a script names."""
    found = {"python": platform.python_version()}
    return found | {name: importlib.metadata.version(name) for name in packages}


class Side:
    """A prepared case and the output of its last run."""

    def __init__(self, script: Path, case: str, inputs: Path) -> None:
        module = load_script(script)
        self.versions = versions(getattr(module, "PACKAGES", ()))
        self.imported_bytes = peak_bytes()
        with np.load(inputs, allow_pickle=False) as arrays:
            prepared: Case = getattr(module, case)(dict(arrays))
        self._run, self._result = prepared
        self._output: Any = None

    def first(self) -> dict[str, Any]:
        """Run the case for the first time, once, and answer how long it took."""
        start = time.perf_counter()
        self._output = self._run()
        return {"seconds": time.perf_counter() - start}

    def ready(self) -> dict[str, Any]:
        """Answer that the side is prepared."""
        return {"versions": self.versions}

    def run(self) -> dict[str, Any]:
        """Run the case for a while and answer how long one call took on average.

        A call of a few milliseconds right after the other side's turn would mostly measure how its
        process wakes up and fills its caches again, so a turn lasts `TURN_SECONDS` at least.
        """
        calls = 0
        start = time.perf_counter()
        while calls == 0 or time.perf_counter() - start < TURN_SECONDS:
            self._output = self._run()
            calls += 1
        return {"seconds": (time.perf_counter() - start) / calls}

    def save(self, path: str) -> dict[str, Any]:
        """Write the last run's result; answer the memory beyond that of the imports."""
        memory = peak_bytes() - self.imported_bytes
        arrays = {name: np.asarray(value) for name, value in self._result(self._output).items()}
        np.savez(path, allow_pickle=False, **arrays)
        return {"peak_bytes": memory}


def main() -> None:
    """Prepare the case, then answer requests until standard input ends."""
    # What libraries print must not stand between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def answer(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=answers, flush=True)

    try:
        script, case, inputs = sys.argv[1:]
        side = Side(Path(script), case, Path(inputs))
        answer(side.ready())
        for line in sys.stdin:
            request = json.loads(line)
            answer(getattr(side, request.pop("request"))(**request))
    except Exception as error:
        traceback.print_exc()
        answer({"error": f"{type(error).__name__}: {error}"})
        sys.exit(1)


if __name__ == "__main__":
    main()
