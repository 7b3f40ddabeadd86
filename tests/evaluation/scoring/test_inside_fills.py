"""A score that hangs on highs and lows at which nobody traded is named; one of a market that moves is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scoring_settings import scoring_config

from envs.barriers import BarrierConfig
from envs.kernel import columns as c
from evaluation.gate.plausibility import delay_losses, suspicion
from evaluation.scoring.delayed_inputs import promising
from evaluation.scoring.fold_scoring import score_fold
from evaluation.scoring.inside_fills import REACH, fills_inside, without_reach
from evaluation.scoring.walk_forward import WalkForwardResult
from evaluation.windows.splits import Fold
from policies.baselines import Schedule

FOLD = Fold(index=0, train=slice(0, 300), test=slice(400, 1900))
TARGET = BarrierConfig(
    unit="percent", profit_target=0.4, stop_loss=None, trailing_stop=None, time_limit_bars=4
)
PLAIN = {"momentum_bars": 20, "hold_bars": 1, "stress_cost_factor": 1.0, "in_sample": False}


def losses(world, bars, target_TA):
    """What the score of a schedule with profit targets hangs on, where the market has these bars."""
    config = replace(
        world.config, barriers=TARGET, costs=replace(world.config.costs, half_spread_bps=0.0, fee_bps=0.0)
    )
    market = replace(world.market, bars=bars)
    result = score_fold(
        FOLD,
        Schedule(target_TA=target_TA),
        world.panel,
        market,
        config,
        scoring_config(**PLAIN),
        seed=3,
        find_exposures=list,
    )
    assert REACH in result.delayed
    return delay_losses(WalkForwardResult(panel=world.panel, folds=(result,)))


def test_bars_end_at_their_open_and_close(noise_world):
    bars = without_reach(noise_world.market).bars
    body = bars[..., [c.OPEN, c.MARK]]
    np.testing.assert_array_equal(bars[..., c.HIGH], body.max(axis=-1))
    np.testing.assert_array_equal(bars[..., c.LOW], body.min(axis=-1))
    others = [k for k in range(bars.shape[-1]) if k not in (c.HIGH, c.LOW)]
    np.testing.assert_array_equal(bars[..., others], noise_world.market.bars[..., others])


@pytest.mark.parametrize("seed", [0, 1])
def test_targets_that_bad_ticks_fill_are_named(noise_world, seed):
    bars, drawn = noise_world.market.bars.copy(), np.random.default_rng(seed)
    struck = drawn.random(bars.shape[:2]) < 0.3
    bars[..., c.HIGH] *= np.where(struck, 1.006, 1.0)
    found = losses(noise_world, bars, np.ones(bars.shape[:2]))
    assert [loss.names for loss in found] == [REACH]
    assert "bars that reach no further than their open and close take" in suspicion(found)


def test_targets_that_an_edge_fills_are_not(signal_world):
    direction = np.asarray(signal_world.oracle_direction, dtype=np.float64)
    found = losses(signal_world, signal_world.market.bars, direction)
    assert REACH not in [loss.names for loss in found]


def test_a_fold_too_short_to_tell_is_asked_whatever_it_earned():
    assert promising(np.zeros(1))
    assert promising(np.full(20, -0.01))
    assert not promising(np.tile([0.01, -0.01], 20))
    assert promising(np.tile([0.02, -0.01], 20))


def test_one_of_several_folds_is_asked_whatever_it_earned():
    assert promising(np.full(1_000, -0.01), alone=False)
    assert promising(np.tile([0.01, -0.01], 20), alone=False)


def test_an_env_without_price_barriers_fills_at_opens(noise_world):
    assert not fills_inside(noise_world.config)
    timed = BarrierConfig(
        unit="percent", profit_target=None, stop_loss=None, trailing_stop=None, time_limit_bars=4
    )
    assert not fills_inside(replace(noise_world.config, barriers=timed))
    resting = replace(noise_world.config.action, scheme="order_entry", entry_offsets=(4.0,))
    assert fills_inside(replace(noise_world.config, action=resting))
