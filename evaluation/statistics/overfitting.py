"""Combinatorially symmetric cross-validation (CSCV): was the best trial of a study chosen, or merely lucky?

Source: Bailey, Borwein, Lopez de Prado and Zhu, "The probability of backtest overfitting", Journal of
Computational Finance 20(4), 2017. Axes: T bars, N trials, B blocks, K combinations.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evaluation.statistics.trial_rows import TrialRows

FloatArray = NDArray[np.float64]
COMBINATIONS_AT_ONCE = 1024
"""Combinations whose scores are held at once, at most."""
SCORES_AT_ONCE = 2**18
"""Scores of trials in combinations that are held at once, or one combination's: 2 MB, in some eight copies."""


@dataclass(frozen=True, kw_only=True)
class CscvResult:
    """What CSCV found over K ways to choose half of the blocks as in-sample.

    probability_of_overfitting : fraction of combinations whose in-sample winner ranks below the
    out-of-sample median.
    probability_of_loss : fraction of combinations whose in-sample winner has a negative out-of-sample Sharpe
    ratio.
    logits_K : log-odds of the winner's relative out-of-sample rank; negative counts as overfit.
    in_sample_K, out_of_sample_K : per-bar Sharpe ratio of the winner in each half.
    """

    probability_of_overfitting: float
    probability_of_loss: float
    logits_K: FloatArray
    in_sample_K: FloatArray
    out_of_sample_K: FloatArray


