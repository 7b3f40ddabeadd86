"""CSCV on matrices whose answer is known, and against purgedcv."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.statistics.overfitting import cscv


def test_a_trial_that_is_best_in_every_block_is_never_overfit():
    noise = np.random.default_rng(0).normal(0.0, 0.001, size=(160, 6))
    noise[:, 2] += 0.01
    result = cscv(noise, 8)
    assert result.probability_of_overfitting == 0.0
    assert result.probability_of_loss == 0.0
    # 8 choose 4 halves, and rank 6 of 6 is odds 6 to 1.
    assert result.logits_K == pytest.approx(np.full(70, np.log(6.0)))


def test_trials_that_win_one_block_and_lose_the_other_are_always_overfit():
    # Trial a earns in the first half what it loses in the second; b the other way round; two blocks, two
    # choices.
    wiggle = np.tile([0.001, -0.001], 10)
    a = wiggle + np.repeat([0.01, -0.01], 10)
    result = cscv(np.column_stack([a, -a]), 2)
    assert result.probability_of_overfitting == 1.0
    assert result.probability_of_loss == 1.0


def test_equal_trials_share_the_average_rank_and_do_not_count_as_overfit():
    returns = np.random.default_rng(1).normal(size=(40, 1))
    result = cscv(np.repeat(returns, 3, axis=1), 4)
    assert result.logits_K == pytest.approx(np.zeros(6), abs=1e-15)
    assert result.probability_of_overfitting == 0.0


def test_remainder_bars_are_dropped_from_the_start():
    returns = np.random.default_rng(2).normal(size=(43, 4))
    assert cscv(returns, 4).logits_K == pytest.approx(cscv(returns[3:], 4).logits_K)


def test_a_trial_that_never_trades_scores_zero_and_hurts_nothing():
    returns = np.random.default_rng(3).normal(-0.5, 1.0, size=(400, 4))
    result = cscv(np.column_stack([returns, np.zeros(400)]), 4)
    assert result.probability_of_overfitting == 0.0  # doing nothing is best in and out of sample
    assert result.probability_of_loss == 0.0


def test_pure_noise_is_overfit_about_half_of_the_time():
    rng = np.random.default_rng(4)
    pbo = [cscv(rng.normal(size=(320, 20)), 8).probability_of_overfitting for _ in range(150)]
    assert np.mean(pbo) == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("seed", range(4))
def test_pbo_agrees_with_purgedcv(seed):
    purgedcv = pytest.importorskip("purgedcv")
    returns = np.random.default_rng(seed).normal(0.02, 1.0, size=(96, 7))
    returns[:, 3] = returns[:, 5]
    returns[:48, 1] = 0.0
    ours = cscv(returns, 8)
    theirs = purgedcv.probability_of_backtest_overfitting(returns.T, n_splits=8)
    assert ours.probability_of_overfitting == pytest.approx(theirs.pbo, abs=1e-12)
    assert np.sort(ours.logits_K) == pytest.approx(np.sort(theirs.logits), abs=1e-10)


@pytest.mark.parametrize(
    ("shape", "num_blocks", "message"),
    [
        ((40, 1), 4, "at least two trials"),
        ((40, 3), 3, "even number"),
        ((3, 3), 4, "too few"),
        ((2, 3), 2, "too few"),
        ((40,), 4, "shape"),
    ],
)
def test_a_matrix_that_cannot_be_cut_is_refused(shape, num_blocks, message):
    with pytest.raises(ValueError, match=message):
        cscv(np.zeros(shape), num_blocks)
