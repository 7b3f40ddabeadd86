"""What was labelled after the fact is named whatever its form, and honest inputs of every kind are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_bars import VOLATILITY, market, walk
from scipy.signal import lfilter

from data.checks.foreknowledge import foreknown_columns, foreknown_values, foreknown_wicks
from data.checks.leading_symbols import MOST_SYMBOLS
from data.checks.unforeseen_returns import unforeseen_returns


def noise(like: np.ndarray, seed: int, autocorrelation: float = 0.0) -> np.ndarray:
    drawn = np.random.default_rng(100 + seed).standard_normal(like.shape)
    slow = lfilter([1.0], [1.0, -autocorrelation], drawn, axis=0)
    return slow / slow.std()


def blocks(returns_TA: np.ndarray, bars: int) -> np.ndarray:
    """The sign of what each block of bars earns in the whole, at all of its bars."""
    block = np.arange(len(returns_TA)) // bars
    return np.stack([np.sign(np.bincount(block, column))[block] for column in returns_TA.T], axis=1)


def two_sided(returns_TA: np.ndarray, bars: int) -> np.ndarray:
    """The mean of the returns of so many bars before and after each."""
    kernel = np.ones(2 * bars + 1)
    mean = np.stack([np.convolve(column, kernel, "same") for column in returns_TA.T], axis=1)
    return mean / mean.std()


def label(returns_TA: np.ndarray, bars: int) -> np.ndarray:
    """What the next bars earn together."""
    total = np.cumsum(np.vstack([returns_TA, np.zeros((bars, returns_TA.shape[1]))]), axis=0)
    ahead = total[bars:] - total[:-bars]
    return ahead / ahead.std()


@pytest.mark.parametrize(
    ("made", "share", "autocorrelation"),
    [
        (lambda returns: blocks(returns, 20), 0.0, 0.0),
        (lambda returns: blocks(returns, 20), 0.6, 0.0),
        (lambda returns: blocks(returns, 100), 0.0, 0.0),
        (lambda returns: two_sided(returns, 20), 2.0, 0.0),
        (lambda returns: label(returns, 10), 3.0, 0.0),
        (lambda returns: label(returns, 10), 2.0, 0.99),
    ],
)
def test_what_was_labelled_after_the_fact_is_named(made, share, autocorrelation):
    returns = walk(1)
    values = made(returns) + share * noise(returns, 1, autocorrelation)
    found = foreknown_values(market(returns), {"regime": values}, least_bars_ahead=2)
    assert {one.column for one in found} == {"regime"}
    assert "known at the close?" in str(found[0])


def test_a_column_of_one_symbol_that_foreknows_another_is_named_with_both():
    returns = walk(2)
    values = label(returns, 10)[:, ::-1] + 1.1 * noise(returns, 2)
    found = foreknown_columns(market(returns, signal=values))
    assert [(one.column, one.symbol) for one in found] == [
        ("signal", "S0 against S1"),
        ("signal", "S1 against S0"),
    ]


def test_a_column_that_shows_another_symbols_return_at_one_lead_alone_is_named_too():
    returns = walk(3)
    values = noise(returns, 3)
    values[:-150, 0] += returns[150:, 1] / VOLATILITY
    (found,) = foreknown_columns(market(returns, signal=values))
    assert (found.symbol, found.bars_ahead) == ("S0 against S1", 150)


def test_among_many_symbols_a_column_that_foreknows_all_others_is_named():
    common = walk(4, 1200, 1)
    returns = common + walk(5, 1200, MOST_SYMBOLS + 1)
    values = noise(returns, 4)
    values[:, 0] = label(common, 10)[:, 0] + 0.5 * values[:, 0]
    found = foreknown_values(market(returns), {"signal": values}, least_bars_ahead=2)
    assert found[0].symbol.startswith("S0")


@pytest.mark.parametrize("where", ["high", "low", "open"])
def test_a_label_that_lies_in_high_low_or_open_is_named(where):
    returns = walk(6)
    panel, told = market(returns), label(returns, 10) + 1.1 * noise(returns, 6)
    size = 0.06 + 0.01 * np.clip(told, -4.0, 4.0)
    if where == "open":
        before = np.vstack([np.full((1, 2), 100.0), panel.close[:-1]])
        opened = before * np.exp(size)
        panel = replace(panel, open=opened, high=np.maximum(panel.high, opened))
    else:
        factor = np.exp(size if where == "high" else -size)
        panel = replace(panel, **{where: getattr(panel, where) * factor})
    assert where in {one.column for one in foreknown_wicks(panel)}
    assert not foreknown_wicks(panel, dict.fromkeys(("high", "low", "open")))


def honest_inputs(returns: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Inputs that are known at the close: of past prices, of nothing, and with a good honest edge."""
    level, scaled = np.cumsum(returns, axis=0), returns / returns.std()
    momentum = np.full(level.shape, np.nan)
    momentum[50:] = level[50:] - level[:-50]
    edge = sum(np.roll(scaled, -lead, axis=0) for lead in range(1, 6))
    edge[-5:] = 0.0
    root = np.sqrt(1.0 - 5 * 0.05**2)
    return {
        "level": level,
        "momentum": momentum,
        "side": np.sign(momentum),
        "slow": lfilter([1.0], [1.0, -0.95], returns, axis=0),
        "volatility": lfilter([1.0], [1.0, -0.97], returns**2, axis=0),
        "slow_noise": noise(returns, seed, 0.999),
        "edge": root * noise(returns, seed) + 0.05 * edge,
        "slow_edge": root * noise(returns, seed, 0.9) + 0.05 * edge,
    }


