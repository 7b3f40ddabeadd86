"""Gathers for the gate what a study can show of itself: leaks, seeds, and overfitting among trials and placebos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from data.known_columns import statements_of
from evaluation.gate.evidence import SupportingEvidence
from evaluation.gate.plausibility import delay_losses
from evaluation.gate.search_evidence import MIN_COLUMNS, padded_overfitting
from evaluation.scoring.charged_costs import ChargedCost, charged_costs
from evaluation.scoring.walk_forward import WalkForwardResult
from rayjobs.study.fold import FoldOutcome
from rayjobs.study.foreknown_inputs import foreknown_inputs
from rayjobs.study.leak_check import leak_report
from rayjobs.study.least_costs import is_synthetic, least_costs
from rayjobs.study.looks.entered import EnteredLook
from rayjobs.study.shown_spreads import cheap_trades
from rayjobs.study.study import Study
from rayjobs.study.unknown_dividends import study_dividends
from rayjobs.study.untraded_prices import untraded_prices


def chained(study: Study, outcomes: Sequence[FoldOutcome]) -> WalkForwardResult:
    """The folds as one out-of-sample record, or the groups of splits as paths."""
    return WalkForwardResult.of(study.panel, [one for outcome in outcomes for one in outcome.results])


def chained_unseen(study: Study, outcomes: Sequence[FoldOutcome]) -> WalkForwardResult | None:
    """The same on the symbols held out of training; None unless every fold was scored on them."""
    results = [one for outcome in outcomes for one in outcome.unseen]
    if study.unseen is None or not all(outcome.unseen for outcome in outcomes):
        return None
    return WalkForwardResult.of(study.unseen.panel, results)


def trial_evidence(
    study: Study, seeds: Mapping[int, Sequence[FoldOutcome]], look: EnteredLook
) -> SupportingEvidence:
    """Close the job's look in the ledger; what the gate is told of it and of all looks at the same bars.

    Parameters
    ----------
    seeds : seed -> its folds; the configured seed is the headline and is never replaced by a better one.
    """
    result = chained(study, seeds[study.config.seed])
    found = look.finish(seeds, result)
    evidence = SupportingEvidence(
        **found.looks.for_gate(),
        seeds={seed: chained(study, outcomes).net_return for seed, outcomes in seeds.items()},
        other_jobs_seeds=found.other_seeds,
        doubted_weights=found.doubts,
    )
    return with_overfitting(evidence, result, found.rivals_TN)


def with_overfitting(
    evidence: SupportingEvidence, result: WalkForwardResult, returns_TN: np.ndarray
) -> SupportingEvidence:
    """Add CSCV over the trials on the same bars, padded with placebo strategies while there are few of them."""
    missing = max(MIN_COLUMNS - returns_TN.shape[1], 0)
    blocks = padded_overfitting(returns_TN, result.placebo_return[:, :missing])
    if blocks is None:
        return evidence
    return replace(
        evidence,
        overfitting=blocks.probability_of_loss,
        overfitting_published=blocks.probability_of_overfitting,
    )


def completed(study: Study, result: WalkForwardResult, evidence: SupportingEvidence) -> SupportingEvidence:
    """Measure what is missing: costs, a leak check, the one seed there is, overfitting against placebos alone."""
    charged = study_charges(study, result)
    evidence = replace(
        evidence,
        charged=charged,
        shown_spreads=cheap_trades(study, charged),
        synthetic=is_synthetic(study.config),
        delay_losses=delay_losses(result),
        known_after={name: stated.words for name, stated in statements_of(study.config.data).items()},
        foreknown=foreknown_inputs(study),
        untraded=untraded_prices(study),
        stress_cost_factor=study.config.scoring.stress_cost_factor,
        short_dividends=study_dividends(study, result),
    )
    if evidence.leak_check is None:
        evidence = replace(evidence, leak_check=leak_report(study, result.folds[0].fold))
    if evidence.seeds is None:
        evidence = replace(evidence, seeds={result.folds[0].seed: result.net_return})
    if evidence.overfitting is None:
        evidence = with_overfitting(evidence, result, result.net_return[:, None])
    return evidence


def study_charges(study: Study, result: WalkForwardResult) -> tuple[ChargedCost, ...]:
    """What the scored trades of every fold were charged, symbol by symbol."""
    instruments = study.config.instruments.for_symbols(study.panel.symbols)
    return charged_costs(
        (fold.recording for fold in result.folds),
        study.panel.symbols,
        {symbol: one.multiplier for symbol, one in instruments.items()},
        least_costs(study.config, study.panel),
    )
