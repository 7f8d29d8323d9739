"""Which algorithms a command is about."""

from collections.abc import Iterable

from rlsuite import registry


def entries(names: Iterable[str]) -> dict[str, registry.Entry]:
    """Return the registry's entries of these names, or all of them if there are no names.

    Raises:
        ValueError: A name is unknown.
    """
    known = registry.algorithms()
    return {name: registry.find("algorithm", name, known) for name in names or known}
