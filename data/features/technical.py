"""Technical indicators: averages, oscillators, bands and candles, by their usual names.

Exponential means, Wilder's among them, are windowed (`data.features.window_sums` states the bound), so that every
lookback has an end. Prices are given relative to the close, so that one network reads assets of every price.

Axes: T time, A asset.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from data.array_types import FloatArray
from data.features.definition import (
    ANY,
    BAR_AND_WINDOW,
    MISSING,
    POSITIVE,
    SHARE,
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
    difference,
    full_range,
    gains,
    log_close,
    log_high,
    log_low,
    log_open,
    losses,
    money,
    quotient,
    typical_price,
    volume_known,
)
from data.features.sessions import session_path
from data.features.window_extremes import highest, highest_age, lowest, mean_deviation
from data.features.window_moments import trailing_moments
from data.features.window_sums import ema_bars, trailing_ema, trailing_sum, wilder_span, window_mean
from data.schema import Panel


def sma_distance(panel: Panel, *, window_bars: int) -> FloatArray:
    """(T, A) log(close / simple moving average), SMA."""
    return np.log(panel.close / window_mean(panel.close, window_bars))


def ema_distance(panel: Panel, *, span_bars: int) -> FloatArray:
    """(T, A) log(close / exponential moving average), EMA, weight of the newest bar 2 / (span + 1)."""
    return np.log(panel.close / trailing_ema(panel.close, span_bars))


def macd(panel: Panel, *, fast_bars: int, slow_bars: int, signal_bars: int) -> FloatArray:
    """(T, A, 3) moving average convergence divergence: line, signal line and their difference, fractions of
    the close.
    """
    line = trailing_ema(panel.close, fast_bars) - trailing_ema(panel.close, slow_bars)
    signal = trailing_ema(line, signal_bars)
    return np.stack([part / panel.close for part in (line, signal, line - signal)], axis=2)


def wilder_rsi(panel: Panel, *, window_bars: int) -> FloatArray:
    """(T, A) relative strength index with Wilder's smoothing, RSI / 50 - 1; 0 if nothing moved."""
    span = wilder_span(window_bars)
    up, down = trailing_ema(gains(panel), span), trailing_ema(losses(panel), span)
    return quotient(up - down, up + down)


def stochastic(panel: Panel, *, window_bars: int, smooth_bars: int) -> FloatArray:
    """(T, A, 2) %K, where the close stands between the window's low and high, and %D, its mean; 0.5 without a range."""
    low = lowest(panel.low, window_bars)
    place = quotient(panel.close - low, highest(panel.high, window_bars) - low, still=0.5)
    return np.stack([place, window_mean(place, smooth_bars)], axis=2)


def donchian(panel: Panel, *, window_bars: int) -> FloatArray:
    """(T, A, 2) Donchian channel of the bars before t: position of the close, 0 to 1 inside, and width over
    the close.
    """
    top, bottom = before(highest(panel.high, window_bars)), before(lowest(panel.low, window_bars))
    width = top - bottom
    place = quotient(panel.close - bottom, width, still=0.5)
    # Beyond the channel by more than ten widths is no more than ten.
    return np.stack([np.clip(place, -10.0, 11.0), width / panel.close], axis=2)


def aroon(panel: Panel, *, window_bars: int) -> FloatArray:
    """(T, A, 2) Aroon up and down: 1 - age of the highest high (lowest low) of the last window_bars + 1 bars /
    window.
    """
    up, down = (highest_age(values, window_bars + 1) for values in (panel.high, -panel.low))
    return np.stack([1.0 - up / window_bars, 1.0 - down / window_bars], axis=2)


def directional_movement(panel: Panel) -> tuple[FloatArray, FloatArray]:
    """Wilder's +DM and -DM, (T, A), currency."""
    up, down = difference(panel.high), -difference(panel.low)
    return (
        np.where((up > down) & (up > 0.0), up, 0.0 * up),
        np.where((down > up) & (down > 0.0), down, 0.0 * down),
    )


