"""The lead of one Sharpe ratio over another, and its error, against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evaluation.statistics.metrics import sharpe_ratio
from evaluation.statistics.sharpe_lead import sharpe_lead


def correlated(rho: float, means: tuple[float, float], size: int, random: np.random.Generator) -> np.ndarray:
    """(2, T) normal returns of unit variance."""
    shocks = random.standard_normal((2, size))
    return np.array([means]).T + np.stack([shocks[0], rho * shocks[0] + math.sqrt(1 - rho**2) * shocks[1]])


def mean_square_error(pairs) -> float:
    """Mean of the squared errors of many leads: one alone, of 20 blocks, is off by a sixth."""
    return float(np.mean([sharpe_lead(*pair).error ** 2 for pair in pairs]))


@pytest.mark.parametrize("rho", [0.0, 0.9, 0.99])
def test_the_error_of_independent_normal_bars_is_the_published_one(rho):
    random = np.random.default_rng(1)
    pairs = [correlated(rho, (0.3, 0.1), 600, random) for _ in range(300)]
    # Memmel, "Performance hypothesis testing with the Sharpe ratio", 2003:
    # T var = 2 - 2 rho + (S1^2 + S2^2 - 2 S1 S2 rho^2) / 2.
    variance = 2 - 2 * rho + 0.5 * (0.09 + 0.01 - 2 * 0.03 * rho**2)
    assert mean_square_error(pairs) == pytest.approx(variance / 600, rel=0.08)


def test_over_a_record_that_does_not_move_the_error_is_that_of_one_sharpe_ratio():
    random = np.random.default_rng(2)
    pairs = [(random.normal(0.5, 1.0, 600), np.zeros(600)) for _ in range(300)]
    # Lo, "The statistics of Sharpe ratios", 2002: T var = 1 + S^2 / 2.
    assert mean_square_error(pairs) == pytest.approx(1.125 / 600, rel=0.08)
    ours = pairs[0][0]
    assert sharpe_lead(ours, pairs[0][1]).lead == pytest.approx(sharpe_ratio(ours))


def test_neighbours_that_are_alike_make_the_error_larger():
    random, size = np.random.default_rng(3), 2000
    pairs = [
        [np.convolve(random.standard_normal(size + 9), np.ones(10) / 10, "valid") for _ in range(2)]
        for _ in range(200)
    ]
    # A mean of ten has a variance of 1/10 and moves its own long mean as one shock does: each ratio has 10 / T.
    assert mean_square_error(pairs) == pytest.approx(20 / size, rel=0.12)


@pytest.mark.parametrize("copy", [1.0, 2.0, 0.3])
def test_a_record_is_not_ahead_of_itself_nor_of_itself_levered(copy):
    returns = np.random.default_rng(4).normal(1e-3, 1e-2, 800)
    assert sharpe_lead(returns, copy * returns).confidence == 0.5


def test_a_lead_that_never_varies_is_certain_and_annual():
    market = np.random.default_rng(5).normal(0.0, 1e-2, 1000)
    ahead = sharpe_lead(market + 1e-3, market, periods_per_year=252)
    assert ahead.lead == pytest.approx(0.1 * math.sqrt(252), rel=0.05)
    assert ahead.confidence > 0.9999
    assert sharpe_lead(market, market + 1e-3).confidence < 0.0001


def test_a_record_that_does_not_move_has_no_lead_to_speak_of():
    assert math.isnan(sharpe_lead(np.zeros(50), np.random.default_rng(6).normal(size=50)).confidence)


def test_records_of_other_lengths_and_returns_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="same bars"):
        sharpe_lead(np.zeros(9), np.zeros(8))
    with pytest.raises(ValueError, match="NaN or infinite"):
        sharpe_lead([0.1, np.nan], [0.0, 0.0])
