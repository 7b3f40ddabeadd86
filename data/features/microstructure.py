"""Microstructure from bars: what a spread, the impact of a trade and the imbalance of orders look like without quotes.

Axes: T time, A asset.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from scipy.special import ndtr

from data.array_types import FloatArray
from data.features.definition import (
    BAR_AND_WINDOW,
    POSITIVE,
    SHARE,
    SIGNED_SHARE,
    WINDOW,
    Feature,
    bars_of,
)
from data.features.series import (
    before,
    change,
    known,
    lagged_moments,
    log_close,
    log_high,
    log_low,
    money,
    quotient,
    shared,
    step,
    volume_known,
)
from data.features.window_extremes import last_events
from data.features.window_moments import trailing_comoments, trailing_moments
from data.features.window_sums import trailing_sum, window_mean
from data.schema import Panel

_ROOT_8 = np.sqrt(8.0)
_LN_4 = np.log(4.0)


def roll_spread(panel: Panel, *, window_bars: int) -> FloatArray:
    """(T, A) Roll's effective spread, 2 sqrt(-cov of successive log returns), 0 where the covariance is positive."""
    found = lagged_moments(panel, window_bars, 1)
    return 2.0 * np.sqrt(np.maximum(-found.xy / found.number, 0.0))


def corwin_schultz(panel: Panel, *, window_bars: int) -> FloatArray:
    """(T, A) Corwin and Schultz's spread of the highs and lows of two bars, negative ones as 0, mean of the window."""
    top, bottom = log_high(panel), log_low(panel)
    last_top, last_bottom = before(top), before(bottom)
    # A gap beyond the last close moves the bar back to it, as the paper does overnight.
    last = before(log_close(panel))
    moved = np.maximum(bottom - last, 0.0) + np.minimum(top - last, 0.0)
    top, bottom = top - moved, bottom - moved
    own = (last_top - last_bottom) ** 2 + (top - bottom) ** 2
    both = (np.maximum(top, last_top) - np.minimum(bottom, last_bottom)) ** 2
    root = 3.0 - 2.0 * np.sqrt(2.0)
    alpha = (np.sqrt(2.0 * own) - np.sqrt(own)) / root - np.sqrt(both / root)
    return window_mean(2.0 * np.maximum(np.tanh(alpha / 2.0), 0.0), window_bars)


def abdi_ranaldo(panel: Panel, *, window_bars: int) -> FloatArray:
    """(T, A) Abdi and Ranaldo's spread, 2 sqrt(mean of (c - m)(c - m')): close c, middles m and m' of its bar
    and the next.
    """
    middle = (log_high(panel) + log_low(panel)) / 2.0
    last = before(log_close(panel))
    product = (last - before(middle)) * (last - middle)
    return 2.0 * np.sqrt(np.maximum(window_mean(product, window_bars), 0.0))


def amihud(panel: Panel, *, window_bars: int) -> FloatArray:
    """(T, A) log of Amihud's illiquidity: mean of |log return| / traded value, in basis points per million.

    Bars without volume say nothing and are left out.
    """
    value = np.where(panel.volume > 0.0, money(panel), np.nan)
    return np.log(1e-12 + 1e10 * window_mean(np.abs(change(panel, 1)) / value, window_bars))


def kyle_lambda(panel: Panel, *, window_bars: int) -> FloatArray:
    """(T, A) proxy of Kyle's lambda: slope of log returns on signed volume, times the mean volume; 0 without volume.

    So it is the log return that goes with one usual bar's volume, all of it on one side.
    """
    returns, volume = change(panel, 1), volume_known(panel)
    usual = window_mean(volume, window_bars)
    flow = np.sign(returns) * panel.volume
    found = trailing_comoments(flow, returns, window_bars)
    return np.where(np.isnan(usual), np.nan, found.slope * usual)


def tick_imbalance(panel: Panel, *, window_bars: int) -> FloatArray:
    """(T, A) order flow imbalance by the tick rule: a bar's volume counts as bought if its close rose, as sold if it
    fell,
    and like the last bar that moved, at most a window back, if it stood still; share of the volume, 0 without."""
    moved = np.sign(step(panel))
    side = last_events(np.where(moved == 0.0, np.nan, moved), window_bars).last
    side = np.where(np.isnan(moved), np.nan, np.where(np.isnan(side), 0.0, side))
    traded = np.where(np.isnan(side), np.nan, panel.volume)
    return quotient(trailing_sum(side * panel.volume, window_bars), trailing_sum(traded, window_bars))


