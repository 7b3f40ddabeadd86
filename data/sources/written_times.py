"""Times as people and tools write them: 31/01/2024 9:30 PM, 20240131 093000, Jan 31, 2024, 2024.01.31 09:30 EST.

What comes out is what `timestamps.to_utc` reads: wall clocks, instants, or Unix numbers. The order of day and month is
decided by all rows of a file together, and refused where they leave it open.

N is the number of rows.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import pandas as pd

from data.array_types import TimeArray
from data.errors import DataError
from data.sources.date_orders import century, one_order

_ISO = re.compile(r"^\d{4}-\d{2}-\d{2}([T ]\d{2}|$)")
_DIGITS = re.compile(r"^[-+]?\d+(\.\d*)?$")
_NUMERIC = (
    r"^(?P<a>\d{1,4})(?P<sep>[-/. ])\s?(?P<b>\d{1,2})(?P=sep)\s?(?P<c>\d{1,4})(?P<rest>(?:[\sT,:;-].*)?)$"
)
_REST = r"(?P<rest>(?:[\sT,:;-].*)?)"
_DAY_NAME = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,?\s+)?"
_NAMED = (
    rf"^{_DAY_NAME}(?P<day>\d{{1,2}})[-/. ]?(?P<month>[a-z]{{3,9}})[-/., ]+(?P<year>\d{{2,4}}){_REST}$",
    rf"^{_DAY_NAME}(?P<month>[a-z]{{3,9}})[-/. ]+(?P<day>\d{{1,2}})[-/., ]+(?P<year>\d{{4}}){_REST}$",
    r"^(?P<day>\d{2})(?P<month>[a-z]{3})(?P<year>\d{4})(?P<rest>(?:[\sT,:;-].*)?)$",
)
_COMPACT = r"^(?P<date>\d{8})(?:[\sT-]+(?P<rest>.*))$"
_CLOCK = (
    r"^[\sT,:;-]*(?P<hour>\d{1,2})(?::?(?P<minute>\d{2}))?(?::?(?P<second>\d{2}(?:[.,]\d+)?))?\s*-?\s*"
    r"(?P<half>[ap]\.?m\.?)?$"
)
_ZONE = (
    r"^(?P<clock>.*?)\s*\(?(?P<zone>Z|(?:UTC|GMT)?\s?[+-]\d{2}:?\d{2}|[A-Z][A-Za-z]+/[A-Za-z_]+(?:/[A-Za-z_]+)?|"
    r"(?![AP]M\b)[A-Z]{2,5})\)?$"
)
_NAMED_ZONE = re.compile(r"(?:[A-Za-z]|(?:UTC|GMT)\s?[+-][\d:]+)$")
ENDS = 500
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
ABBREVIATIONS = {
    "Z": 0, "UTC": 0, "GMT": 0, "WET": 0, "WEST": 60, "CET": 60, "CEST": 120, "EET": 120, "EEST": 180, "MSK": 180,
    "EST": -300, "EDT": -240, "MST": -420, "MDT": -360, "PST": -480, "PDT": -420, "JST": 540, "HKT": 480, "KST": 540,
}  # fmt: skip
"""Minutes east of Greenwich. Those that stand for several zones (CST, IST, BST, ...) are not here."""


class WrittenTimes(NamedTuple):
    """A column of times, and a sentence on how it was read, or None where nothing had to be found out."""

    times: pd.Series
    remark: str | None


def plain_times(
    column: pd.Series, *, groups: pd.Series | None, where: str, dates: str | None, timezone: str | None
) -> WrittenTimes:
    """Read the times of a file as far as they are not ISO 8601.

    Parameters
    ----------
    column : (N,) text; anything else is returned as it is.
    groups : (N,) the symbol of each row, whose rows are a series of their own; None for one series.
    where : file, for messages.
    dates : one of `DATE_ORDERS` where the user states it.
    timezone : IANA zone that the user states; it decides an abbreviation that stands for several.

    Raises
    ------
    DataError
        If the order of day and month cannot be told, or a zone's abbreviation stands for several zones.
    """
    if not pd.api.types.is_string_dtype(column) or column.isna().any():
        return WrittenTimes(column, None)
    text = column.astype("str").str.strip()
    # The ends of a long file show what it is; a row between them that is not is refused by `to_utc`.
    ends = text if len(text) < 2 * ENDS else pd.concat([text.iloc[:ENDS], text.iloc[-ENDS:]])
    if ends.str.match(_DIGITS).all() and text.str.match(_DIGITS).all():
        return _from_digits(text, where)
    if ends.str.match(_ISO).all() and not ends.str[-1:].str.upper().eq("M").any():
        named = ends.str.contains(_NAMED_ZONE).all() and not ends.str.endswith("Z").all()
        zoned = _zoned(text, where, timezone) if named else None
        return zoned or WrittenTimes(text, None)
    series = groups if groups is not None else pd.Series("", index=text.index)
    for read in (_numeric_dates, _named_dates, _compact_dates):
        found = read(text, series, where, dates)
        if found is None:
            continue
        days, rest, remark = found
        instants = _with_clock(days, rest, where, timezone)
        if instants is not None:
            return WrittenTimes(instants, remark)
    return WrittenTimes(text, None)


def clock_of(column: pd.Series) -> pd.Series | None:
    """Return times of day (N,) as timedeltas: 9:30, 09:30:00, 93000, 0930, 9:30 PM; None if they are none."""
    text = column.astype("str").str.strip()
    if text.str.match(r"^\d+(\.0*)?$").all():
        text = text.str.replace(r"\.0*$", "", regex=True)
        longest = int(text.str.len().max())
        text = text.str.zfill(4 if longest <= 4 else 6)
    return _clock(text)


def _from_digits(text: pd.Series, where: str) -> WrittenTimes:
    """Unix numbers, or dates written without marks: 20240131, 202401310930, 20240131093000."""
    values = pd.to_numeric(text)
    return from_numbers(values if (values % 1 != 0).any() else values.astype(np.int64), where)


def from_numbers(values: pd.Series, where: str) -> WrittenTimes:
    """Return numbers (N,) as they are where they count from 1970, and as dates where they are such.

    Raises
    ------
    DataError
        If they may be either, or are Excel's days or row numbers.
    """
    size = values.abs().to_numpy(dtype=np.float64)
    for digits in (8, 10, 12, 14):
        year = size // 10 ** (digits - 4)
        if not ((year >= 1900) & (year <= 2100)).all() or (size % 1.0).any():
            continue
        compact = values.astype(np.int64).astype("str")
        padded = compact + "0" * max(0, 12 - digits) if digits == 10 else compact
        pattern = {8: "%Y%m%d", 10: "%Y%m%d%H%M", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}[digits]
        written = pd.to_datetime(padded, format=pattern, errors="coerce")
        if not written.notna().all():
            continue
        if digits == 10:
            raise DataError(
                f"{where}: {compact.iloc[0]} may be a date and an hour ({written.iloc[0]}) or seconds since 1970 "
                f"({pd.to_datetime(int(values.iloc[0]), unit='s')}); write the times as 2018-01-31T14:00:00Z."
            )
        example = written.iloc[0]
        shown = f"{example:%Y-%m-%d}" if digits == 8 else str(example)
        return WrittenTimes(
            pd.Series(written, index=values.index), f"times such as {compact.iloc[0]} were read as {shown}"
        )
    if len(size) and size.max() < 1e8:
        day = pd.Timestamp("1899-12-30") + pd.Timedelta(days=float(values.iloc[0]))
        excel = f" or Excel's days ({day})" if size.min() > 2e4 else ""
        raise DataError(
            f"{where}: times such as {values.iloc[0]} are no Unix times of bars (they would lie in 1970), "
            "but row numbers"
            f"{excel}; write the times as 2018-01-31T14:30:00Z."
        )
    return WrittenTimes(values, None)


def _numeric_dates(
    text: pd.Series, groups: pd.Series, where: str, dates: str | None
) -> tuple[TimeArray, pd.Series, str | None] | None:
    parts = text.str.extract(_NUMERIC)
    if parts["a"].isna().any():
        return None
    long_first = parts["a"].str.len() == 4
    long_last = parts["c"].str.len() == 4
    if (long_first.any() and not long_first.all()) or (long_last.any() and not long_last.all()):
        return None
    a, b, c = (parts[name].astype(np.int64).to_numpy() for name in "abc")
    if long_first.all():
        orders = {"year_first": (a, b, c)}
    elif long_last.all():
        orders = {"day_first": (c, b, a), "month_first": (c, a, b)}
    elif (parts["a"].str.len() <= 2).all() and (parts["c"].str.len() <= 2).all():
        orders = {
            "day_first": (century(c), b, a),
            "month_first": (century(c), a, b),
            "year_first": (century(a), b, c),
        }
    else:
        return None
    clock = None
    if parts["rest"].str.strip().any():
        clock = _clock(parts["rest"].str.replace(_ZONE, r"\g<clock>", regex=True))
    chosen, remark = one_order(orders, text, groups, clock, where, dates)
    return chosen.days, parts["rest"], remark


def _named_dates(
    text: pd.Series, groups: pd.Series, where: str, dates: str | None
) -> tuple[TimeArray, pd.Series, str | None] | None:
    for pattern in _NAMED:
        parts = text.str.extract(re.compile(pattern, re.IGNORECASE))
        if parts["day"].isna().any():
            continue
        month = parts["month"].str.lower().str[:3].map({name: i + 1 for i, name in enumerate(_MONTHS)})
        if month.isna().any():
            continue
        year = parts["year"].astype(np.int64)
        if parts["year"].str.len().eq(2).all():
            year = pd.Series(century(year.to_numpy()), index=year.index)
        days = pd.to_datetime(
            {"year": year, "month": month.astype(np.int64), "day": parts["day"].astype(np.int64)},
            errors="coerce",
        )
        if days.notna().all():
            return days.to_numpy("datetime64[ns]"), parts["rest"], None
    return None


def _compact_dates(
    text: pd.Series, groups: pd.Series, where: str, dates: str | None
) -> tuple[TimeArray, pd.Series, str | None] | None:
    parts = text.str.extract(_COMPACT)
    if parts["date"].isna().any():
        return None
    days = pd.to_datetime(parts["date"], format="%Y%m%d", errors="coerce")
    return None if days.isna().any() else (days.to_numpy("datetime64[ns]"), parts["rest"], None)


def _with_clock(days: TimeArray, rest: pd.Series, where: str, timezone: str | None) -> pd.Series | None:
    """Return days with their times of day: wall clocks without a zone, instants where each row names one."""
    if not rest.str.strip().any():
        return pd.Series(days, index=rest.index)
    clock, zones = _clock(rest), None
    if clock is None:
        parts = rest.str.extract(_ZONE)
        if parts["zone"].isna().any():
            return None
        clock, zones = _clock(parts["clock"]), parts["zone"]
    if clock is None:
        return None
    wall = pd.Series(days + clock.to_numpy("timedelta64[ns]"), index=rest.index)
    return wall if zones is None else _instants(wall, zones, where, timezone)


def _clock(text: pd.Series) -> pd.Series | None:
    """Return times of day (N,) as timedeltas; None if a row is none."""
    parts = text.str.strip().str.extract(re.compile(_CLOCK, re.IGNORECASE))
    if parts["hour"].isna().any():
        return None
    hour = parts["hour"].astype(np.int64)
    minute = pd.to_numeric(parts["minute"].fillna("0")).astype(np.int64)
    second = pd.to_numeric(parts["second"].str.replace(",", ".").fillna("0")).astype(np.float64)
    half = parts["half"].str[:1].str.lower()
    halved = half.notna()
    if (halved.any() and not halved.all()) or (parts["minute"].isna() & ~halved).any():
        return None
    if halved.all():
        if ((hour < 1) | (hour > 12)).any():
            return None
        hour = hour % 12 + 12 * half.eq("p").astype(np.int64)
    if ((hour > 23) | (minute > 59) | (second >= 60)).any():
        return None
    nanoseconds = (hour * 3600 + minute * 60).to_numpy() * 10**9 + np.rint(second.to_numpy() * 1e9).astype(
        np.int64
    )
    return pd.Series(nanoseconds.astype("timedelta64[ns]"), index=text.index)


def _zoned(text: pd.Series, where: str, timezone: str | None) -> WrittenTimes | None:
    """ISO times that end in the name of a zone; None for others."""
    parts = text.str.extract(_ZONE)
    if parts["zone"].isna().any():
        return None
    wall = pd.to_datetime(parts["clock"], format="ISO8601", errors="coerce")
    if wall.isna().any():
        return None
    return WrittenTimes(_instants(wall, parts["zone"], where, timezone), None)


def _instants(wall: pd.Series, zones: pd.Series, where: str, timezone: str | None) -> pd.Series:
    """Return wall clocks as instants by the zone that each row names."""
    names = zones.str.strip().unique()
    if len(names) == 1 and "/" in names[0]:
        return _in_zone(wall, names[0], where)
    minutes = {name: _minutes(name) for name in names}
    unknown = [name for name, value in minutes.items() if value is None]
    if unknown:
        if timezone is not None:
            local = _in_zone(wall, timezone, where).dt.tz_convert(timezone)
            if (local.dt.strftime("%Z") == zones.str.strip()).all():
                return local.dt.tz_convert("UTC")
        raise DataError(
            f"{where}: {unknown[0]!r} at the end of times such as {wall.iloc[0]} {zones.iloc[0]} stands "
            "for several zones "
            "or none that is known; set data.timezone to the IANA zone whose abbreviation it is, or write offsets."
        )
    offsets = zones.str.strip().map(minutes).astype(np.float64)
    return (wall - pd.to_timedelta(offsets, unit="min")).dt.tz_localize("UTC")


def _in_zone(wall: pd.Series, zone: str, where: str) -> pd.Series:
    try:
        return wall.dt.tz_localize(zone).dt.tz_convert("UTC")
    except (ValueError, KeyError, OSError) as error:
        raise DataError(
            f"{where}: times of the zone {zone!r} cannot be placed ({' '.join(str(error).split())}); write "
            "them with their "
            "offsets or in UTC."
        ) from error


def _minutes(zone: str) -> int | None:
    if zone in ABBREVIATIONS:
        return ABBREVIATIONS[zone]
    match = re.fullmatch(r"(?:UTC|GMT)?\s?([+-])(\d{2}):?(\d{2})", zone)
    if match is None:
        return None
    sign = -1 if match[1] == "-" else 1
    return sign * (60 * int(match[2]) + int(match[3]))
