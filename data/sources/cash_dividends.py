"""A lake's dividends as cash: the column `dividend` beside prices that do not hold them, known when it happens.

D is per unit of the prices beside it: as traded then for prices as traded, per share of today for prices that were
adjusted for splits, and per grown unit where `data.prices=cash_dividends` grows prices by splits alone:

    dividend = D * G(close before)        G: product of the splits s for 1 of all ex-dates up to a bar, 1 at the first

N bars of a symbol, in order of time.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd

from data.bar_sessions import sessions_of
from data.dividends import DIVIDEND
from data.errors import DataError
from data.lake.actions import KnownActions
from data.sources.corporate_actions import effects, ex_bars, require_covered, with_total_return
from data.split_factors import SPLIT_FACTOR


def with_cash_dividends(
    symbol: str,
    rows: pd.DataFrame,
    actions: KnownActions,
    *,
    calendar: str,
    bar_seconds: int,
    currency: str,
    adjusted_for_splits: bool,
    grow: bool,
) -> tuple[pd.DataFrame, list[str]]:
    """Return rows (N,) with the column `dividend`, and what was applied.

    Parameters
    ----------
    adjusted_for_splits : the prices are, up to now. grow : make it so, up to each bar.

    Raises
    ------
    DataError
        If the actions do not cover the rows, contradict them, are in another currency or in unknown shares, or the rows
        have a column of dividends of their own.
    """
    if DIVIDEND in rows:
        raise DataError(
            f"{symbol} has a column {DIVIDEND!r} of its own, and {actions.source} knows its dividends as well; one of "
            "them must go."
        )
    session, inside = sessions_of(rows, calendar, bar_seconds)
    require_covered(symbol, actions, session)
    told: list[str] = []
    if grow:
        splits = replace(actions, dividends=())
        rows, _ = with_total_return(
            symbol, rows, splits, calendar=calendar, bar_seconds=bar_seconds, currency=currency
        )
        told = [
            f"{symbol}: prices are grown by the splits of {actions.source}, {len(splits.splits)} in all it knows"
        ]
    grown = 1.0 / rows[SPLIT_FACTOR].to_numpy() if grow else np.ones(len(rows))
    paid, count = np.zeros(len(rows)), 0
    for ex in ex_bars(effects(actions, currency), session, inside):
        if not ex.effect.cash:
            continue
        later = math.prod(split.factor for split in actions.splits if split.ex_date >= ex.day)
        cash = ex.effect.cash / later if adjusted_for_splits else ex.effect.cash * grown[ex.eve]
        close = float(rows["close"].iloc[ex.eve])
        if cash >= close:
            raise DataError(
                f"{symbol}: the dividend of {ex.day} is {cash:g} a unit, and the close before it is {close:g}; one of "
                "them is wrong."
            )
        paid[ex.bar] += cash
        count += 1
    told.append(f"{symbol}: {count} dividends of {actions.source} are paid in cash on their ex-dates")
    return rows.assign(**{DIVIDEND: paid}), told if count or grow else []
