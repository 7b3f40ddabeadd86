"""What Yahoo's chart interface sends: parsed apart from the fetching, from the JSON of one symbol to its days.

Yahoo's prices are adjusted for every split up to now; `adjclose` is adjusted for dividends as well. The last row may be
the day that still runs, at an instant inside of it. A day without trades is a row of nulls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from data.array_types import FloatArray
from data.vendors.definition import AnswerRefused, MalformedAnswer
from data.vendors.failures import quote
from data.vendors.records import positive, record
from data.vendors.reference import Dividend, Split
from data.vendors.tables import instants, numbers

NEW_YORK = "America/New_York"
_PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True, kw_only=True)
class YahooDays:
    """Days of one symbol.

    Attributes
    ----------
    dates : (N,) naive midnights of the exchange's dates.
    columns : name -> (N,): open, high, low, close adjusted for splits, volume, and adjusted_close.
    splits, dividends : those in the window that was asked for.
    zone : of the exchange. kind : EQUITY, ETF, INDEX, CRYPTOCURRENCY, FUTURE, CURRENCY, MUTUALFUND.
    """

    dates: pd.DatetimeIndex
    columns: dict[str, FloatArray]
    splits: tuple[Split, ...]
    dividends: tuple[Dividend, ...]
    zone: str
    kind: str


def parse_chart(body: Any, symbol: str) -> YahooDays:
    """Days of an answer to interval=1d, events=div,splits.

    Raises
    ------
    AnswerRefused
        If Yahoo says that it knows no such symbol or range.
    MalformedAnswer
        If the answer is not of the form that Yahoo sends.
    """
    chart = body.get("chart") if isinstance(body, dict) else None
    if not isinstance(chart, dict):
        raise MalformedAnswer(f"yahoo sent no chart of {symbol}")
    error = chart.get("error")
    if error:
        raise AnswerRefused(f"yahoo answered: {quote(str(error.get('description', error)))}")
    results = chart.get("result")
    if not isinstance(results, list) or len(results) != 1 or not isinstance(results[0], dict):
        raise MalformedAnswer(f"yahoo sent no single result for {symbol}")
    result = results[0]
    told = result.get("meta")
    meta = told if isinstance(told, dict) else {}
    zone = meta.get("exchangeTimezoneName")
    if not isinstance(zone, str) or meta.get("dataGranularity", "1d") != "1d":
        raise MalformedAnswer(f"yahoo sent a chart of {symbol} that is not one of days with a time zone")
    at = result.get("timestamp") or []
    labels = instants(at, "s", "yahoo")
    dates = labels.tz_convert(zone).tz_localize(None).normalize()
    columns = _columns(result, len(at), symbol)
    priced = ~np.isnan(np.stack([columns[name] for name in _PRICES])).any(axis=0)
    events = result.get("events") or {}
    currency = str(meta.get("currency") or "")
    return YahooDays(
        dates=dates[priced],
        columns={name: values[priced] for name, values in columns.items()},
        splits=tuple(_splits(events.get("splits") or {}, symbol, zone)),
        dividends=tuple(_dividends(events.get("dividends") or {}, symbol, zone, currency)),
        zone=zone,
        kind=str(meta.get("instrumentType") or ""),
    )


def _columns(result: Mapping[str, Any], count: int, symbol: str) -> dict[str, FloatArray]:
    indicators = result.get("indicators") or {}
    quotes = (indicators.get("quote") or [{}])[0]
    adjusted = (indicators.get("adjclose") or [{}])[0].get("adjclose")
    raw = {name: quotes.get(name) or [None] * count for name in (*_PRICES, "volume")}
    raw["adjusted_close"] = adjusted or raw["close"]
    if any(not isinstance(values, list) or len(values) != count for values in raw.values()):
        raise MalformedAnswer(f"yahoo sent columns of {symbol} that are not as long as its {count} times")
    columns = {name: numbers(values, name, "yahoo", gaps=True) for name, values in raw.items()}
    columns["volume"] = np.nan_to_num(columns["volume"])  # an index has none
    return columns


def _splits(events: Mapping[str, Any], symbol: str, zone: str) -> list[Split]:
    found = [
        record(
            Split,
            "yahoo",
            symbol=symbol,
            ex_date=_date(event, zone),
            new_shares=positive(event, "numerator", "yahoo"),
            old_shares=positive(event, "denominator", "yahoo"),
        )
        for event in events.values()
    ]
    return sorted(found, key=lambda split: split.ex_date)


def _dividends(events: Mapping[str, Any], symbol: str, zone: str, currency: str) -> list[Dividend]:
    found = [
        record(
            Dividend,
            "yahoo",
            symbol=symbol,
            ex_date=_date(event, zone),
            cash_per_share=positive(event, "amount", "yahoo"),
            currency=currency,
            split_adjusted=True,
        )
        for event in events.values()
    ]
    return sorted(found, key=lambda dividend: dividend.ex_date)


def _date(event: Mapping[str, Any], zone: str) -> Any:
    return instants([event.get("date")], "s", "yahoo").tz_convert(zone)[0].date()
