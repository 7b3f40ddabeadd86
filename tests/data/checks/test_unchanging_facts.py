"""What was looked up on the day of the download is named where it tells what rose; facts that tell nothing are not."""

from __future__ import annotations

import numpy as np
import pytest
from made_bars import market, walk

from data.checks.foreknowledge import foreknown_columns
from data.checks.unchanging_facts import unchanging_facts
from data.known_columns import ColumnStatement

BARS = 600


def throughout(of_symbol) -> np.ndarray:
    return np.repeat(np.asarray(of_symbol, dtype=np.float64)[None, :], BARS, axis=0)


def with_column(returns, values, name="fact"):
    from dataclasses import replace

    return replace(market(returns), exogenous={name: values})


@pytest.mark.parametrize("seed", range(2))
def test_the_market_value_of_today_is_named_whatever_the_companies_were_worth_before(seed):
    drawn = np.random.default_rng(seed)
    returns = walk(seed, BARS, 30)
    before = drawn.normal(0.0, 0.2 * returns.sum(axis=0).std(), 30)
    panel = with_column(returns, throughout(np.exp(returns.sum(axis=0) + before)), "market_value")
    (found,) = foreknown_columns(panel)
    assert found.column == "market_value"
    assert "never changes and orders 30 symbols by what they earned" in str(found)
    assert foreknown_columns(panel, {"market_value": ColumnStatement(known_after="0 bars")}) == ()


def test_membership_of_an_index_that_takes_in_what_rose_is_named():
    returns = walk(1, BARS, 60)
    member = returns.sum(axis=0) > np.quantile(returns.sum(axis=0), 0.6)
    assert unchanging_facts("member", throughout(member), market(returns))


def test_facts_that_tell_nothing_are_not_named_more_often_than_chance_has_it():
    drawn = np.random.default_rng(0)
    named = 0
    for seed in range(40):
        panel = market(walk(seed, BARS, 12))
        for _ in range(25):
            codes = drawn.integers(0, 5, 12) if drawn.random() < 0.5 else drawn.standard_normal(12)
            named += bool(unchanging_facts("sector", throughout(codes), panel))
    assert named <= 5  # of 1,000; one is expected


@pytest.mark.parametrize("symbols", [1, 2, 7])
def test_few_symbols_have_no_order_beyond_chance(symbols):
    returns = walk(3, BARS, symbols)
    assert unchanging_facts("value", throughout(returns.sum(axis=0)), market(returns)) == ()


def test_what_changes_is_left_to_other_questions():
    returns = walk(4, BARS, 20)
    values = throughout(returns.sum(axis=0))
    values[300:, 3] += 1.0
    assert unchanging_facts("value", values, market(returns)) == ()
    assert unchanging_facts("value", np.full((BARS, 20), np.nan), market(returns)) == ()
    assert unchanging_facts("value", np.ones((BARS, 20)), market(returns)) == ()
