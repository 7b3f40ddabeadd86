"""Events of each symbol: how long ago its last earnings, dividend or other event were, and how far off the next one is.

Dates by symbol are facts of the user's (`data.features.event_dates`); of dividends the data's own column tells as well.

Axes: T time, A asset.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from data.array_types import FloatArray
from data.calendars import time_zone
from data.dividends import DIVIDEND
from data.features.definition import SHARE, Feature, bars_of, positive
from data.features.event_dates import (
    NEVER_YET,
    NO_MORE,
    Int64Array,
    Written,
    check_events,
    closes,
    events_of,
    known_events,
    written,
)
from data.features.series import shared
from data.features.window_extremes import last_events
from data.schema import Panel

_DAY = 86_400 * 10**9
"""Nanoseconds."""


@shared
def _known(panel: Panel, own: Written) -> tuple[Int64Array, Int64Array]:
    """(T,) the last and the next event of a symbol as known at each close, as `KnownEvents.at` has them."""
    return known_events(own, time_zone(panel.calendar)).at(closes(panel))


def time_since_event(panel: Panel, *, event: str, events: Mapping[str, Any], days: float) -> FloatArray:
    """(T, A) days from the symbol's last event to the bar's close, over `days`: 0 at the event, 1 from `days` days on.

    Nothing is seen of an event before it is known: `known` where the dates say so, or else the event itself.
    """
    since = np.full((len(panel.bar_utc), len(panel.symbols)), np.nan)
    now = closes(panel)
    for a, symbol in enumerate(panel.symbols):
        if events.get(symbol):
            last, _ = _known(panel, written(events[symbol], symbol))
            since[:, a] = np.where(last == NEVER_YET, np.nan, np.minimum((now - last) / _DAY / days, 1.0))
    return since


def time_until_event(panel: Panel, *, event: str, events: Mapping[str, Any], days: float) -> FloatArray:
    """(T, A) days from the bar's close to the symbol's next known event, over `days`: near 0 before it, 1 from `days`
    days away on.

    Only of events whose dates say that they were known before: an event without `known` is never seen to come.
    """
    until = np.full((len(panel.bar_utc), len(panel.symbols)), np.nan)
    now = closes(panel)
    for a, symbol in enumerate(panel.symbols):
        if events.get(symbol):
            _, following = _known(panel, written(events[symbol], symbol))
            until[:, a] = np.where(
                following == NO_MORE, np.nan, np.minimum((following - now) / _DAY / days, 1.0)
            )
    return until


def time_since_earnings(panel: Panel, *, events: Mapping[str, Any], days: float) -> FloatArray:
    """(T, A) days from the symbol's last earnings to the bar's close, over `days`: 0 at the release, 1 from `days` days
    on.
    """
    return time_since_event(panel, event="earnings", events=events, days=days)


def time_until_earnings(panel: Panel, *, events: Mapping[str, Any], days: float) -> FloatArray:
    """(T, A) days from the bar's close to the symbol's next earnings, over `days`, from when their date is known on:
    near 0 before the release, 1 from `days` days away on.
    """
    return time_until_event(panel, event="earnings", events=events, days=days)


def time_since_dividend(panel: Panel, *, window_bars: int) -> FloatArray:
    """(T, A) bars since the symbol's last ex-date of a dividend, by the data's column `dividend`, over the window: 0 in
    that bar, 1 if there was none in the window.
    """
    if DIVIDEND not in panel.exogenous:
        return np.where(panel.close > 0.0, np.nan, np.nan)
    paid = np.where(panel.exogenous[DIVIDEND] > 0.0, 1.0, np.nan)
    age = last_events(paid, window_bars).age
    return np.where(np.isnan(age), 1.0, age / window_bars)


def _of_events(params: Mapping[str, Any]) -> None:
    positive("days")(params)
    if "event" in params and (not isinstance(params["event"], str) or not params["event"].strip()):
        raise ValueError(f"event is {params['event']!r}; give the kind of event a name, such as split.")
    check_events(params["events"])


def _stem(name: str, params: Mapping[str, Any]) -> str:
    return f"{name.replace('event', str(params.get('event', 'event')))}_{params['days']}"


def _without_dates(panel: Panel, params: Mapping[str, Any]) -> str:
    """Which symbols its dates do not name, and whose end long before the bars do: an event that is not listed is told
    as long ago. A symbol that is named without a date has none, which is no lack.
    """
    missing = [symbol for symbol in panel.symbols if symbol not in params["events"]]
    told = [f"its dates do not name {_some(missing)}, where it is not known (NaN)"] if missing else []
    end, ended = int(closes(panel)[-1]), {}
    for symbol in panel.symbols:
        known = events_of(panel, params["events"], symbol)
        if len(known.changes) and int(known.last.max()) < end - params["days"] * _DAY:
            ended[symbol] = np.datetime64(int(known.last.max()), "ns").astype("datetime64[D]")
    if ended:
        shown = _some([f"{symbol} ({last})" for symbol, last in ended.items()])
        told.append(
            f"the last date of {shown} is more than {params['days']} days before the last bar, where it says 1: add "
            "those that followed, if there were any"
        )
    return "; ".join(told)


def _without_coming_dates(panel: Panel, params: Mapping[str, Any]) -> str:
    """Which symbols have no event that was known before it took place."""
    missing = [
        symbol
        for symbol in panel.symbols
        if params["events"].get(symbol, " ")
        and (events_of(panel, params["events"], symbol).following == NO_MORE).all()
    ]
    if not missing:
        return ""
    return (
        f"no date of {_some(missing)} says that it was known before (known_at), where it is never known (NaN)"
    )


def _without_column(panel: Panel, params: Mapping[str, Any]) -> str:
    return (
        ""
        if DIVIDEND in panel.exogenous
        else f"the data have no column {DIVIDEND!r}, so it is not known (NaN)"
    )


def _some(symbols: list[str]) -> str:
    more = f" and {len(symbols) - 5} more" if len(symbols) > 5 else ""
    return ", ".join(symbols[:5]) + more


_dated = partial(
    Feature,
    kind="asset",
    subject="events",
    by_blocks=True,
    reads_bars=False,
    users_facts=True,
    check=_of_events,
    stem=_stem,
    unit="share of `days`",
    bounds=SHARE,
    source="dates of your own",
)
_PAST = "before the symbol's first event is known, and for a symbol without dates"
_COMING = "where no coming event of the symbol is known, and for a symbol without dates"

SYMBOL_EVENT_FEATURES = (
    _dated(name="time_since_event", function=time_since_event, unknown=_PAST, lacks=_without_dates),
    _dated(name="time_until_event", function=time_until_event, unknown=_COMING, lacks=_without_coming_dates),
    _dated(name="time_since_earnings", function=time_since_earnings, unknown=_PAST, lacks=_without_dates),
    _dated(
        name="time_until_earnings", function=time_until_earnings, unknown=_COMING, lacks=_without_coming_dates
    ),
    Feature(
        name="time_since_dividend",
        kind="asset",
        function=time_since_dividend,
        subject="events",
        by_blocks=True,
        lookback_bars=partial(bars_of, "window_bars", -1),
        lacks=_without_column,
        unit="share of the window",
        bounds=SHARE,
        unknown="where the data have no column of dividends",
        source="the data's column `dividend`",
    ),
)
