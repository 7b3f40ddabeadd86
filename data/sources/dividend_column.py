"""Dividends that stand in the user's own files, and whether the prices beside them hold them already.

`Dividends` of yfinance is cash per share of today, as its prices are, and those are adjusted for dividends unless they
were asked for with `auto_adjust=False` (which adds `Adj Close`). What was adjusted must not be paid once more. Where
no adjusted close tells, the prices do: as traded they fall by the dividend on the ex-date, and lie on cents.

N rows of a symbol, in order of time.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from data.array_types import FloatArray
from data.dividends import DIVIDEND
from data.errors import DataError
from data.sources.adjusted_close import NAME as TOTAL_RETURN_FACTOR

AS_TRADED = (DIVIDEND, "dividend_amount", "divcash")
"""Our own name, Alpha Vantage's and Tiingo's: the open, high, low and close beside them hold no dividend."""
UNSURE = "dividends"
"""yfinance's, and many a user's: the prices may be adjusted for it."""
SPLITS = ("stock splits", "stock_splits")
DECISIVE = 0.2
"""Standard error, as a share of the dividends, below which the falls on ex-dates tell whether prices hold them: the two
answers, 0 and 1, lie five of them apart."""
CENT, NEAR, MOST = 0.01, 0.005, 0.9
"""Price step, how near to it (share of a step; yfinance's prices are rounded to 24 bits), and share of closes on it."""


def with_dividends(symbol: str, rows: pd.DataFrame, prices: str) -> tuple[pd.DataFrame, list[str]]:
    """Return rows with the file's dividends as the column `dividend`, or without them, and what is to be told.

    Parameters
    ----------
    rows : after `data.sources.adjusted_close.with_total_return`.
    prices : "as_written" or "total_return", which holds them.

    Raises
    ------
    DataError
        If two columns hold dividends.
    """
    names = [name for name in (*AS_TRADED, UNSURE) if name in rows]
    if not names:
        return rows, []
    if len(names) > 1:
        raise DataError(
            f"{symbol} has the columns {names[0]!r} and {names[1]!r}; keep one column of dividends."
        )
    name = names[0]
    paid = rows[name].to_numpy(np.float64)
    count = int((paid > 0.0).sum())
    if prices == "total_return":
        why = "data.prices=total_return has them in the prices"
    elif name == UNSURE and count:
        why = _adjusted(rows, paid)
    else:
        why = ""
    if why:
        return rows.drop(columns=name), [f"{symbol}: the column {name!r} is left out, for {why}"]
    told = f"{symbol}: the column {name!r} is paid in cash on ex-dates, {count} times, {np.nansum(paid):g} in all"
    return rows.rename(columns={name: DIVIDEND}), [told] if count else []


def _adjusted(rows: pd.DataFrame, paid: FloatArray) -> str:
    """Why the prices hold these dividends already; "" where they do not."""
    due = np.flatnonzero(paid > 0.0)
    due = due[due > 0]
    if TOTAL_RETURN_FACTOR in rows:
        grown = rows[TOTAL_RETURN_FACTOR].to_numpy()[due] != 1.0
        return "" if not len(due) or grown.any() else "the adjusted close is the close, which holds them"
    fall, error = _share_fallen(rows, paid, due)
    if error < DECISIVE:
        return (
            "" if fall > 0.5 else f"prices fall by {fall:.0%} of it on its ex-dates, and so hold it already"
        )
    if _on_cents(rows):
        return ""
    return (
        "yfinance adjusts prices for dividends unless it is asked not to, and neither an adjusted close nor these "
        "prices tell: ask it with auto_adjust=False, or call the column 'dividend' if the prices are as traded"
    )


def _share_fallen(rows: pd.DataFrame, paid: FloatArray, due: np.ndarray) -> tuple[float, float]:
    """Share of the dividends by which opens lie below the close before, by least squares, and its standard error."""
    close, opened = rows["close"].to_numpy(), rows["open"].to_numpy()
    moves = opened[1:] / close[:-1] - 1.0
    size = paid[due] / close[due - 1]
    total = float((size**2).sum())
    others = np.delete(moves, due - 1)
    if not total > 0.0 or len(others) < 2:
        return 0.0, np.inf
    usual = others.mean()
    return float(-(size * (moves[due - 1] - usual)).sum() / total), float(others.std() / np.sqrt(total))


def _on_cents(rows: pd.DataFrame) -> bool:
    """Whether closes, put back to shares of then, lie on cents, as traded prices do and adjusted ones do not."""
    close = rows["close"].to_numpy()
    for name in SPLITS:
        if name in rows:
            factor = rows[name].to_numpy(np.float64)
            factor = np.where(factor > 0.0, factor, 1.0)
            close = close * (np.prod(factor) / np.cumprod(factor))
    steps = close / CENT
    return bool((np.abs(steps - np.round(steps)) < NEAR).mean() >= MOST)
