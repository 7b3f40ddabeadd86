"""Indicators against TA-Lib, and statistics against pandas and NumPy, on bars without gaps."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import talib
from library_specs import rough_panel
from scipy.stats import norm

from data.features.library import FEATURES
from data.features.window_sums import ema_bars

PANEL = rough_panel(11, 700, ("SPY", "QQQ"), missing=0.0, still=0.0)
H, L, C, V = (getattr(PANEL, name)[:, 0].copy() for name in ("high", "low", "close", "volume"))
R, STEP, LOG_V = np.diff(np.log(C), prepend=np.nan), np.diff(C, prepend=np.nan), np.log1p(V)


def ours(name, **params):
    feature = FEATURES[name]
    values = np.array(feature.function(PANEL, **params), dtype=float)
    values[: feature.lookback_bars(params)] = np.nan
    return values[:, 0]


def rolling(values, window):
    return pd.Series(values).rolling(window)


def test_an_exponential_mean_is_the_endless_recursions_within_the_stated_bound():
    for span in (2, 9, 26):
        found = C / np.exp(ours("ema_distance", span_bars=span))
        endless = pd.Series(C).ewm(span=span, adjust=False).mean().to_numpy()
        known = np.isfinite(found)
        assert known.sum() == len(C) - ema_bars(span) + 1
        assert np.abs(found - endless)[known].max() <= 6.2e-6 * (C.max() - C.min())


STOCH = talib.STOCHF(H, L, C, fastk_period=14, fastd_period=3)
BANDS = talib.BBANDS(C, 20, 2.0, 2.0)
WIDTH = BANDS[0] - BANDS[2]
MACD = talib.MACD(C, 12, 26, 9)
AROON = talib.AROON(H, L, 25)
TREND = (talib.CORREL(np.log(C), np.arange(700.0), 20), talib.LINEARREG_SLOPE(np.log(C), 20))
OBV = pd.Series(talib.OBV(C, V)).diff(30) / rolling(V, 30).sum()
SIDE = 2 * norm.cdf(STEP / rolling(STEP, 30).std(ddof=0)) - 1
COVARIANCE = rolling(R, 60).cov(pd.Series(R).shift(), ddof=0)


@pytest.mark.parametrize(
    ("name", "params", "reference", "tolerance"),
    [
        ("sma_distance", {"window_bars": 30}, np.log(C / talib.SMA(C, 30)), 1e-12),
        ("wilder_rsi", {"window_bars": 14}, talib.RSI(C, 14) / 50 - 1, 3e-5),
        ("stochastic", {"window_bars": 14, "smooth_bars": 3}, np.stack(STOCH, 1) / 100, 1e-12),
        ("adx", {"window_bars": 14}, talib.ADX(H, L, C, 14)[:, None] / 100, 1e-4),
        ("wilder_atr", {"window_bars": 14}, talib.ATR(H, L, C, 14) / C, 1e-6),
        (
            "bollinger",
            {"window_bars": 20, "width": 2.0},
            np.stack([(C - BANDS[2]) / WIDTH, WIDTH / BANDS[1]], 1),
            1e-9,
        ),
        ("macd", {"fast_bars": 12, "slow_bars": 26, "signal_bars": 9}, np.stack(MACD, 1) / C[:, None], 1e-5),
        ("aroon", {"window_bars": 25}, np.stack(AROON[::-1], 1) / 100, 1e-12),
        ("mfi", {"window_bars": 14}, talib.MFI(H, L, C, V, 14) / 50 - 1, 1e-9),
        ("cci", {"window_bars": 20}, talib.CCI(H, L, C, 20) / 100, 1e-9),
        ("roc", {"horizon_bars": 10}, talib.ROCP(C, 10), 1e-12),
        ("trend_strength", {"window_bars": 20}, np.stack(TREND, 1), 1e-7),
        ("obv", {"window_bars": 30}, OBV, 1e-12),
        ("price_volume_correlation", {"window_bars": 60}, rolling(R, 60).corr(pd.Series(V)), 1e-9),
        (
            "volume_zscore",
            {"window_bars": 60},
            (LOG_V - rolling(LOG_V, 60).mean()) / rolling(LOG_V, 60).std(ddof=0),
            1e-9,
        ),
        (
            "parkinson",
            {"window_bars": 30},
            np.sqrt(rolling(np.log(H / L) ** 2, 30).mean() / (4 * np.log(2))),
            1e-12,
        ),
        ("roll_spread", {"window_bars": 60}, 2 * np.sqrt(np.maximum(-COVARIANCE, 0)), 1e-8),
        (
            "autocorrelation",
            {"window_bars": 60, "lag_bars": 2},
            rolling(R, 60).corr(pd.Series(R).shift(2)),
            1e-9,
        ),
        ("volatility_rank", {"window_bars": 5, "rank_bars": 50}, None, 1e-12),
        ("bulk_imbalance", {"window_bars": 30}, rolling(V * SIDE, 30).sum() / rolling(V, 30).sum(), 1e-9),
        (
            "efficiency_ratio",
            {"window_bars": 30},
            pd.Series(C).diff(30) / rolling(np.abs(STEP), 30).sum(),
            1e-9,
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_it_is_the_reference(name, params, reference, tolerance):
    found = ours(name, **params)
    if name == "volatility_rank":
        found = found[:, 0]
        variance = rolling(R**2, 5).mean()
        reference = rolling(variance, 50).rank(method="average", pct=False) / 50 - 0.5 / 50
    if name == "adx":
        found = found[:, :1]
    reference = np.asarray(reference, dtype=float).reshape(found.shape)
    # TA-Lib's recursions begin with the first bar; by here they have forgotten how.
    rows = slice(FEATURES[name].lookback_bars(params) + 200, None)
    assert np.isfinite(found[rows]).all()
    np.testing.assert_allclose(found[rows], reference[rows], rtol=0, atol=tolerance)


def test_beta_and_residual_are_those_of_least_squares():
    feature, window = FEATURES["cointegration_residual"], 40
    found = feature.function(PANEL, reference="SPY", window_bars=window)[:, 1]
    beta = FEATURES["rolling_beta"].function(PANEL, reference="SPY", window_bars=window)[:, 1]
    logs = np.log(PANEL.close)
    for t in (100, 399, 699):
        x, y = logs[t - window + 1 : t + 1].T
        line = np.polyfit(x, y, 1)
        rest = y - np.polyval(line, x)
        np.testing.assert_allclose(found[t], rest[-1] / rest.std(), rtol=1e-7)
        rx, ry = np.diff(logs[t - window : t + 1], axis=0).T
        np.testing.assert_allclose(beta[t], np.polyfit(rx, ry, 1)[0], rtol=1e-7)


def test_a_variance_far_from_zero_is_right_to_rounding():
    # Cents on a price of a billion: sums of squares would lose all of it.
    from data.features.window_moments import trailing_moments

    values = (1e9 + np.tile([0.0, 1.0], 50))[:, None]
    moments = trailing_moments(values, 10)
    np.testing.assert_array_equal(moments.std[9:], 0.5)
    np.testing.assert_array_equal(moments.mean[9:], 1e9 + 0.5)


def test_the_hidden_states_filter_is_bayes_rule_written_out():
    params = {"window_bars": 5, "scale_bars": 20, "calm": 0.7, "wild": 1.8, "stay": 0.9}
    found = FEATURES["hidden_volatility_state"].function(PANEL, **params)[:, 0]
    scale = np.sqrt(rolling(R**2, 20).mean().shift().to_numpy())
    for t in (50, 300):
        state = np.array([0.5, 0.5])
        for row in range(t - 4, t + 1):
            state = np.array([[0.9, 0.1], [0.1, 0.9]]) @ state
            state = state * norm.pdf(R[row] / scale[row], scale=[0.7, 1.8])
            state /= state.sum()
        np.testing.assert_allclose(found[t], state[1], rtol=1e-9)
