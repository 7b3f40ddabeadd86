"""Volume and price together: climax, churn, persistence and the range that a bar was given for its volume.

Axes: T time, A asset.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from data.array_types import FloatArray
from data.features.definition import (
    ANY,
    BAR_AND_WINDOW,
    SIGNED_SHARE,
    WINDOW,
    Feature,
    bars_of,
    named_outputs,
    positive,
)
from data.features.series import (
    bar_range,
    before,
    body,
    change,
    full_range,
    log_range,
    quotient,
    shared,
    volume_known,
)
from data.features.window_moments import trailing_comoments, trailing_moments
from data.features.window_sums import ema_bars, trailing_ema, window_mean
from data.schema import Panel


@shared
def usual_volume(panel: Panel, window_bars: int) -> FloatArray:
    """(T, A) mean volume of the window before t, units."""
    return before(window_mean(volume_known(panel), window_bars))


@shared
def usual_range(panel: Panel, window_bars: int) -> FloatArray:
    """(T, A) mean true range of the window before t, currency."""
    return before(window_mean(full_range(panel), window_bars))


def volume_zscore(panel: Panel, *, window_bars: int) -> FloatArray:
    """(T, A) log(1 + volume) less its mean over the window, in standard deviations; 0 if it never changed."""
    volume = np.log1p(volume_known(panel))
    moments = trailing_moments(volume, window_bars)
    return quotient(volume - moments.mean, moments.std)


def climax(panel: Panel, *, window_bars: int, multiple: float) -> FloatArray:
    """(T, A) 1 (buying) or -1 (selling climax) where volume and range exceed `multiple` times their means before,
    else 0.

    The side is that of the bar's body.
    """
    loud = volume_known(panel) > multiple * usual_volume(panel, window_bars)
    wide = bar_range(panel) > multiple * usual_range(panel, window_bars)
    flag = np.where(loud & wide, np.sign(body(panel)), 0.0 * panel.close)
    unknown = np.isnan(usual_volume(panel, window_bars)) | np.isnan(usual_range(panel, window_bars))
    return np.where(unknown, np.nan, flag)


def churn(panel: Panel, *, window_bars: int) -> FloatArray:
    """(T, A, 2) log of volume over range, both over their means before t and limited to 1/100 to 100, and its z-score.

    Above 0 much was traded for little movement. The z-score is over the window up to t, 0 if it never changed.
    """
    loud = quotient(volume_known(panel), usual_volume(panel, window_bars), still=1.0)
    wide = quotient(bar_range(panel), usual_range(panel, window_bars), still=1.0)
    value = np.log(np.clip(loud, 0.01, 100.0) / np.clip(wide, 0.01, 100.0))
    moments = trailing_moments(value, window_bars)
    return np.stack([value, quotient(value - moments.mean, moments.std)], axis=2)


def imbalance_persistence(panel: Panel, *, window_bars: int) -> FloatArray:
    """(T, A) mean over the window of sign(body) * sign(body of the bar before): 1 one side only, -1 always in turn."""
    side = np.sign(body(panel))
    return window_mean(side * before(side), window_bars)


def direction_ema(panel: Panel, *, span_bars: int) -> FloatArray:
    """(T, A) exponential mean of sign(close - open), windowed."""
    return trailing_ema(np.sign(body(panel)), span_bars)


def intrabar_volatility(panel: Panel, *, window_bars: int) -> FloatArray:
    """(T, A) log(high / low) of the bar over its mean of the window before, log((1 + ratio) / 2): 0 at the
    usual range.
    """
    extent = log_range(panel)
    usual = before(window_mean(extent, window_bars))
    return np.log((1.0 + quotient(extent, usual, still=1.0)) / 2.0)


def effort_result(panel: Panel, *, window_bars: int) -> FloatArray:
    """(T, A) correlation of volume with |log return| over the window: near 1 effort moves the price."""
    return trailing_comoments(volume_known(panel), np.abs(change(panel, 1)), window_bars).correlation


def price_volume_correlation(panel: Panel, *, window_bars: int) -> FloatArray:
    """(T, A) correlation of log returns with volume over the window: above 0 rises are traded more than falls."""
    return trailing_comoments(volume_known(panel), change(panel, 1), window_bars).correlation


_vpa = partial(Feature, kind="asset", subject="volume_price", by_blocks=True)

VOLUME_PRICE_FEATURES = (
    _vpa(
        name="volume_zscore",
        function=volume_zscore,
        lookback_bars=partial(bars_of, "window_bars", -1),
        unit="standard deviations",
        unknown=BAR_AND_WINDOW,
        source="z-score",
    ),
    _vpa(
        name="climax",
        function=climax,
        lookback_bars=partial(bars_of, "window_bars", 1),
        check=positive("multiple"),
        unit="flag",
        bounds=SIGNED_SHARE,
        unknown=BAR_AND_WINDOW,
        source="Williams 1993, volume spread analysis",
    ),
    _vpa(
        name="churn",
        function=churn,
        lookback_bars=lambda p: 2 * p["window_bars"],
        outputs=named_outputs("", "z"),
        unit="log ratio; standard deviations",
        bounds=ANY,
        unknown=BAR_AND_WINDOW,
        source="Williams 1993, volume spread analysis",
    ),
    _vpa(
        name="imbalance_persistence",
        function=imbalance_persistence,
        lookback_bars=partial(bars_of, "window_bars", 0),
        unit="mean of signs",
        bounds=SIGNED_SHARE,
        unknown=WINDOW,
        source="first autocorrelation of signs",
    ),
    _vpa(
        name="direction_ema",
        function=direction_ema,
        lookback_bars=lambda p: ema_bars(p["span_bars"]) - 1,
        unit="mean of signs",
        bounds=SIGNED_SHARE,
        unknown=WINDOW,
        source="exponential mean, windowed",
    ),
    _vpa(
        name="intrabar_volatility",
        function=intrabar_volatility,
        lookback_bars=partial(bars_of, "window_bars", 0),
        unit="log ratio",
        bounds=(-np.log(2.0), np.inf),
        unknown=BAR_AND_WINDOW,
        source="range over its mean",
    ),
    _vpa(
        name="effort_result",
        function=effort_result,
        lookback_bars=partial(bars_of, "window_bars", 0),
        unit="correlation",
        bounds=SIGNED_SHARE,
        unknown=WINDOW,
        source="Wyckoff's effort and result",
    ),
    _vpa(
        name="price_volume_correlation",
        function=price_volume_correlation,
        lookback_bars=partial(bars_of, "window_bars", 0),
        unit="correlation",
        bounds=SIGNED_SHARE,
        unknown=WINDOW,
        source="Karpoff 1987",
    ),
)
