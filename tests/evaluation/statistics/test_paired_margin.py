"""The margin of one record over another: paired, on common days, with an interval that means what it says."""

import numpy as np
import pytest

from evaluation.statistics.paired_margin import common_days, paired_margin


def test_what_moves_both_records_cancels():
    random = np.random.default_rng(0)
    market = 0.05 * random.standard_normal(100)
    margin = paired_margin(market + 1e-4, market, np.random.default_rng(1), level=0.9)
    # The difference is 1e-4 on every day, however the market moves.
    np.testing.assert_allclose([margin.mean, margin.low, margin.high], 1e-4, rtol=1e-9)
    assert margin.num_days == 100


def test_the_interval_covers_the_true_difference_about_as_often_as_it_says():
    random = np.random.default_rng(2)
    covered = 0
    for _ in range(200):
        ours = 0.001 + 0.01 * random.standard_normal(60)
        margin = paired_margin(ours, np.zeros(60), random, level=0.9, num_draws=300, mean_block_days=1.0)
        covered += margin.low <= 0.001 <= margin.high
    assert 0.82 <= covered / 200 <= 0.96


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


@pytest.mark.parametrize("size", [0, 1])
def test_too_few_days_have_no_interval(size):
    margin = paired_margin(np.zeros(size), np.zeros(size), np.random.default_rng(0), level=0.9)
    assert margin.num_days == size
    assert np.isnan(margin.low)
    assert np.isnan(margin.high)


def test_a_return_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="NaN or infinite"):
        paired_margin([0.0, np.nan], [0.0, 0.0], np.random.default_rng(0), level=0.9)
