"""Which column is what: by the maker's own names, and by those that many use.

A column is meant by its position; names are in `plain` form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from data.errors import DataError
from data.sources.dialects.definition import LEFT_OUT, ONE_VALUE, ROLES, Dialect

TIMES = (
    "timestamp", "datetime", "date_time", "open_time", "opentime", "window_start", "ts_event", "unix", "unix_timestamp",
    "unix_time", "unixtime", "epoch", "ts", "start_time", "starttime", "start_at", "gmt_time", "local_time", "time_utc",
    "timestamp_utc", "utc_timestamp", "datetime_utc", "date_utc", "time_gmt", "bar_time", "bar_start", "period_start",
)  # fmt: skip
"""Names of a column that says when a bar opens (or closes, where `data.labels` says so)."""
OF_INDEX = ("time_of_the_index_timestamp", "time_of_the_index_index_time", "index_time")
"""A time in the index of a Parquet file beside a column of times."""
SHORT_TIMES = ("t", "start", "dt", "begin")
"""Such names that may mean other things beside a time."""
DATES = ("date", "day", "trade_date", "trading_date", "trading_day", "session_date")
CLOCKS = ("time", "time_of_day", "clock")
CLOSING_TIMES = ("close_time", "closetime", "end_time", "end", "bar_end", "period_end")
COMMON: Mapping[str, tuple[str, ...]] = {
    "open": ("open", "o", "open_price", "openprice", "opening_price"),
    "high": ("high", "h", "high_price", "highprice", "max_price"),
    "low": ("low", "l", "low_price", "lowprice", "min_price"),
    "close": ("close", "c", "close_price", "closeprice", "closing_price", "last", "close_last", "last_price"),
    "volume": ("volume", "vol", "v", "base_volume", "basevolume", "volume_base", "trade_volume", "total_volume",
               "real_volume"),
    "tick_volume": ("tickvol", "tick_volume", "tickvolume"),
    "adjusted_close": ("adj_close", "adjclose", "adjusted_close", "close_adj", "close_adjusted", "adj_close_price"),
}  # fmt: skip
SYMBOLS = ("symbol", "ticker", "sym", "instrument", "pair", "code", "asset", "security", "contract")
ADJUSTED = ("adj_", "adjusted_", "adjopen", "adjhigh", "adjlow", "adjvolume")
"""Beginnings of columns in adjusted prices, which are known only when the last dividend is."""
PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True, kw_only=True)
class Roles:
    """What the columns of a file are, by position.

    Parameters
    ----------
    of : role -> position.
    further : position -> name under which a column is handed on.
    left_out, one_value, second_times : positions.
    volumes : positions that may hold the volume, where no column is called so and several may (Volume BTC, Volume USD).
    labels : "close" if only closing instants are there.
    utc : True if the time's own name says UTC.
    """

    of: Mapping[str, int]
    further: Mapping[int, str]
    left_out: tuple[int, ...]
    one_value: tuple[int, ...]
    second_times: tuple[int, ...]
    volumes: tuple[int, ...]
    labels: Literal["open", "close"] | None
    utc: bool


def roles_of(names: Sequence[str], written: Sequence[str], dialect: Dialect | None, file: str) -> Roles:
    """Say what each column is.

    Parameters
    ----------
    names, written : of each column, in plain form and as the file has them; "" where it has no name.

    Raises
    ------
    DataError
        If two columns claim one role by the same name.
    """
    of: dict[str, int] = {}
    other: dict[int, str] = {}
    stated = dialect.columns if dialect else {}
    for at, name in enumerate(names):
        meaning = stated.get(name)
        if meaning is None:
            continue
        if meaning in ROLES and meaning != "second_time":
            if meaning in of:
                raise DataError(f"{file} has two columns named {written[at]!r}; keep one of them.")
            of[meaning] = at
        else:
            other[at] = meaning
    free = [at for at in range(len(names)) if at not in of.values() and at not in other]
    for role, known in COMMON.items():
        if role not in of and (found := _first(known, names, free)) is not None:
            of[role] = found
            free.remove(found)
    labels = _assign_time(of, free, names)
    if "symbol" not in of and (found := _first(SYMBOLS, names, free)) is not None:
        of["symbol"] = found
        free.remove(found)
    seconds = [at for at in free if names[at] in (*TIMES, *DATES, *CLOCKS, *OF_INDEX)]
    adjusted = [at for at in free if names[at].startswith(ADJUSTED)]
    closing = [at for at in free if names[at] in CLOSING_TIMES] if "timestamp" in of or "date" in of else []
    volumes = [at for at in free if names[at].startswith("volume_") and not names[at].endswith("ma")]
    volumes = volumes if "volume" not in of and "up_volume" not in of else []
    handed = [at for at in free if at not in (*seconds, *adjusted, *closing)]
    return Roles(
        of=of,
        further={
            **{
                at: meaning
                for at, meaning in other.items()
                if meaning not in (LEFT_OUT, ONE_VALUE, "second_time")
            },
            **{at: str(written[at]).strip().lower() for at in handed},
        },
        left_out=(*(at for at, meaning in other.items() if meaning == LEFT_OUT), *adjusted, *closing),
        one_value=tuple(at for at, meaning in other.items() if meaning == ONE_VALUE),
        second_times=(*(at for at, meaning in other.items() if meaning == "second_time"), *seconds),
        volumes=tuple(volumes),
        labels=labels,
        utc=("timestamp" in of and names[of["timestamp"]].split("_")[0] in ("gmt", "utc"))
        or ("timestamp" in of and names[of["timestamp"]].split("_")[-1] in ("gmt", "utc")),
    )


def _assign_time(of: dict[str, int], free: list[int], names: Sequence[str]) -> Literal["close"] | None:
    """Find the time of a row: one column, a date and a time of day, or, failing these, a closing instant."""
    if "timestamp" in of or "milliseconds_of_day" in of:
        return None
    if "date" in of:
        _take("time", CLOCKS, of, free, names)
        return None
    if _take("timestamp", TIMES, of, free, names):
        return None
    if _take("date", DATES, of, free, names):
        _take("time", CLOCKS, of, free, names)
        if "time" not in of:
            of["timestamp"] = of.pop("date")
        return None
    if _take("timestamp", CLOCKS, of, free, names) or _take("timestamp", SHORT_TIMES, of, free, names):
        return None
    return "close" if _take("timestamp", CLOSING_TIMES, of, free, names) else None


def _take(role: str, known: Sequence[str], of: dict[str, int], free: list[int], names: Sequence[str]) -> bool:
    if role in of:
        return True
    found = _first(known, names, free)
    if found is None:
        return False
    of[role] = found
    free.remove(found)
    return True


def _first(known: Sequence[str], names: Sequence[str], free: Sequence[int]) -> int | None:
    return next((at for name in known for at in free if names[at] == name), None)
