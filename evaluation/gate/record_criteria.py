"""Criteria of the record: what was earned, against what, in how many trades and bars."""

from __future__ import annotations

import math
from dataclasses import replace

from evaluation.gate.config import GateConfig
from evaluation.gate.evidence import GateEvidence
from evaluation.gate.measured import Measured, measured, missing
from evaluation.statistics.metrics import max_drawdown, sharpe_ratio
from evaluation.statistics.sharpe_lead import sharpe_lead
from evaluation.statistics.significance import (
    deflated_probability,
    minimum_track_record_length,
    sharpe_moments,
)

ANY_LEAD = 0.5
"""Confidence at which any lead at all is enough."""


def sharpe(config: GateConfig, evidence: GateEvidence) -> Measured:
    """The annual Sharpe ratio, net of costs."""
    value = sharpe_ratio(evidence.net_return, periods_per_year=evidence.periods_per_year)
    return measured(value, config.min_sharpe, ">=", "The net annual Sharpe ratio", ".2f")


def drawdown(config: GateConfig, evidence: GateEvidence) -> Measured:
    """The deepest fall from a peak, negative."""
    value = max_drawdown(evidence.net_return)
    return measured(value, config.max_drawdown, ">=", "The maximum drawdown", ".1%")


def deflated(config: GateConfig, evidence: GateEvidence) -> Measured:
    """The probability that the Sharpe ratio is above what the best of as many trials without skill shows."""
    value = deflated_probability(evidence.net_return, evidence.num_trials, evidence.trial_sharpe_variance)
    trials = f"{evidence.num_trials:g} trial{'s' if evidence.num_trials != 1 else ''}"
    if evidence.looks is not None:
        trials = evidence.looks.sentence
    subject = f"The probability of skill, deflated for {trials},"
    found = measured(value, config.min_deflated_sharpe, ">=", subject, ".3f")
    notes = evidence.looks.notes if evidence.looks is not None else ()
    return replace(found, reason=" ".join([found.reason, *notes]))


def lead_over_baselines(config: GateConfig, evidence: GateEvidence) -> Measured:
    """How sure the lead is over the baseline over which it is least sure.

    Every one must be beaten, so each is asked at the full confidence and none makes another's harder (Berger's
    intersection-union test): where one is as good as the policy, a lead is found no more often than 1 - confidence,
    however many others there are. Looks that move with this one, but lead by luck of their own, do make it harder
    (Sidak): deflation of the record itself takes them for one look.
    """
    asked, year = config.min_lead_confidence, evidence.periods_per_year
    looks = 1 if evidence.looks is None or asked <= ANY_LEAD else evidence.looks.in_lead
    asked = asked ** (1.0 / looks)
    if not evidence.baselines:
        return missing(asked, ">", "The lead over baselines")
    leads = {
        name: sharpe_lead(evidence.net_return, r, periods_per_year=year)
        for name, r in evidence.baselines.items()
    }
    rival = min(leads, key=lambda name: (leads[name].confidence, leads[name].lead))
    found, who = leads[rival], rival.replace("_", " ")
    subject = f"The confidence that the annual Sharpe ratio is above that of the baseline {who}"
    if not math.isnan(found.lead):
        subject += f" (lead {found.lead:.2f}, standard error {found.error:.2f})"
    if looks > 1:
        subject += f", asked of the best of {looks} looks that move alike and lead by luck of their own,"
    return measured(found.confidence, asked, ">", subject, ".3f" if looks == 1 else ".4f")


def lead_under_stress(config: GateConfig, evidence: GateEvidence) -> Measured:
    """The lead itself: how sure it is was asked at the costs that are charged."""
    factor, year = evidence.stress_cost_factor, evidence.periods_per_year
    if evidence.stressed is None or not evidence.stressed_baselines:
        return missing(0.0, ">", f"The lead over baselines under costs x{config.stress_cost_factor:g}")
    if factor is not None and factor < config.stress_cost_factor:
        what = f"The lead over baselines under costs x{config.stress_cost_factor:g}"
        return missing(0.0, ">", f"{what} (scoring.stress_cost_factor is {factor:g})")
    leads = {
        name: sharpe_lead(evidence.stressed, r, periods_per_year=year).lead
        for name, r in evidence.stressed_baselines.items()
    }
    rival = min(leads, key=lambda name: leads[name])
    multiple = factor or config.stress_cost_factor
    unknown = evidence.short_dividends
    assumed = (
        f" and dividends of {unknown.annual_yield:.1%} a year owed by shorts of {unknown.names}"
        if unknown
        else ""
    )
    shown = evidence.shown_spreads
    spreads = f", of the half spreads that bars of {_some(tuple(shown))} show at least," if shown else ""
    subject = (
        f"Under costs x{multiple:g}{spreads}{assumed} the lead in Sharpe ratio over {rival.replace('_', ' ')}"
    )
    return measured(leads[rival], 0.0, ">", subject, ".2f")


def _some(names: tuple[str, ...]) -> str:
    """``AAA, BBB, CCC and 6 more``."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more}"


def trades(config: GateConfig, evidence: GateEvidence) -> Measured:
    """Closed trades."""
    subject = "The number of closed trades"
    return measured(float(evidence.num_trades), float(config.min_trades), ">=", subject, ",.0f")


def track_record(config: GateConfig, evidence: GateEvidence) -> Measured:
    """Bars of the record beside those that its Sharpe ratio needs (minimum track record length)."""
    moments = sharpe_moments(evidence.net_return)
    needed = math.nan
    if not math.isnan(moments.sharpe):
        needed = minimum_track_record_length(
            moments.sharpe,
            skewness=moments.skewness,
            kurtosis=moments.kurtosis,
            confidence=config.track_record_confidence,
        )
    value = float(moments.num_observations)
    if math.isnan(needed):
        reason = "No track record is long enough: the Sharpe ratio is not above zero."
        return Measured(value=value, threshold=needed, comparison=">=", passed=False, reason=reason)
    return measured(value, math.ceil(needed), ">=", "The track record in bars", ",.0f")
