"""What a search leaves in the ledger, as evidence for the gate: trials, their spread, and CSCV over their returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from evaluation.ledger import Ledger
from evaluation.overfitting import cscv
from evaluation.trial_count import effective_number_of_trials


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
