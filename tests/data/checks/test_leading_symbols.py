"""A symbol that shows another's future is named with the number of bars; honest markets are accused of nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data.checks.leading_symbols import MOST_SYMBOLS, leading_symbols
from data.schema import Panel
from data.sources.samples import SamplesConfig, load_samples


def market(returns_TA: np.ndarray) -> Panel:
    close = 100.0 * np.exp(np.cumsum(returns_TA, axis=0))
    bar_utc = np.datetime64("2005-01-01", "ns") + np.arange(len(close)) * np.timedelta64(1, "D")
    return Panel(
        symbols=tuple(f"S{a}" for a in range(close.shape[1])),
        bar_utc=bar_utc,
        open=close,
        high=close,
        low=close,
        close=close,
        volume=np.ones_like(close),
        tradable=np.ones(close.shape, dtype=bool),
        session=bar_utc.astype("datetime64[D]").astype(np.int32),
        calendar="24/7",
        bar_seconds=86_400,
    )


def returns(seed: int, num_bars: int, num_symbols: int) -> np.ndarray:
    return 0.02 * np.random.default_rng(seed).standard_normal((num_bars, num_symbols))


@pytest.mark.parametrize(("lead", "sign"), [(2, 1.0), (6, -1.0), (90, 1.0)])
def test_a_symbol_that_shows_the_return_of_another_some_bars_later_is_named(lead, sign):
    walk = returns(1, 2400, 3)
    walk[:-lead, 2] = sign * 0.85 * walk[lead:, 0] + 0.5 * walk[:-lead, 2]
    (found,) = leading_symbols(market(walk))
    assert (found.symbol, found.bars_ahead) == ("S2 against S0", lead)


def test_among_many_symbols_one_that_shows_what_all_will_do_is_named():
    walk = returns(2, 1600, MOST_SYMBOLS + 2)
    walk += 0.02 * np.random.default_rng(3).standard_normal((1600, 1))
    walk[:-5, 0] = walk[5:, 1:].mean(axis=1)
    (found,) = leading_symbols(market(walk))
    assert (found.symbol, found.bars_ahead) == ("S0 against the other symbols", 5)


def test_what_honest_markets_have_is_no_foreknowledge():
    walk = returns(4, 2400, 2)
    at_once, next_bar = walk.copy(), walk.copy()
    at_once[:, 1] = 0.9 * walk[:, 0] + 0.1 * walk[:, 1]
    next_bar[1:, 1] = 0.5 * walk[:-1, 0] + 0.5 * walk[1:, 1]  # New York's close, and the next one of Tokyo
    for one in (walk, at_once, next_bar, walk[:, :1], walk[:6]):
        assert leading_symbols(market(one)) == ()
    sample = SamplesConfig(
        sample="crypto_30min", symbols=("BTC", "ETH", "LTC", "XRP", "EOS"), start_utc=None, stop_utc=None
    )
    assert leading_symbols(load_samples(sample).panel) == ()


def test_bars_that_are_missing_are_left_out():
    walk = returns(5, 2400, 2)
    walk[:-4, 1] = 0.9 * walk[4:, 0] + 0.1 * walk[:-4, 1]
    panel = market(walk)
    holes = np.random.default_rng(6).uniform(size=panel.close.shape) < 0.05
    prices = {
        name: np.where(holes, np.nan, getattr(panel, name)) for name in ("open", "high", "low", "close")
    }
    (found,) = leading_symbols(replace(panel, **prices, tradable=~holes))
    assert (found.symbol, found.bars_ahead) == ("S1 against S0", 4)
