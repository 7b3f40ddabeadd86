"""What knows how large returns will be is named; past volatility, forecasts, calendars and noise are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_bars import market

from data.checks.foreknowledge import foreknown_columns
from data.checks.told_sizes import Sizes, told_sizes
from data.known_columns import ColumnStatement

BARS = 3000


def waves(seed: int, symbols: int = 2) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    """Returns whose volatility comes in waves, the log of that volatility, and the generator."""
    drawn = np.random.default_rng(seed)
    log_size = np.zeros((BARS, symbols))
    for bar in range(1, BARS):
        log_size[bar] = 0.95 * log_size[bar - 1] + 0.2 * drawn.standard_normal(symbols)
    return 0.01 * np.exp(log_size) * drawn.standard_normal((BARS, symbols)), log_size, drawn


def averaged(returns: np.ndarray, back: int, ahead: int) -> np.ndarray:
    """Mean size from so many bars before each bar to so many after it."""
    total = np.vstack([np.zeros((1, returns.shape[1])), np.cumsum(np.abs(returns), axis=0)])
    at = np.arange(len(returns))
    stop = np.minimum(at + ahead + 1, len(returns))
    return (total[stop] - total[np.maximum(at - back, 0)]) / (stop - np.maximum(at - back, 0))[:, None]


@pytest.mark.parametrize("seed", range(3))
def test_an_average_of_volatility_to_both_sides_is_named(seed):
    returns, _, _ = waves(seed)
    panel = market(returns, volatility=averaged(returns, 10, 10))
    found = foreknown_columns(panel)
    assert {one.column for one in found} == {"volatility"}
    assert "by their size, with a correlation of" in str(found[0])
    assert foreknown_columns(panel, {"volatility": ColumnStatement(known_after="0 bars")}) == ()


def test_what_is_known_of_sizes_is_not_named():
    for seed in range(6):
        returns, log_size, drawn = waves(20 + seed)
        noise = drawn.standard_normal(returns.shape)
        event = (np.arange(BARS) % 63 == 40).astype(float)[:, None] * np.ones((1, 2))
        inputs = {
            "past": averaged(returns, 20, 0),
            "last": np.abs(returns),
            "implied": log_size + 0.3 * noise,  # the law's own volatility at the close
            "event": np.roll(event, -3, axis=0),
            "noise": noise,
            "walk": np.cumsum(noise, axis=0),
            "level": np.cumsum(returns, axis=0),
            "constant": np.ones(returns.shape),
        }
        sizes = Sizes.of(market(returns))
        for name, values in inputs.items():
            assert told_sizes(name, values, sizes) == [], name


def test_the_time_of_day_is_no_foreknowledge():
    drawn = np.random.default_rng(9)
    place = np.arange(BARS) % 10
    returns = 0.01 * (1.0 + 2.0 * (place > 6))[:, None] * drawn.standard_normal((BARS, 2))
    panel = market(returns)
    panel = replace(panel, session=(np.arange(BARS) // 10).astype(np.int32))
    clock = np.repeat(place[:, None], 2, axis=1).astype(float)
    assert told_sizes("clock", clock, Sizes.of(panel)) == []
    assert told_sizes("clock", np.cos(2 * np.pi * clock / 10), Sizes.of(panel)) == []


def test_few_bars_say_nothing():
    returns, _, _ = waves(1)
    panel = market(returns[:400])
    assert told_sizes("volatility", averaged(returns, 10, 10)[:400], Sizes.of(panel)) == []
