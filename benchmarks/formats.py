"""How numbers are written for readers."""

import math

from rlsuite.io.tables import number

NONE = number(None)
"""What stands where there is no number."""


_TIMES = ((60.0, "min", 60.0), (1.0, "s", 1.0), (1e-3, "ms", 1e-3), (1e-6, "µs", 1e-6))
_SIZES = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def duration(seconds: float | None) -> str:
    """Write a time in the unit that suits it.

    Example:
        >>> duration(0.00257), duration(3.21), duration(200.0), duration(None)
        ('2.57 ms', '3.21 s', '3.33 min', '–')
    """
    if seconds is None or not math.isfinite(seconds):
        return NONE
    _, unit, scale = next((entry for entry in _TIMES if seconds >= entry[0]), _TIMES[-1])
    return f"{seconds / scale:.3g} {unit}"


def memory(size: int | None) -> str:
    """Write a number of bytes in the unit that suits it.

    Example:
        >>> memory(3 << 20), memory(12), memory(None)
        ('3 MiB', '12 B', '–')
    """
    if size is None:
        return NONE
    for scale, unit in _SIZES:
        if size >= scale:
            return f"{size / scale:.3g} {unit}"
    return f"{size} B"


def quantity(value: float | None, unit: str) -> str:
    """Write a number with its unit: times and memory in the unit that suits them.

    Example:
        >>> quantity(0.002, "s"), quantity(35.44, "x"), quantity(2.0, "")
        ('2 ms', '35.4×', '2')
    """
    if unit == "s":
        return duration(value)
    if unit == "B":
        return memory(None if value is None else int(value))
    if value is None:
        return NONE
    return number(value) + {"": "", "%": " %", "x": "×"}.get(unit, f" {unit}")


def interval(low: float | None, high: float | None, unit: str) -> str:
    """Write an interval, or nothing where there is none.

    Example:
        >>> interval(33.0, 37.0, "x"), interval(None, None, "")
        ('[33×, 37×]', '')
    """
    if low is None or high is None or low == high:
        return ""
    return f"[{quantity(low, unit)}, {quantity(high, unit)}]"
