"""Names of bar lengths as people write them: 1m, 30m, 4h, 1d."""

from __future__ import annotations

import re

from data.errors import DataError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_NAME = re.compile(r"([1-9]\d{0,4})([smhd])")


def bar_seconds_of(name: str) -> int:
    """Return the seconds of a bar's name; at most one day.

    Raises
    ------
    DataError
        If it is no such name.
    """
    match = _NAME.fullmatch(str(name))
    seconds = int(match[1]) * _UNITS[match[2]] if match else 0
    if not 0 < seconds <= _UNITS["d"]:
        raise DataError(f"bar is {name!r}; write the length of a bar as 1m, 5m, 30m, 1h, 4h or 1d.")
    return seconds


def bar_name(seconds: int) -> str:
    """Return the name of a bar of this many seconds, in the largest unit that divides it."""
    unit = next(unit for unit in reversed(_UNITS) if seconds % _UNITS[unit] == 0)
    return f"{seconds // _UNITS[unit]}{unit}"
