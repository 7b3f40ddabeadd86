"""Gathers for the gate what a study can show of itself: leaks, seeds, and overfitting among trials and placebos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evaluation.search_evidence import padded_overfitting
from evaluation.walk_forward import WalkForwardResult
from rayjobs.fold_job import FoldOutcome, Study
from rayjobs.leak_audit import leak_report
from rayjobs.train_trial import TrainTrial

MIN_COLUMNS = 5
"""Trials and placebo strategies that CSCV chooses from, at least."""


def chained(study: Study, outcomes: Sequence[FoldOutcome]) -> WalkForwardResult:
    """The folds as one out-of-sample record."""
    return WalkForwardResult(panel=study.panel, folds=tuple(outcome.result for outcome in outcomes))


def gate_evidence(
    study: Study, seeds: Mapping[int, Sequence[FoldOutcome]], trial: TrainTrial
) -> dict[str, Any]:
    """Close the job's trial in the ledger, and what the gate is told of it and of the trials before it.

    Parameters
    ----------
    seeds : seed -> its folds; the configured seed is the headline and is never replaced by a better one.
    """
    result = chained(study, seeds[study.config.seed])
    found = trial.finish(seeds, result)
    return {
        "num_trials": found.num_trials,
        "trial_sharpe_variance": found.sharpe_variance,
        "seeds": {seed: chained(study, outcomes).net_return for seed, outcomes in seeds.items()},
        **overfitting_evidence(result, found.returns_TN),
    }


def overfitting_evidence(result: WalkForwardResult, returns_TN: np.ndarray) -> dict[str, Any]:
    """CSCV over the trials on the same bars, padded with placebo strategies while there are few of them."""
    missing = max(MIN_COLUMNS - returns_TN.shape[1], 0)
    blocks = padded_overfitting(returns_TN, result.placebo_return[:, :missing])
    if blocks is None:
        return {}
    return {
        "overfitting": blocks.probability_of_loss,
        "overfitting_published": blocks.probability_of_overfitting,
    }


def complete_evidence(study: Study, result: WalkForwardResult, given: Mapping[str, Any]) -> dict[str, Any]:
    """``given`` with what it lacks: a leak check, the one seed there is, overfitting against placebos alone."""
    evidence = {name: value for name, value in given.items() if value is not None}
    if "leak_check" not in evidence:
        evidence["leak_check"] = leak_report(study, result.folds[0].fold)
    evidence.setdefault("seeds", {result.folds[0].seed: result.net_return})
    if "overfitting" not in evidence:
        evidence |= overfitting_evidence(result, result.net_return[:, None])
    return evidence
