"""A score that hangs on the volume of the very bars that orders fill in is named; one of honest volumes is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from gate_settings import gate_config
from hypothesis import given, settings
from hypothesis import strategies as st
from scoring_settings import scoring_config

from envs.episodes import Window
from envs.kernel import columns as c
from evaluation.gate.criteria import CRITERIA
from evaluation.gate.evidence import GateEvidence, SupportingEvidence
from evaluation.gate.plausibility import delay_losses, suspicion
from evaluation.scoring.fold_scoring import score_fold
from evaluation.scoring.known_volume import (
    OWN_VOLUME,
    by_known_volume,
    reads_own_volume,
    volume_before,
)
from evaluation.scoring.owed import owed_to, return_without
from evaluation.scoring.rollout import evaluation_config, run_policy
from evaluation.scoring.walk_forward import WalkForwardResult
from evaluation.windows.splits import Fold
from policies.baselines import Schedule, ScheduledPolicy

FOLD = Fold(index=0, train=slice(0, 300), test=slice(400, 1900))
PLAIN = {"momentum_bars": 20, "hold_bars": 1, "stress_cost_factor": 1.0, "in_sample": False}


def with_volume(world, volume_TA):
    bars = world.market.bars.copy()
    bars[..., c.VOLUME] = volume_TA
    return replace(world.market, bars=bars)


def costs_of(world, **changes):
    free = replace(world.config.costs, half_spread_bps=0.0, fee_bps=0.0, remainder="drop", **changes)
    return replace(world.config, costs=free, action=replace(world.config.action, scheme="weights"))


def scored(world, market, config, target_TA):
    return score_fold(
        FOLD, Schedule(target_TA=target_TA), world.panel, market, config, scoring_config(**PLAIN), seed=3,
        find_exposures=list,
    )  # fmt: skip


def result_of(world, fold):
    return WalkForwardResult(panel=world.panel, folds=(fold,))


def bar_return(world):
    return world.panel.close / world.panel.open - 1.0


def in_and_out(world):
    """Long from the open of every odd bar to that of the next: what is bought is held for one bar."""
    target = np.zeros(world.panel.close.shape)
    target[::2] = 0.4
    return target


def units_of_a_purchase(world):
    return 0.4 * world.config.initial_equity / world.panel.close.mean()


def volumes(world, seed, foreknown):
    """Volumes of which a tenth is about half of an order, larger in bars that rise where they are `foreknown`."""
    drawn = np.random.default_rng(seed)
    standard = bar_return(world) / bar_return(world).std()
    noise = drawn.standard_normal(standard.shape)
    mixed = foreknown * standard + np.sqrt(1.0 - foreknown**2) * noise
    return 5.0 * units_of_a_purchase(world) * np.exp(1.5 * mixed)


def wide_exits(volume_TA):
    """The same with room for everything in the bars of `in_and_out`'s sales."""
    wide = volume_TA.copy()
    wide[::2] = 1e12
    return wide


def test_the_volume_before_a_bar_is_the_last_one_in_which_anything_was_traded():
    volume = np.array([[0.0, 3.0], [5.0, 0.0], [0.0, 0.0], [7.0, 4.0]])
    np.testing.assert_array_equal(volume_before(volume), [[0, 0], [0, 3], [5, 3], [5, 3]])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from([0.0, 1.0, 2.5]), min_size=1, max_size=12))
def test_it_is_what_a_walk_over_the_bars_remembers(series):
    remembered, expected = 0.0, []
    for value in series:
        expected.append(remembered)
        remembered = value if value > 0.0 else remembered
    np.testing.assert_array_equal(volume_before(np.array(series)[:, None])[:, 0], expected)


def test_nothing_but_the_volume_is_another(noise_world):
    market = with_volume(noise_world, volumes(noise_world, 0, 0.0))
    bars = by_known_volume(market).bars
    np.testing.assert_array_equal(bars[..., c.VOLUME], volume_before(market.volume))
    others = [k for k in range(bars.shape[-1]) if k != c.VOLUME]
    np.testing.assert_array_equal(bars[..., others], market.bars[..., others])


