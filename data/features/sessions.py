"""Where a bar stands in its session: sums and extremes since the session's first bar, and those of the session before.

A session is known from its first bar on only if that bar is seen to be the first: the bar before it is of another
session. So a feature of a session looks back `session_bars` bars, a number of the user's that no session of the data
should exceed: in bars of one minute 390 of New York's stocks, 1,380 of CME's futures, 1,440 of a market without a
close. What would need more is NaN, never a sum over a part of a session.

Axes: T time, A asset.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from data.array_types import FloatArray
from data.features.series import shared
from data.schema import Panel


class SessionPath(NamedTuple):
    """Of the session of t, over its known bars up to t, (T, A) each; NaN where the first bar of the session is not
    seen.

    bars : bars of the session up to t, t included, known or not, (T,).
    value, volume : sum of typical price times volume, and of volume. open, high, low : of the session so far.
    before_high, before_low, before_close : of the whole session before.
    """

    bars: FloatArray
    value: FloatArray
    volume: FloatArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    before_high: FloatArray
    before_low: FloatArray
    before_close: FloatArray


def session_path(panel: Panel, session_bars: int) -> SessionPath:
    """The path of every bar's session, computed once for all features that ask for the same `session_bars`."""
    return _session_path(panel, session_bars)


@shared
def _session_path(panel: Panel, session_bars: int) -> SessionPath:
    bars, found = _walk(
        panel.session, panel.open, panel.high, panel.low, panel.close, panel.volume, session_bars
    )
    return SessionPath(bars, *found)


def opening_range(panel: Panel, session_bars: int, opening_bars: int) -> tuple[FloatArray, FloatArray]:
    """Return (T, A) the highest and lowest price of the session's first `opening_bars` bars, NaN until they
    have closed.
    """
    high, low = _opening(panel.session, panel.high, panel.low, session_bars, opening_bars)
    return high, low


@numba.njit(cache=True)
def _walk(session, opened, high, low, close, volume, session_bars):  # type: ignore[no-untyped-def]
    num_bars, num_assets = close.shape
    bars = np.full(num_bars, np.nan)
    found = np.full((8, num_bars, num_assets), np.nan)
    # of each asset: value, volume, open, high, low, close of the session so far; high, low, close of the one before
    now = np.full((9, num_assets), np.nan)
    count = -1  # bars so far; -1: the session's first bar was not seen
    for t in range(num_bars):
        if t > 0 and session[t] != session[t - 1]:
            whole = 0 < count <= session_bars
            for a in range(num_assets):
                now[6, a] = now[3, a] if whole else np.nan
                now[7, a] = now[4, a] if whole else np.nan
                now[8, a] = now[5, a] if whole else np.nan
                now[0, a], now[1, a] = 0.0, 0.0
                now[2, a], now[3, a], now[4, a], now[5, a] = np.nan, np.nan, np.nan, np.nan
            count = 0
        if count < 0:
            continue
        count += 1
        for a in range(num_assets):
            if close[t, a] == close[t, a]:
                now[0, a] += (high[t, a] + low[t, a] + close[t, a]) / 3.0 * volume[t, a]
                now[1, a] += volume[t, a]
                if now[2, a] != now[2, a]:
                    now[2, a], now[3, a], now[4, a] = opened[t, a], high[t, a], low[t, a]
                now[3, a], now[4, a] = max(now[3, a], high[t, a]), min(now[4, a], low[t, a])
                now[5, a] = close[t, a]
        if count > session_bars:
            continue
        bars[t] = count
        for a in range(num_assets):
            for k in range(5):
                found[k, t, a] = now[k, a]
            for k in range(3):
                found[5 + k, t, a] = now[6 + k, a]
    return bars, found


@numba.njit(cache=True)
def _opening(session, high, low, session_bars, opening_bars):  # type: ignore[no-untyped-def]
    num_bars, num_assets = high.shape
    top, bottom = np.full((num_bars, num_assets), np.nan), np.full((num_bars, num_assets), np.nan)
    upper, lower = np.full(num_assets, np.nan), np.full(num_assets, np.nan)
    count = -1
    for t in range(num_bars):
        if t > 0 and session[t] != session[t - 1]:
            upper[:], lower[:] = np.nan, np.nan
            count = 0
        if count < 0:
            continue
        count += 1
        if count <= opening_bars:
            for a in range(num_assets):
                if high[t, a] == high[t, a]:
                    upper[a] = high[t, a] if upper[a] != upper[a] else max(upper[a], high[t, a])
                    lower[a] = low[t, a] if lower[a] != lower[a] else min(lower[a], low[t, a])
        if opening_bars <= count <= session_bars:
            for a in range(num_assets):
                top[t, a], bottom[t, a] = upper[a], lower[a]
    return top, bottom
