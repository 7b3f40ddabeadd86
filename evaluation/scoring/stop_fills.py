"""What a score owes to stops that fill at their level: the same fills at the close of their bar instead.

A bar does not say how its price came from one side of a stop to the other. Filled at its level, a stop costs nothing
but the slippage that is charged; in a market that jumps (news, a thin hour, an auction inside of the bar) the first
price that there is lies beyond the level, and a tight stop on such a market collects the jumps that it never paid.
Where a price only wanders, what follows a touch is as likely above as below, so that the bar's close is the level on
average, whatever the level: a record that is honest loses nothing but chance when each stop fills at the close of its
bar. One that lives on jumps loses them.

It needs no further run: what was filled at a price p and marked at the close C has gained units * (C - p) in its bar.
What a smaller account would have held afterwards is left out, as it changes the size of later returns and not the
returns.

Axes: R fills, N bars of a window.
"""

from __future__ import annotations

import numpy as np

from envs.kernel import columns as c
from envs.market import Market
from envs.recording import Recording
from evaluation.scoring.rollout import Track

STOPS = ("stops at their level",)
"""Name, among what a score may hang on, of stops that fill where they stand; no column is called so."""
STOP_REASONS = [
    c.REASON_NAMES[reason] for reason in (c.BY_STOP, c.BY_TRAILING, c.BY_LIQUIDATION, c.BY_STOP_ENTRY)
]
"""Fills by a price that the market must fall or rise through; those of limits and targets wait for a better one."""


def stops_at_the_close(recording: Recording, market: Market) -> Track | None:
    """The record where each stop that filled inside of its bar had filled at that bar's close; None without one.

    A stop that the open has passed fills at the open, which was a price, and stays as it is.
    """
    fills = recording.fills
    symbol_R = recording.symbols[fills.asset]
    opened_R = market.bars[fills.filled_bar, symbol_R, c.OPEN]
    inside_R = np.isin(fills.reason, STOP_REASONS) & (fills.price != opened_R)
    if not inside_R.any():
        return None
    bar_R, symbol_R = fills.filled_bar[inside_R], symbol_R[inside_R]
    beyond_R = market.mark[bar_R, symbol_R] - fills.price[inside_R]
    gained_R = fills.units[inside_R] * beyond_R * recording.multiplier[fills.asset[inside_R]]
    gained_N = np.bincount(bar_R - recording.bar[0], gained_R, minlength=len(recording.bar))
    return Track(
        bar=recording.bar,
        net_return=recording.net_return - gained_N / recording.equity[:-1],
        turnover=recording.turnover,
    )