def cscv(returns_TN: ArrayLike | TrialRows, num_blocks: int) -> CscvResult:
    """Cut T bars into an even number of equal blocks and compare every half with its complement.

    Parameters
    ----------
    returns_TN : (T, N) simple per-bar returns, a column per trial, N >= 2. The T modulo num_blocks oldest
    bars are
        dropped. A column that is constant over a half scores a Sharpe ratio of 0 there.
    num_blocks : even, at least 2; 16 gives 12,870 combinations.

    Raises
    ------
    ValueError
        For another shape, an odd number of blocks, fewer than two bars a half, or values that are not finite.
    """
    sums = _sums_of(returns_TN, num_blocks)
    at_once = max(1, min(COMBINATIONS_AT_ONCE, SCORES_AT_ONCE // len(sums.centre_N)))
    chosen = np.array(list(combinations(range(num_blocks), num_blocks // 2)))
    logits, inside, outside = [], [], []
    for start in range(0, len(chosen), at_once):
        mask_KB = np.zeros((len(chosen[start : start + at_once]), num_blocks), dtype=bool)
        np.put_along_axis(mask_KB, chosen[start : start + at_once], True, axis=1)
        in_sample_KN = _half_sharpe(sums, mask_KB)
        out_of_sample_KN = _half_sharpe(sums, ~mask_KB)
        rows = np.arange(len(mask_KB))
        best_K = in_sample_KN.argmax(axis=1)
        inside.append(in_sample_KN[rows, best_K])
        outside.append(out_of_sample_KN[rows, best_K])
        logits.append(_rank_logit(out_of_sample_KN, outside[-1]))
    logits_K, out_K = np.concatenate(logits), np.concatenate(outside)
    return CscvResult(
        probability_of_overfitting=float(np.mean(logits_K < 0.0)),
        probability_of_loss=float(np.mean(out_K < 0.0)),
        logits_K=logits_K,
        in_sample_K=np.concatenate(inside),
        out_of_sample_K=out_K,
    )


def _sums_of(returns_TN: ArrayLike | TrialRows, num_blocks: int) -> _BlockSums:
    """Of a matrix, or of rows that are read in parts; blocks are those of the newest bars."""
    if not isinstance(returns_TN, TrialRows):
        returns = np.asarray(returns_TN, dtype=np.float64)
        _check_shape(returns.shape, num_blocks)
        return _block_sums(_blocks(returns, num_blocks))
    _check_shape(returns_TN.shape[::-1], num_blocks)
    parts = [
        _block_sums(_blocks(np.ascontiguousarray(returns_TN.take(places).T), num_blocks))
        for places in returns_TN.parts()
    ]
    return _BlockSums(
        bars=parts[0].bars,
        centre_N=np.concatenate([part.centre_N for part in parts]),
        sum_BN=np.hstack([part.sum_BN for part in parts]),
        squares_BN=np.hstack([part.squares_BN for part in parts]),
        low_BN=np.hstack([part.low_BN for part in parts]),
        high_BN=np.hstack([part.high_BN for part in parts]),
    )


def _blocks(returns_TN: FloatArray, num_blocks: int) -> FloatArray:
    """(B, L, N), without the oldest bars that fill no block."""
    if not np.isfinite(returns_TN).all():
        raise ValueError(
            "returns_TN holds NaN or infinite values; a failed trial counts with the returns it had"
        )
    bars = returns_TN.shape[0] // num_blocks
    return returns_TN[returns_TN.shape[0] - bars * num_blocks :].reshape(num_blocks, bars, -1)


def _check_shape(shape: tuple[int, ...], num_blocks: int) -> None:
    if len(shape) != 2 or shape[1] < 2:
        raise ValueError(f"returns_TN has shape {shape}; give (T bars, N trials) with at least two trials")
    if num_blocks < 2 or num_blocks % 2 or num_blocks != int(num_blocks):
        raise ValueError(f"num_blocks is {num_blocks}; it must be an even number of at least 2")
    if shape[0] < num_blocks or shape[0] // num_blocks * num_blocks < 4:
        raise ValueError(f"returns_TN has {shape[0]} bars, too few for {num_blocks} blocks; use fewer blocks")


@dataclass(frozen=True, kw_only=True)
class _BlockSums:
    """What every half is put together from: per block and trial, of returns less the trial's mean over all blocks."""

    bars: int
    centre_N: FloatArray
    sum_BN: FloatArray
    squares_BN: FloatArray  # around the mean, so that they keep their digits
    low_BN: FloatArray
    high_BN: FloatArray


def _block_sums(blocks_BLN: FloatArray) -> _BlockSums:
    """Read the returns once, a block at a time: a copy of them all would be as large as they are."""
    centre_N = blocks_BLN.mean(axis=(0, 1))
    sums, squares = np.empty((2, blocks_BLN.shape[0], blocks_BLN.shape[2]))
    for b, block_LN in enumerate(blocks_BLN):
        shifted_LN = block_LN - centre_N
        sums[b] = shifted_LN.sum(axis=0)
        squares[b] = (shifted_LN**2).sum(axis=0)
    return _BlockSums(
        bars=blocks_BLN.shape[1],
        centre_N=centre_N,
        sum_BN=sums,
        squares_BN=squares,
        low_BN=blocks_BLN.min(axis=1),
        high_BN=blocks_BLN.max(axis=1),
    )


def _half_sharpe(blocks: _BlockSums, mask_KB: NDArray[np.bool_]) -> FloatArray:
    """Per-bar Sharpe ratio (K, N) over the blocks picked by each row of the mask; 0 for constant returns."""
    weights = mask_KB.astype(np.float64)
    count = weights.sum(axis=1, keepdims=True) * blocks.bars
    mean_KN = weights @ blocks.sum_BN / count
    spread_KN = weights @ blocks.squares_BN - count * mean_KN**2
    low, high = blocks.low_BN, blocks.high_BN
    constant_KN = np.zeros(mean_KN.shape, dtype=bool)
    for column in np.flatnonzero((low == high).any(axis=0)):  # only such columns can be constant over a half
        lowest = np.where(mask_KB, low[:, column], np.inf).min(axis=1)
        constant_KN[:, column] = lowest == np.where(mask_KB, high[:, column], -np.inf).max(axis=1)
    deviation = np.sqrt(np.maximum(spread_KN, 0.0) / (count - 1.0))
    flat = constant_KN | (deviation == 0.0)
    return np.where(flat, 0.0, (mean_KN + blocks.centre_N) / np.where(flat, 1.0, deviation))


def _rank_logit(scores_KN: FloatArray, winner_K: FloatArray) -> FloatArray:
    """Log-odds of the winner's rank over N + 1 (1 is worst), ties by average rank."""
    below = (scores_KN < winner_K[:, None]).sum(axis=1)
    equal = (scores_KN == winner_K[:, None]).sum(axis=1)
    rank = below + (equal + 1.0) / 2.0
    # rank / (N + 1) as odds, so that the median rank is exactly zero
    return np.log(rank) - np.log(scores_KN.shape[1] + 1.0 - rank)
