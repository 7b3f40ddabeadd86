"""Timestamps of a user's file: from text or a column of any kind to UTC, refusing what is ambiguous."""

from __future__ import annotations

import re
import zoneinfo

import numpy as np
import pandas as pd

from data.schema import DataError, one_line

_OFFSET = re.compile(r"(Z|[+-]\d{2}:?\d{2})$")


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
    size = float(np.abs(times).median())
    if 19_000_101 <= size <= 21_001_231:
        raise DataError(f"{where}: times such as {int(size)} look like dates; write them as 2018-01-31.")
    unit = next((u for u, limit in (("s", 1e11), ("ms", 1e14), ("us", 1e17)) if size < limit), "ns")
    try:
        utc = pd.to_datetime(times, unit=unit)  # type: ignore[call-overload]
        return pd.DatetimeIndex(utc).as_unit("ns")
    except (ValueError, OverflowError) as error:
        raise DataError(
            f"{where}: times cannot be read as Unix time in {unit} ({one_line(error)}); "
            "write them as 2018-01-31T14:30:00Z."
        ) from error


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
    # A date such as 2018-01-05 ends in "-05" but has no colon, so it is not taken for an offset.
    offsets = text.str.extract(_OFFSET, expand=False).where(text.str.len() > len("2018-01-05"))
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
        return _from_wall_clock(utc.tz_localize(None), timezone, where)
    distinct = sorted({"+0000" if o == "Z" else o.replace(":", "") for o in offsets.unique()})
    if len(distinct) > 1:
        _require_offsets_of(utc, offsets, timezone, distinct, where)
    return utc.tz_localize(None)


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
    digits = offset[1:].replace(":", "")
    return (-1 if offset[0] == "-" else 1) * (60 * int(digits[:2]) + int(digits[2:]))
