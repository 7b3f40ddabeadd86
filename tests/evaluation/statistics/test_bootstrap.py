"""Bootstrap intervals cover, and tests of superiority are calibrated, alone and against the library `arch`."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evaluation.statistics.bootstrap import (
    long_run_deviation,
    optimal_block_bars,
    sharpe_interval,
    stationary_indices,
    superior_predictive_ability,
)


def autoregressive(size: int, memory: float, random: np.random.Generator) -> np.ndarray:
    noise, values = random.normal(size=size), np.zeros(size)
    for t in range(1, size):
        values[t] = memory * values[t - 1] + noise[t]
    return values


def test_blocks_run_on_and_have_the_asked_mean_length():
    indices = stationary_indices(1000, 20.0, 50, np.random.default_rng(0))
    runs_on = (np.diff(indices, axis=1) % 1000) == 1
    assert runs_on.mean() == pytest.approx(1 - 1 / 20, abs=0.005)
    assert indices.min() >= 0
    assert indices.max() < 1000


def test_blocks_are_longer_for_returns_with_memory():
    random = np.random.default_rng(1)
    independent = np.median([optimal_block_bars(random.normal(size=2000)) for _ in range(20)])
    remembering = np.median([optimal_block_bars(autoregressive(2000, 0.6, random)) for _ in range(20)])
    assert independent < 6 < remembering


def test_block_lengths_are_near_those_of_arch():
    arch = pytest.importorskip("arch.bootstrap")
    random = np.random.default_rng(2)
    ratios = []
    for _ in range(20):
        values = autoregressive(3000, 0.5, random)
        ratios.append(optimal_block_bars(values) / arch.optimal_block_length(values)["stationary"].iloc[0])
    assert np.median(ratios) == pytest.approx(1.0, abs=0.15)


def test_sharpe_intervals_cover_the_true_ratio_as_often_as_they_say():
    random = np.random.default_rng(3)
    hits = 0
    for _ in range(150):
        interval = sharpe_interval(random.normal(0.1, 1.0, size=250), random, level=0.9, num_draws=300)
        hits += interval.low <= 0.1 <= interval.high
    assert hits / 150 == pytest.approx(0.9, abs=0.07)


def test_a_long_series_drawn_in_cells_has_the_interval_that_theory_gives():
    returns = np.random.default_rng(10).normal(0.02, 1.0, size=110_007)
    interval = sharpe_interval(returns, np.random.default_rng(0), num_draws=400)
    # Independent returns: the standard error of the Sharpe ratio is 1 / sqrt(T), so the width is 3.92 / sqrt(T).
    assert interval.high - interval.low == pytest.approx(3.92 / np.sqrt(110_007), rel=0.12)


def test_the_interval_of_a_flat_account_is_not_defined():
    interval = sharpe_interval(np.zeros(100), np.random.default_rng(0))
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)


def test_the_same_generator_gives_the_same_interval():
    returns = np.random.default_rng(4).normal(size=300)
    first, second = (sharpe_interval(returns, np.random.default_rng(9)) for _ in range(2))
    assert first == second


def test_the_best_of_many_strategies_without_skill_is_rarely_called_superior():
    random = np.random.default_rng(5)
    small = [
        superior_predictive_ability(random.normal(size=(200, 15)), random, num_draws=200, mean_block_bars=1.0)
        for _ in range(120)
    ]
    assert np.mean([test.consistent < 0.1 for test in small]) == pytest.approx(0.1, abs=0.07)


def test_a_strategy_with_skill_is_found_among_many_without():
    random = np.random.default_rng(6)
    excess = random.normal(size=(1000, 10))
    excess[:, 4] += 0.15
    test = superior_predictive_ability(excess, random)
    assert test.best == 4
    assert test.consistent < 0.01


def test_hopeless_strategies_blunt_the_reality_check_but_not_the_consistent_test():
    random = np.random.default_rng(7)
    excess = random.normal(size=(1000, 60))
    excess[:, 0] += 0.075
    excess[:, 1:] -= 0.5
    test = superior_predictive_ability(excess, random)
    assert test.consistent < test.reality_check


def test_p_values_are_near_those_of_arch():
    arch = pytest.importorskip("arch.bootstrap")
    random = np.random.default_rng(8)
    models = random.normal(0.02, 1.0, size=(500, 6))
    models[:, 2] += 0.04
    models /= [long_run_deviation(column, 5.0) for column in models.T]  # arch's p-values are not studentised
    theirs = arch.SPA(np.zeros(500), -models, block_size=5, reps=2000, seed=1)
    theirs.compute()
    ours = superior_predictive_ability(models, random, num_draws=2000, mean_block_bars=5.0)
    assert ours.consistent == pytest.approx(theirs.pvalues["consistent"], abs=0.04)
    assert ours.reality_check == pytest.approx(theirs.pvalues["upper"], abs=0.04)


def test_strategies_that_do_nothing_give_no_p_value():
    test = superior_predictive_ability(np.zeros((50, 3)), np.random.default_rng(0))
    assert math.isnan(test.consistent)


def test_impossible_arguments_are_refused():
    with pytest.raises(ValueError, match="level is 95"):
        sharpe_interval(np.ones(5), np.random.default_rng(0), level=95)
    with pytest.raises(ValueError, match="must be at least 1"):
        stationary_indices(10, 0.5, 1, np.random.default_rng(0))
    with pytest.raises(ValueError, match="N strategies"):
        superior_predictive_ability(np.zeros(50), np.random.default_rng(0))
