"""Timestamps of a user's file: from text or a column of any kind to UTC, refusing what is ambiguous."""

from __future__ import annotations

import re
import zoneinfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.errors import DataError, one_line

# An offset of two digits (Postgres writes +01) or four stands behind a time of day; a date alone ends in none.
_OFFSET = re.compile(r"[T ]\d{2}.*?\s*(Z|[+-]\d{2}(?::?\d{2})?)$")
_UNITS = (("s", 1e11), ("ms", 1e14), ("us", 1e17), ("ns", np.inf))
"""Units of Unix time, and the size at which the next one begins: 1e11 s is the year 5138, 1e11 ms is 1973."""
_PLAUSIBLE = (np.datetime64("1980-01-01", "ns"), np.datetime64("2100-01-01", "ns"))
"""Times that a file of several units may hold."""


def check_time_zone(name: str) -> None:
    """Raise DataError if this is not an IANA time zone."""
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise DataError(
            f"Time zone {name!r} is not known; use an IANA name such as UTC or America/New_York."
        ) from error


def to_utc(times: pd.Series, timezone: str, where: str) -> pd.DatetimeIndex:
    """Return naive UTC labels of a timestamp column.

    Times without an offset are read as wall clock of `timezone`. Times with one are taken as they are, if all
    have the same offset, or if each has the offset that `timezone` had at that instant.

    Parameters
    ----------
    times : text (ISO 8601), datetimes naive or aware, or whole numbers (Unix seconds, milli-, micro- or
        nanoseconds).
    where : file name for messages.

    Raises
    ------
    DataError
        If times cannot be read, mix offsets that are not those of `timezone`, or do not exist in it.
    """
    if times.isna().any():
        row = int(times.isna().to_numpy().argmax()) + 1
        raise DataError(f"{where}: row {row} has no timestamp; fill it in or drop the row.")
    if pd.api.types.is_numeric_dtype(times):
        return _from_unix(times, where)
    if isinstance(times.dtype, pd.DatetimeTZDtype):
        return pd.DatetimeIndex(times).tz_convert("UTC").tz_localize(None).as_unit("ns")
    if pd.api.types.is_datetime64_dtype(times):
        return _from_wall_clock(pd.DatetimeIndex(times), timezone, where)
    return _from_text(times.astype(str).str.strip(), timezone, where)


def _from_unix(times: pd.Series, where: str) -> pd.DatetimeIndex:
    size = np.abs(times.to_numpy(dtype=np.float64))
    _refuse_written_dates(size, where)
    units = np.searchsorted([limit for _, limit in _UNITS[:-1]], size, side="right")
    if (units != units[0]).any():
        return _from_mixed_unix(times, units, where)
    return _unix(times, _UNITS[units[0]][0], where)


def _unix(times: pd.Series, unit: str, where: str) -> pd.DatetimeIndex:
    try:
        utc = pd.to_datetime(times, unit=unit)  # type: ignore[call-overload]
        return pd.DatetimeIndex(utc).as_unit("ns")
    except (ValueError, OverflowError) as error:
        raise DataError(
            f"{where}: times cannot be read as Unix time in {unit} ({one_line(error)}); "
            "write them as 2018-01-31T14:30:00Z."
        ) from error


def _refuse_written_dates(size: NDArray[np.float64], where: str) -> None:
    """Refuse numbers such as 20180131 or 201801311430, which are no counts of seconds but dates."""
    for digits, example in ((8, "2018-01-31"), (12, "2018-01-31T14:30"), (14, "2018-01-31T14:30:00")):
        year = size // 10 ** (digits - 4)
        if not ((year >= 1900) & (year <= 2100)).all() or (size % 1.0).any():
            continue
        written = pd.to_datetime(
            pd.Series(size.astype(np.int64).astype(str)), format="%Y%m%d%H%M%S"[: digits - 2], errors="coerce"
        )
        if written.notna().all():
            raise DataError(
                f"{where}: times such as {int(size[0])} look like dates written without separators; write them as "
                f"{example}."
            )


