"""Sphinx extension: the docstrings of the house, as reStructuredText.

Docstrings are written to be read in a terminal: displayed formulas are indented lines, and a bar
is a conditional probability or an absolute value. Here the one becomes a block that keeps its
lines, and the other is kept from being taken for markup.
"""

import re
from collections.abc import Iterator
from typing import Any

_SECTION = re.compile(r"(Args|Attributes|Example|Raises|References?|Returns|Yields):$")
# Unions that stand in a signature under a name of their own.
_NAMES = {
    "jaxlib._jax.Array": "Array",
    "Key[Array, ''] | UInt32[Array, '2'] | UInt32[Array, '4']": "PRNGKeyArray",
    "Array | ndarray | bool | number | bool | int | float | complex | Iterable[ArrayTree] | "
    "Mapping[Any, ArrayTree]": "OptState",
}
_LITERAL = re.compile(r"(``.*?``|`[^`]*`)")


def setup(app: Any) -> dict[str, bool]:
    """Transform docstrings before napoleon reads them."""
    app.connect("autodoc-process-docstring", _process, priority=400)
    app.connect("autodoc-process-signature", _shorten)
    app.connect("autodoc-skip-member", _skip)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _process(app: Any, what: str, name: str, *rest: Any) -> None:
    *_, lines = rest
    is_section = what == "module" and not app.env.docname.endswith(name)
    # The summary of a module that is a section of its package's page is that section's heading.
    # After an empty comment, napoleon takes no type of an attribute from before a colon.
    guard = ["..", ""] if what in ("attribute", "data", "property") else []
    lines[:] = [*guard, *marked_up(lines[1:] if is_section else lines)]


def _shorten(*event: Any) -> tuple[str | None, str | None]:
    """Name types in a signature as the source does."""
    *_, arguments, returned = event
    for long, short in _NAMES.items():
        arguments, returned = (text and text.replace(long, short) for text in (arguments, returned))
    return arguments, returned


def _skip(*event: Any) -> bool | None:
    """Leave out a named tuple's fields, which its docstring describes."""
    member = event[3]
    return True if type(member).__name__ == "_tuplegetter" else None


def marked_up(lines: list[str]) -> Iterator[str]:
    """Yield a docstring's lines with displayed formulas and bars marked up."""
    in_section = in_formula = in_code = False
    last = ""  # the last line with text that is not indented
    before = ""
    for line in lines:
        is_indented = line.startswith("    ")
        if line.strip() and not is_indented:
            in_section = bool(_SECTION.match(line))
            in_formula = False
            last = line
        if ">>>" in line:
            in_code = True
        elif not line.strip():
            in_code = False
        starts = is_indented and not before.strip() and not in_section and not in_formula
        if starts and not last.rstrip().endswith("::"):
            in_formula = True
            yield from (".. code-block:: text", "   :class: formula", "")
        is_plain = not (in_formula or in_code or last.rstrip().endswith("::"))
        # As a field, what is returned keeps its colons; napoleon would take a type from before one.
        yield ":returns:" if line == "Returns:" else escaped(line) if is_plain else line
        before = line


def escaped(line: str) -> str:
    """A line whose bars are no markup, and whose literals may end within a word."""
    parts = _LITERAL.split(line)
    escapes = (p + r"\ " if i % 2 else p.replace("|", r"\|") for i, p in enumerate(parts))
    return "".join(escapes)
