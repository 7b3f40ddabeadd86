"""Bars of the TWS client as rows of a delivery: labels in UTC, what is unknown as NaN, what cannot be right refused."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import numpy as np
import pandas as pd

from data.calendars import sessions_between
from data.vendors.definition import BarRequest, MalformedAnswer
from data.vendors.ibkr_contracts import ContractTerms
from data.vendors.ibkr_rules import DAY_S

_COLUMNS = {"open": "open", "high": "high", "low": "low", "close": "close", "volume": "volume"}
_FURTHER = {"vwap": "average", "trades": "barCount"}
"""Columns of a row, and their names in the client's bars."""


def complete_to(piece: BarRequest, settled: pd.Timestamp, terms: ContractTerms) -> pd.Timestamp:
    """First instant whose bar had not closed and settled when TWS was asked; the piece's stop if all had."""
    if settled >= piece.stop_utc + pd.Timedelta(days=8):
        return piece.stop_utc
    step = pd.Timedelta(seconds=piece.bar_seconds)
    if piece.bar_seconds <= 3600:
        return min(settled.floor(step), piece.stop_utc)
    if piece.bar_seconds < DAY_S:
        # Where bars of several hours begin depends on the contract: only what closed for sure.
        return min((settled - step).floor("h"), piece.stop_utc)
    near = sessions_between(
        terms.calendar, _instant(settled - pd.Timedelta(days=8)), _instant(piece.stop_utc)
    )
    running = near.open_utc[near.close_utc > _instant(settled)]
    return min(pd.Timestamp(running[0], tz="UTC"), piece.stop_utc) if len(running) else piece.stop_utc


def _instant(stamp: pd.Timestamp) -> np.datetime64:
    return np.datetime64(stamp.tz_convert("UTC").tz_localize(None), "ns")


def no_rows() -> pd.DataFrame:
    """The rows of a delivery without bars."""
    names = [*_COLUMNS, *_FURTHER]
    index = pd.DatetimeIndex([], tz="UTC", name="timestamp_utc").as_unit("ns")
    return pd.DataFrame({name: np.empty(0) for name in names}, index=index)


def rows_of(bars: Sequence[Any], piece: BarRequest, terms: ContractTerms) -> pd.DataFrame:
    """Bars as rows inside the piece.

    Raises
    ------
    MalformedAnswer
        If a price is no number, labels do not ascend, a time has no zone, or a date is no session of the calendar.
    """
    if piece.bar_seconds == DAY_S:
        bars = _near(bars, piece)
    if not bars:
        return no_rows()
    labels = _labels([bar.date for bar in bars], piece, terms)
    values = {
        name: [getattr(bar, theirs) for bar in bars] for name, theirs in {**_COLUMNS, **_FURTHER}.items()
    }
    rows = pd.DataFrame(values, index=labels, dtype=np.float64)
    rows.index.name = "timestamp_utc"
    prices = rows[["open", "high", "low", "close"]].to_numpy()
    if not np.isfinite(prices).all() or (np.abs(prices) > 1e12).any():
        bad = int(np.argwhere(~np.isfinite(prices) | (np.abs(prices) > 1e12))[0, 0])
        raise MalformedAnswer(
            f"{piece.symbol}: the bar of {labels[bad]} has prices {prices[bad]}; nothing was kept."
        )
    if not (labels[1:] > labels[:-1]).all():
        at = int(np.argmin(labels[1:] > labels[:-1]))
        raise MalformedAnswer(
            f"{piece.symbol}: bars do not ascend: {labels[at + 1]} follows {labels[at]}; nothing was kept."
        )
    # What has no trades has volume -1: unknown, and not zero.
    for name in ("volume", *_FURTHER):
        rows[name] = rows[name].where(rows[name] >= 0.0)
    return rows[(rows.index >= piece.start_utc) & (rows.index < piece.stop_utc)]


def _near(bars: Sequence[Any], piece: BarRequest) -> Sequence[Any]:
    """Bars of a day whose session can open inside the piece: an answer reaches further than what is needed."""
    wrong = [bar.date for bar in bars if not isinstance(bar.date, date) or isinstance(bar.date, datetime)]
    if wrong:
        raise MalformedAnswer(f"{piece.symbol}: {wrong[0]!r} is no date of a day's bar; nothing was kept.")
    first, last = (
        (piece.start_utc - pd.Timedelta(days=1)).date(),
        (piece.stop_utc + pd.Timedelta(days=1)).date(),
    )
    return [bar for bar in bars if first <= bar.date <= last]


def _labels(dates: Sequence[Any], piece: BarRequest, terms: ContractTerms) -> pd.DatetimeIndex:
    if piece.bar_seconds == DAY_S:
        return _session_opens(dates, piece, terms)
    wrong = [value for value in dates if not isinstance(value, datetime) or value.tzinfo is None]
    if wrong:
        raise MalformedAnswer(f"{piece.symbol}: {wrong[0]!r} is no instant with a zone; nothing was kept.")
    return pd.DatetimeIndex(pd.to_datetime(list(dates), utc=True)).as_unit("ns")


def _session_opens(dates: Sequence[Any], piece: BarRequest, terms: ContractTerms) -> pd.DatetimeIndex:
    days = np.array([np.datetime64(value, "D") for value in dates])
    edges = days.min() - 2, days.max() + 3
    sessions = sessions_between(terms.calendar, *(edge.astype("datetime64[ns]") for edge in edges))
    at = np.searchsorted(sessions.session, days.astype(np.int64))
    at = np.minimum(at, len(sessions.session) - 1)
    off = sessions.session[at] != days.astype(np.int64)
    if off.any():
        raise MalformedAnswer(
            f"{piece.symbol}: IB has a bar of {days[off][0]}, which is no session of calendar {terms.calendar!r}; set "
            f"contracts.{piece.symbol}.calendar to the one that it trades by."
        )
    return pd.DatetimeIndex(sessions.open_utc[at]).tz_localize("UTC").as_unit("ns")
