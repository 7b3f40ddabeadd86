"""A symbol whose labels are late or early against the others is named; honest markets raise no alarm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data.checks.clock_shift import clock_shifts
from data.schema import Panel
from data.sources import SamplesConfig, load


def market(seed: int, num_bars: int, num_assets: int, *, shared: float, bar_seconds: int = 1800) -> Panel:
    """Returns with a common part, so that every pair correlates by `shared` squared."""
    random = np.random.default_rng(seed)
    common = random.standard_normal((num_bars, 1))
    own = random.standard_normal((num_bars, num_assets))
    close = 100.0 * np.exp(np.cumsum(0.003 * (shared * common + np.sqrt(1 - shared**2) * own), axis=0))
    bar_utc = np.datetime64("2021-01-01", "ns") + np.arange(num_bars) * np.timedelta64(bar_seconds, "s")
    return Panel(
        symbols=tuple(f"S{i}" for i in range(num_assets)),
        bar_utc=bar_utc,
        open=close,
        high=close,
        low=close,
        close=close,
        volume=np.ones_like(close),
        tradable=np.ones(close.shape, dtype=bool),
        session=bar_utc.astype("datetime64[D]").astype(np.int32),
        calendar="24/7",
        bar_seconds=bar_seconds,
    )


def moved(panel: Panel, asset: int, bars: int) -> Panel:
    """The symbol's rows labelled `bars` later (earlier where negative)."""
    arrays = {}
    for name in ("open", "high", "low", "close"):
        values = getattr(panel, name).copy()
        values[:, asset] = np.roll(values[:, asset], bars)
        values[: max(bars, 0), asset] = np.nan
        if bars < 0:
            values[bars:, asset] = np.nan
        arrays[name] = values
    known = np.isfinite(arrays["close"])
    return replace(panel, **arrays, volume=known.astype(float), tradable=known)


@pytest.mark.parametrize("bars", [1, -1, 2, 10, -10])
@pytest.mark.parametrize("num_assets", [2, 3, 5])
def test_the_symbol_that_was_moved_is_named_with_its_shift(bars, num_assets):
    panel = moved(market(1, 4000, num_assets, shared=0.7), 1, bars)
    (found,) = clock_shifts(panel)
    assert (found.symbol, found.bars) == (("S1", bars) if num_assets > 2 or bars > 0 else ("S0", -bars))
    assert f"{abs(bars)} bar" in str(found)


def test_a_zone_of_five_hours_is_found_on_minute_bars():
    panel = moved(market(2, 20_000, 3, shared=0.5, bar_seconds=60), 0, 300)
    (found,) = clock_shifts(panel)
    assert (found.symbol, found.bars) == ("S0", 300)


@pytest.mark.parametrize("shared", [0.0, 0.3, 0.9])
def test_honest_markets_raise_no_alarm(shared):
    for seed in range(20):
        assert clock_shifts(market(seed, 1500, 4, shared=shared)) == []


def test_a_leader_whose_followers_still_move_with_it_is_no_shift():
    panel = market(3, 6000, 3, shared=0.8)
    close = panel.close.copy()
    close[1:, 1] *= (close[:-1, 0] / close[0, 0]) ** 0.3  # S1 also follows S0 a bar later
    assert clock_shifts(replace(panel, open=close, high=close, low=close, close=close)) == []


def test_the_bundled_crypto_bars_agree_and_are_told_when_one_is_moved():
    config = SamplesConfig(sample="crypto_30min", symbols=(), start_utc="2018-06-01", stop_utc="2018-12-01")
    panel = load(config).panel
    assert clock_shifts(panel) == []
    (found,) = clock_shifts(moved(panel, 2, 1))
    assert (found.symbol, found.bars) == ("LTC", 1)


def test_one_symbol_or_few_bars_have_no_clock_to_compare_with():
    assert clock_shifts(market(1, 4000, 1, shared=0.5)) == []
    assert clock_shifts(market(1, 100, 3, shared=0.5)) == []
