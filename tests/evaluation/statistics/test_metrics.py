"""Metrics against numbers derived by hand and against empyrical where its conventions are ours."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.statistics import metrics


def test_sharpe_ratio_divides_the_mean_by_the_sample_deviation():
    # mean 0.02, deviations -0.01, 0, 0.01: variance 2e-4 / 2 = 1e-4, so 0.02 / 0.01 = 2.
    assert metrics.sharpe_ratio([0.01, 0.02, 0.03]) == pytest.approx(2.0)
    assert metrics.sharpe_ratio([0.01, 0.02, 0.03], periods_per_year=4.0) == pytest.approx(4.0)


def test_sortino_ratio_takes_the_semideviation_over_all_bars():
    # mean 0.01; one loss of 0.02 among 4 bars: sqrt(0.0004 / 4) = 0.01.
    assert metrics.sortino_ratio([0.02, -0.02, 0.04, 0.0]) == pytest.approx(1.0)


def test_a_loss_on_the_first_bar_is_a_drawdown():
    assert metrics.max_drawdown([-0.1, 0.05]) == pytest.approx(-0.1)


def test_max_drawdown_is_measured_from_the_highest_peak_before():
    # 1.0 -> 1.5 -> 0.75 -> 1.5: half of the peak is lost.
    assert metrics.max_drawdown([0.5, -0.5, 1.0]) == pytest.approx(-0.5)


def test_average_drawdown_is_the_mean_depth_of_the_episodes_under_water():
    # -10 % then recovered (1 / 0.9), then -20 %: mean -15 %.
    assert metrics.average_drawdown([-0.1, 1 / 0.9 - 1 + 1e-12, -0.2]) == pytest.approx(-0.15)


def test_a_rising_curve_has_no_drawdown_and_so_no_calmar_ratio():
    assert metrics.max_drawdown([0.01, 0.02]) == 0.0
    assert metrics.average_drawdown([0.01, 0.02]) == 0.0
    assert math.isnan(metrics.calmar_ratio([0.01, 0.02], periods_per_year=252))
    assert math.isnan(metrics.recovery_factor([0.01, 0.02]))


def test_annual_return_compounds_over_the_years_covered():
    # Two half-years of +10 % make 1.21 in a year.
    assert metrics.annual_return([0.1, 0.1], periods_per_year=2) == pytest.approx(0.21)
    assert metrics.calmar_ratio([-0.5, 3.0], periods_per_year=2) == pytest.approx(1.0 / 0.5)
    assert metrics.recovery_factor([-0.5, 3.0]) == pytest.approx(2.0)


def test_value_at_risk_is_the_linear_empirical_quantile():
    # 5 % of 20 steps between 21 values: exactly the second smallest.
    returns = np.arange(-10, 11) / 100
    assert metrics.value_at_risk(returns) == pytest.approx(-0.09)
    assert metrics.conditional_value_at_risk(returns) == pytest.approx(-0.095)


def test_profit_factor_win_rate_and_expectancy_count_closed_trades():
    pnl = [30.0, -10.0, -5.0, 15.0]
    assert metrics.profit_factor(pnl) == pytest.approx(3.0)
    assert metrics.win_rate(pnl) == pytest.approx(0.5)
    assert metrics.expectancy(pnl) == pytest.approx(7.5)


def test_information_ratio_is_the_sharpe_ratio_of_the_difference():
    assert metrics.information_ratio([0.02, 0.03, 0.04], [0.01, 0.01, 0.01]) == pytest.approx(2.0)
    with pytest.raises(ValueError, match="same bars"):
        metrics.information_ratio([0.1, 0.2], [0.1])


def test_ruin_is_absorbing():
    assert metrics.total_return([0.5, -1.2, 3.0]) == -1.0
    assert metrics.max_drawdown([0.5, -1.2, 3.0]) == -1.0
    assert metrics.annual_return([0.5, -1.2, 3.0], periods_per_year=252) == -1.0


@pytest.mark.parametrize(
    "metric",
    [
        metrics.sharpe_ratio,
        metrics.sortino_ratio,
        metrics.max_drawdown,
        metrics.value_at_risk,
        metrics.conditional_value_at_risk,
        metrics.profit_factor,
        metrics.win_rate,
        metrics.expectancy,
        metrics.total_return,
        metrics.volatility,
    ],
)
def test_no_data_gives_nan_and_bad_data_gives_one_clear_error(metric):
    assert math.isnan(metric([]))
    with pytest.raises(ValueError, match="NaN or infinite"):
        metric([0.1, math.nan])
    with pytest.raises(ValueError, match="shape"):
        metric([[0.1, 0.2]])


def test_undefined_ratios_are_nan_and_never_infinite():
    assert math.isnan(metrics.sharpe_ratio([0.1] * 7))
    assert math.isnan(metrics.sharpe_ratio([0.1]))
    assert math.isnan(metrics.sortino_ratio([0.1, 0.2]))
    assert math.isnan(metrics.profit_factor([1.0, 2.0]))
    assert math.isnan(metrics.annual_return([10.0], periods_per_year=1e6))


def test_levels_and_periods_out_of_range_are_refused():
    with pytest.raises(ValueError, match="level is 5"):
        metrics.value_at_risk([0.1], level=5)
    with pytest.raises(ValueError, match="periods_per_year is 0"):
        metrics.sharpe_ratio([0.1, 0.2], periods_per_year=0)


returns_lists = st.lists(st.floats(-0.3, 0.3).map(lambda x: round(x, 6)), min_size=2, max_size=60)


@given(returns_lists)
@settings(deadline=None)
def test_metrics_agree_with_empyrical_where_conventions_match(returns):
    empyrical = pytest.importorskip("empyrical")
    values = np.array(returns)
    if np.ptp(values) > 1e-6:
        ours = metrics.sharpe_ratio(values, periods_per_year=252)
        assert ours == pytest.approx(empyrical.sharpe_ratio(values, annualization=252), rel=1e-8, abs=1e-8)
        assert metrics.volatility(values, periods_per_year=252) == pytest.approx(
            empyrical.annual_volatility(values, annualization=252), rel=1e-8
        )
    if (values < 0).any():
        ours = metrics.sortino_ratio(values, periods_per_year=252)
        assert ours == pytest.approx(empyrical.sortino_ratio(values, annualization=252), rel=1e-8, abs=1e-8)
    assert metrics.max_drawdown(values) == pytest.approx(empyrical.max_drawdown(values), abs=1e-10)
    assert metrics.total_return(values) == pytest.approx(empyrical.cum_returns_final(values), abs=1e-10)
    assert metrics.value_at_risk(values) == pytest.approx(empyrical.value_at_risk(values), abs=1e-10)
    ours = metrics.annual_return(values, periods_per_year=60)
    assert ours == pytest.approx(empyrical.annual_return(values, annualization=60), rel=1e-8, abs=1e-8)


@given(returns_lists)
@settings(deadline=None)
def test_conditional_value_at_risk_is_never_milder_than_value_at_risk(returns):
    assert metrics.conditional_value_at_risk(returns) <= metrics.value_at_risk(returns) + 1e-12


@given(returns_lists)
@settings(deadline=None)
def test_drawdown_lies_between_minus_one_and_zero(returns):
    assert -1.0 <= metrics.max_drawdown(returns) <= metrics.average_drawdown(returns) <= 0.0
