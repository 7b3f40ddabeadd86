"""A universe by dates that was made with hindsight is named; one that was published in advance is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_bars import market

from data.checks.foreknowledge import foreknown_columns
from data.checks.membership import foreknown_members
from data.known_columns import ColumnStatement
from data.universe import MEMBER

BARS, SYMBOLS, MONTH = 1500, 24, 21


def returns_of(seed: int, drift: float = 0.0) -> tuple[np.ndarray, np.random.Generator]:
    drawn = np.random.default_rng(seed)
    betas = drawn.uniform(0.6, 1.6, SYMBOLS)
    factor = drawn.standard_t(4, BARS) * 0.008 + drift
    return factor[:, None] * betas + drawn.standard_t(4, (BARS, SYMBOLS)) * 0.012, drawn


def by_month(scores: np.ndarray) -> np.ndarray:
    """1 for the third of the symbols that score highest in each month, on all of its bars."""
    month = np.arange(BARS) // MONTH
    inside = np.zeros(scores.shape)
    for number in range(month[-1] + 1):
        rows = month == number
        best = np.argsort(-scores[rows].sum(axis=0))[: SYMBOLS // 3]
        inside[np.ix_(rows, best)] = 1.0
    return inside


def with_universe(returns: np.ndarray, inside: np.ndarray):
    ahead = np.concatenate([inside[1:], inside[-1:]])  # as `data.universe` writes it
    return replace(market(returns), exogenous={MEMBER: ahead})


def volumes(returns: np.ndarray, drawn: np.random.Generator, load: float) -> np.ndarray:
    """Volume that is larger in months of gains."""
    month = np.arange(BARS) // MONTH
    gained = np.stack([np.bincount(month, column) for column in returns.T], axis=1)[month]
    return np.exp(load * gained / gained.std() + drawn.normal(0.0, 0.4, returns.shape))


@pytest.mark.parametrize("seed", range(3))
def test_a_list_of_the_most_traded_names_of_a_month_dated_from_its_first_day_is_named(seed):
    returns, drawn = returns_of(seed)
    panel = with_universe(returns, by_month(volumes(returns, drawn, 0.2)))
    (found,) = foreknown_members(panel)
    assert found.column == MEMBER
    assert "by who belongs to the universe: at 1," in str(found)
    assert foreknown_members(panel, {MEMBER: ColumnStatement(known_after="0 bars")}) == ()


def test_loading_asks_for_it_too():
    returns, drawn = returns_of(0)
    panel = with_universe(returns, by_month(volumes(returns, drawn, 0.4)))
    few = panel.select(panel.symbols[:8])
    assert foreknown_members(few)
    assert set(foreknown_members(few)) <= set(foreknown_columns(few))


def test_the_same_list_a_month_later_and_lists_by_what_was_known_are_not_named():
    named = 0
    for seed in range(20):
        returns, drawn = returns_of(50 + seed, drift=0.0008)
        inside = by_month(volumes(returns, drawn, 0.3))
        late = np.concatenate([inside[:MONTH], inside[:-MONTH]])
        risk = by_month(np.concatenate([np.ones((MONTH, SYMBOLS)), returns[:-MONTH] ** 2]))
        past = by_month(np.concatenate([np.ones((MONTH, SYMBOLS)), returns[:-MONTH]]))
        noise = by_month(drawn.standard_normal(returns.shape))
        named += sum(
            len(foreknown_members(with_universe(returns, each))) for each in (late, risk, past, noise)
        )
    assert named == 0


def test_an_index_that_takes_in_what_has_risen_is_not_named_for_what_rose_before_it_was_in():
    returns, _ = returns_of(7)
    risen = np.cumsum(returns, axis=0)
    inside = np.maximum.accumulate(risen > 0.25, axis=0).astype(float)
    assert foreknown_members(with_universe(returns, inside)) == ()


def test_without_a_universe_or_with_too_few_beside_its_members_nothing_is_said():
    returns, _ = returns_of(8)
    assert foreknown_members(market(returns)) == ()
    inside = np.ones(returns.shape)
    inside[:, 0] = 0.0
    assert foreknown_members(with_universe(returns, inside)) == ()
