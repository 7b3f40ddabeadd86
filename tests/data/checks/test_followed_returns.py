"""Prices that nobody trades at are named by their returns, and those of markets are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_bars import VOLATILITY, market, walk
from scipy.signal import lfilter

from data.checks.followed_returns import followed_returns, least_correlation
from data.checks.foreknowledge import foreknown_wicks
from data.known_columns import ColumnStatement, check_statements


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.8, 0.2), (0.34, 0.28, 0.22, 0.16), (0.1,) * 10])
def test_averages_of_several_bars_are_named_for_each_symbol(weights):
    found = followed_returns(market(lfilter(weights, [1.0], walk(1), axis=0)))
    assert [one.symbol for one in found] == ["S0", "S1"]
    assert "net asset values" in str(found[0])


def test_an_average_under_noise_of_its_own_is_named():
    smooth = lfilter((0.34, 0.28, 0.22, 0.16), [1.0], walk(2), axis=0)
    assert len(followed_returns(market(smooth + 0.75 * walk(3)))) == 2


def test_a_stale_price_among_traded_ones_is_named_alone():
    returns = walk(4)
    returns[:, 1] = lfilter((0.6, 0.4), [1.0], returns[:, 1])
    assert [one.symbol for one in followed_returns(market(returns))] == ["S1"]


def test_the_correlation_is_that_of_an_average_of_two():
    # Returns (e1 + e2) / 2: neighbours share one of two terms, 1/2, whose rank correlation is 6/pi asin(1/4) = 0.483.
    (found,) = followed_returns(market(lfilter((0.5, 0.5), [1.0], walk(5, 20_000, 1), axis=0)))
    assert found.bars == 1
    assert found.correlation == pytest.approx(0.483, abs=0.02)


@pytest.mark.parametrize("seed", range(4))
def test_momentum_of_honest_size_reversals_and_a_bounce_are_not_named(seed):
    drawn = np.random.default_rng(seed)
    shocks = walk(seed)
    waves = np.exp(0.1 * lfilter([1.0], [1.0, -0.98], drawn.standard_normal(shocks.shape), axis=0))
    momentum, reverting = shocks * waves, shocks.copy()
    for t in range(1, len(shocks)):
        momentum[t] += 0.1 * VOLATILITY * np.sign(momentum[t - 1])  # an annual Sharpe ratio of 0.1 x 19 = 1.9
        reverting[t] -= 0.2 * reverting[t - 1]
    bounce = np.diff(0.3 * VOLATILITY * drawn.choice([-1.0, 1.0], (len(shocks) + 1, 2)), axis=0)
    for returns in (momentum, reverting, shocks + bounce):
        assert followed_returns(market(returns)) == ()


def reopened(returns, share, others=None, bars=5):
    """Bars whose opens leave out (or add, below 0) a share of what the closes did over some bars."""
    panel = market(returns)
    total = np.cumsum(returns if others is None else others, axis=0)
    moved = total - np.vstack([np.zeros((bars, total.shape[1])), total[:-bars]])
    opened = panel.open.copy()
    opened[1:] *= np.exp(-share * moved[:-1])
    high, low = np.maximum(opened, panel.close) * 1.01, np.minimum(opened, panel.close) * 0.99
    return replace(panel, open=opened, high=high, low=low)


@pytest.mark.parametrize(
    ("share", "words"), [(0.25, "follows the returns"), (-0.25, "takes back the returns")]
)
@pytest.mark.parametrize("bars", [2, 5])
def test_opens_that_lag_or_run_too_far_are_named(share, words, bars):
    found = followed_returns(reopened(walk(10), share, bars=bars))
    assert {(one.symbol, one.price) for one in found} == {("S0", "open"), ("S1", "open")}
    assert words in str(found[0])


def test_opens_that_lag_another_symbol_are_named():
    returns = walk(11)
    found = followed_returns(reopened(returns, 0.3, others=returns[:, ::-1]))
    assert [one.price for one in found] == ["open", "open"]


@pytest.mark.parametrize("seed", range(6))
def test_opens_with_noise_of_their_own_or_on_the_side_of_the_close_before_are_not_named(seed):
    drawn, shocks = np.random.default_rng(seed), walk(seed)
    panel = market(shocks)
    noise = np.exp(0.3 * VOLATILITY * drawn.standard_normal(shocks.shape))
    side = drawn.choice([-1.0, 1.0], shocks.shape)
    stays = np.where(drawn.random(shocks.shape) < 0.8, 1.0, -1.0)
    bounced = panel.close * np.exp(0.2 * VOLATILITY * side)
    same_side = np.vstack([panel.open[:1], panel.close[:-1] * np.exp(0.2 * VOLATILITY * (side * stays)[:-1])])
    for opened, close in ((panel.open * noise, panel.close), (same_side, bounced)):
        high, low = np.maximum(opened, close) * 1.01, np.minimum(opened, close) * 0.99
        assert followed_returns(replace(panel, open=opened, close=close, high=high, low=low)) == ()


def test_what_follows_in_a_part_of_the_history_alone_is_not_named():
    returns = walk(6)
    returns[:1500] = lfilter((0.5, 0.5), [1.0], returns[:1500], axis=0)
    assert followed_returns(market(returns)) == ()


def test_less_is_asked_of_bars_that_are_many_in_a_year():
    assert least_correlation(252.0) == pytest.approx(3.0 / 252.0**0.5)
    assert least_correlation(98_280.0) == 0.1


def test_gaps_and_short_histories_are_no_fault():
    panel = market(lfilter((0.5, 0.5), [1.0], walk(7), axis=0))
    hole = np.where(np.arange(4600)[:, None] % 500 < 20, np.nan, 1.0)
    holed = replace(
        panel,
        **{name: getattr(panel, name) * hole for name in ("open", "high", "low", "close")},
        tradable=np.isfinite(panel.close * hole),
        volume=np.nan_to_num(panel.volume * hole),
    )
    assert len(followed_returns(holed)) == 2
    assert followed_returns(market(walk(8, 60))) == ()


@pytest.mark.filterwarnings("error")
def test_bars_at_zero_and_below_are_taken_for_missing_ones():
    panel = market(lfilter((0.5, 0.5), [1.0], walk(7), axis=0))
    sunk = np.where(np.arange(4600)[:, None] % 500 < 20, -1.0, 1.0)
    prices = {name: getattr(panel, name) * sunk for name in ("open", "close")}
    low, high = (
        np.minimum(panel.low * sunk, panel.high * sunk),
        np.maximum(panel.low * sunk, panel.high * sunk),
    )
    below = replace(panel, **prices, low=low, high=high, nonpositive=panel.symbols)
    assert followed_returns(below) == followed_returns(below.positive())
    assert len(followed_returns(below)) == 2
    assert foreknown_wicks(below) == foreknown_wicks(below.positive())


def test_that_prices_were_traded_at_is_stated_of_prices_alone():
    panel = market(walk(9, 60))
    stated = ColumnStatement(known_after="0 bars", traded=True)
    check_statements(dict.fromkeys(("open", "high", "low", "close"), stated), panel, ())
    assert stated.words == "0 bars, and its prices were traded at"
    with pytest.raises(ValueError, match="only prices are traded at"):
        check_statements({"volume": stated}, panel, ())
