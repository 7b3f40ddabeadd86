"""The features that pandas and TA-Lib have too, as one writes them there: what suite `features` compares with."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from data.features import FeatureSpec
from data.schema import Panel

Peer = Callable[[Panel], Any]


def _spec(name: str, **params: Any) -> FeatureSpec:
    return FeatureSpec(name=name, params=params)


def _frame(values: Any) -> pd.DataFrame:
    return pd.DataFrame(values)


def _returns(panel: Panel) -> pd.DataFrame:
    return np.log(_frame(panel.close)).diff()


def _bollinger(panel: Panel) -> Any:
    window = _frame(panel.close).rolling(20)
    mean, std = window.mean(), window.std(ddof=0)
    return (panel.close - mean + 2 * std) / (4 * std), 4 * std / mean


def _stochastic(panel: Panel) -> Any:
    low = _frame(panel.low).rolling(14).min()
    place = (panel.close - low) / (_frame(panel.high).rolling(14).max() - low)
    return place, place.rolling(3).mean()


def _rsi(panel: Panel) -> Any:
    moved = _frame(panel.close).diff()
    up, down = moved.clip(lower=0).rolling(14).mean(), (-moved.clip(upper=0)).rolling(14).mean()
    return (up - down) / (up + down)


def _macd(panel: Panel) -> Any:
    close = _frame(panel.close)
    line = close.ewm(span=12, adjust=False).mean() - close.ewm(span=26, adjust=False).mean()
    signal = line.ewm(span=9, adjust=False).mean()
    return line / close, signal / close, (line - signal) / close


def _obv(panel: Panel) -> Any:
    volume = _frame(panel.volume)
    return (np.sign(_frame(panel.close).diff()) * volume).rolling(30).sum() / volume.rolling(30).sum()


def _zscore(panel: Panel) -> Any:
    volume = np.log1p(_frame(panel.volume))
    window = volume.rolling(60)
    return (volume - window.mean()) / window.std(ddof=0)


def _beta(panel: Panel) -> Any:
    returns = _returns(panel)
    return returns.rolling(120).cov(returns[0], ddof=0).div(returns[0].rolling(120).var(ddof=0), axis=0)


def _correlation(panel: Panel) -> Any:
    return _returns(panel).rolling(60).corr(_frame(panel.volume))


def _rank(panel: Panel) -> Any:
    variance = (_returns(panel) ** 2).rolling(30).mean()
    return variance.rolling(240).rank() / 240.0


PANDAS: Sequence[tuple[FeatureSpec, Peer]] = (
    (_spec("sma_distance", window_bars=60), lambda p: np.log(p.close / _frame(p.close).rolling(60).mean())),
    (
        _spec("ema_distance", span_bars=26),
        lambda p: np.log(p.close / _frame(p.close).ewm(span=26, adjust=False).mean()),
    ),
    (_spec("bollinger", window_bars=20, width=2.0), _bollinger),
    (_spec("stochastic", window_bars=14, smooth_bars=3), _stochastic),
    (_spec("rsi", window_bars=14), _rsi),
    (_spec("macd", fast_bars=12, slow_bars=26, signal_bars=9), _macd),
    (_spec("obv", window_bars=30), _obv),
    (_spec("volume_zscore", window_bars=60), _zscore),
    (_spec("rolling_beta", reference="SPY", window_bars=120), _beta),
    (_spec("price_volume_correlation", window_bars=60), _correlation),
    (_spec("volatility_rank", window_bars=30, rank_bars=240), _rank),
    (
        _spec("parkinson", window_bars=30),
        lambda p: np.sqrt((np.log(_frame(p.high) / p.low) ** 2).rolling(30).mean() / (4 * np.log(2))),
    ),
)


def _of_each(function: str, columns: Sequence[str], **options: float) -> Peer:
    """A function of TA-Lib, asset after asset: it knows one series at a time."""

    def of(panel: Panel) -> Any:
        import talib

        arrays = [np.ascontiguousarray(getattr(panel, name).T) for name in columns]
        compute = getattr(talib, function)
        return [compute(*(array[a] for array in arrays), **options) for a in range(panel.num_assets)]

    return of


HLC = ("high", "low", "close")
TALIB: Sequence[tuple[FeatureSpec, Peer]] = (
    (_spec("sma_distance", window_bars=60), _of_each("SMA", ("close",), timeperiod=60)),
    (_spec("ema_distance", span_bars=26), _of_each("EMA", ("close",), timeperiod=26)),
    (_spec("wilder_rsi", window_bars=14), _of_each("RSI", ("close",), timeperiod=14)),
    (_spec("wilder_atr", window_bars=14), _of_each("ATR", HLC, timeperiod=14)),
    (_spec("bollinger", window_bars=20, width=2.0), _of_each("BBANDS", ("close",), timeperiod=20)),
    (
        _spec("stochastic", window_bars=14, smooth_bars=3),
        _of_each("STOCHF", HLC, fastk_period=14, fastd_period=3),
    ),
    (_spec("adx", window_bars=14), _of_each("ADX", HLC, timeperiod=14)),
    (_spec("macd", fast_bars=12, slow_bars=26, signal_bars=9), _of_each("MACD", ("close",))),
    (_spec("mfi", window_bars=14), _of_each("MFI", (*HLC, "volume"), timeperiod=14)),
    (_spec("cci", window_bars=20), _of_each("CCI", HLC, timeperiod=20)),
    (_spec("aroon", window_bars=25), _of_each("AROON", ("high", "low"), timeperiod=25)),
    (_spec("roc", horizon_bars=10), _of_each("ROCP", ("close",), timeperiod=10)),
    (_spec("trend_strength", window_bars=60), _of_each("LINEARREG_SLOPE", ("close",), timeperiod=60)),
)
PEERS: dict[str, Sequence[tuple[FeatureSpec, Peer]] | None] = {
    "pandas": PANDAS,
    "TA-Lib": TALIB if importlib.util.find_spec("talib") else None,
}
