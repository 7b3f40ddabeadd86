"""Criteria of how the record came about: seeds, the choice among trials, leaks, placebo markets, bars seen before."""

from __future__ import annotations

import math

from envs.checks.sampling import REQUIRED_RATE
from evaluation.gate.config import GateConfig
from evaluation.gate.evidence import GateEvidence
from evaluation.gate.measured import Measured, measured, missing
from evaluation.gate.seen_shares import SeenShares
from evaluation.statistics.metrics import total_return


def worst_seed(config: GateConfig, evidence: GateEvidence) -> Measured:
    """What the seed that earned least has earned."""
    if not evidence.seeds:
        return missing(0.0, ">", "The spread over seeds")
    seeds = {**evidence.other_jobs_seeds, **evidence.seeds}
    worst = min(total_return(returns) for returns in seeds.values())
    if len(seeds) == 1:
        subject = "The net return of the only seed that was trained, which shows no spread,"
    else:
        others = sorted(set(evidence.other_jobs_seeds) - set(evidence.seeds))
        subject = f"The net return of the worst of {len(seeds)} seeds"
        if others:
            named = [f"seed {seed}" for seed in others]
            subject += f" ({' and '.join([', '.join(named[:-1]), named[-1]][len(named) == 1 :])}"
            subject += " by another job)" if len(named) == 1 else " by other jobs)"
    return measured(worst, 0.0, ">", subject, ".1%")


def overfitting(config: GateConfig, evidence: GateEvidence) -> Measured:
    """How often the best trial of one half of the bars loses in the other."""
    if evidence.overfitting is None:
        return missing(config.max_overfitting, "<=", "The probability of overfitting")
    subject = (
        "The probability that the best trial of one half of the bars (beside few trials stand random strategies that "
        "trade as much) loses in the other"
    )
    if evidence.overfitting_published is not None:
        subject += f" (the PBO as published: {evidence.overfitting_published:.2f})"
    return measured(evidence.overfitting, config.max_overfitting, "<=", subject, ".3f")


def leak_check(config: GateConfig, evidence: GateEvidence) -> Measured:
    """1 where the leak check compared enough and found nothing, else 0."""
    report = evidence.leak_check
    if report is None:
        return missing(1.0, ">=", "The leak check")
    passed = report.clean and report.sufficient
    coverage = f"; {report.coverage}" if report.coverage else ""
    if report.findings:
        more = len(report.findings) - 1
        others = f", and {more} more" if more else ""
        found = "found a leak" if report.leaks else "found what it cannot check"
        reason = f"The leak check {found}: {(report.leaks or report.findings)[0]}{others}."
    elif not passed:
        reason = f"The leak check compared too little: {report.coverage}; it must be one in {1 / REQUIRED_RATE:,.0f}."
    else:
        reason = (
            f"Changing the future moved nothing before it (the env at {len(report.cut_bars)} cuts, "
            f"{report.bars_compared} bars compared{coverage})."
        )
    reason += "".join(f" {note[0].upper()}{note[1:]}." for note in report.notes)
    return Measured(value=float(passed), threshold=1.0, comparison=">=", passed=passed, reason=reason)


def placebo_passes(config: GateConfig, evidence: GateEvidence) -> Measured:
    """On how many markets without a signal the same class of policies passes."""
    if evidence.placebo_rate is None:
        return missing(config.max_placebo_rate, "<=", "The rate of passing placebo markets")
    markets = f"{evidence.num_placebos} placebo market{'s' if evidence.num_placebos != 1 else ''}"
    subject = f"The share of {markets} on which the same policy class passes"
    return measured(evidence.placebo_rate, config.max_placebo_rate, "<=", subject, ".0%")


def unseen_bars(config: GateConfig, evidence: GateEvidence) -> Measured:
    """Which share of the scored bars the policy had seen, or knew what came after."""
    if evidence.exposure is None:
        return missing(0.0, "<=", "What the policy had seen of the scored bars")
    shares = SeenShares.of(evidence.exposure)
    if evidence.paths is not None:
        # Even of a script, which has seen nothing: paths are no record to deploy on.
        return Measured(
            value=shares.total or math.nan,
            threshold=0.0,
            comparison="<=",
            passed=False,
            reason=evidence.paths.sentence,
        )
    return Measured(
        value=shares.total, threshold=0.0, comparison="<=", passed=shares.total <= 0.0, reason=shares.sentence
    )
