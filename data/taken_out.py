"""Rows that stand in a file and are no bars of the panel, because of what they hold: what an order at their open met.

An outlier is told by its own prices, an island by what follows it, an inconsistent bar by its high and low. All of that
is known at the bar's close or later, and an order at its open would have been filled: a record in which it was not owes
something to hindsight. So what such a row held is kept beside the panel.

Rows that lie off the grid or outside of sessions, and copies of a time, are told by their labels: they are not among
these.

Axes: T time on the grid, N rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from data.array_types import BoolArray, FloatArray, TimeArray
from data.membership import among, places_among
from data.schema import Panel


@dataclass(frozen=True, kw_only=True, eq=False)
class TakenOut:
    """Rows of one symbol that lie on the grid and are missing in the panel.

    Attributes
    ----------
    symbol : whose. bar_utc : (N,) labels, ascending.
    open, close : (N,) prices as read, with the panel's own adjustments.
    by_repair : (N,) True where a repair took the row out (`data.repairs`), False where high or low does not bound it.
    """

    symbol: str
    bar_utc: TimeArray
    open: FloatArray
    close: FloatArray
    by_repair: BoolArray

    def __len__(self) -> int:
        return len(self.bar_utc)


def bars_taken_out(
    panel: Panel, as_read: Mapping[str, pd.DataFrame], kept: Mapping[str, pd.DataFrame]
) -> tuple[TakenOut, ...]:
    """What became of no bar, for each symbol that has such rows.

    Parameters
    ----------
    panel : made of the rows, before any gap is filled.
    as_read : symbol -> rows before the repairs, indexed by naive UTC label, ascending, each once. kept : after them.
    """
    found = []
    missing, of = np.divmod(np.flatnonzero(np.isnan(panel.close)), panel.num_assets)
    for a, symbol in enumerate(panel.symbols):
        absent = panel.bar_utc[missing[of == a]]
        rows = as_read[symbol]
        labels: TimeArray = rows.index.to_numpy("datetime64[ns]")
        if not len(absent) or not len(labels):
            continue
        lost = places_among(absent, labels).places
        if not len(lost):
            continue
        left = kept[symbol].index.to_numpy("datetime64[ns]")
        found.append(
            TakenOut(
                symbol=symbol,
                bar_utc=labels[lost],
                open=rows["open"].to_numpy(np.float64)[lost],
                close=rows["close"].to_numpy(np.float64)[lost],
                by_repair=~among(labels[lost], left),
            )
        )
    return tuple(found)
