"""What a search leaves in the ledger, as evidence for the gate: trials, their spread, and CSCV over their returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.ledger import Ledger
from evaluation.overfitting import CscvResult, cscv
from evaluation.trial_count import effective_number_of_trials

FloatArray = NDArray[np.float64]
MAX_BLOCKS = 16
"""Blocks of CSCV: 12,870 combinations."""


@dataclass(frozen=True, kw_only=True)
class SearchEvidence:
    """Numbers about the search behind one policy.

    Attributes
    ----------
    num_trials : trials recorded, failed and abandoned ones included; at least 1.
    effective_trials : clusters of return correlation among the finished ones, plus those that left no returns.
    trial_sharpe_variance : across finished trials, per bar; None below two.
    overfitting : PBO as published. probability_of_loss : the form that the gate enforces. None below two finished
        trials on the same bars, or when there are too few bars.
    """

    num_trials: int
    effective_trials: int
    trial_sharpe_variance: float | None
    overfitting: float | None
    probability_of_loss: float | None

    def for_gate(self) -> dict[str, Any]:
        """Keyword arguments for `GateEvidence.of`: the gate deflates by the recorded number, the cautious one."""
        return {
            "num_trials": self.num_trials,
            "trial_sharpe_variance": self.trial_sharpe_variance,
            "overfitting": self.probability_of_loss,
        }


def search_evidence(ledger: Ledger, study: int, *, num_blocks: int = 16) -> SearchEvidence:
    """Read a study's trials from the ledger.

    Parameters
    ----------
    num_blocks : even number of blocks of CSCV.
    """
    count = ledger.count(study)
    returns = ledger.returns(study)
    silent = count.all - returns.shape[1]
    effective = effective_number_of_trials(returns) if returns.shape[1] else 0
    blocks = None
    if returns.shape[1] >= 2 and returns.shape[0] >= 2 * num_blocks:
        blocks = cscv(returns, num_blocks)
    return SearchEvidence(
        num_trials=max(count.all, 1),
        effective_trials=max(effective + silent, 1),
        trial_sharpe_variance=ledger.sharpe_variance(study),
        overfitting=None if blocks is None else blocks.probability_of_overfitting,
        probability_of_loss=None if blocks is None else blocks.probability_of_loss,
    )


def padded_overfitting(trials_TN: FloatArray, placebos_TK: FloatArray) -> CscvResult | None:
    """CSCV over the trials of a study and placebo strategies together, so that it is defined for a single trial.

    A trial with skill wins every half and gains in the other; one without wins no more often than a placebo does, and
    what won one half by luck loses in the other half of the time.

    Parameters
    ----------
    trials_TN : (T, N) returns of the trials on the same bars, N >= 1.
    placebos_TK : (T, K) returns of strategies without skill (`evaluation.placebo_strategies`); K may be 0.

    Returns
    -------
    None where it is not defined: fewer than two columns, or fewer than four bars a block.
    """
    returns = np.column_stack([trials_TN, placebos_TK])
    blocks = min(MAX_BLOCKS, returns.shape[0] // 4 // 2 * 2)
    if returns.shape[1] < 2 or blocks < 2:
        return None
    return cscv(returns, blocks)
