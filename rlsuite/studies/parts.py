"""Studies of several parts, some of which may be chosen."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from rlsuite.registry import find

_Part = TypeVar("_Part")


def chosen(parts: Mapping[str, _Part], only: Sequence[str]) -> list[_Part]:
    """The parts that are to be run, in the study's order.

    Args:
        parts: All of them by name.
        only: The names of some; empty for all.

    Returns:
        The parts.

    Raises:
        ValueError: If there is none of such a name, with the names that there are.

    Example:
        >>> chosen({"returns": 1, "ring": 2, "sweep": 3}, ["sweep", "returns"])
        [1, 3]
        >>> chosen({"returns": 1, "ring": 2}, ())
        [1, 2]
    """
    for name in only:
        find("part", name, parts)
    return [part for name, part in parts.items() if not only or name in only]
