"""Opens of many symbols that lag another's closes are named together; opens that take in what happened are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_bars import market

from data.checks.followed_returns import followed_returns
from data.checks.followed_together import followed_together

BARS = 2400


def thin(seed: int, symbols: int, lag: float, *, stale_opens: bool):
    """One liquid symbol, and thin ones whose closes take a part of its move a bar later; opens are stale, or not."""
    drawn = np.random.default_rng(seed)
    led = drawn.normal(0.0, 0.01, BARS)
    own = drawn.normal(0.0, 0.02, (BARS, symbols))
    late = np.append(0.0, led[:-1])
    true = np.column_stack([led, led[:, None] + own])
    shown = true.copy()
    shown[:, 1:] += lag * (late - led)[:, None]
    panel = market(shown)
    if stale_opens:
        return panel
    # The open has all that was known at the close before: what the close still lacked, too.
    opened = panel.open * np.exp(
        np.concatenate([np.zeros((BARS, 1)), np.repeat(lag * late[:, None], symbols, axis=1)], axis=1)
    )
    high, low = np.maximum(opened, panel.close) * 1.01, np.minimum(opened, panel.close) * 0.99
    return replace(panel, open=opened, high=high, low=low)


def test_stale_opens_of_thin_symbols_are_named_by_what_they_follow_although_none_is_by_itself():
    panel = thin(1, 9, 0.3, stale_opens=True)
    assert followed_returns(panel) == ()
    found = followed_together(panel)
    assert (found.symbol, found.price) == ("all symbols", "open")
    assert "what comes after their opens follows S0's returns of the last 1 bar to the close before" in str(
        found
    )


def test_opens_that_take_in_what_was_known_are_not_named():
    assert followed_together(thin(1, 9, 0.3, stale_opens=False)) is None


@pytest.mark.parametrize("symbols", [3, 12])
def test_walks_bounces_and_honest_momentum_are_not_named(symbols):
    for seed in range(4):
        drawn = np.random.default_rng(20 + seed)
        shocks = drawn.normal(0.0, 0.01, (BARS, 1)) + drawn.normal(0.0, 0.015, (BARS, symbols))
        bounce = np.diff(0.004 * drawn.choice([-1.0, 1.0], (BARS + 1, symbols)), axis=0)
        momentum = shocks.copy()
        for bar in range(1, BARS):
            momentum[bar] += 0.0006 * np.sign(
                momentum[bar - 1].mean()
            )  # of the basket: a Sharpe ratio of 0.7
        for returns in (shocks, shocks + bounce, momentum):
            assert followed_together(market(returns)) is None


def test_few_symbols_and_few_bars_are_not_asked():
    assert followed_together(thin(1, 1, 0.5, stale_opens=True)) is None
    assert followed_together(thin(1, 9, 0.5, stale_opens=True).slice_bars(0, 200)) is None