@shared
def bought_less_sold(panel: Panel, window_bars: int) -> FloatArray:
    """(T, A) 2 N(change of the close / its standard deviation over the window) - 1: bulk classification of a bar."""
    moved = step(panel)
    std = trailing_moments(moved, window_bars).std
    return 2.0 * ndtr(quotient(moved, std)) - 1.0


def bulk_imbalance(panel: Panel, *, window_bars: int) -> FloatArray:
    """(T, A) order flow imbalance by bulk volume classification: bought less sold over all volume of the
    window; 0 without.
    """
    share = bought_less_sold(panel, window_bars)
    traded = np.where(np.isnan(share), np.nan, panel.volume)
    return quotient(trailing_sum(share * panel.volume, window_bars), trailing_sum(traded, window_bars))


def vpin(panel: Panel, *, window_bars: int) -> FloatArray:
    """(T, A) volume synchronised probability of informed trading on bars: sum of |bought - sold| / volume of the
    window.

    Bars weigh as much as they traded, in place of buckets of equal volume, whose ends would depend on the whole past.
    """
    share = np.abs(bought_less_sold(panel, window_bars))
    traded = np.where(np.isnan(share), np.nan, panel.volume)
    return quotient(trailing_sum(share * panel.volume, window_bars), trailing_sum(traded, window_bars))


def turnover(panel: Panel, *, window_bars: int) -> FloatArray:
    """(T, A) log((1 + traded value / its mean over the window before) / 2): 0 at the usual turnover."""
    value = money(panel)
    usual = before(window_mean(value, window_bars))
    ratio = np.log((1.0 + quotient(value, usual, still=1.0)) / 2.0)
    return np.where(known(panel), ratio, np.nan)


def _twice(params: Mapping[str, Any]) -> int:
    return 2 * int(params["window_bars"]) - 1


_micro = partial(Feature, kind="asset", subject="microstructure", by_blocks=True)

MICROSTRUCTURE_FEATURES = (
    _micro(
        name="roll_spread",
        function=roll_spread,
        lookback_bars=partial(bars_of, "window_bars", 1),
        unit="fraction of price",
        bounds=POSITIVE,
        unknown=WINDOW,
        source="Roll 1984, eq. 5",
    ),
    _micro(
        name="corwin_schultz",
        function=corwin_schultz,
        lookback_bars=partial(bars_of, "window_bars", 0),
        unit="fraction of price",
        bounds=(0.0, 2.0),
        unknown=WINDOW,
        source="Corwin and Schultz 2012, eq. 14 and 18",
    ),
    _micro(
        name="abdi_ranaldo",
        function=abdi_ranaldo,
        lookback_bars=partial(bars_of, "window_bars", 0),
        unit="fraction of price",
        bounds=POSITIVE,
        unknown=WINDOW,
        source="Abdi and Ranaldo 2017, eq. 11",
    ),
    _micro(
        name="amihud",
        function=amihud,
        lookback_bars=partial(bars_of, "window_bars", 0),
        unit="log of bps per million",
        unknown="with fewer than half of the window's bars known and traded",
        source="Amihud 2002",
    ),
    _micro(
        name="kyle_lambda",
        function=kyle_lambda,
        lookback_bars=partial(bars_of, "window_bars", 0),
        unit="log return at the usual volume",
        unknown=WINDOW,
        source="Kyle 1985; Hasbrouck 2009",
    ),
    _micro(
        name="tick_imbalance",
        function=tick_imbalance,
        lookback_bars=_twice,
        unit="share of the volume",
        bounds=SIGNED_SHARE,
        unknown=WINDOW,
        source="Lee and Ready 1991",
    ),
    _micro(
        name="bulk_imbalance",
        function=bulk_imbalance,
        lookback_bars=_twice,
        unit="share of the volume",
        bounds=SIGNED_SHARE,
        unknown=WINDOW,
        source="Easley, Lopez de Prado and O'Hara 2012",
    ),
    _micro(
        name="vpin",
        function=vpin,
        lookback_bars=_twice,
        unit="share of the volume",
        bounds=SHARE,
        unknown=WINDOW,
        source="Easley, Lopez de Prado and O'Hara 2012",
    ),
    _micro(
        name="turnover",
        function=turnover,
        lookback_bars=partial(bars_of, "window_bars", 0),
        unit="log ratio",
        bounds=(-np.log(2.0), np.inf),
        unknown=BAR_AND_WINDOW,
        source="traded value over its mean",
    ),
)
