"""Significance against the papers' worked examples and against purgedcv and skfolio.

BL 2012: Bailey and Lopez de Prado, The Sharpe ratio efficient frontier, Journal of Risk 15(2), 2012.
BL 2014: Bailey and Lopez de Prado, The deflated Sharpe ratio, Journal of Portfolio Management 40(5), 2014, 94-107.
LLZ 2025: Lopez de Prado, Lipton and Zoonekynd, How to use the Sharpe ratio, 2025.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from evaluation.statistics.significance import (
    deflated_sharpe_ratio,
    expected_maximum_sharpe,
    minimum_track_record_length,
    probabilistic_sharpe_ratio,
    sharpe_moments,
)


def test_psr_of_the_24_month_track_record_of_bailey_and_lopez_de_prado_2012():
    # Annual Sharpe 1.59 from 24 monthly returns, skewness -2.448, kurtosis 10.164: 0.982 if normal, 0.913 as
    # it is.
    monthly = 0.458
    assert probabilistic_sharpe_ratio(monthly, 24) == pytest.approx(0.982, abs=5e-4)
    skewed = probabilistic_sharpe_ratio(monthly, 24, skewness=-2.448, kurtosis=10.164)
    assert skewed == pytest.approx(0.913, abs=5e-4)


def test_the_later_convention_of_2025_gives_another_number_for_the_same_track_record():
    # LLZ 2025 take the variance under the null: with a benchmark of 0 it is 1 / T, whatever the moments, so that the
    # same 24 months (mean 0.036, deviation 0.079) come out at Phi(0.4557 sqrt(24)) = 0.987 (the package jsharpe).
    sharpe = 0.036 / 0.079
    ours = probabilistic_sharpe_ratio(sharpe, 24, skewness=-2.448, kurtosis=10.164)
    assert stats.norm.cdf(sharpe * math.sqrt(24)) == pytest.approx(0.987, abs=5e-4)
    assert ours == pytest.approx(0.913, abs=1e-3)


@pytest.mark.parametrize(("periods_per_year", "years"), [(250, 2.73), (52, 2.83), (12, 3.24)])
def test_track_record_needed_to_hold_a_sharpe_of_2_above_1(periods_per_year, years):
    # BL 2012: 2.73 years of daily, 2.83 of weekly or 3.24 of monthly independent normal returns.
    root = math.sqrt(periods_per_year)
    length = minimum_track_record_length(2 / root, benchmark=1 / root)
    assert length / periods_per_year == pytest.approx(years, abs=5e-3)


def test_track_record_grows_to_4_99_years_for_hedge_fund_like_skewness_and_kurtosis():
    root = math.sqrt(12)
    length = minimum_track_record_length(2 / root, benchmark=1 / root, skewness=-0.72, kurtosis=5.78)
    assert length / 12 == pytest.approx(4.99, abs=5e-3)


def test_dsr_of_the_worked_example_of_bailey_and_lopez_de_prado_2014():
    # Annual Sharpe 2.5 over 5 years of 250 days, best of 100 trials, V = 1/2 annual: SR0 = 0.1132 a day, DSR
    # = 0.9004.
    variance = 0.5 / 250
    daily = 2.5 / math.sqrt(250)
    shape = {"skewness": -3.0, "kurtosis": 10.0}
    assert expected_maximum_sharpe(100, variance) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe_ratio(
        daily, 1250, num_trials=100, sharpe_variance=variance, **shape
    ) == pytest.approx(0.9004, abs=5e-5)
    # The paper: after 46 trials it would have passed at 0.9505, and with normal returns after 88.
    assert deflated_sharpe_ratio(
        daily, 1250, num_trials=46, sharpe_variance=variance, **shape
    ) == pytest.approx(0.9505, abs=5e-5)
    assert deflated_sharpe_ratio(daily, 1250, num_trials=88, sharpe_variance=variance) == pytest.approx(
        0.9505, abs=5e-5
    )


def test_one_trial_gives_the_psr_against_zero():
    deflated = deflated_sharpe_ratio(0.1, 500, num_trials=1, sharpe_variance=0.3, skewness=-1.0, kurtosis=6.0)
    assert deflated == probabilistic_sharpe_ratio(0.1, 500, skewness=-1.0, kurtosis=6.0)


def test_expected_maximum_is_near_the_mean_maximum_of_simulated_trials():
    best = np.random.default_rng(0).normal(0.0, 0.2, size=(4000, 50)).max(axis=1).mean()
    assert expected_maximum_sharpe(50, 0.04) == pytest.approx(best, rel=0.02)


def test_psr_is_calibrated_on_normal_returns_without_skill():
    rng = np.random.default_rng(1)
    psr = [probabilistic_sharpe_ratio(sharpe_moments(r).sharpe, 120) for r in rng.normal(size=(2000, 120))]
    assert np.mean(np.array(psr) > 0.95) == pytest.approx(0.05, abs=0.015)


def test_track_record_length_is_where_psr_reaches_the_confidence():
    length = minimum_track_record_length(0.08, benchmark=0.02, skewness=-0.5, kurtosis=5.0, confidence=0.9)
    assert probabilistic_sharpe_ratio(
        0.08, length, benchmark=0.02, skewness=-0.5, kurtosis=5.0
    ) == pytest.approx(0.9)


def test_undefined_numbers_are_nan():
    assert math.isnan(minimum_track_record_length(0.1, benchmark=0.1))
    assert math.isnan(probabilistic_sharpe_ratio(0.1, 1))
    assert math.isnan(probabilistic_sharpe_ratio(2.0, 10, skewness=3.0, kurtosis=3.0))
    assert math.isnan(probabilistic_sharpe_ratio(math.nan, 10))
    assert math.isnan(sharpe_moments([0.1, 0.1, 0.1]).skewness)


def test_impossible_arguments_are_refused_with_the_remedy():
    with pytest.raises(ValueError, match="raw kurtosis"):
        probabilistic_sharpe_ratio(0.1, 10, kurtosis=0.0)
    with pytest.raises(ValueError, match="num_trials is 0"):
        expected_maximum_sharpe(0, 0.1)
    with pytest.raises(ValueError, match="negative"):
        expected_maximum_sharpe(2, -0.1)
    with pytest.raises(ValueError, match="confidence"):
        minimum_track_record_length(0.1, confidence=95)
    with pytest.raises(ValueError, match="num_observations is 0"):
        probabilistic_sharpe_ratio(0.1, 0)


def _skewed_returns(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 0.001 + 0.01 * stats.skewnorm.rvs(-4.0, size=400, random_state=rng)


def test_moments_are_the_population_moments_of_scipy():
    returns = _skewed_returns(3)
    moments = sharpe_moments(returns)
    assert moments.skewness == pytest.approx(stats.skew(returns), rel=1e-10)
    assert moments.kurtosis == pytest.approx(stats.kurtosis(returns, fisher=False), rel=1e-10)


@pytest.mark.parametrize("seed", range(5))
def test_psr_and_dsr_agree_with_skfolio(seed):
    measures = pytest.importorskip("skfolio.measures")
    returns = _skewed_returns(seed) + 0.0072
    moments = sharpe_moments(returns)
    shape = {"skewness": moments.skewness, "kurtosis": moments.kurtosis}
    ours = probabilistic_sharpe_ratio(moments.sharpe, 400, benchmark=0.01, **shape)
    theirs = measures.probabilistic_sharpe_ratio(returns, benchmark_sharpe_ratio=0.01)
    assert ours == pytest.approx(theirs, abs=1e-8)
    trials = np.random.default_rng(seed).normal(0.0, 0.05, size=30)
    variance = float(trials.var(ddof=1))
    ours = deflated_sharpe_ratio(moments.sharpe, 400, num_trials=30, sharpe_variance=variance, **shape)
    assert ours == pytest.approx(measures.deflated_sharpe_ratio(returns, trials), abs=1e-8)


def test_track_record_length_agrees_with_purgedcv_which_rounds_up():
    purgedcv = pytest.importorskip("purgedcv")
    ours = minimum_track_record_length(0.05, benchmark=-0.1, skewness=-1.2, kurtosis=7.0)
    assert math.ceil(ours) == purgedcv.min_track_record_length(0.05, -0.1, 0.05, -1.2, 7.0)


def test_the_psr_of_purgedcv_follows_another_convention():
    # It divides by the population deviation and corrects the moments for bias, so it is close but not equal.
    purgedcv = pytest.importorskip("purgedcv")
    returns = _skewed_returns(0) + 0.0072
    moments = sharpe_moments(returns)
    ours = probabilistic_sharpe_ratio(
        moments.sharpe, 400, skewness=moments.skewness, kurtosis=moments.kurtosis
    )
    theirs = purgedcv.probabilistic_sharpe_ratio(returns, 0.0)
    assert ours == pytest.approx(theirs, abs=1e-3)
    assert ours != pytest.approx(theirs, abs=1e-8)
