"""Every built-in feature with short windows, and random panels that hold what it may meet."""

from __future__ import annotations

import numpy as np

from data.features import FeatureSpec
from data.schema import Panel

SYMBOLS = ("SPY", "QQQ", "AMD")
W = {"window_bars": 6}
EVENTS = {
    "SPY": "2020-01-03T06:00 known 2020-01-02; 2020-01-09T05:59:30Z; 2020-01-12 known 2020-01-05T10:00+02:00",
    "QQQ": ["2020-01-04T01:00Z known 2020-01-06T13:00Z"],
    "AMD": "",
}
SECTORS = {"SPY": "index", "QQQ": "index", "AMD": "chips", "X0": "chips", "X1": "chips", "S3": "index"}
PARAMS = {
    "log_return": [{"horizon_bars": 1}, {"horizon_bars": 7}],
    "realised_volatility": [W],
    "gaussian_hmm": [W],
    "atr": [W],
    "rsi": [W],
    "relative_volume": [W],
    "column": [{"name": "signal"}],
    "sma_distance": [{"window_bars": 1}, {"window_bars": 7}],
    "ema_distance": [{"span_bars": 1}, {"span_bars": 3}],
    "macd": [{"fast_bars": 1, "slow_bars": 2, "signal_bars": 1}, {"fast_bars": 2, "slow_bars": 3, "signal_bars": 2}],
    "wilder_rsi": [{"window_bars": 2}],
    "stochastic": [{"window_bars": 5, "smooth_bars": 3}, {"window_bars": 1, "smooth_bars": 1}],
    "donchian": [W],
    "aroon": [W],
    "adx": [{"window_bars": 2}],
    "wilder_atr": [{"window_bars": 2}],
    "bollinger": [{"window_bars": 6, "width": 2.0}],
    "keltner": [{"span_bars": 2, "atr_bars": 4, "width": 2.0}],
    "obv": [W],
    "mfi": [W],
    "cci": [W],
    "roc": [{"horizon_bars": 3}],
    "chaikin_money_flow": [W],
    "session_vwap_distance": [{"session_bars": 6}, {"session_bars": 4}],
    "vwap_distance": [W],
    "candle": [{}],
    "relative_ohlc": [{}],
    "roll_spread": [W],
    "corwin_schultz": [W],
    "abdi_ranaldo": [W],
    "amihud": [W],
    "kyle_lambda": [W],
    "tick_imbalance": [W],
    "bulk_imbalance": [W],
    "vpin": [W],
    "turnover": [W],
    "volume_zscore": [W],
    "climax": [{"window_bars": 6, "multiple": 1.1}],
    "churn": [W],
    "imbalance_persistence": [W],
    "direction_ema": [{"span_bars": 3}],
    "intrabar_volatility": [W],
    "effort_result": [W],
    "price_volume_correlation": [W],
    "prior_session": [{"session_bars": 6}],
    "session_position": [{"session_bars": 6}],
    "opening_range": [{"session_bars": 6, "opening_bars": 2}],
    "displacement": [{"window_bars": 6, "multiple": 1.5}],
    "fair_value_gap": [{"window_bars": 8}],
    "swing": [{"strength_bars": 1, "window_bars": 8}, {"strength_bars": 2, "window_bars": 12}],
    "break_of_structure": [{"strength_bars": 1, "window_bars": 8}],
    "equal_levels": [{"strength_bars": 1, "window_bars": 12}],
    "order_block": [{"window_bars": 8, "multiple": 1.2}],
    "parkinson": [W],
    "garman_klass": [W],
    "rogers_satchell": [W],
    "yang_zhang": [W],
    "variance_ratio": [{"window_bars": 9, "horizon_bars": 3}],
    "har": [{"short_bars": 2, "middle_bars": 4, "long_bars": 9}],
    "volatility_of_volatility": [W],
    "downside_share": [W],
    "volatility_index": [{"reference": "QQQ", "window_bars": 6}, {"reference": "rate", "window_bars": 1}],
    "term_structure": [{"near": "SPY", "far": "QQQ"}],
    "volatility_rank": [{"window_bars": 3, "rank_bars": 9}],
    "trend_strength": [W],
    "efficiency_ratio": [W],
    "autocorrelation": [{"window_bars": 8, "lag_bars": 2}],
    "hidden_volatility_state": [{"window_bars": 6, "scale_bars": 8, "calm": 0.7, "wild": 1.8, "stay": 0.9}],
    "reference_return": [{"reference": "SPY", "horizon_bars": 3}],
    "reference_divergence": [{"reference": "SPY", "horizon_bars": 3}],
    "pair_spread": [{"first": "AMD", "second": "SPY", "horizon_bars": 2}],
    "rolling_beta": [{"reference": "SPY", "window_bars": 8}],
    "rolling_correlation": [{"reference": "SPY", "window_bars": 8}],
    "cointegration_residual": [{"reference": "SPY", "window_bars": 8}],
    "cross_rank": [{"horizon_bars": 2}],
    "cross_zscore": [{"horizon_bars": 2}],
    "cross_demeaned": [{"horizon_bars": 2}],
    "breadth": [{"horizon_bars": 2}],
    "higher_time_frame": [
        {"feature": "rsi", "factor": 3, "params": {"window_bars": 4}},
        {"feature": "candle", "factor": 2, "params": {}},
        {"feature": "log_return", "factor": 4, "params": {"horizon_bars": 1}},
    ],
    "time_of_day": [{}],
    "day_of_week": [{}],
    "session_flags": [{"edge_minutes": 300}],
    "bars_to_close": [{}],
    "month_of_year": [{}],
    "expiry_week": [{}],
    "holiday": [{}],
    "time_to_event": [{"dates": ["2020-01-09T06:00", "2020-01-03"], "hours": 30.0}],
    "time_since_event": [{"event": "split", "events": EVENTS, "days": 3.0}],
    "time_until_event": [{"event": "split", "events": EVENTS, "days": 3.0}],
    "time_since_earnings": [{"events": EVENTS, "days": 40}],
    "time_until_earnings": [{"events": EVENTS, "days": 40}],
    "time_since_dividend": [W],
    "symbol_identity": [{}],
    "sector": [{"sectors": SECTORS}],
    "sector_demeaned": [{"horizon_bars": 2, "sectors": SECTORS}],
    "sector_rank": [{"horizon_bars": 2, "sectors": SECTORS}],
}  # fmt: skip
SPECS = tuple(FeatureSpec(name=name, params=params) for name, given in PARAMS.items() for params in given)


