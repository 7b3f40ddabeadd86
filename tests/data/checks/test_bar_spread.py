"""A spread that closes bounce by is measured; trends, reversal, ranges and noise are none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_bars import market

from data.checks.bar_spread import half_spreads_bps

BARS, STEPS = 3000, 30


def bars_of_quotes(seed: int, half_spread: float, *, volatility: float = 0.01, reversion: float = 0.0):
    """Bars of 30 trades each: a walk of mid prices, or one that goes back, and trades at the bid or the ask of it."""
    drawn = np.random.default_rng(seed)
    moves = drawn.standard_normal(BARS * STEPS) * volatility / np.sqrt(STEPS)
    mid = np.cumsum(moves)
    if reversion:
        drift = np.zeros(BARS * STEPS)
        for at in range(1, len(drift)):
            drift[at] = (1.0 - reversion) * drift[at - 1] + moves[at]
        mid = 0.5 * mid + 0.5 * drift
    trades = mid + half_spread * drawn.choice([-1.0, 1.0], len(mid))
    by_bar = np.exp(trades).reshape(BARS, STEPS)
    panel = market(np.zeros((BARS, 1)))
    columns = {
        "open": by_bar[:, :1], "high": by_bar.max(axis=1)[:, None], "low": by_bar.min(axis=1)[:, None],
        "close": by_bar[:, -1:],
    }  # fmt: skip
    return replace(panel, **{name: 100.0 * values for name, values in columns.items()})


@pytest.mark.parametrize(("bps", "volatility"), [(10.0, 0.002), (50.0, 0.01), (100.0, 0.01)])
def test_the_half_spread_of_trades_at_bid_and_ask_is_found(bps, volatility):
    (found,) = half_spreads_bps(bars_of_quotes(1, 1e-4 * bps, volatility=volatility))
    assert 0.5 * bps < found < 1.4 * bps


def test_a_market_without_a_spread_shows_none():
    for seed in range(20):
        (found,) = half_spreads_bps(bars_of_quotes(100 + seed, 0.0))
        assert found == 0.0


def test_prices_that_go_back_by_themselves_show_far_less_than_they_go_back_by():
    panel = bars_of_quotes(3, 0.0, reversion=0.05)
    returns = np.diff(np.log(panel.close[:, 0]))
    roll = 1e4 * np.sqrt(-np.mean(returns[1:] * returns[:-1]))
    (found,) = half_spreads_bps(panel)
    assert roll > 15.0
    assert found < 0.5 * roll


def test_few_or_missing_bars_and_prices_that_never_move_say_nothing():
    panel = bars_of_quotes(4, 5e-3)
    assert half_spreads_bps(panel.slice_bars(0, 200))[0] == 0.0
    assert half_spreads_bps(market(np.zeros((1000, 2)))).tolist() == [0.0, 0.0]
    gone = {name: np.full((BARS, 1), np.nan) for name in ("open", "high", "low", "close")}
    assert half_spreads_bps(replace(panel, tradable=np.zeros((BARS, 1), dtype=bool), **gone))[0] == 0.0