@pytest.mark.parametrize("seed", [0, 1])
def test_a_score_by_volumes_that_rise_with_their_bar_is_named(noise_world, seed):
    market = with_volume(noise_world, wide_exits(volumes(noise_world, seed, 0.6)))
    fold = scored(noise_world, market, costs_of(noise_world, max_participation=0.1), in_and_out(noise_world))
    result = result_of(noise_world, fold)
    losses = delay_losses(result)
    assert OWN_VOLUME in [loss.names for loss in losses]
    assert "the volume of the bar before in place of the bar's own takes" in suspicion(losses)
    own, without = owed_to(result, OWN_VOLUME)
    assert own > 2.0
    assert without < 0.5 * own
    evidence = GateEvidence.of(
        result, SupportingEvidence(delay_losses=losses, known_after={"close": "0 bars"})
    )
    found = CRITERIA["plausibility"][1](gate_config("plausibility", max_plausible_sharpe=1000.0), evidence)
    assert found.passed is False
    assert "how much was traded in the very bars that orders fill in" in found.reason


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_volumes_that_say_nothing_of_their_bar_are_not(signal_world, seed):
    # Half an order fills in a typical bar, so that the cap decides nearly every fill of this honest edge.
    market = with_volume(signal_world, volumes(signal_world, seed, 0.0))
    direction = 0.4 * np.asarray(signal_world.oracle_direction, dtype=np.float64)
    config = costs_of(signal_world, max_participation=0.1)
    fold = scored(
        signal_world, market, replace(config, costs=replace(config.costs, remainder="carry")), direction
    )
    result = result_of(signal_world, fold)
    assert return_without(result, OWN_VOLUME) is not None
    assert OWN_VOLUME not in [loss.names for loss in delay_losses(result)]
    assert owed_to(result, OWN_VOLUME) is None


def test_where_bars_have_room_nothing_is_run_again(signal_world):
    config = costs_of(signal_world, max_participation=0.1)
    market = with_volume(signal_world, np.full(signal_world.panel.close.shape, 1e12))
    direction = 0.4 * np.asarray(signal_world.oracle_direction, dtype=np.float64)
    fold = scored(signal_world, market, config, direction)
    assert OWN_VOLUME not in fold.delayed
    assert return_without(result_of(signal_world, fold), OWN_VOLUME) is None
    assert owed_to(result_of(signal_world, fold), OWN_VOLUME) is None


def test_slippage_by_volume_reads_the_bars_own(signal_world):
    config = costs_of(signal_world, max_participation=None, slippage="volume", slippage_value=1e-3)
    direction = 0.4 * np.asarray(signal_world.oracle_direction, dtype=np.float64)
    assert OWN_VOLUME in scored(signal_world, signal_world.market, config, direction).delayed
    free = costs_of(signal_world, max_participation=None)
    assert OWN_VOLUME not in scored(signal_world, signal_world.market, free, direction).delayed


@pytest.mark.parametrize("room", [0.2, 1.0, 3.0, 30.0, 300.0])
def test_what_is_not_run_again_would_have_been_the_same_to_the_bit(noise_world, room):
    drawn = np.random.default_rng(4)
    volume = (
        room * 10.0 * units_of_a_purchase(noise_world) * (1.0 + drawn.random(noise_world.panel.close.shape))
    )
    market = with_volume(noise_world, volume)
    config = evaluation_config(costs_of(noise_world, max_participation=0.1))
    target = np.where(drawn.random(noise_world.panel.close.shape) < 0.2, 0.4, 0.0)
    window = Window(start_bar=400, stop_bar=700)

    def run(bars):
        policy = ScheduledPolicy(
            target_TA=target, first_bar_E=np.array([399]), scheme="weights", unknown="keep"
        )
        return run_policy(policy, bars, config, [window])[0]

    own, known = run(market), run(by_known_volume(market))
    same = np.array_equal(own.net_return, known.net_return)
    assert same or reads_own_volume(own, market, config)
    if room == 300.0:
        assert same
        assert not reads_own_volume(own, market, config)
