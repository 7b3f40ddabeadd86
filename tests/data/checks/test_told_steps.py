"""Figures that are dated before they came out are named, although they change seldom; those dated rightly are not."""

from __future__ import annotations

import numpy as np
import pytest
from made_bars import VOLATILITY, market, walk

from data.checks.foreknowledge import foreknown_columns
from data.checks.told_steps import told_steps
from data.known_columns import ColumnStatement

BARS = 4600


def quarters(drawn: np.random.Generator, together: bool = False) -> list[int]:
    begins = [0 if together else int(drawn.integers(0, 60))]
    while begins[-1] < BARS - 100:
        begins.append(begins[-1] + int(drawn.integers(88, 95)))
    return begins


def surprises(seed: int, symbols: int, first: int, last: int, *, jump: float = 0.06, drift: float = 0.0):
    """Returns, and a figure dated by its quarter's end that came out `first` to `last` bars after it."""
    drawn = np.random.default_rng(seed)
    returns, column = walk(seed, BARS, symbols), np.full((BARS, symbols), np.nan)
    for a in range(symbols):
        begins = quarters(drawn)
        for start, stop in zip(begins, [*begins[1:], BARS]):
            column[start:stop, a] = figure = drawn.standard_normal()
            out = start + int(drawn.integers(first, last + 1))
            returns[min(out, BARS - 1), a] += jump * figure
            returns[out + 1 : out + 61, a] += drift * figure / 60.0
    return returns, column


@pytest.mark.parametrize("seed", range(3))
def test_a_figure_dated_by_the_end_of_its_quarter_is_named(seed):
    returns, column = surprises(seed, 10, 20, 45)
    (found,) = told_steps("surprise", column, market(returns))
    assert (found.column, found.symbol) == ("surprise", "all symbols")
    assert "came out later than it is dated" in str(found)
    assert "data.columns.surprise.released_in" in str(found)


def test_it_is_asked_with_all_columns_until_it_is_stated():
    returns, column = surprises(3, 2, 20, 45)
    panel = market(returns, surprise=column)
    assert [found.column for found in foreknown_columns(panel)] == ["surprise"]
    assert foreknown_columns(panel, {"surprise": ColumnStatement(known_after="0 bars")}) == ()


@pytest.mark.parametrize("seed", range(3))
def test_the_same_figure_dated_by_its_release_is_not_though_prices_drift_after_it(seed):
    returns, column = surprises(seed, 10, 0, 0, drift=0.02)
    assert told_steps("surprise", column, market(returns)) == []


def test_a_figure_that_is_one_for_all_symbols_is_named_by_the_market_that_it_moves():
    drawn = np.random.default_rng(5)
    returns, column = walk(5, BARS, 5), np.full((BARS, 5), np.nan)
    returns = 0.5 * returns + 0.5 * VOLATILITY * drawn.standard_normal((BARS, 1))
    begins = list(range(0, BARS, 30))  # a month's price index, published 10 to 18 days after its end
    for start, stop in zip(begins, [*begins[1:], BARS]):
        column[start:stop] = figure = drawn.standard_normal()
        returns[min(start + int(drawn.integers(10, 19)), BARS - 1)] += 0.05 * figure
    (found,) = told_steps("index", column, market(returns))
    assert found.symbol == "all symbols"


@pytest.mark.parametrize("seed", range(3))
def test_steps_of_noise_walks_prices_and_an_honest_carry_are_not_named(seed):
    drawn = np.random.default_rng(seed)
    returns, symbols = walk(seed, BARS, 4), 4
    carry, walks = np.empty((BARS, symbols)), np.cumsum(drawn.standard_normal((BARS, symbols)), axis=0)
    for start in range(0, BARS, 91):
        carry[start : start + 91] = drawn.standard_normal(symbols)
    # A Sharpe ratio of 2 a year of all four together.
    returns[1:] += 2.0 / np.sqrt(365.0 * symbols) * VOLATILITY * carry[:-1]
    begin = np.arange(BARS) // 91 * 91
    prices = np.cumsum(returns, axis=0)
    for column in (carry, walks[begin], prices[begin], drawn.standard_normal((BARS, symbols))[begin]):
        assert told_steps("column", column, market(returns)) == []


def test_columns_that_change_often_or_hardly_ever_are_not_asked():
    returns, column = surprises(1, 10, 20, 45)
    often = column + np.random.default_rng(0).standard_normal(column.shape)
    assert told_steps("often", often, market(returns)) == []
    assert told_steps("never", np.ones_like(column), market(returns)) == []
    assert told_steps("unknown", np.full_like(column, np.nan), market(returns)) == []


def dated(seed: int, early: tuple[int, int], *, jump: float = 0.03, drift: float = 0.0, unknown: float = 0.0):
    """Returns of 12 symbols, and 1 or -1 on days of events, about two a year, `early` days before the price jumps."""
    drawn, bars, symbols = np.random.default_rng(seed), 2400, 12
    returns, flags = 0.016 * drawn.standard_normal((bars, symbols)), np.full((bars, symbols), unknown)
    for a in range(symbols):
        for at in np.flatnonzero(drawn.random(bars - 30) < 2.5 / 252):
            flags[at, a] = sign = drawn.choice([-1.0, 1.0])
            returns[at + int(drawn.integers(early[0], early[1] + 1)), a] += jump * sign * drawn.exponential()
            returns[at + 1 : at + 11, a] += drift * sign / 10.0
    return returns, flags


@pytest.mark.parametrize("unknown", [0.0, np.nan])
def test_rare_events_that_are_dated_days_before_they_came_out_are_named(unknown):
    returns, flags = dated(1, (2, 6), unknown=unknown)
    (found,) = told_steps("insiders", flags, market(returns))
    assert found.form == ("its events" if unknown == 0.0 else "")  # what is unknown ends no value
    assert "the largest of the returns until the next" in str(found)


def test_events_that_are_dated_rightly_or_say_nothing_are_not_named():
    for seed in range(6):
        returns, flags = dated(
            10 + seed, (0, 1), drift=0.01
        )  # the price answers at once, and drifts by a third of it
        drawn = np.random.default_rng(seed)
        crossed = np.sign(returns) * (np.abs(returns) > 0.045)
        panel = market(returns)
        for events in (flags, np.abs(flags), crossed, np.where(drawn.random(flags.shape) < 0.01, 1.0, 0.0)):
            assert told_steps("events", events, panel) == []
