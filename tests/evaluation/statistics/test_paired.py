"""Differences of two records on the same bars, and their intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evaluation.statistics.metrics import sharpe_ratio
from evaluation.statistics.paired import paired_difference


def test_the_difference_is_that_of_the_two_numbers_by_hand():
    first, second = np.array([0.02, 0.0] * 20), np.array([0.01, 0.0] * 20)
    found = paired_difference(first, second, np.random.default_rng(0), periods_per_year=100)
    assert found.mean == pytest.approx(0.5)  # 0.010 - 0.005 a bar, 100 bars a year
    assert found.sharpe == pytest.approx(0.0, abs=1e-12)  # twice the gain at twice the spread
    assert found.mean_low <= 0.5 <= found.mean_high
    assert found.num_bars == 40


def test_a_record_against_itself_differs_by_exactly_nothing():
    returns = np.random.default_rng(1).normal(1e-3, 1e-2, 500)
    found = paired_difference(returns, returns, np.random.default_rng(0))
    assert (found.sharpe_low, found.sharpe, found.sharpe_high) == (0.0, 0.0, 0.0)


def test_what_moves_both_cancels_so_that_a_small_lead_is_seen_that_two_intervals_would_hide():
    random = np.random.default_rng(2)
    market = random.normal(0.0, 1e-2, 1500)
    ours, theirs = market + 4e-4 + random.normal(0, 1e-3, 1500), market + random.normal(0, 1e-3, 1500)
    found = paired_difference(ours, theirs, np.random.default_rng(0), periods_per_year=252)
    assert found.mean_low > 0.0
    assert found.sharpe_low > 0.0
    assert found.mean_high - found.mean_low < 0.1 * 2 * 1.96 * 1e-2 / math.sqrt(1500) * 252 * 2


def test_ninety_five_per_cent_intervals_of_equal_skill_hold_zero_about_that_often():
    random, held = np.random.default_rng(3), 0
    for _ in range(60):
        ours, theirs = random.normal(0.0, 1e-2, (2, 300))
        found = paired_difference(ours, theirs, random, num_draws=200)
        held += found.sharpe_low <= 0.0 <= found.sharpe_high
    assert held >= 51  # 57 expected; below 51 has a probability of some 0.3 %


def test_long_records_are_drawn_in_cells_and_say_the_same():
    random = np.random.default_rng(4)
    ours, theirs = random.normal(2e-4, 1e-3, (2, 60_000))
    found = paired_difference(ours, theirs, np.random.default_rng(0), num_draws=50)
    assert found.sharpe == pytest.approx(sharpe_ratio(ours) - sharpe_ratio(theirs))
    assert found.sharpe_low < found.sharpe < found.sharpe_high


@pytest.mark.parametrize("returns", [np.zeros(50), np.full(50, 0.25)])
def test_a_record_that_does_not_move_has_no_sharpe_ratio_and_so_no_interval(returns):
    moving = np.random.default_rng(5).normal(size=50) / 100
    found = paired_difference(returns, moving, np.random.default_rng(0), num_draws=20)
    assert math.isnan(found.sharpe)
    assert math.isnan(found.sharpe_low)
    assert not math.isnan(found.mean_low)


def test_records_of_other_lengths_and_levels_that_are_none_are_refused():
    with pytest.raises(ValueError, match="same bars"):
        paired_difference(np.zeros(9), np.zeros(8), np.random.default_rng(0))
    with pytest.raises(ValueError, match="level"):
        paired_difference(np.zeros(9), np.zeros(9), np.random.default_rng(0), level=1.0)
