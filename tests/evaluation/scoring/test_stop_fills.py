"""A score that lives on stops that fill at their level where the market jumps is named; one of a market that moves is
not.
"""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scoring_settings import scoring_config

from envs.barriers import BarrierConfig
from envs.kernel import columns as c
from evaluation.gate.plausibility import delay_losses, suspicion
from evaluation.scoring.fold_scoring import score_fold
from evaluation.scoring.owed import owed_to
from evaluation.scoring.stop_fills import STOPS, stops_at_the_close
from evaluation.scoring.walk_forward import WalkForwardResult
from evaluation.windows.splits import Fold
from policies.baselines import Schedule

FOLD = Fold(index=0, train=slice(0, 300), test=slice(400, 1900))
PLAIN = {"momentum_bars": 20, "hold_bars": 1, "stress_cost_factor": 1.0, "in_sample": False}
MOMENTS = 60
"""Prices inside of a bar."""


def trailing(percent):
    return BarrierConfig(
        unit="percent", profit_target=None, stop_loss=None, trailing_stop=percent, time_limit_bars=None
    )


def bars_of_paths(world, step_TAM):
    """The world's bars with prices that follow log steps (T, A, moments of a bar)."""
    shape = step_TAM.shape
    path = 100.0 * np.exp(np.cumsum(step_TAM.transpose(1, 0, 2).reshape(shape[1], -1), axis=1))
    inside = path.reshape(shape[1], shape[0], -1).transpose(1, 0, 2)
    opened = np.concatenate([np.full((1, shape[1]), 100.0), inside[:-1, :, -1]])
    bars = world.market.bars.copy()
    bars[..., c.OPEN], bars[..., c.MARK] = opened, inside[..., -1]
    bars[..., c.HIGH] = np.maximum(opened, inside.max(axis=-1))
    bars[..., c.LOW] = np.minimum(opened, inside.min(axis=-1))
    return bars


def steps(world, seed, *, drift=0.0, jump=0.0):
    """Log steps of a price that wanders by 0.35 % a bar, drifts, and jumps every 24th bar on average, up or down."""
    drawn = np.random.default_rng(seed)
    shape = (*world.market.bars.shape[:2], MOMENTS)
    wander = 0.0035 / np.sqrt(MOMENTS) * drawn.standard_normal(shape)
    jumps = jump * np.sign(drawn.random(shape) - 0.5) * (drawn.random(shape) < 1.0 / (24 * MOMENTS))
    return wander + jumps + drift / MOMENTS


def record(world, bars, barriers, target_TA):
    free = replace(world.config.costs, half_spread_bps=0.0, fee_bps=0.0)
    config, market = (
        replace(world.config, barriers=barriers, costs=free),
        replace(world.market, bars=bars),
    )
    fold = score_fold(
        FOLD, Schedule(target_TA=target_TA), world.panel, market, config, scoring_config(**PLAIN), seed=3,
        find_exposures=list,
    )  # fmt: skip
    return WalkForwardResult(panel=world.panel, folds=(fold,)), market


def always_long(world):
    return np.ones(world.market.bars.shape[:2])


@pytest.mark.parametrize("seed", range(3))
def test_stops_that_jumps_went_through_are_named(noise_world, seed):
    bars = bars_of_paths(noise_world, steps(noise_world, seed, jump=0.03))
    result, _ = record(noise_world, bars, trailing(0.5), always_long(noise_world))
    found = delay_losses(result)
    assert STOPS in [loss.names for loss in found]
    assert "stops that fill at the close of their bar take" in suspicion(found)
    own, without = owed_to(result, STOPS)
    assert without < 0.5 * own


def test_stops_of_an_edge_on_a_price_that_wanders_are_not(noise_world):
    bars = bars_of_paths(noise_world, steps(noise_world, 5, drift=0.0008))
    result, _ = record(noise_world, bars, trailing(0.5), always_long(noise_world))
    assert np.isin(result.folds[0].recording.fills.reason, ["trailing_stop"]).sum() > 100
    assert STOPS not in [loss.names for loss in delay_losses(result)]
    assert owed_to(result, STOPS) is None


def test_each_stop_inside_of_a_bar_is_taken_back_to_the_close_and_nothing_else(noise_world):
    bars = bars_of_paths(noise_world, steps(noise_world, 2, jump=0.03))
    target = np.where(np.arange(bars.shape[0])[:, None] // 7 % 2, 0.6, -0.4) * np.ones((1, bars.shape[1]))
    both = replace(trailing(None), stop_loss=0.6, profit_target=0.9)
    result, market = record(noise_world, bars, both, target)
    recording = result.folds[0].recording
    money = np.diff(recording.equity)
    seen = set()
    for k in range(len(recording.fills)):
        bar, asset = int(recording.fills.filled_bar[k]), int(recording.fills.asset[k])
        price, symbol = float(recording.fills.price[k]), int(recording.symbols[asset])
        if recording.fills.reason[k] != "stop_loss" or price == bars[bar, symbol, c.OPEN]:
            continue
        # What was sold at the stop is bought back at it, and sold at the close; of a short the other way round.
        back = recording.fills.units[k] * (price - bars[bar, symbol, c.MARK]) * recording.multiplier[asset]
        money[bar - int(recording.bar[0])] += back
        seen.add(np.sign(recording.fills.units[k]))
    assert seen == {-1.0, 1.0}
    expected = money / recording.equity[:-1]
    np.testing.assert_allclose(stops_at_the_close(recording, market).net_return, expected, atol=1e-12)


def test_a_stop_that_the_open_has_passed_and_fills_of_other_kinds_stay_as_they_are():
    bars = np.zeros((3, 1, c.MARK + 1))
    bars[:, 0, c.OPEN], bars[:, 0, c.MARK] = 10.0, 9.0
    market = SimpleNamespace(bars=bars, mark=bars[..., c.MARK])
    fills = SimpleNamespace(
        asset=np.array([0, 0, 0]),
        filled_bar=np.array([0, 1, 2]),
        units=np.array([-1.0, -1.0, 1.0]),
        price=np.array([10.0, 9.5, 9.5]),
        reason=np.array(["stop_loss", "profit_target", "limit_entry"]),
    )
    recording = SimpleNamespace(
        fills=fills, symbols=np.array([0]), multiplier=np.ones(1), bar=np.arange(3), equity=np.full(4, 100.0),
        net_return=np.zeros(3), turnover=None,
    )  # fmt: skip
    assert stops_at_the_close(recording, market) is None
    fills.reason[1] = "stop_loss"
    # Sold at 9.5 where the close is 9: half a point of a hundred.
    assert stops_at_the_close(recording, market).net_return.tolist() == [0.0, -0.005, 0.0]


@pytest.mark.slow
def test_of_honest_records_with_stops_fewer_than_one_in_a_hundred_is_doubted(noise_world):
    doubted = 0
    for seed in range(300):
        bars = bars_of_paths(noise_world, steps(noise_world, 1000 + seed, drift=0.0004 + 0.0001 * (seed % 5)))
        result, _ = record(noise_world, bars, trailing(0.4 + 0.2 * (seed % 3)), always_long(noise_world))
        named = [loss.names for loss in delay_losses(result)]
        doubted += STOPS in named or owed_to(result, STOPS) is not None
    assert doubted <= 3
