"""What was looked up on the day of the download is named where it tells what rose; facts that tell nothing are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_bars import market

from data.checks.foreknowledge import foreknown_columns, foreknown_values
from data.checks.standing_order import standing_order
from data.known_columns import ColumnStatement

BARS = 1200


def returns_of(
    seed: int, symbols: int, drift: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    """Returns with a market factor, the symbols' betas, and the generator."""
    drawn = np.random.default_rng(seed)
    betas = drawn.uniform(0.5, 1.8, symbols)
    factor = drawn.standard_t(4, BARS) * 0.008 + drift
    return factor[:, None] * betas + drawn.standard_t(4, (BARS, symbols)) * 0.012, betas, drawn


def throughout(of_symbol: np.ndarray) -> np.ndarray:
    return np.repeat(np.asarray(of_symbol, dtype=np.float64)[None, :], BARS, axis=0)


def adjusted_back(returns: np.ndarray, drawn: np.random.Generator) -> np.ndarray:
    """Log prices of shares that are split in two above 80 and put together below 20, as of the last bar."""
    price = np.log(drawn.uniform(20.0, 80.0, returns.shape[1]))
    shown, factor = np.empty(returns.shape), np.zeros(returns.shape)
    for bar, row in enumerate(np.log1p(np.clip(returns, -0.5, 0.5))):
        price = price + row
        step = np.log(2.0) * ((price > np.log(80.0)).astype(float) - (price < np.log(20.0)))
        price, factor[bar] = price - step, (factor[bar - 1] if bar else 0.0) + step
        shown[bar] = price
    return shown + factor - factor[-1]


@pytest.mark.parametrize("seed", range(2))
def test_the_market_value_of_today_is_named_whatever_the_companies_were_worth_before(seed):
    returns, _, drawn = returns_of(seed, 40)
    grown = np.log1p(returns).sum(axis=0)
    value = np.exp(grown + drawn.normal(0.0, 0.3 * grown.std(), 40))
    panel = replace(market(returns), exogenous={"market_value": throughout(value)})
    (found,) = foreknown_columns(panel)
    assert found.column == "market_value"
    assert "by the order of 40 symbols at the bar" in str(found)
    assert foreknown_columns(panel, {"market_value": ColumnStatement(known_after="0 bars")}) == ()


def test_membership_of_an_index_that_takes_in_what_rose_is_named():
    returns, _, _ = returns_of(3, 60)
    grown = np.log1p(returns).sum(axis=0)
    assert standing_order("member", throughout(grown > np.median(grown)), market(returns))


@pytest.mark.parametrize("seed", range(3))
def test_the_level_of_a_price_that_was_adjusted_for_splits_to_come_is_named_and_the_price_as_traded_is_not(
    seed,
):
    returns, _, drawn = returns_of(10 + seed, 40)
    assert standing_order("log_price", adjusted_back(returns, drawn), market(returns))
    traded = np.log(drawn.uniform(20.0, 80.0, 40)) + np.cumsum(np.log1p(returns), axis=0)
    assert standing_order("log_price", traded, market(returns)) == ()


def test_prices_and_volumes_whose_level_nobody_sees_are_not_asked_for_it():
    returns, _, drawn = returns_of(10, 40)
    adjusted = np.exp(adjusted_back(returns, drawn))
    panel = replace(market(returns), exogenous={"vwap": adjusted})
    assert foreknown_columns(panel) == ()
    given = {"volume": 1e6 / adjusted, "vwap": adjusted}
    assert foreknown_values(panel, given, least_bars_ahead=2) == ()
    (found,) = foreknown_values(panel, given, least_bars_ahead=2, levels={"vwap"})
    assert found.column == "vwap"


def test_facts_and_measures_that_tell_nothing_are_not_named_more_often_than_chance_has_it():
    named = asked = 0
    for seed in range(60):
        symbols = (6, 12, 30, 60)[seed % 4]
        returns, betas, drawn = returns_of(100 + seed, symbols, drift=0.0008)  # a market that keeps rising
        sectors = drawn.integers(0, 4, symbols)
        returns += (drawn.standard_t(4, (BARS, 4)) * 0.01)[:, sectors]
        bars = np.arange(1, BARS + 1)[:, None]
        inputs = (
            throughout(sectors), throughout(betas), throughout(drawn.standard_normal(symbols)),
            np.sqrt(np.cumsum(returns**2, axis=0) / bars), np.cumsum(drawn.standard_normal(returns.shape), axis=0),
        )  # fmt: skip
        panel = market(returns)
        named += sum(bool(standing_order("fact", values, panel)) for values in inputs)
        asked += len(inputs)
    assert asked == 300
    assert named <= 3


def test_few_symbols_few_bars_and_what_is_unknown_are_asked_nothing():
    returns, _, _ = returns_of(5, 4)
    assert standing_order("value", throughout(returns.sum(axis=0)), market(returns)) == ()
    returns, _, _ = returns_of(6, 20)
    panel = market(returns)
    assert standing_order("value", np.full(returns.shape, np.nan), panel) == ()
    assert standing_order("value", np.ones(returns.shape), panel) == ()
    late = np.full(returns.shape, np.nan)
    late[-30:] = returns.sum(axis=0)
    assert standing_order("value", late, panel) == ()