def adx(panel: Panel, *, window_bars: int) -> FloatArray:
    """(T, A, 2) average directional index, 0 to 1, and the direction (+DI - -DI) / (+DI + -DI)."""
    span = wilder_span(window_bars)
    plus, minus = (trailing_ema(moved, span) for moved in directional_movement(panel))
    direction = quotient(plus - minus, plus + minus)
    return np.stack([trailing_ema(np.abs(direction), span), direction], axis=2)


def wilder_atr(panel: Panel, *, window_bars: int) -> FloatArray:
    """(T, A) average true range with Wilder's smoothing, nights included, fraction of the close."""
    return trailing_ema(full_range(panel), wilder_span(window_bars)) / panel.close


def bollinger(panel: Panel, *, window_bars: int, width: float) -> FloatArray:
    """(T, A, 2) Bollinger %b, 0 at the lower band and 1 at the upper, 0.5 if nothing moved, and the bands'
    width / mean.
    """
    moments = trailing_moments(panel.close, window_bars)
    std = moments.std
    percent = 0.5 + quotient(panel.close - moments.mean, 2.0 * width * std)
    return np.stack([percent, 2.0 * width * std / moments.mean], axis=2)


def keltner(panel: Panel, *, span_bars: int, atr_bars: int, width: float) -> FloatArray:
    """(T, A) (close - EMA) / (width * ATR): -1 at the lower Keltner channel, 1 at the upper; 0 if nothing moved."""
    reach = width * window_mean(full_range(panel), atr_bars)
    return np.clip(quotient(panel.close - trailing_ema(panel.close, span_bars), reach), -100.0, 100.0)


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


def cci(panel: Panel, *, window_bars: int) -> FloatArray:
    """(T, A) commodity channel index / 100: typical price less its mean over 1.5 mean deviations; 0 if nothing
    moved.
    """
    price = typical_price(panel)
    mean = trailing_moments(price, window_bars).mean  # exact where the price stood still
    return quotient(price - mean, 1.5 * mean_deviation(price, mean, window_bars))


def roc(panel: Panel, *, horizon_bars: int) -> FloatArray:
    """(T, A) rate of change: close[t] / close[t - horizon_bars] - 1, nights included."""
    return np.expm1(change(panel, horizon_bars))


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


def candle(panel: Panel) -> FloatArray:
    """(T, A, 4) body, upper and lower wick as shares of the range (0 without one), and log(high / low)."""
    extent = bar_range(panel)
    top, bottom = np.maximum(panel.open, panel.close), np.minimum(panel.open, panel.close)
    parts = (body(panel), panel.high - top, bottom - panel.low)
    return np.stack([*(quotient(part, extent) for part in parts), log_high(panel) - log_low(panel)], axis=2)


def relative_ohlc(panel: Panel) -> FloatArray:
    """(T, A, 4) log of open, high, low and close over the last close: the raw bar, relative."""
    last = before(log_close(panel))
    prices = (log_open(panel), log_high(panel), log_low(panel), log_close(panel))
    return np.stack([price - last for price in prices], axis=2)


def _ema(name: str, more: int, params: Mapping[str, Any]) -> int:
    return ema_bars(params[name]) + more


def _wilder(more: int, params: Mapping[str, Any]) -> int:
    return ema_bars(wilder_span(params["window_bars"])) + more


WINDOW_BARS = partial(bars_of, "window_bars")
_technical = partial(Feature, kind="asset", subject="technical", by_blocks=True)

