"""Prices of total return from prices as traded and a vendor's splits and dividends, each known when it happens.

On an ex-date one share that was held at the close before becomes s shares (a split of s for 1) and D of cash, which
buys more of the stock at that close less D. The growth of what is held is therefore

    growth = s * C / (C - D)        C: last close as traded before the ex-date

and a bar's grown prices are its prices as traded times the growths of all ex-dates up to its session, 1 at the first
bar. Nothing later than a bar is in its prices, so that a dividend of next year moves nothing today; a position held
over an ex-date earns the total return. D and s are per share held at the close before, also where both fall on one
day. (The reinvestment rule is that of CRSP's total returns and of Yahoo's adjusted close, which is 1 - D / C.)

N bars of a symbol, in order of time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import date
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.bar_sessions import sessions_of
from data.errors import DataError
from data.lake.actions import KnownActions
from data.schema import FURTHER_PRICES, PRICE_COLUMNS
from data.split_factors import SPLIT_FACTOR
from data.vendors.reference import Dividend

_VISIBLE = math.log(1.5)
"""A split by at least this factor shows in the prices of the two bars around it."""


class Effect(NamedTuple):
    """What the actions of one ex-date do to one share that was held at the close before.

    Attributes
    ----------
    shares : that it becomes. cash : that it is paid, as traded then.
    """

    shares: float
    cash: float


class ExBar(NamedTuple):
    """An ex-date among the bars of a symbol.

    Attributes
    ----------
    bar : the first one that opens with the effect. eve : the last one inside of sessions before it.
    """

    day: date
    effect: Effect
    bar: int
    eve: int


def ex_bars(
    happens: Mapping[date, Effect], session: NDArray[np.int64], inside: NDArray[np.bool_]
) -> Iterator[ExBar]:
    """Ex-dates in order of time; those that have no bar with or after them, or none before, are left out.

    Parameters
    ----------
    session, inside : (N,) of each bar, as `data.bar_sessions.sessions_of` says.
    """
    for day, effect in sorted(happens.items()):
        at = int(np.searchsorted(session, np.datetime64(day, "D").astype(np.int64)))
        before = np.flatnonzero(inside[:at])
        if at < len(session) and len(before):
            yield ExBar(day, effect, at, int(before[-1]))


def effects(actions: KnownActions, currency: str) -> dict[date, Effect]:
    """Ex-date -> what happens on it.

    Raises
    ------
    DataError
        If a dividend is not in the currency of the prices, or the vendor does not say per which share it is.
    """
    found: dict[date, Effect] = {}
    for split in actions.splits:
        shares, cash = found.get(split.ex_date, Effect(1.0, 0.0))
        found[split.ex_date] = Effect(shares * split.factor, cash)
    for paid in actions.dividends:
        if paid.currency and paid.currency.upper() != currency.upper():
            raise DataError(
                f"{paid.symbol}: {actions.source} states the dividend of {paid.ex_date} in {paid.currency}, and prices "
                f"are in {currency} (data.currency); give another data.actions_from, or data.prices=as_written."
            )
        shares, cash = found.get(paid.ex_date, Effect(1.0, 0.0))
        found[paid.ex_date] = Effect(shares, cash + _as_traded(paid, actions))
    return found


def _as_traded(paid: Dividend, actions: KnownActions) -> float:
    """Cash per share as it was at the close before the ex-date."""
    later = math.prod(split.factor for split in actions.splits if split.ex_date >= paid.ex_date)
    if paid.split_adjusted is False or later == 1.0:
        return paid.cash_per_share
    if paid.split_adjusted is None:
        raise DataError(
            f"{paid.symbol}: {actions.source} does not say whether the dividend of {paid.ex_date} is per share of then "
            f"({paid.cash_per_share:g}) or of today ({paid.cash_per_share * later:g} of then, as later splits are "
            f"{later:g} for 1); take splits and dividends from a source that does (data.actions_from, docs/vendors.md)."
        )
    return paid.cash_per_share * later


def with_total_return(
    symbol: str,
    rows: pd.DataFrame,
    actions: KnownActions,
    *,
    calendar: str,
    bar_seconds: int,
    currency: str,
) -> tuple[pd.DataFrame, list[str]]:
    """Return rows (N,) as traded with prices grown up to their bar, and a remark on what was applied.

    The volume is divided by the growth; `split_factor` is units per share as traded, of the bar it stands in, which
    `data.split_factors.with_split_factors` moves to where the simulator looks for it.

    Raises
    ------
    DataError
        If the actions do not cover the rows, or the rows contradict them.
    """
    if SPLIT_FACTOR in rows:
        raise DataError(
            f"{symbol} has a column {SPLIT_FACTOR!r} of its own; with data.prices=total_return it must not."
        )
    session, inside = sessions_of(rows, calendar, bar_seconds)
    require_covered(symbol, actions, session)
    grown, told = np.ones(len(rows)), []
    for ex in ex_bars(effects(actions, currency), session, inside):
        if ex.effect == Effect(1.0, 0.0):
            continue
        close, opened = float(rows["close"].iloc[ex.eve]), float(rows["open"].iloc[ex.bar])
        grown[ex.bar :] *= _growth(symbol, ex.day, ex.effect, close, opened)
        told.append(f"{ex.day} {_words(ex.effect)} after a close of {close:g} on {_date(session[ex.eve])}")
    scaled = {name: rows[name] * grown for name in (*PRICE_COLUMNS, *FURTHER_PRICES) if name in rows}
    rows = rows.assign(**scaled, volume=rows["volume"] / grown, **{SPLIT_FACTOR: 1.0 / grown})
    shown = "; ".join(told[:6]) + (f"; and {len(told) - 6} more" if len(told) > 6 else "")
    return rows, [
        f"{symbol}: prices are those of total return, from {len(told)} days with splits or dividends of "
        f"{actions.source}{': ' if told else ''}{shown}"
    ]


def unbooked_remark(
    symbol: str, rows: pd.DataFrame, actions: KnownActions, *, calendar: str, bar_seconds: int
) -> list[str]:
    """What prices as written leave out of what is known of a symbol; nothing where no split fell into its bars."""
    session, _ = sessions_of(rows, calendar, bar_seconds)
    first, last = (_date(session[at]) for at in (0, -1))
    count = sum(first < split.ex_date <= last for split in actions.splits)
    if not count:
        return []
    return [
        f"{symbol}: {count} split{'' if count == 1 else 's'} of {actions.source} between its first and last bar, and "
        "data.prices=as_written books none of them: a position held over a split is marked as if it were a loss; set "
        "data.prices=total_return, or cash_dividends"
    ]


def require_covered(symbol: str, actions: KnownActions, session: NDArray[np.int64]) -> None:
    """Raise DataError unless the actions of all sessions (N,), in order of time, were asked for."""
    first, last = (_date(session[at]) for at in (0, -1))
    if actions.covers(first, last):
        return
    windows: Mapping[date, date] = dict(actions.windows)
    told = ", ".join(f"{begin} to {end}" for begin, end in windows.items())
    raise DataError(
        f"{symbol}: its bars run from {first} to {last}, and {actions.source} was asked for splits and dividends of "
        f"{told} only; bring the rest: python -m rayjobs.ingest source={actions.source} 'symbols=[{symbol}]' "
        f"start={first} actions=true"
    )


def _growth(symbol: str, day: date, effect: Effect, close: float, opened: float) -> float:
    if effect.cash >= close:
        raise DataError(
            f"{symbol}: the dividend of {day} is {effect.cash:g} a share, and the close before it is {close:g}; one of "
            "them is wrong."
        )
    factor = effect.shares * close / (close - effect.cash)
    split, move = math.log(effect.shares), math.log(opened / close)
    # Prices that stay nearer to where they were than to where a split puts them were adjusted by who delivered them.
    if abs(split) >= _VISIBLE and abs(move) < abs(move + split):
        raise DataError(
            f"{symbol}: a split of {effect.shares:g} for 1 is known for {day}, but prices went from {close:g} to "
            f"{opened:g} over it, as if they were adjusted for it already; ingest them as traded (adjustment=raw), or "
            "set data.prices=as_written."
        )
    return factor


def _words(effect: Effect) -> str:
    words = [f"{effect.shares:g} for 1"] if effect.shares != 1.0 else []
    words += [f"{effect.cash:g} paid"] if effect.cash else []
    return " and ".join(words)


def _date(session: np.int64) -> date:
    found: date = np.datetime64(int(session), "D").astype(object)
    return found
