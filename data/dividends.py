"""Dividends: the column `dividend` of the bars, what a unit pays whoever holds it into the bar that opens without it.

It is in the currency and per unit of the prices beside it, so that a position of q units is paid q times it times the
multiplier, and a short owes as much. It stands in the bar whose open is the first without it (the ex-date), 0 in all
others. Prices that hold dividends already (total return) must not have the column as well.

Axes: T time, A asset.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from data.array_types import FloatArray
from data.errors import DataError
from data.schema import Panel

DIVIDEND = "dividend"


def dividends_of(panel: Panel) -> FloatArray:
    """(T, A) what is paid on a unit that was held into each bar; 0 in bars that are missing, unless they say more.

    Raises
    ------
    ValueError
        If it is unknown in a bar that has prices.
    """
    column = panel.exogenous[DIVIDEND]
    unknown = np.isnan(column)
    if (unknown & np.isfinite(panel.close)).any():
        require_dividends(panel)
    return np.where(unknown, 0.0, column)


def require_dividends(panel: Panel) -> None:
    """Refuse a column of dividends that cannot be paid; a panel without the column passes.

    Raises
    ------
    DataError
        If a dividend is unknown in a bar with prices, negative, or not below the close before it.
    """
    column = panel.exogenous.get(DIVIDEND)
    if column is None:
        return
    before = np.concatenate([np.full((1, panel.num_assets), np.nan), panel.last_close()[:-1]])
    with np.errstate(invalid="ignore"):
        wrong = {
            "unknown": np.isnan(column) & np.isfinite(panel.close),
            "negative": column < 0.0,
            "not below the close before it": (column > 0.0) & (column >= before),
        }
    for words, where in wrong.items():
        if not where.any():
            continue
        t, a = np.argwhere(where)[0]
        remedy = "write 0 where nothing is paid, or leave the column out of every file"
        if words != "unknown":
            remedy = "it is cash per unit of the prices beside it; correct it"
        raise DataError(
            f"{panel.symbols[a]}: the column {DIVIDEND} is {words} at {panel.bar_utc[t].astype('datetime64[m]')}"
            f"{'' if words == 'unknown' else f', {column[t, a]:g}'} (and in {int(where.sum()) - 1:,} more bars); "
            f"{remedy}."
        )


def with_lost_dividends(panel: Panel, rows: Mapping[str, pd.DataFrame]) -> tuple[Panel, tuple[str, ...]]:
    """The panel with dividends of rows that became no bar in the next bar that is on the grid, and what is to be told.

    Such a row may lie off the grid or outside of sessions, or have been taken out by a repair; who holds over it is
    paid all the same. In bars that are missing nothing is paid beside that.

    Parameters
    ----------
    rows : symbol -> rows as read, indexed by naive UTC label.
    """
    if DIVIDEND not in panel.exogenous:
        return panel, ()
    column, told = panel.exogenous[DIVIDEND].copy(), []
    column[np.isnan(column) & np.isnan(panel.close)] = 0.0
    for a, symbol in enumerate(panel.symbols):
        if DIVIDEND not in rows[symbol]:
            continue
        paid = rows[symbol][DIVIDEND]
        paid = paid[paid > 0.0]
        labels = paid.index.to_numpy("datetime64[ns]")
        at = np.searchsorted(panel.bar_utc, labels)
        here = np.minimum(at, panel.num_bars - 1)
        within = (labels > panel.bar_utc[0]) & (at < panel.num_bars)
        lost = within & ((panel.bar_utc[here] != labels) | ~(column[here, a] > 0.0))
        for bar, cash, label in zip(at[lost], paid.to_numpy()[lost], labels[lost]):
            column[bar, a] += cash
            told.append(
                f"{symbol}: a dividend of {cash:g} stands in the row of {label.astype('datetime64[m]')}, which is no "
                f"bar; it is paid in that of {panel.bar_utc[bar].astype('datetime64[m]')}"
            )
    return replace(panel, exogenous={**panel.exogenous, DIVIDEND: column}), tuple(told)
