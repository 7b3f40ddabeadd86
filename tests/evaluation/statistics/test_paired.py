"""Differences of two records on the same bars, and their intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evaluation.statistics.metrics import sharpe_ratio
from evaluation.statistics.paired import LEAST_BARS, common_days, paired_difference


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


def test_a_constant_lead_is_known_exactly_however_the_market_moves():
    market = 0.05 * np.random.default_rng(6).standard_normal(100)
    found = paired_difference(market + 1e-4, market, np.random.default_rng(1), level=0.9)
    np.testing.assert_allclose([found.mean, found.mean_low, found.mean_high], 1e-4, rtol=1e-9)
    assert found.level == 0.9


def test_the_interval_of_the_mean_covers_the_true_difference_about_as_often_as_it_says():
    random, covered = np.random.default_rng(2), 0
    for _ in range(200):
        ours = 0.001 + 0.01 * random.standard_normal(60)
        found = paired_difference(ours, np.zeros(60), random, level=0.9, num_draws=300, mean_block_bars=1.0)
        covered += found.mean_low <= 0.001 <= found.mean_high
    assert 0.82 <= covered / 200 <= 0.96


def test_longer_blocks_of_what_hangs_together_give_wider_intervals():
    shocks = np.random.default_rng(7).standard_normal(300)
    ours = np.convolve(shocks, np.ones(10), "valid") / 100  # moving sums of ten: neighbours are alike
    wide, narrow = (
        paired_difference(ours, np.zeros_like(ours), np.random.default_rng(0), mean_block_bars=block)
        for block in (20.0, 1.0)
    )
    assert wide.mean_high - wide.mean_low > 1.5 * (narrow.mean_high - narrow.mean_low)


@pytest.mark.parametrize("size", [0, 1, LEAST_BARS - 1])
def test_too_few_bars_have_no_interval(size):
    found = paired_difference(np.ones(size), np.zeros(size), np.random.default_rng(0))
    assert found.num_bars == size
    assert math.isnan(found.mean_low)
    assert math.isnan(found.sharpe_high)


def test_a_return_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="NaN or infinite"):
        paired_difference([0.0, np.nan], [0.0, 0.0], np.random.default_rng(0))


def test_only_common_days_are_compared():
    days = np.arange("2026-01-05", "2026-01-09", dtype="datetime64[D]")
    common, ours, theirs = common_days(
        (days[:3], np.array([1.0, 2.0, 3.0])), (days[1:], np.array([5.0, 6.0, 7.0]))
    )
    assert list(common) == list(days[1:3])
    assert list(ours) == [2.0, 3.0]
    assert list(theirs) == [5.0, 6.0]


def test_a_record_with_a_day_twice_is_refused():
    day = np.array(["2026-01-05", "2026-01-05"], dtype="datetime64[D]")
    with pytest.raises(ValueError, match="twice"):
        common_days((day, np.zeros(2)), (day[:1], np.zeros(1)))
