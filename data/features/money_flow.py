"""Technical indicators of volume: money flows, on-balance volume, and distances from volume weighted averages.

Axes: T time, A asset.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from data.array_types import FloatArray
from data.features.definition import (
    BAR_AND_WINDOW,
    MISSING,
    SIGNED_SHARE,
    WINDOW,
    Feature,
    bars_of,
)
from data.features.series import bar_range, difference, money, quotient, typical_price, volume_known
from data.features.sessions import session_path
from data.features.window_sums import trailing_sum
from data.schema import Panel


def obv(panel: Panel, *, window_bars: int) -> FloatArray:
    """(T, A) on-balance volume of the window over its volume: sum of sign(change) * volume / sum of volume; 0
    without.
    """
    flow = np.sign(difference(panel.close)) * panel.volume
    traded = np.where(np.isnan(flow), np.nan, panel.volume)
    return quotient(trailing_sum(flow, window_bars), trailing_sum(traded, window_bars))


def mfi(panel: Panel, *, window_bars: int) -> FloatArray:
    """(T, A) money flow index, MFI / 50 - 1: typical price times volume, of rising less of falling bars; 0
    without flow.
    """
    moved = np.sign(difference(typical_price(panel))) * money(panel)
    return quotient(trailing_sum(moved, window_bars), trailing_sum(np.abs(moved), window_bars))


def chaikin_money_flow(panel: Panel, *, window_bars: int) -> FloatArray:
    """(T, A) volume weighted place of the close in its bar's range, -1 at lows to 1 at highs; 0 without volume."""
    place = quotient(2.0 * panel.close - panel.high - panel.low, bar_range(panel))
    return quotient(
        trailing_sum(place * panel.volume, window_bars), trailing_sum(volume_known(panel), window_bars)
    )


def session_vwap_distance(panel: Panel, *, session_bars: int) -> FloatArray:
    """(T, A) log(close / volume weighted average of typical prices since the session opened), VWAP; 0 before
    any volume.
    """
    path = session_path(panel, session_bars)
    average = np.where(path.volume > 0.0, path.value / path.volume, panel.close)
    return np.where(np.isnan(path.volume), np.nan, np.log(panel.close / average))


def vwap_distance(panel: Panel, *, window_bars: int) -> FloatArray:
    """(T, A) log(close / volume weighted average of typical prices over the window), VWAP; 0 without volume."""
    volume = trailing_sum(volume_known(panel), window_bars)
    value = trailing_sum(money(panel), window_bars)
    average = np.where(volume > 0.0, value / volume, panel.close)
    return np.where(np.isnan(volume), np.nan, np.log(panel.close / average))


WINDOW_BARS = partial(bars_of, "window_bars")
_technical = partial(Feature, kind="asset", subject="technical", by_blocks=True)

MONEY_FLOW_FEATURES = (
    _technical(
        name="obv",
        function=obv,
        lookback_bars=partial(WINDOW_BARS, 0),
        unit="share of the volume",
        bounds=SIGNED_SHARE,
        unknown=WINDOW,
        source="Granville 1963, over a window",
    ),
    _technical(
        name="mfi",
        function=mfi,
        lookback_bars=partial(WINDOW_BARS, 0),
        unit="MFI / 50 - 1",
        bounds=SIGNED_SHARE,
        unknown=WINDOW,
        source="Quong and Soudack 1989",
    ),
    _technical(
        name="chaikin_money_flow",
        function=chaikin_money_flow,
        lookback_bars=partial(WINDOW_BARS, -1),
        unit="share of the volume",
        bounds=SIGNED_SHARE,
        unknown=WINDOW,
        source="Chaikin",
    ),
    _technical(
        name="session_vwap_distance",
        function=session_vwap_distance,
        lookback_bars=partial(bars_of, "session_bars", 0),
        unit="log ratio",
        unknown=f"{MISSING}, and in a session longer than session_bars",
        source="volume weighted average price",
    ),
    _technical(
        name="vwap_distance",
        function=vwap_distance,
        lookback_bars=partial(WINDOW_BARS, -1),
        unit="log ratio",
        unknown=BAR_AND_WINDOW,
        source="volume weighted average price",
    ),
)
