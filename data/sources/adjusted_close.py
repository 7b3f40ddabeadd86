"""What a column of adjusted closes says beyond the prices: the gross return of dividends, kept apart from what is paid.

A close adjusted today for all later dividends is not known on its own day, and no order is filled at it. Its steps are:
on an ex-date it moves by the dividend's share more than the close does.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from data.array_types import FloatArray
from data.errors import DataError
from data.schema import FURTHER_PRICES, PRICE_COLUMNS
from data.split_factors import SPLIT_FACTOR

NAME = "total_return_factor"
"""Column: what one unit held from the close before to this one became, over what the price alone made of it. 1 but on
ex-dates; known at this bar's close (in truth on the eve)."""
PRICES = ("as_written", "total_return")
_MOST_DECIMALS = 10


def total_return_factors(close: FloatArray, adjusted: FloatArray) -> FloatArray:
    """Return (N,) (adjusted[t] / adjusted[t-1]) / (close[t] / close[t-1]), 1 at first and where only rounding moved.

    Parameters
    ----------
    close, adjusted : (N,) in order of time, positive; NaN gives NaN.
    """
    ratio = adjusted / close
    steps = np.ones(len(close))
    steps[1:] = ratio[1:] / ratio[:-1]
    slack = _rounding(close) + _rounding(adjusted)
    slack[1:] += slack[:-1].copy()
    return np.where(np.abs(steps - 1.0) <= slack + 1e-12, 1.0, steps)


def require_one_basis(name: str, parts: Mapping[str, pd.DataFrame]) -> None:
    """Refuse parts of a series whose adjusted closes do not go on from one to the next.

    A part that was downloaded later is adjusted for dividends that an earlier download did not know, and the
    step between
    them would pass for a return.

    Parameters
    ----------
    parts : file -> rows in order of time.
    """
    held = [(stem, rows) for stem, rows in parts.items() if "adjusted_close" in rows and len(rows)]
    held.sort(key=lambda item: item[1].index[0])
    for (before, one), (stem, other) in zip(held, held[1:]):
        names = ["close", "adjusted_close"]
        edge = pd.concat([one[names].iloc[-1:], other[names].iloc[:1]]).to_numpy()
        if total_return_factors(edge[:, 0], edge[:, 1])[1] != 1.0:
            raise DataError(
                f"{name}: the adjusted closes of {before} and {stem} do not go on from one to the other, "
                "as where they were "
                "downloaded at different times; give one file, or leave the column out."
            )


def with_total_return(symbol: str, rows: pd.DataFrame, prices: str) -> pd.DataFrame:
    """Return rows in order of time without `adjusted_close`, and what it says beyond the prices as known in time.

    Parameters
    ----------
    prices : "as_written" keeps the prices and adds `total_return_factor`, if there is an adjusted close. "total_return"
        multiplies prices by the product of these factors up to their bar, 1 at the first, divides the volume by it, and
        adds `split_factor`, units per unit that was traded, with which the simulator charges fees and ticks.

    Raises
    ------
    DataError
        If prices of total return are asked for without adjusted closes.
    """
    if "adjusted_close" not in rows:
        if prices == "total_return":
            raise DataError(
                f"{symbol} has no adjusted closes, which data.prices=total_return needs; give a file with "
                "a column 'Adj Close', "
                "or set data.prices=as_written."
            )
        return rows
    factors = total_return_factors(rows["close"].to_numpy(), rows["adjusted_close"].to_numpy())
    rows = rows.drop(columns="adjusted_close")
    if prices == "as_written":
        return rows.assign(**{NAME: factors})
    if SPLIT_FACTOR in rows:
        raise DataError(
            f"{symbol} has a column {SPLIT_FACTOR!r} of its own; with data.prices=total_return it must not."
        )
    grown = np.cumprod(factors)
    # The simulator charges bar t + 1 by the column at t, as what is known before it opens; ex-dates are.
    ahead = np.append(grown[1:], grown[-1:])
    scaled = {name: rows[name] * grown for name in (*PRICE_COLUMNS, *FURTHER_PRICES) if name in rows}
    return rows.assign(**scaled, volume=rows["volume"] / grown, **{SPLIT_FACTOR: 1.0 / ahead})


def _rounding(values: FloatArray) -> FloatArray:
    """Return (N,) the largest relative error of numbers that were rounded to as few decimals as they all have."""
    finite = values[np.isfinite(values)]
    decimals = next(
        (d for d in range(_MOST_DECIMALS) if np.allclose(np.round(finite, d), finite, rtol=1e-14, atol=0.0)),
        _MOST_DECIMALS,
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.abs(0.5 * 10.0**-decimals / values)
