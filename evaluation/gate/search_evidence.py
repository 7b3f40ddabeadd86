"""Overfitting by search, as evidence for the gate: CSCV over the returns of a study's looks and placebo strategies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evaluation.statistics.overfitting import CscvResult, cscv
from evaluation.statistics.trial_rows import TrialRows

FloatArray = NDArray[np.float64]
MAX_BLOCKS = 16
"""Blocks of CSCV: 12,870 combinations."""
MIN_COLUMNS = 5
"""Trials and placebo strategies that CSCV chooses from, at least."""


def search_overfitting(trials_TN: FloatArray | TrialRows) -> CscvResult | None:
    """CSCV over trials on the same bars, in as many blocks as leave four bars each, at most `MAX_BLOCKS`.

    Returns
    -------
    None where it is not defined: fewer than two columns, or fewer than four bars a block.
    """
    bars, trials = trials_TN.shape[::-1] if isinstance(trials_TN, TrialRows) else trials_TN.shape
    blocks = min(MAX_BLOCKS, bars // 4 // 2 * 2)
    if trials < 2 or blocks < 2:
        return None
    return cscv(trials_TN, blocks)


def padded_overfitting(trials_TN: FloatArray, placebos_TK: FloatArray) -> CscvResult | None:
    """CSCV over the trials of a study and placebo strategies together, so that it is defined for a single trial.

    A trial with skill wins every half and gains in the other; one without wins no more often than a placebo does, and
    what won one half by luck loses in the other half of the time.

    Parameters
    ----------
    trials_TN : (T, N) returns of the trials on the same bars, N >= 1.
    placebos_TK : (T, K) returns of strategies without skill (`evaluation.scoring.placebo_strategies`); K may be 0.

    Returns
    -------
    None where it is not defined: fewer than two columns, or fewer than four bars a block.
    """
    return search_overfitting(np.column_stack([trials_TN, placebos_TK]))
