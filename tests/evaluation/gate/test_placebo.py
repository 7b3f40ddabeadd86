"""Placebo markets keep what bars look like and lose what could be predicted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from gate_settings import gate_config

from evaluation.gate.placebo_markets import permuted_bars, placebo_panel, placebo_pass_rate
from evaluation.gate.verdict import GateEvidence

GATE = gate_config("sharpe")


def test_every_bar_is_used_once_and_blocks_stay_whole():
    order = permuted_bars(11, 5, np.random.default_rng(3))
    assert order[0] == 0
    assert sorted(order) == list(range(11))
    assert {tuple(order[1:6]), tuple(order[6:])} == {(1, 2, 3, 4, 5), (6, 7, 8, 9, 10)}


def test_returns_are_the_same_in_another_order(signal_world):
    panel = signal_world.panel
    placebo = placebo_panel(panel, 7, np.random.default_rng(0))
    ours, theirs = (np.sort(np.diff(np.log(p.close), axis=0), axis=0) for p in (panel, placebo))
    np.testing.assert_allclose(ours, theirs, atol=1e-12)
    np.testing.assert_allclose(
        np.sort(panel.high / panel.close, axis=0), np.sort(placebo.high / placebo.close, axis=0)
    )
    assert (placebo.bar_utc == panel.bar_utc).all()
    assert placebo.close[-1] == pytest.approx(
        panel.close[-1]
    )  # the product of all moves does not depend on order


def test_moves_of_all_assets_and_their_columns_stay_together(signal_world):
    panel = signal_world.panel
    order = permuted_bars(panel.num_bars, 9, np.random.default_rng(1))
    placebo = placebo_panel(panel, 9, np.random.default_rng(1))
    np.testing.assert_array_equal(placebo.exogenous["signal"], panel.exogenous["signal"][order])
    np.testing.assert_array_equal(placebo.volume, panel.volume[order])


def test_missing_bars_move_with_their_block(signal_world):
    panel = signal_world.panel
    hole = np.zeros(panel.close.shape, dtype=bool)
    hole[100:103, 0] = True
    holed = replace(
        panel,
        **{n: np.where(hole, np.nan, getattr(panel, n)) for n in ("open", "high", "low", "close")},
        volume=np.where(hole, 0.0, panel.volume),
        tradable=panel.tradable & ~hole,
    )
    placebo = placebo_panel(holed, 11, np.random.default_rng(2))
    assert np.isnan(placebo.close).sum() == 3
    assert not placebo.tradable[np.isnan(placebo.close)].any()


def test_the_pass_rate_counts_what_the_gate_lets_through(noise_world):
    bars = noise_world.panel.bar_utc

    def study(panel, number):
        shift = 0.002 if number % 4 == 0 else -0.002
        returns = np.random.default_rng(number).normal(shift, 0.001, size=len(bars))
        return GateEvidence(
            net_return=returns, bar_utc=panel.bar_utc, periods_per_year=252.0, num_trades=99, baselines={}
        )

    rate = placebo_pass_rate(noise_world.panel, study, GATE, num_placebos=8, block_bars=10, seed=0)
    assert rate == 0.25


def test_blocks_longer_than_the_data_are_refused():
    with pytest.raises(ValueError, match="block_bars is 10"):
        permuted_bars(10, 10, np.random.default_rng(0))