def _from_mixed_unix(times: pd.Series, units: NDArray[np.intp], where: str) -> pd.DatetimeIndex:
    """Read each time by its own size, if that gives one series from old to new (or new to old)."""
    utc = np.empty(len(times), dtype="datetime64[ns]")
    names = [_UNITS[u][0] for u in np.unique(units)]
    try:
        for unit in np.unique(units):
            here = units == unit
            utc[here] = _unix(times[here], _UNITS[unit][0], where).to_numpy("datetime64[ns]")
        steps = np.diff(utc)
        zero = np.timedelta64(0, "ns")
        ordered = bool((steps >= zero).all() or (steps <= zero).all())
        plausible = bool(utc.min() >= _PLAUSIBLE[0] and utc.max() < _PLAUSIBLE[1])
    except DataError:
        ordered = plausible = False
    if not (ordered and plausible):
        row = int((units != units[0]).argmax())
        raise DataError(
            f"{where}: by their size the times are Unix times in different units ({', '.join(names)}; row 1 is "
            f"{times.iloc[0]}, row {row + 1} is {times.iloc[row]}), which do not make one series in order of time; "
            "write all of them in one unit."
        )
    return pd.DatetimeIndex(utc)


def _from_wall_clock(times: pd.DatetimeIndex, timezone: str, where: str) -> pd.DatetimeIndex:
    try:
        local = times.tz_localize(timezone, ambiguous="raise", nonexistent="raise")
    except ValueError as error:
        raise DataError(
            f"{where}: times without offset are ambiguous or do not exist in {timezone} where clocks change "
            f"({one_line(error)}); write them with their offset or in UTC."
        ) from error
    return local.tz_convert("UTC").tz_localize(None).as_unit("ns")


def _from_text(text: pd.Series, timezone: str, where: str) -> pd.DatetimeIndex:
    offsets = text.str.extract(_OFFSET, expand=False)
    aware = offsets.notna()
    if aware.any() and not aware.all():
        row = int((aware != aware.iloc[0]).argmax()) + 1
        raise DataError(
            f"{where}: some times have an offset and some have none (row {row}: {text.iloc[row - 1]!r}); "
            "write all of them in one way."
        )
    try:
        utc = pd.DatetimeIndex(pd.to_datetime(text, utc=True, format="ISO8601")).as_unit("ns")
    except (ValueError, TypeError) as error:
        unread = pd.to_datetime(text, utc=True, format="ISO8601", errors="coerce").isna().to_numpy()
        row = int(unread.argmax())
        raise DataError(
            f"{where}: the timestamp {text.iloc[row]!r} of row {row + 1} cannot be read; "
            "write times as 2018-01-31T14:30:00Z."
        ) from error
    if not aware.any():
        _require_no_offset(text, where)
        return _from_wall_clock(utc.tz_localize(None), timezone, where)
    distinct = sorted({"+0000" if o == "Z" else o.replace(":", "").ljust(5, "0") for o in offsets.unique()})
    if len(distinct) > 1:
        _require_offsets_of(utc, offsets, timezone, distinct, where)
    return utc.tz_localize(None)


def _require_no_offset(text: pd.Series, where: str) -> None:
    """Refuse times whose offset `_OFFSET` does not know but pandas does, or it would be applied twice."""
    try:
        known = pd.api.types.is_datetime64_dtype(pd.to_datetime(text, format="ISO8601"))
    except ValueError:
        known = False
    if not known:
        raise DataError(
            f"{where}: the offset of times such as {text.iloc[0]!r} is not understood; write them as "
            "2018-01-31T14:30:00+01:00."
        )


def _require_offsets_of(
    utc: pd.DatetimeIndex, offsets: pd.Series, timezone: str, distinct: list[str], where: str
) -> None:
    minutes = offsets.map({o: _minutes(o) for o in offsets.unique()}).to_numpy()
    wall = utc.tz_convert(timezone).tz_localize(None) - utc.tz_localize(None)
    wrong = wall.total_seconds().to_numpy() != 60.0 * minutes
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"{where}: times have different offsets ({', '.join(distinct)}), and at {utc[row]} it is not "
            f"that of {timezone}; write all times in UTC, or set timezone to the zone whose offsets these are."
        )


def _minutes(offset: str) -> int:
    if offset == "Z":
        return 0
    digits = offset[1:].replace(":", "").ljust(4, "0")
    return (-1 if offset[0] == "-" else 1) * (60 * int(digits[:2]) + int(digits[2:]))
