"""Which of the numbers of a date is the day: decided by all rows of a file together, or refused with both readings.

N is the number of rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.array_types import TimeArray
from data.errors import DataError

IntArray = NDArray[np.int64]
DATE_ORDERS = ("day_first", "month_first", "year_first")
CONTIGUOUS_DAYS, TORN_DAYS = 5, 20
"""An order of day and month that leaves no gap beyond the first is believed where others leave one of the second."""
_DAY = np.timedelta64(1, "D")


@dataclass(frozen=True, kw_only=True)
class Order:
    """One reading of the dates of a column: its name, and the days (N,)."""

    name: str
    days: TimeArray


def century(year: IntArray) -> IntArray:
    """Return years of two digits (N,) as years from 1970 to 2069."""
    return np.where(year < 70, 2000 + year, 1900 + year)


def _readings(orders: Mapping[str, tuple[IntArray, IntArray, IntArray]]) -> list[Order]:
    """Return the orders under which every row is a date; orders that agree in all rows once."""
    found: list[Order] = []
    for name, (year, month, day) in orders.items():
        days = pd.to_datetime({"year": year, "month": month, "day": day}, errors="coerce")  # type: ignore[call-overload]
        if days.isna().any():
            continue
        order = Order(name=name, days=days.to_numpy("datetime64[ns]"))
        if not any(np.array_equal(order.days, other.days) for other in found):
            found.append(order)
    return found


def one_order(
    orders: Mapping[str, tuple[IntArray, IntArray, IntArray]],
    text: pd.Series,
    groups: pd.Series,
    clock: pd.Series | None,
    where: str,
    dates: str | None,
) -> tuple[Order, str | None]:
    """Return the only order that can be meant, and what is to be said of it.

    Parameters
    ----------
    orders : name -> year, month and day of each row (N,), as that order reads them.
    text : (N,) the dates as written. groups : (N,) the symbol of each row, whose rows are a series of their own.
    clock : (N,) times of day, where they are known.
    dates : the order that the user states, or None.

    Raises
    ------
    DataError
        If rows contradict each other or the user, or two orders remain.
    """
    readings = _readings(orders)
    example = text.iloc[0]
    if not readings:
        raise DataError(
            f"{where}: dates such as {example!r} are written in several orders of day, month and year; write all times "
            "as 2018-01-31T14:30:00Z."
        )
    if dates is not None:
        stated = [order for order in readings if order.name == dates]
        if not stated and not (len(readings) == 1 and _agrees(readings[0], dates)):
            raise DataError(
                f"{where}: data.dates is {dates}, under which {example!r} and the other rows are not all "
                "dates; they are "
                f"{_spoken(readings[0].name)}."
            )
        return (stated or readings)[0], None
    if len(readings) == 1:
        return _said(readings[0], text, "no other order makes all rows dates")
    ordered = [order for order in readings if _is_series(order, clock, groups)]
    if len(ordered) == 1:
        return _said(ordered[0], text, "no other order makes a series in order of time")
    gaps = {order.name: _widest_gap(order, groups) for order in ordered}
    whole = [order for order in ordered if gaps[order.name] <= CONTIGUOUS_DAYS]
    torn = [order for order in ordered if gaps[order.name] >= TORN_DAYS]
    if len(whole) == 1 and len(torn) == len(ordered) - 1 and len(np.unique(whole[0].days)) >= 3:
        return _said(
            whole[0], text, f"the other order would leave gaps of {max(gaps[o.name] for o in torn)} days"
        )
    row = next((i for i in range(len(text)) if len({order.days[i] for order in readings}) > 1), 0)
    shown = " or ".join(
        f"{order.days[row].astype('datetime64[D]')} ({_spoken(order.name)})" for order in readings
    )
    raise DataError(
        f"{where}: {text.iloc[row]!r} may be {shown}, and the other rows do not decide; set data.dates to "
        f"{' or '.join(order.name for order in readings)}."
    )


def _agrees(only: Order, dates: str) -> bool:
    """True if a single reading stands for several that agree in every row (all days equal their months)."""
    days = pd.DatetimeIndex(only.days)
    return dates != "year_first" and only.name != "year_first" and bool((days.day == days.month).all())


def _said(order: Order, text: pd.Series, reason: str) -> tuple[Order, str | None]:
    if order.name == "year_first" and len(text.iloc[0].split()[0]) >= 8 and text.iloc[0][:4].isdigit():
        return order, None
    row = int(np.argmax(pd.DatetimeIndex(order.days).day > 12))
    return order, (
        f"dates such as {text.iloc[row]!r} were read {_spoken(order.name)} "
        f"({order.days[row].astype('datetime64[D]')}): {reason}"
    )


def _spoken(order: str) -> str:
    return order.replace("_", " ")


def _is_series(order: Order, clock: pd.Series | None, groups: pd.Series) -> bool:
    """True if the rows of every group go forward, or all of them backward, in time."""
    instants = order.days if clock is None else order.days + clock.to_numpy("timedelta64[ns]")
    zero = np.timedelta64(0, "ns")
    for rows in groups.groupby(groups, sort=False).indices.values():
        steps = np.diff(instants[rows])
        if not ((steps >= zero).all() or (steps <= zero).all()):
            return False
    return True


def _widest_gap(order: Order, groups: pd.Series) -> int:
    widest = 0
    for rows in groups.groupby(groups, sort=False).indices.values():
        days = np.unique(order.days[rows])
        if len(days) > 1:
            widest = max(widest, int(np.diff(days).max() / _DAY))
    return widest