def rough_panel(
    seed: int,
    num_bars: int = 90,
    symbols: tuple[str, ...] = SYMBOLS,
    *,
    missing: float = 0.1,
    still: float = 0.1,
) -> Panel:
    """Four-hour bars, six to a session, with gaps, halts, bars without volume and prices that stand still.

    Parameters
    ----------
    missing : share of bars that are missing, as many again in halts of several bars. still : share of bars that repeat
        the last price without a range, and of bars without volume.
    """
    rng = np.random.default_rng(seed)
    shape = (num_bars, len(symbols))
    move = 0.01 * rng.standard_normal(shape) * (rng.random(shape) >= still)
    close = 10.0 ** rng.integers(-2, 5, shape[1]) * np.exp(np.cumsum(move, axis=0))
    flat = move == 0.0
    opened = close * np.exp(np.where(flat, 0.0, 0.004 * rng.standard_normal(shape)))
    wide = np.where(flat, 0.0, 0.004)
    high = np.maximum(opened, close) * np.exp(wide * np.abs(rng.standard_normal(shape)))
    low = np.minimum(opened, close) * np.exp(-wide * np.abs(rng.standard_normal(shape)))
    absent = rng.random(shape) < missing
    for asset in range(shape[1]):
        if missing and rng.random() < 0.5:
            start = int(rng.integers(0, num_bars))
            absent[start : start + int(rng.integers(1, 15)), asset] = True
    volume = np.floor(rng.exponential(50.0, shape)) * (rng.random(shape) >= still) * ~absent
    for prices in (opened, high, low, close):
        prices[absent] = np.nan
    times = np.datetime64("2020-01-01", "ns") + np.arange(num_bars) * np.timedelta64(4 * 3600, "s")
    rate = np.abs(rng.standard_normal(shape)) + 0.1
    rate[rng.random(shape) < missing] = np.nan
    signal = np.sign(rng.standard_normal(shape))
    dividend = np.where(rng.random(shape) < 0.1, 0.01, 0.0)
    return Panel(
        symbols=symbols,
        bar_utc=times,
        open=opened,
        high=high,
        low=low,
        close=close,
        volume=volume,
        tradable=~absent & (volume > 0.0),
        session=times.astype("datetime64[D]").astype(np.int32),
        calendar="24/7",
        bar_seconds=4 * 3600,
        exogenous={"signal": signal, "rate": rate, "dividend": dividend},
    )


def splice(first: Panel, second: Panel, at: int) -> Panel:
    """The bars of `first` before `at`, and those of `second` from there on."""

    def joined(name):
        return np.concatenate([getattr(first, name)[:at], getattr(second, name)[at:]])

    return Panel(
        **{name: joined(name) for name in ("open", "high", "low", "close", "volume", "tradable")},
        symbols=first.symbols,
        bar_utc=first.bar_utc,
        session=first.session,
        calendar=first.calendar,
        bar_seconds=first.bar_seconds,
        exogenous={
            name: np.concatenate([values[:at], second.exogenous[name][at:]])
            for name, values in first.exogenous.items()
        },
    )
