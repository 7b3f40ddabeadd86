"""A policy that is replayed bar by bar through the loop with the paper venue is its backtest, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
from traded_experiment import TradedExperiment, assert_same

CRYPTO = ("data.start_utc=2018-01-01", "data.stop_utc=2018-03-01")
SPY = ("data.start_utc=2017-11-01", "data.stop_utc=2017-12-20")  # over the half-day after Thanksgiving
EXPERIMENTS = {
    "crypto_portfolio": CRYPTO,
    "spy_intraday": SPY,
    "planted_signal": ("data.num_bars=1000",),
    "planted_memory": ("data.num_bars=1000",),
    "noise": ("data.num_bars=1000",),
    "mes_intraday": ("data.num_bars=2800",),
    "us_stocks_core": ("data.num_bars=2800",),
    "us_stocks_low_price": ("data.num_bars=2800",),
    "gld_execution": ("data.num_bars=1600",),
    "amd_nvda": ("data.num_bars=2800",),
    "mnq_5m": ("data.num_bars=2800",),
    "bybit_perps": ("data.num_bars=2800",),
    "equities_cross_section": ("data.num_bars=1000",),
}


def check_parity(experiment: str, overrides, tmp_path, num_bars: int) -> None:
    traded = TradedExperiment(experiment, *overrides, num_bars=num_bars)
    observed, backtest = traded.backtest()
    first = traded.start - 1 - traded.config.env.episode.warmup_bars
    seen, recording, ticks = traded.traded(tmp_path / "trading.sqlite", restarts=(num_bars // 2,))
    assert len(ticks) >= 0.9 * num_bars or not recording.equity[-1] > 0.5 * recording.equity[0]
    for bar, observation in seen.items():
        assert np.array_equal(observation, observed[bar - first], equal_nan=True), bar
    assert_same(recording, backtest)
    assert len(recording.fills) >= 5, f"{experiment} hardly traded: the test shows nothing"
    sessions = np.unique(traded.panel.session[recording.bar])
    assert len(sessions) > 1


@pytest.mark.runs
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_the_loop_is_the_backtest_to_the_bit_over_session_ends_and_a_restart(experiment, tmp_path):
    check_parity(experiment, EXPERIMENTS[experiment], tmp_path, num_bars=400)


@pytest.mark.runs
def test_what_a_hidden_markov_model_filters_is_traded_as_it_was_scored(tmp_path):
    check_parity("noise", ("data.num_bars=3000", "features=regime"), tmp_path, num_bars=200)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("experiment", "overrides"),
    [
        ("crypto_portfolio", ("data.start_utc=2018-01-01", "data.stop_utc=2018-06-01")),
        ("spy_intraday", ("data.start_utc=2017-11-01", "data.stop_utc=2017-12-20")),
        ("planted_memory", ("data.num_bars=5600",)),
    ],
)
def test_the_loop_is_the_backtest_to_the_bit_over_five_thousand_bars(experiment, overrides, tmp_path):
    check_parity(experiment, overrides, tmp_path, num_bars=5000)
