"""Features that look ahead the way people's features do are caught, and named with the bar that they peeked at."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from data.features import FeatureSpec
from data.features.definition import Feature
from data.features.library import FEATURES
from data.schema import Panel
from rayjobs.study.feature_library import usual_specs
from rayjobs.study.leak_check import single_feature_report


@pytest.fixture(scope="module")
def panel():
    rng = np.random.default_rng(0)
    shape = (1200, 2)
    close = 100.0 * np.exp(np.cumsum(0.003 * rng.standard_normal(shape), axis=0))
    opened = close * np.exp(0.001 * rng.standard_normal(shape))
    times = np.datetime64("2020-01-01", "ns") + np.arange(1200) * np.timedelta64(1800, "s")
    return Panel(
        symbols=("SPY", "AMD"),
        bar_utc=times,
        open=opened,
        high=np.maximum(opened, close) * np.exp(0.001 * rng.random(shape)),
        low=np.minimum(opened, close) * np.exp(-0.001 * rng.random(shape)),
        close=close,
        volume=np.floor(rng.exponential(500.0, shape)),
        tradable=np.ones(shape, dtype=bool),
        session=times.astype("datetime64[D]").astype(np.int32),
        calendar="24/7",
        bar_seconds=1800,
    )


def centred_window(panel):
    return pd.DataFrame(panel.close).rolling(9, center=True).mean().to_numpy() / panel.close - 1.0


def swing_before_it_is_confirmed(panel):
    swings = pd.DataFrame(panel.high).rolling(7, center=True).max().to_numpy() == panel.high
    return panel.close / pd.DataFrame(np.where(swings, panel.high, np.nan)).ffill().to_numpy() - 1.0


def coarse_bar_before_it_is_complete(panel):
    bars = np.arange(panel.num_bars) // 4
    return panel.close / pd.DataFrame(panel.close).groupby(bars).transform("last").to_numpy() - 1.0


def z_score_of_the_whole_sample(panel):
    returns = np.diff(np.log(panel.close), axis=0, prepend=np.log(panel.close[:1]))
    return (returns - np.nanmean(returns, axis=0)) / np.nanstd(returns, axis=0)


def states_smoothed_backwards(panel):
    squares = np.nan_to_num(np.diff(np.log(panel.close), axis=0, prepend=np.nan) ** 2)
    usual = 9e-6
    calm, wild = (np.exp(-squares / (2 * usual * s)) / np.sqrt(s) for s in (0.5, 3.0))
    forward, backward = (np.full(squares.shape, 0.5) for _ in range(2))
    for t in range(1, panel.num_bars):
        prior = 0.9 * forward[t - 1] + 0.1 * (1 - forward[t - 1])
        forward[t] = prior * wild[t] / (prior * wild[t] + (1 - prior) * calm[t] + 1e-300)
    for t in range(panel.num_bars - 2, -1, -1):
        later = backward[t + 1] * wild[t + 1], (1 - backward[t + 1]) * calm[t + 1]
        up, down = 0.9 * later[0] + 0.1 * later[1], 0.1 * later[0] + 0.9 * later[1]
        backward[t] = up / (up + down + 1e-300)
    both = forward * backward
    return both / (both + (1 - forward) * (1 - backward) + 1e-300)


def todays_close_at_noon(panel):
    daily = pd.DataFrame(panel.close).groupby(panel.session).transform("last").to_numpy()
    return np.log(daily[:, :1]) + np.zeros(panel.close.shape)


CHEATS = {
    centred_window: "reads up to 4 bar(s) ahead",
    swing_before_it_is_confirmed: "bar(s) ahead, at bar",
    coarse_bar_before_it_is_complete: "bar(s) ahead, at bar",
    z_score_of_the_whole_sample: "as a statistic of the whole sample does",
    states_smoothed_backwards: "",
    todays_close_at_noon: "bar(s) ahead, at bar",
}


@pytest.mark.parametrize("cheat", CHEATS, ids=lambda function: function.__name__)
def test_it_is_caught_and_named(panel, monkeypatch, cheat):
    feature = Feature(name=cheat.__name__, kind="asset", function=cheat, lookback_bars=lambda params: 8)
    monkeypatch.setattr("data.features.compute.FEATURES", {feature.name: feature})
    report = single_feature_report(FeatureSpec(name=feature.name), panel, seed=0, max_seconds=30.0)
    assert not report.clean
    (finding,) = report.leaks
    assert finding.culprit == cheat.__name__
    assert CHEATS[cheat] in str(finding)


HONEST = {
    "sma_distance": {"window_bars": 9},
    "swing": {"strength_bars": 3, "window_bars": 20},
    "higher_time_frame": {"feature": "log_return", "factor": 15, "params": {"horizon_bars": 1}},
    "hidden_volatility_state": {"window_bars": 8, "scale_bars": 20, "calm": 0.7, "wild": 1.8, "stay": 0.9},
    "session_vwap_distance": {"session_bars": 48},
}


@pytest.mark.parametrize("name", HONEST)
def test_what_ships_of_the_same_kind_is_clean(panel, name):
    report = single_feature_report(FeatureSpec(name=name, params=HONEST[name]), panel, seed=0)
    assert report.clean, str(report)


def test_every_feature_of_the_library_has_usual_parameters():
    assert list(usual_specs()) == list(FEATURES)
