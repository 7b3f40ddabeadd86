"""Splits: the column `split_factor` of the bars, units of the panel's prices per unit that was traded.

Prices that are grown by splits go on over an ex-date, and so does what is held of them; fees per share, ticks and the
impact of a tick are those of the shares that were traded: shares = units / factor, a tick of the panel = tick / factor.
After a split of 4 for 1 into prices that grow by it the factor is a quarter. It is a level that stands until the next
one, not what happens on one day, and the simulator charges bar t + 1 by the column at t, as what is known before it
opens.

Axes: T time, A asset.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from data.array_types import FloatArray
from data.errors import DataError
from data.last_known import carried
from data.schema import Panel

SPLIT_FACTOR = "split_factor"


def split_factors(panel: Panel) -> FloatArray:
    """(T, A) the factor that each bar states, or the last one before it; 1 before the first, and without a column.

    Raises
    ------
    DataError
        If a factor is zero or negative.
    """
    column = panel.exogenous.get(SPLIT_FACTOR)
    if column is None:
        return np.ones(panel.close.shape)
    wrong = column <= 0.0  # what is unknown is not
    if wrong.any():
        t, a = np.argwhere(wrong)[0]
        raise DataError(
            f"{panel.symbols[a]}: the column {SPLIT_FACTOR} is {column[t, a]:g} at "
            f"{panel.bar_utc[t].astype('datetime64[m]')} (and zero or negative in {int(wrong.sum()) - 1:,} more bars); "
            "it is units of the prices beside it per unit that was traded, 1 where they are the same: correct it, or "
            "leave the column out."
        )
    return np.nan_to_num(carried(column), nan=1.0)


def with_split_factors(panel: Panel, *, ahead: bool = False) -> Panel:
    """The panel with its split factors known in every bar; itself where it has none.

    Parameters
    ----------
    ahead : the column says in each bar what the units of that bar are, and is moved to the bar before, where the
        simulator looks for it; ex-dates are known on the eve.

    Raises
    ------
    DataError
        If a factor is zero or negative.
    """
    if SPLIT_FACTOR not in panel.exogenous:
        return panel
    factors = split_factors(panel)
    if ahead:
        factors = np.concatenate([factors[1:], factors[-1:]])
    return replace(panel, exogenous={**panel.exogenous, SPLIT_FACTOR: factors}).with_ends(panel.end_bar)
