"""What foreknows the returns of symbols beside each other is named; honest signals, levels and noise are not."""

from __future__ import annotations

import numpy as np
import pytest
from made_bars import market

from data.checks.foreknowledge import foreknown_values
from data.checks.relative_order import RelativeReturns, relative_order

BARS, SYMBOLS = 2200, 24


def drawn_returns(seed: int, symbols: int = SYMBOLS) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    """Returns with a common factor that is larger than what is a symbol's own; that own part; the generator."""
    drawn = np.random.default_rng(seed)
    own = drawn.standard_normal((BARS, symbols)) * 0.008
    return drawn.normal(0.0, 0.014, BARS)[:, None] + own, own, drawn


def ahead(own: np.ndarray, first: int, bars: int) -> np.ndarray:
    """What each symbol earns by itself from `first` bars ahead on, over so many bars, of spread 1."""
    total = np.vstack([np.zeros((1, own.shape[1])), np.cumsum(own, axis=0)])
    at = np.arange(len(own))
    last = len(own)
    label = total[np.minimum(at + first + bars, last)] - total[np.minimum(at + first, last)]
    return label / (0.008 * np.sqrt(bars))


def slow_noise(drawn: np.random.Generator, shape: tuple[int, int], bars: int) -> np.ndarray:
    white = drawn.standard_normal((shape[0] + bars - 1, shape[1]))
    total = np.vstack([np.zeros((1, shape[1])), np.cumsum(white, axis=0)])
    return (total[bars:] - total[:-bars]) / np.sqrt(bars)


def asked(values: np.ndarray, returns: np.ndarray):
    return relative_order("rating", {"": values}, RelativeReturns.of(market(returns)))


@pytest.mark.parametrize("seed", range(2))
def test_a_rating_that_foreknows_what_a_symbol_earns_beyond_the_others_is_named(seed):
    returns, own, drawn = drawn_returns(seed)
    rating = 0.15 * ahead(own, 2, 5) + np.sqrt(1.0 - 0.15**2) * slow_noise(drawn, own.shape, 5)
    (found,) = asked(rating, returns)
    assert "by the order of 24 symbols at each bar" in str(found)
    assert found.bars_ahead == 2


def test_it_is_asked_of_columns_that_no_question_along_time_names():
    returns, own, drawn = drawn_returns(3, 10)
    rating = 0.2 * ahead(own, 2, 5) + np.sqrt(1.0 - 0.2**2) * slow_noise(drawn, own.shape, 5)
    (found,) = foreknown_values(market(returns), {"rating": rating}, least_bars_ahead=2)
    assert "by the order of 10 symbols at each bar" in str(found)


def test_many_symbols_each_below_what_is_asked_of_one_are_much_together():
    # A correlation of 0.06 with each symbol's next but one return, 60 symbols: 0.06 x sqrt(60 x 252) = 7 a year.
    returns, own, drawn = drawn_returns(5, 60)
    told = 0.06 * ahead(own, 2, 1) + drawn.standard_normal(own.shape)
    assert asked(told, returns)
    assert not asked(told[:, :4], returns[:, :4])


def test_an_input_that_says_the_opposite_of_half_of_the_symbols_is_named():
    returns, own, drawn = drawn_returns(8)
    sides = np.where(np.arange(SYMBOLS) % 2, 1.0, -1.0)
    rating = 0.15 * sides * ahead(own, 2, 5) + np.sqrt(1.0 - 0.15**2) * slow_noise(drawn, own.shape, 5)
    (found,) = asked(rating, returns)
    assert "by a sign for each of 24 symbols" in str(found)


def test_what_only_the_next_bar_shows_is_left_to_a_delay():
    returns, own, drawn = drawn_returns(6)
    assert not asked(ahead(own, 1, 1) + drawn.standard_normal(own.shape), returns)


def test_honest_inputs_are_not_named():
    for seed, symbols in enumerate((6, 24, 40)):
        returns, own, drawn = drawn_returns(20 + seed, symbols)
        level = np.cumsum(returns, axis=0)
        momentum = np.full(level.shape, np.nan)
        momentum[60:] = level[60:] - level[:-60]
        edge = 0.02 * ahead(own, 1, 5) + slow_noise(drawn, own.shape, 5)  # a Sharpe ratio of 1 to 2
        inputs = {
            "level": level,
            "momentum": momentum,
            "reversal": -returns,
            "noise": drawn.standard_normal(own.shape),
            "walk": np.cumsum(drawn.standard_normal(own.shape), axis=0),
            "fixed": np.repeat(drawn.standard_normal((1, own.shape[1])), BARS, axis=0),
            "volatility": np.sqrt(np.cumsum(returns**2, axis=0) / np.arange(1, BARS + 1)[:, None]),
            "edge": edge,
            "constant": np.ones(own.shape),
            "clock": np.repeat(drawn.standard_normal((BARS, 1)), own.shape[1], axis=1),
        }
        for name, values in inputs.items():
            assert not asked(values, returns), name


def test_a_market_that_goes_back_by_itself_does_not_accuse_its_own_past():
    # Each symbol's own part takes back 30 % of its last five bars' move: a Sharpe ratio of far more than two by prices.
    _, _, drawn = drawn_returns(30)
    own = np.zeros((BARS, SYMBOLS))
    for bar in range(1, BARS):
        own[bar] = drawn.normal(0.0, 0.008, SYMBOLS) - 0.06 * own[max(bar - 5, 0) : bar].sum(axis=0)
    returns = drawn.normal(0.0, 0.01, BARS)[:, None] + own
    level = np.cumsum(returns, axis=0)
    change = np.vstack([level[:5], level[5:] - level[:-5]])
    assert not asked(change, returns)


@pytest.mark.slow
def test_luck_names_none_of_six_hundred_inputs():
    """The threshold lies 4.5 standard deviations beyond an honest edge; of noise it is never reached."""
    named = 0
    for seed in range(60):
        returns, _, drawn = drawn_returns(1000 + seed, 12)
        known = RelativeReturns.of(market(returns[:1000]))
        for _ in range(5):
            for values in (
                drawn.standard_normal((1000, 12)),
                np.cumsum(drawn.standard_normal((1000, 12)), axis=0),
            ):
                named += len(relative_order("noise", {"": values}, known))
    assert named == 0