TECHNICAL_FEATURES = (
    _technical(
        name="sma_distance",
        function=sma_distance,
        lookback_bars=partial(WINDOW_BARS, -1),
        unit="log ratio",
        unknown=BAR_AND_WINDOW,
        source="simple moving average",
    ),
    _technical(
        name="ema_distance",
        function=ema_distance,
        lookback_bars=partial(_ema, "span_bars", -1),
        unit="log ratio",
        unknown=BAR_AND_WINDOW,
        source="exponential moving average, windowed",
    ),
    _technical(
        name="macd",
        function=macd,
        lookback_bars=lambda p: (
            max(ema_bars(p["fast_bars"]), ema_bars(p["slow_bars"])) + ema_bars(p["signal_bars"]) - 2
        ),
        outputs=named_outputs("line", "signal", "histogram"),
        unit="fraction of close",
        unknown=BAR_AND_WINDOW,
        source="Appel 1979, windowed",
    ),
    _technical(
        name="wilder_rsi",
        function=wilder_rsi,
        lookback_bars=partial(_wilder, 0),
        unit="RSI / 50 - 1",
        bounds=SIGNED_SHARE,
        unknown=WINDOW,
        source="Wilder 1978, windowed",
    ),
    _technical(
        name="stochastic",
        function=stochastic,
        lookback_bars=lambda p: p["window_bars"] + p["smooth_bars"] - 2,
        outputs=named_outputs("k", "d"),
        unit="share of the range",
        bounds=SHARE,
        unknown=BAR_AND_WINDOW,
        source="Lane 1984",
    ),
    _technical(
        name="donchian",
        function=donchian,
        lookback_bars=partial(WINDOW_BARS, 0),
        outputs=named_outputs("position", "width"),
        unit="channel widths; fraction of close",
        bounds=(-10.0, np.inf),
        unknown=BAR_AND_WINDOW,
        source="Donchian 1960",
    ),
    _technical(
        name="aroon",
        function=aroon,
        lookback_bars=partial(WINDOW_BARS, 0),
        outputs=named_outputs("up", "down"),
        unit="share of the window",
        bounds=SHARE,
        unknown=WINDOW,
        source="Chande 1995",
    ),
    _technical(
        name="adx",
        function=adx,
        lookback_bars=lambda p: 2 * ema_bars(wilder_span(p["window_bars"])) - 1,
        outputs=named_outputs("", "direction"),
        unit="ADX / 100",
        bounds=SIGNED_SHARE,
        unknown=WINDOW,
        source="Wilder 1978, windowed",
    ),
    _technical(
        name="wilder_atr",
        function=wilder_atr,
        lookback_bars=partial(_wilder, 0),
        unit="fraction of close",
        bounds=POSITIVE,
        unknown=BAR_AND_WINDOW,
        source="Wilder 1978, windowed",
    ),
    _technical(
        name="bollinger",
        function=bollinger,
        lookback_bars=partial(WINDOW_BARS, -1),
        outputs=named_outputs("percent_b", "width"),
        check=positive("width"),
        unit="band widths; fraction of the mean",
        unknown=BAR_AND_WINDOW,
        source="Bollinger 1992",
    ),
    _technical(
        name="keltner",
        function=keltner,
        lookback_bars=lambda p: max(ema_bars(p["span_bars"]) - 1, p["atr_bars"]),
        check=positive("width"),
        unit="half channel widths, at most 100",
        bounds=(-100.0, 100.0),
        unknown=BAR_AND_WINDOW,
        source="Keltner 1960; Raschke's form",
    ),
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
        name="cci",
        function=cci,
        lookback_bars=partial(WINDOW_BARS, -1),
        unit="CCI / 100",
        unknown=BAR_AND_WINDOW,
        source="Lambert 1980",
    ),
    _technical(
        name="roc",
        function=roc,
        lookback_bars=partial(bars_of, "horizon_bars", 0),
        unit="return",
        bounds=(-1.0, np.inf),
        unknown="where one of the two bars is missing",
        source="rate of change",
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
    _technical(
        name="candle",
        function=candle,
        outputs=named_outputs("body", "upper_wick", "lower_wick", "range"),
        unit="shares of the range; log ratio",
        bounds=(-1.0, np.inf),
        unknown=MISSING,
        source="candlestick",
    ),
    _technical(
        name="relative_ohlc",
        function=relative_ohlc,
        lookback_bars=lambda p: 1,
        outputs=named_outputs("open", "high", "low", "close"),
        unit="log ratio",
        bounds=ANY,
        unknown="at a missing bar, and after one",
        source="the bar itself",
    ),
)
