"""Rolls that a source shows too late, or moves: each contract is left once, at the step that it had.

A series of dated contracts is rolled in the first bar in which both were traded. A source that has the bar of the old
contract first shows it without a roll; read again, that bar is the first of the next contract. It has been handed over
by then, and the step between the two must not pass for a gain: the roll is handed over with the next bar instead. And a
roll that has been handed over, and that a later reading puts elsewhere, is not handed over again.

Axes: A asset.
"""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from data.schema import Panel
from data.traded_prices import ROLL, traded_prices
from envs.live.growing_market import ClosedBar

_log = logging.getLogger(__name__)


class LateRolls:
    """How many contracts each series has left in the bars that were handed over.

    Parameters
    ----------
    like : bars that are there. first : label of the first one that is handed over.
    """

    def __init__(self, like: Panel, first: np.datetime64) -> None:
        self._left = np.zeros(like.num_assets, dtype=np.int64)
        if ROLL in like.exogenous:
            self._left += np.isfinite(like.exogenous[ROLL][like.bar_utc < first]).sum(axis=0)

    def settled(self, bar: ClosedBar, reading: Panel) -> ClosedBar:
        """The bar with the roll that is due in it: its own, one that came too late, or none.

        Parameters
        ----------
        reading : bars from the first one on, up to this one at least. Without prices, nothing is rolled in a bar.
        """
        rolls = reading.exogenous.get(ROLL)
        if rolls is None:
            return bar
        until = int(np.searchsorted(reading.bar_utc, bar.bar_utc, side="right"))
        left_at = bar.exogenous[ROLL].copy()
        for a in np.flatnonzero(bar.tradable & np.isfinite(bar.open)):
            at = np.flatnonzero(np.isfinite(rolls[:until, a]))
            due = len(at) - int(self._left[a])
            self._left[a] = max(len(at), int(self._left[a]))
            if due == int(np.isfinite(left_at[a])):
                continue
            left_at[a] = np.nan
            if due > 0:
                opened = traded_prices(reading)["open"][:until, a]
                step = float((opened[at[-due:]] - rolls[at[-due:], a]).sum())
                left_at[a] = opened[-1] - step
            _log.warning(
                "%s: the source shows %s at another time than when that bar was handed over; %s",
                reading.symbols[a],
                "rolls of contracts" if abs(due) > 1 else "a roll of contracts",
                f"rolled at {bar.bar_utc} instead" if due > 0 else "nothing is rolled again",
            )
        return replace(bar, exogenous={**bar.exogenous, ROLL: left_at})
