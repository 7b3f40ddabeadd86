"""Price features against values worked out by hand."""

from dataclasses import replace

import numpy as np

from data.features import FeatureSpec, compute_features
from data.schema import Panel


def panel_of(close, *, high=None, low=None, opened=None, volume=None, times=None, bar_seconds=60):
    close = np.array(close, dtype=float)[:, None]

    def of(values, default):
        return default if values is None else np.array(values, dtype=float)[:, None]

    opened = of(opened, close)
    known = np.isfinite(close)
    if times is None:
        times = np.datetime64("2020-01-06T15:00", "ns") + np.arange(len(close)) * np.timedelta64(
            bar_seconds, "s"
        )
    volume = of(volume, np.where(known, 1.0, 0.0))
    return Panel(
        symbols=("X",),
        bar_utc=times,
        open=opened,
        high=of(high, np.maximum(opened, close)),
        low=of(low, np.minimum(opened, close)),
        close=close,
        volume=volume,
        tradable=known & (volume > 0.0),
        session=times.astype("datetime64[D]").astype(np.int32),
        calendar="24/7",
        bar_seconds=bar_seconds,
    )


def values(panel, name, **params):
    return compute_features(panel, [FeatureSpec(name=name, params=params)]).asset[:, 0, 0]


def test_log_return_over_two_bars():
    # log(121 / 100) and log(110 / 110) = 0.
    result = values(panel_of([100.0, 110.0, 121.0, 110.0]), "log_return", horizon_bars=2)
    np.testing.assert_allclose(result, [np.nan, np.nan, np.log(1.21), 0.0], rtol=1e-6)


def test_realised_volatility_is_the_root_mean_square_of_log_returns():
    # Log returns 3e-2 and -4e-2: sqrt((9 + 16) / 2) * 1e-2.
    close = 100.0 * np.exp(np.cumsum([0.0, 0.03, -0.04]))
    result = values(panel_of(close), "realised_volatility", window_bars=2)
    np.testing.assert_allclose(result[2], 0.01 * np.sqrt(12.5), rtol=1e-6)


def test_realised_volatility_leaves_the_night_out():
    times = np.array(
        ["2020-01-06T15:00", "2020-01-06T15:01", "2020-01-07T09:00", "2020-01-07T09:01"], "datetime64[ns]"
    )
    close = 100.0 * np.exp([0.0, 0.01, 0.51, 0.53])
    result = values(panel_of(close, times=times), "realised_volatility", window_bars=3)
    # Of the three returns 0.01, 0.50 (overnight), 0.02 two count.
    np.testing.assert_allclose(result[3], np.sqrt((0.01**2 + 0.02**2) / 2.0), rtol=1e-6)


def test_daily_bars_have_no_night():
    times = np.array(["2020-01-03", "2020-01-06", "2020-01-07"], "datetime64[ns]")
    close = 100.0 * np.exp([0.0, 0.03, -0.01])
    result = values(panel_of(close, times=times, bar_seconds=86400), "realised_volatility", window_bars=2)
    np.testing.assert_allclose(result[2], 0.01 * np.sqrt(12.5), rtol=1e-6)


def test_atr_is_the_mean_true_range_over_the_close():
    # True ranges of bars 1 and 2: max(12, 10) - min(9, 10) = 3; max(20, 11) - min(16, 11) = 9. Mean 6 on a close of 18.
    panel = panel_of([10, 11, 18], opened=[10, 10, 17], high=[11, 12, 20], low=[9, 9, 16])
    np.testing.assert_allclose(values(panel, "atr", window_bars=2)[2], 6.0 / 18.0, rtol=1e-6)


def test_rsi_runs_from_minus_one_to_one():
    # Gains 3, losses 1: (3 - 1) / (3 + 1).
    np.testing.assert_allclose(values(panel_of([10, 13, 12]), "rsi", window_bars=2)[2], 0.5)
    np.testing.assert_allclose(values(panel_of([10, 11, 12]), "rsi", window_bars=2)[2], 1.0)
    np.testing.assert_allclose(values(panel_of([12, 11, 10]), "rsi", window_bars=2)[2], -1.0)
    np.testing.assert_allclose(values(panel_of([12, 12, 12]), "rsi", window_bars=2)[2], 0.0)


def test_relative_volume_is_zero_at_the_usual_volume_and_log_two_at_three_times_it():
    panel = panel_of([1, 1, 1, 1, 1], volume=[4, 6, 5, 16.5, 0])
    result = values(panel, "relative_volume", window_bars=2)
    # Means before: 5, 5.5, 10.75; ratios 1, 3, 0.
    np.testing.assert_allclose(result[2:], [0.0, np.log(2.0), np.log(0.5)], rtol=1e-6)


def test_a_missing_bar_is_not_filled_and_windows_go_on_with_what_is_there():
    whole = panel_of([100.0, 101.0, 102.0, 103.0, 104.0])
    arrays = {
        name: np.array(getattr(whole, name))
        for name in ("open", "high", "low", "close", "volume", "tradable")
    }
    for name in ("open", "high", "low", "close"):
        arrays[name][2] = np.nan
    arrays["volume"][2], arrays["tradable"][2] = 0.0, False
    panel = replace(whole, **arrays)
    returns = values(panel, "log_return", horizon_bars=1)
    assert np.isnan(returns[[0, 2, 3]]).all()
    # Of the four one-bar returns that end at bar 4, the two that touch bar 2 are not known; half are enough.
    expected = np.sqrt((np.log(101 / 100) ** 2 + np.log(104 / 103) ** 2) / 2.0)
    np.testing.assert_allclose(values(panel, "realised_volatility", window_bars=4)[4], expected, rtol=1e-5)
    # Of three, one is known: too few.
    assert np.isnan(values(panel, "realised_volatility", window_bars=3)[4])