@pytest.mark.parametrize(("num_bars", "num_symbols"), [(400, 1), (1200, 3), (4600, 2)])
def test_honest_inputs_are_not_named(num_bars, num_symbols):
    for seed in range(2):
        returns = walk(10 + seed, num_bars, num_symbols)
        if seed:  # volatility that comes in waves, and a market that all follow
            waves = np.exp(0.5 * noise(returns, 20, 0.98))
            returns = waves * (0.5 * returns + returns[:, :1])
        inputs = honest_inputs(returns, seed)
        assert foreknown_values(market(returns), inputs) == ()


@pytest.mark.parametrize("autocorrelation", [0.9, 0.98])
def test_a_market_that_returns_to_its_mean_does_not_accuse_its_own_past(autocorrelation):
    level = 0.1 * noise(np.zeros((4600, 2)), 7, autocorrelation)
    returns = np.diff(level, axis=0, prepend=0.0)
    assert foreknown_values(market(returns), {"level": level}, least_bars_ahead=2) == ()
    foretold, left = (
        abs(float(np.corrcoef(each[300:, 0], level[298:-2, 0])[0, 1]))
        for each in (returns, unforeseen_returns(returns))
    )
    assert left < 0.5 * foretold


def states(returns_TA: np.ndarray, bars: int, seed: int) -> np.ndarray:
    """A number of a state for each block: two of four numbers, in no order, stand for blocks that rise."""
    rng, block = np.random.default_rng(seed), np.arange(len(returns_TA)) // bars
    code = rng.permutation(4)
    rises = blocks(returns_TA, bars)[::bars] > 0.0
    return code[np.where(rises, 0, 2) + rng.integers(0, 2, rises.shape)][block].astype(float)


def present(returns_TA: np.ndarray, bars: int, seed: int) -> np.ndarray:
    """A coin's 4 or -4 at blocks that rise, and nothing at the others."""
    rng, rises = np.random.default_rng(seed), blocks(returns_TA, bars) > 0.0
    coin = np.repeat(rng.choice([-4.0, 4.0], (len(returns_TA) // bars + 1, 2)), bars, axis=0)
    return np.where(rises, coin[: len(returns_TA)], np.nan)


@pytest.mark.parametrize("label", [states, present])
def test_numbers_of_states_and_values_that_stand_for_winners_only_are_named(label):
    returns = walk(31)
    (found, *_) = foreknown_columns(market(returns, column=label(returns, 14, 3)))
    assert found.column == "column"


@pytest.mark.parametrize("missing", [0.0, 0.5])
def test_states_and_gaps_that_say_nothing_are_not_named(missing):
    returns, rng = walk(32), np.random.default_rng(4)
    drawn = rng.integers(0, 5, (len(returns) // 20 + 1, 2)).astype(float)
    drawn[rng.random(drawn.shape) < missing] = np.nan
    column = np.repeat(drawn, 20, axis=0)[: len(returns)]
    past = np.sign(lfilter(np.ones(20), [1.0], returns, axis=0)) + 2.0 * (np.abs(returns) > VOLATILITY)
    assert not foreknown_columns(market(returns, column=column, trend=past))
