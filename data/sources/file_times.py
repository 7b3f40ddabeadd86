"""The times of a file's rows: one column, a date and a time of day, or milliseconds since midnight of a dated file."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from data.errors import DataError
from data.sources.bar_file import BarFile
from data.sources.raw_tables import RawTable
from data.sources.timestamps import to_utc
from data.sources.written_times import clock_of, from_numbers, plain_times

_DATE_IN_NAME = re.compile(r"(?<!\d)((?:19|20)\d{6})(?!\d)")
FURTHEST_ZONE = np.timedelta64(15, "h")


@dataclass(frozen=True, kw_only=True)
class Written:
    """What the user states of the way in which a file is written; None leaves it to the file.

    Parameters
    ----------
    timezone : IANA zone of times without an offset.
    dates : one of `written_times.DATE_ORDERS`.
    decimal : "." or ",".
    """

    timezone: str | None
    dates: str | None
    decimal: str | None


def times_of(
    raw: RawTable, symbols: pd.Series | None, file: BarFile, written: Written
) -> tuple[pd.Series, list[str]]:
    """Return the times (N,) of a table as `to_utc` reads them, and what was found out about them.

    Raises
    ------
    DataError
        If there are none, or they may mean more than one thing, or two columns of them contradict each other.
    """
    of, cells = raw.roles.of, raw.cells
    facts: list[str] = []
    if "milliseconds_of_day" in of:
        return _since_midnight(cells[of["milliseconds_of_day"]], file), facts
    if "timestamp" in of:
        times, remark = _read(cells[of["timestamp"]], symbols, file, written)
    elif "date" in of and "time" in of:
        times, remark = _of_date_and_clock(raw, symbols, file, written)
        facts.append(f"{raw.written[of['date']]!r} and {raw.written[of['time']]!r} for timestamp")
    elif "date" in of:
        times, remark = _read(cells[of["date"]], symbols, file, written)
    else:
        columns = ", ".join(name.strip().lower() for name in raw.written)
        raise DataError(
            f"{file} has no column 'timestamp'; it needs timestamp, open, high, low, close, volume and has {columns}."
        )
    facts += [remark] if remark else []
    for at in raw.roles.second_times:
        facts += _require_one_time(times, at, raw, symbols, file, written)
    return times, facts


def _read(
    column: pd.Series, symbols: pd.Series | None, file: BarFile, written: Written
) -> tuple[pd.Series, str | None]:
    if pd.api.types.is_numeric_dtype(column) and not column.isna().any():
        return from_numbers(column, str(file))
    if pd.api.types.is_string_dtype(column) and (column.isna() | (column.astype("str") == "")).any():
        row = int((column.isna() | (column.astype("str") == "")).to_numpy().argmax()) + 1
        raise DataError(f"{file}: row {row} has no timestamp; fill it in or drop the row.")
    return plain_times(
        column, groups=symbols, where=str(file), dates=written.dates, timezone=written.timezone
    )


def _of_date_and_clock(
    raw: RawTable, symbols: pd.Series | None, file: BarFile, written: Written
) -> tuple[pd.Series, str | None]:
    dates, clocks = raw.cells[raw.roles.of["date"]], raw.cells[raw.roles.of["time"]]
    name = raw.written[raw.roles.of["time"]]
    clock = clock_of(clocks)
    if clock is None:
        row = next((i for i in range(len(clocks)) if clock_of(clocks.iloc[i : i + 1]) is None), 0)
        raise DataError(
            f"{file}: {clocks.iloc[row]!r} in column {name!r} of row {row + 1} is no time of day; write "
            "14:30:00, or write "
            "date and time as one column timestamp (2018-01-31T14:30:00)."
        )
    days, remark = _read(dates, symbols, file, written)
    if not pd.api.types.is_datetime64_any_dtype(days):
        days = pd.to_datetime(days, format="ISO8601", errors="coerce")
    if (
        not pd.api.types.is_datetime64_any_dtype(days)
        or days.isna().any()
        or (days != days.dt.normalize()).any()
    ):
        raise DataError(
            f"{file}: the column {raw.written[raw.roles.of['date']]!r} beside {name!r} holds "
            f"{dates.iloc[0]!r}, which is no "
            "date alone; write dates as 2018-01-31."
        )
    return days + clock, remark


def _since_midnight(column: pd.Series, file: BarFile) -> pd.Series:
    dated = next(
        (m[1] for name in (file.stem, file.path.name) if (m := _DATE_IN_NAME.search(name)) is not None), None
    )
    if dated is None:
        raise DataError(
            f"{file}: its times count milliseconds since midnight, and its name has no date; call it 20180131_....csv."
        )
    return pd.Timestamp(f"{dated[:4]}-{dated[4:6]}-{dated[6:]}") + pd.to_timedelta(
        column.astype(np.int64), unit="ms"
    )


def _require_one_time(
    times: pd.Series, at: int, raw: RawTable, symbols: pd.Series | None, file: BarFile, written: Written
) -> list[str]:
    """Compare a second column of times: equal, its date, or the same in another zone; else it is refused."""
    name, zone = raw.written[at], written.timezone or "UTC"
    try:
        second, _ = _read(raw.cells[at], symbols, file, written)
        other = to_utc(second, zone, str(file)).to_numpy("datetime64[ns]")
        one = to_utc(times, zone, str(file)).to_numpy("datetime64[ns]")
    except DataError:
        return [f"{name!r} left out, which holds no times that can be read"]
    apart = one - other
    days = np.timedelta64(1, "D")
    if (apart == np.timedelta64(0)).all():
        return [f"{name!r} left out, which says the same"]
    dates = other == other.astype("datetime64[D]")
    if dates.all() and ((apart >= -FURTHEST_ZONE) & (apart < days + FURTHEST_ZONE)).all():
        return [f"{name!r} left out, which holds the dates"]
    steps = np.unique(apart)
    summer_time = len(steps) == 2 and steps[1] - steps[0] == np.timedelta64(1, "h")
    if summer_time and (np.abs(steps) <= FURTHEST_ZONE).all() and (steps % np.timedelta64(1, "h") == 0).all():
        return [f"{name!r} left out, which is the clock of a zone with summer time"]
    row = int((apart != np.timedelta64(0)).argmax())
    raise DataError(
        f"{file} has two times a row: {_named_time(raw)!r} says {one[row].astype('datetime64[s]')} and {name!r} says "
        f"{other[row].astype('datetime64[s]')} in row {row + 1}; drop one of them."
    )


def _named_time(raw: RawTable) -> str:
    of = raw.roles.of
    return raw.written[of["timestamp"] if "timestamp" in of else of["date"]]
