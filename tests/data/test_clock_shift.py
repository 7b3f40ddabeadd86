"""A symbol whose bars lie on another clock is found among symbols that move together; honest markets never are."""

import numpy as np
import pytest

from data.clock_shift import clock_shifts
from data.schema import Panel


def market(returns, bar_seconds=1800):
    close = 100.0 * np.exp(np.cumsum(returns, axis=0))
    num_bars, num_assets = close.shape
    times = np.datetime64("2024-01-01", "ns") + np.arange(num_bars) * np.timedelta64(bar_seconds, "s")
    return Panel(
        symbols=tuple("ABCDEFGH"[:num_assets]), bar_utc=times, open=close, high=close, low=close, close=close,
        volume=np.ones_like(close), tradable=np.ones(close.shape, dtype=bool),
        session=times.astype("datetime64[D]").astype(np.int32), calendar="24/7", bar_seconds=bar_seconds,
    )  # fmt: skip


def returns_of(seed, num_bars, num_assets, shared=0.8):
    rng = np.random.default_rng(seed)
    common = rng.standard_t(4, (num_bars, 1))
    own = rng.standard_t(4, (num_bars, num_assets))
    return 0.002 * (np.sqrt(shared) * common + np.sqrt(1.0 - shared) * own)


@pytest.mark.parametrize("lag", [1, -1, 2, 12])
def test_one_symbol_on_another_clock_is_found_with_its_lag(lag):
    returns = returns_of(1, 1000, 4)
    returns[:, 2] = np.roll(returns[:, 2], lag)
    (found,) = clock_shifts(market(returns))
    assert (found.symbol, found.lag_bars) == ("C", lag)
    assert found.correlation > 0.5 > 0.2 > abs(found.same_bar)


def test_of_two_symbols_each_is_off_against_the_other():
    returns = returns_of(2, 1000, 2)
    returns[:, 1] = np.roll(returns[:, 1], 1)
    assert [(f.symbol, f.lag_bars) for f in clock_shifts(market(returns))] == [("A", -1), ("B", 1)]


def test_missing_bars_do_not_hide_it():
    returns = returns_of(3, 2000, 3)
    returns[:, 0] = np.roll(returns[:, 0], 1)
    panel = market(returns)
    close = panel.close.copy()
    close[np.random.default_rng(0).random(close.shape) < 0.1] = np.nan
    gone = np.isnan(close)
    whole = dict.fromkeys(("open", "high", "low", "close"), close)
    thin = Panel(**{**vars(panel), **whole, "volume": np.where(gone, 0.0, 1.0), "tradable": ~gone})
    assert [f.symbol for f in clock_shifts(thin)] == ["A"]


@pytest.mark.parametrize("shared", [0.0, 0.05, 0.3, 0.9])
def test_honest_markets_give_no_alarm(shared):
    for seed in range(60):
        assert clock_shifts(market(returns_of(seed, 400, 2 + seed % 4, shared))) == []


def test_a_lone_symbol_or_a_short_panel_tells_nothing():
    assert clock_shifts(market(returns_of(1, 1000, 1))) == []
    assert clock_shifts(market(returns_of(1, 100, 4))) == []
