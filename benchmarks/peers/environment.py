"""Virtual environments for peers, built from pinned requirements and kept between runs.

An environment lies in the user's cache folder under a hash of its requirements and of the Python
that made it. It is built beside its place and moved there when it is complete, so an interrupted
build leaves nothing that looks finished; what is found broken is built again.
"""

import dataclasses
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.peers.protocol import NotPossibleError

_MARKER = "complete.json"


class InstallError(NotPossibleError):
    """A peer could not be installed; the message says why."""


@dataclasses.dataclass(frozen=True)
class Requirements:
    """What a peer needs.

    Attributes:
        packages: Pinned requirements, installed with what they depend on.
        alone: Pinned requirements, installed without what they claim to depend on, for packages
            that work with newer dependencies than they declare, or declare many that a
            comparison does not use.
    """

    packages: tuple[str, ...]
    alone: tuple[str, ...] = ()

    def key(self) -> str:
        """Return the name of the environment: a hash of the requirements and of this Python."""
        identity = [self.packages, self.alone, sys.version, platform.platform(terse=True)]
        return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:20]


def cache_folder() -> Path:
    """Return the folder in which environments are kept, ``RLSUITE_PEERS`` or the user's cache."""
    if folder := os.environ.get("RLSUITE_PEERS"):
        return Path(folder)
    home = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    return Path(os.environ.get("XDG_CACHE_HOME") or home) / "rlsuite" / "peers"


def interpreter(requirements: Requirements) -> Path:
    """Return an interpreter that has the requirements, installing them if need be.

    Raises:
        InstallError: They cannot be installed.
    """
    folder = cache_folder() / requirements.key()
    if not _is_whole(folder):
        shutil.rmtree(folder, ignore_errors=True)
        _build(requirements, folder)
    return _python(folder)


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


def _is_whole(folder: Path) -> bool:
    """Return whether an environment was completed and its interpreter still starts."""
    if not (folder / _MARKER).is_file():
        return False
    try:
        return subprocess.run([str(_python(folder)), "-c", ""], capture_output=True).returncode == 0
    except OSError:
        return False


def _build(requirements: Requirements, folder: Path) -> None:
    """Build an environment beside its place, then move it there."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise InstallError(f"the cache folder cannot be written ({error})") from error
    try:
        _call([sys.executable, "-m", "venv", str(building)])
        # Packages installed alone come first, so that pip keeps their versions afterwards.
        for options, packages in (["--no-deps"], requirements.alone), ([], requirements.packages):
            if packages:
                pip = [str(_python(building)), "-m", "pip", "--quiet", "install"]
                _call([*pip, *options, *packages])
        (building / _MARKER).write_text(json.dumps(dataclasses.asdict(requirements)))
        building.rename(folder)
    except OSError as error:
        if not _is_whole(folder):  # Another process may have been first, which is as good.
            raise InstallError(str(error)) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _call(command: list[str]) -> None:
    """Run a command; raise `InstallError` with the line that says why it failed.

    A peer's versions are its own: what a shell constrains pip to, for rlsuite's, is left out.
    """
    free = {name: value for name, value in os.environ.items() if name != "PIP_CONSTRAINT"}
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=free)
    if done.returncode == 0:
        return
    lines = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    reason = (errors or lines or [f"exit code {done.returncode}"])[-1]
    raise InstallError(f"{reason.removeprefix('ERROR:').strip()}")
