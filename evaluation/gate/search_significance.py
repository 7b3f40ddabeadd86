"""What choosing the best of many trials does to its Sharpe ratio.

Axes: T bars of all validation windows, N trials that left returns.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.gate.search_evidence import search_overfitting
from evaluation.ledger.looks import Looks, sharpe_ratios, sharpe_variance
from evaluation.statistics.trial_count import effective_number_of_trials
from evaluation.statistics.trial_rows import TrialRows


@dataclass(frozen=True, kw_only=True)
class StudySignificance:
    """What choosing the best of many trials does to its Sharpe ratio. Per bar; None where undefined.

    Attributes
    ----------
    num_trials : trials that count, failed and pruned ones included.
    effective_trials : their effective number, which is deflated for: near-copies count by what choosing among them can
        gain, those that left no returns one each.
    sharpe_variance : across trials, of the Sharpe ratio on the validation windows; no less than without skill.
    probability_of_overfitting : CSCV as published; near 0.5 for trials of equal skill, however good.
    probability_of_loss : CSCV's share of halves in which the winner of the other half lost money.
    """

    num_trials: int
    effective_trials: int
    sharpe_variance: float | None
    probability_of_overfitting: float | None
    probability_of_loss: float | None


def study_significance(
    returns_TN: NDArray[np.float64] | TrialRows, num_trials: int, looks: Looks | None = None
) -> StudySignificance:
    """Measure a study's return matrix.

    Parameters
    ----------
    returns_TN : the matrix, or its trials as rows that are read in parts.
    num_trials : of this study. looks : at the same bars, of this study and of others; None where no ledger was asked.
    """
    result = search_overfitting(returns_TN)
    parts: Iterable[NDArray[np.float64]]
    if isinstance(returns_TN, TrialRows):
        (trials, bars), parts = returns_TN.shape, (returns_TN.take(one).T for one in returns_TN.parts())
    else:
        (bars, trials), parts = returns_TN.shape, [returns_TN]
    effective = effective_number_of_trials(returns_TN) if trials and bars else 0
    effective += num_trials - trials
    variances = [sharpe_variance([one for part_TN in parts for one in sharpe_ratios(part_TN)], bars)]
    if looks is not None:
        num_trials, effective = max(num_trials, looks.total), max(effective, looks.effective)
        variances.append(looks.sharpe_variance)
    return StudySignificance(
        num_trials=num_trials,
        effective_trials=effective,
        sharpe_variance=max((v for v in variances if v is not None), default=None),
        probability_of_overfitting=result.probability_of_overfitting if result else None,
        probability_of_loss=result.probability_of_loss if result else None,
    )
