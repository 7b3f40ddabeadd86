"""A lake with half hours of one stock, and what a vendor answers of its splits and dividends."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

from data.lake import Lake, Series
from data.lake.actions import write_actions
from data.sources import load
from data.sources.lake import LakeConfig
from data.vendors.definition import BarRequest, Delivery
from data.vendors.reference import Dividend, Split

# A Friday before a weekend, a holiday (2024-07-04) after a half-day, and days beside.
SESSIONS = ["2024-06-28", "2024-07-01", "2024-07-02", "2024-07-03", "2024-07-05", "2024-07-08"]
FIRST, LAST = dt.date(2024, 6, 1), dt.date(2024, 7, 31)


def split(day: str, new: float, old: float = 1.0) -> Split:
    return Split(symbol="X", ex_date=dt.date.fromisoformat(day), new_shares=new, old_shares=old)


def paid(day: str, cash: float, **changes) -> Dividend:
    plain = {"symbol": "X", "ex_date": dt.date.fromisoformat(day), "currency": "USD", "split_adjusted": False}
    return Dividend(cash_per_share=cash, **(plain | changes))


def half_hours(early_hours: bool = False) -> pd.DatetimeIndex:
    """Half hours of the sessions in New York, 9:30 to 16:00, to 13:00 on the eve of the Fourth; also from 8:00."""
    times = []
    for day in SESSIONS:
        begin = "08:00" if early_hours else "09:30"
        end = "12:30" if day == "2024-07-03" else "15:30"
        times.append(pd.date_range(f"{day} {begin}", f"{day} {end}", freq="30min", tz="America/New_York"))
    return pd.DatetimeIndex(np.concatenate([t.tz_convert("UTC").tz_localize(None).to_numpy() for t in times]))


def bars(labels: pd.DatetimeIndex, close: np.ndarray) -> pd.DataFrame:
    opened = close * 1.001
    return pd.DataFrame(
        {"open": opened, "high": opened * 1.002, "low": close * 0.998, "close": close, "volume": 1000.0, "vwap": close},
        index=labels.tz_localize("UTC").as_unit("ns"),
    )  # fmt: skip


def put(place, rows: pd.DataFrame, *, seconds: int = 1800, adjustment="raw", symbol="X") -> None:
    piece = BarRequest(
        symbol=symbol, bar_seconds=seconds, start_utc=rows.index[0], adjustment=adjustment,
        stop_utc=rows.index[-1] + pd.Timedelta(seconds=seconds),
    )  # fmt: skip
    series = Series(source="made", bar_seconds=seconds, adjustment=adjustment, symbol=symbol)
    now = pd.Timestamp("2024-08-01", tz="UTC")
    delivery = Delivery(rows=rows, source_uri="made:/X", calls=1)
    Lake(str(place)).store(series, piece, delivery, now_utc=now, settle_seconds=0, calendar="NYSE")


def tell(place, splits=(), dividends=(), first=FIRST, last=LAST, source="made") -> None:
    write_actions(Lake(str(place)).files, source, "X", first, last, splits, dividends)


def read(place, prices="total_return", **changes):
    plain = {
        "lake": str(place), "source_name": "made", "bar": "30m", "made_from": None, "adjustment": "raw",
        "calendar": None, "as_of": None, "symbols": (), "start_utc": None, "stop_utc": None, "prices": prices,
    }  # fmt: skip
    return load(LakeConfig(**{**plain, **changes}))


def prices_as_traded(labels: pd.DatetimeIndex, splits: dict[str, float]) -> np.ndarray:
    """A random walk whose level falls by each split on its day."""
    walk = 200.0 * np.exp(np.cumsum(0.003 * np.random.default_rng(4).standard_normal(len(labels))))
    day = labels.tz_localize("UTC").tz_convert("America/New_York").strftime("%Y-%m-%d")
    for since, factor in splits.items():
        walk = np.where(day >= since, walk / factor, walk)
    return walk


def account(labels: pd.DatetimeIndex, close: np.ndarray, actions) -> np.ndarray:
    """What one share bought at the first close is worth at each close, by keeping the books of a holder, day by day."""
    day = labels.tz_localize("UTC").tz_convert("America/New_York").strftime("%Y-%m-%d").to_numpy()
    shares, worth, today = 1.0, [], day[0]
    for at in range(len(labels)):
        if day[at] != today:
            today = day[at]
            cash = sum(
                shares * a.cash_per_share
                for a in actions
                if str(a.ex_date) == today and hasattr(a, "currency")
            )
            shares += cash / (close[at - 1] - cash / shares)
            for a in actions:
                if str(a.ex_date) == today and hasattr(a, "old_shares"):
                    shares *= a.new_shares / a.old_shares
        worth.append(shares * close[at])
    return np.array(worth) / close[0]
