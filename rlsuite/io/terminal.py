"""What the command lines share: one-line errors, exit codes, options from type annotations."""

import contextlib
import io
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

_T = TypeVar("_T")


def parse(what: Callable[..., _T], arguments: Sequence[str], **options: Any) -> _T:
    """Fill a dataclass (or call a function) from command-line arguments, through tyro.

    Args:
        what: The dataclass or function.
        arguments: The arguments.
        **options: Further options of ``tyro.cli``: prog, description, default, …

    Returns:
        The instance, or what the function returned.

    Raises:
        ValueError: In one line, if the arguments are wrong.
        SystemExit: After ``--help``.
    """
    import tyro

    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(what, args=list(arguments), **options)
    except SystemExit as stop:
        if not stop.code:
            raise
        raise ValueError(_one_line(complaint.getvalue())) from None


def _one_line(box: str) -> str:
    """The message in a box that tyro drew, without the frame and what follows its first rule."""
    words = []
    for line in re.sub(r"\x1b\[[0-9;]*m", "", box).splitlines():
        text = line.strip().strip("│╭╮╰╯").strip()
        if set(text) == {"─"}:
            break
        if text and not text.startswith("─"):
            words.append(text)
    return re.sub(r"\s+", " ", " ".join(words)) or "wrong arguments; see --help"


def guarded(program: str, body: Callable[[], int], *, debug: bool = False) -> int:
    """Run the body of a command; an error becomes one line and exit code 2.

    Args:
        program: Its name, before the error.
        body: Returns the exit code.
        debug: Let errors pass with their tracebacks.

    Returns:
        The body's exit code, 2 after an error, 130 after Ctrl-C.
    """
    try:
        return body()
    except KeyboardInterrupt as stop:
        print(f"{program}: {stop or 'interrupted'}", file=sys.stderr)
        return 130
    except Exception as error:
        if debug:
            raise
        named = isinstance(error, ValueError | OSError | FloatingPointError)
        text = str(error) if named else f"{type(error).__name__}: {error}"
        print(f"{program}: error: {' '.join(text.split())}", file=sys.stderr)
        return 2
