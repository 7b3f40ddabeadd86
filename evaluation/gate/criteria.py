"""The gate's criteria: each measures one number of the evidence against one threshold and says so in a sentence.

The table is `CRITERIA`, at the end. Which of them decide stands in conf/gate/default.yaml, thresholds in `gate.config`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from data.checks.foreknown import Foreknown
from data.schema import BAR_COLUMNS
from data.universe import MEMBER
from envs.checks.sampling import REQUIRED_RATE
from evaluation.gate.config import GateConfig
from evaluation.gate.evidence import GateEvidence
from evaluation.gate.plausibility import MAX_SHARE_LOST, DelayLoss, in_doubt, most_plausible, suspicion
from evaluation.gate.seen_shares import SeenShares
from evaluation.scoring.charged_costs import ChargedCost, in_total
from evaluation.scoring.inside_fills import REACH
from evaluation.scoring.known_volume import OWN_VOLUME
from evaluation.scoring.short_dividends import ShortDividends
from evaluation.statistics.metrics import max_drawdown, sharpe_ratio, total_return
from evaluation.statistics.sharpe_lead import sharpe_lead
from evaluation.statistics.significance import (
    deflated_probability,
    minimum_track_record_length,
    sharpe_moments,
)

ANY_LEAD = 0.5
"""Confidence at which any lead at all is enough."""
UNSEEN_SYMBOLS = "unseen_symbols"
"""The criterion of symbols held out of training: shown where there are some, or where it is demanded."""
OF_A_RECORD = (
    "unseen", "full_costs", "plausibility", "sharpe", "max_drawdown", "deflated_sharpe", "beats_baselines",
    "beats_baselines_stressed", "num_trades", "track_record",
)  # fmt: skip
"""Criteria that are asked of the record on such symbols as well, where they decide; the others are of the study."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a criterion's function found: `passed` None means that the evidence is missing."""

    value: float
    threshold: float
    comparison: str
    passed: bool | None
    reason: str


def _compare(value: float, threshold: float, comparison: str) -> bool:
    if math.isnan(value) or math.isnan(threshold):
        return False
    return (
        value >= threshold
        if comparison == ">="
        else (value > threshold if comparison == ">" else value <= threshold)
    )


def measured(value: float, threshold: float, comparison: str, subject: str, style: str) -> Measured:
    """A sentence of the form '<subject> is <value>, required is <comparison> <threshold>'."""
    passed = _compare(value, threshold, comparison)
    if math.isnan(value):
        reason = f"{subject} is not defined on this record."
    else:
        bound = {">=": "at least", ">": "more than", "<=": "at most"}[comparison]
        reason = f"{subject} is {value:{style}}; {bound} {threshold:{style}} is required."
    return Measured(value=value, threshold=threshold, comparison=comparison, passed=passed, reason=reason)


def missing(threshold: float, comparison: str, what: str) -> Measured:
    """What a criterion says whose evidence is not there: an enforced one then fails."""
    return Measured(
        value=math.nan,
        threshold=threshold,
        comparison=comparison,
        passed=None,
        reason=f"{what} was not measured.",
    )


def _sharpe(config: GateConfig, evidence: GateEvidence) -> Measured:
    value = sharpe_ratio(evidence.net_return, periods_per_year=evidence.periods_per_year)
    return measured(value, config.min_sharpe, ">=", "The net annual Sharpe ratio", ".2f")


def _drawdown(config: GateConfig, evidence: GateEvidence) -> Measured:
    value = max_drawdown(evidence.net_return)
    return measured(value, config.max_drawdown, ">=", "The maximum drawdown", ".1%")


def _deflated(config: GateConfig, evidence: GateEvidence) -> Measured:
    value = deflated_probability(evidence.net_return, evidence.num_trials, evidence.trial_sharpe_variance)
    trials = f"{evidence.num_trials:g} trial{'s' if evidence.num_trials != 1 else ''}"
    if evidence.looks is not None:
        trials = evidence.looks.sentence
    subject = f"The probability of skill, deflated for {trials},"
    found = measured(value, config.min_deflated_sharpe, ">=", subject, ".3f")
    notes = evidence.looks.notes if evidence.looks is not None else ()
    return replace(found, reason=" ".join([found.reason, *notes]))


def _baselines(config: GateConfig, evidence: GateEvidence) -> Measured:
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


def _stressed(config: GateConfig, evidence: GateEvidence) -> Measured:
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


def _trades(config: GateConfig, evidence: GateEvidence) -> Measured:
    subject = "The number of closed trades"
    return measured(float(evidence.num_trades), float(config.min_trades), ">=", subject, ",.0f")


def _track_record(config: GateConfig, evidence: GateEvidence) -> Measured:
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


def _seeds(config: GateConfig, evidence: GateEvidence) -> Measured:
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


def _overfitting(config: GateConfig, evidence: GateEvidence) -> Measured:
    if evidence.overfitting is None:
        return missing(config.max_overfitting, "<=", "The probability of overfitting")
    subject = "The probability that the best trial of one half of the bars loses in the other"
    if evidence.overfitting_published is not None:
        subject += f" (overfitting as published: {evidence.overfitting_published:.2f})"
    return measured(evidence.overfitting, config.max_overfitting, "<=", subject, ".3f")


def _leak_check(config: GateConfig, evidence: GateEvidence) -> Measured:
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


def _costs(config: GateConfig, evidence: GateEvidence) -> Measured:
    factor, charged = evidence.cost_factor, evidence.charged
    if factor is None or charged is None:
        return missing(1.0, ">=", "The share of costs charged")
    total = in_total(charged)
    least = min([total, *charged], key=lambda one: one.share)
    value = min(factor, least.share)
    if factor < 1.0:
        reason = f"The multiple of the configured costs charged is {factor:.2f}; at least 1.00 is required."
    elif not total.notional > 0.0:
        reason = f"Nothing was traded, so that no cost was due (all costs x{factor:g})."
    elif evidence.short_dividends is not None and evidence.short_dividends.lives_on_rare_shorts:
        value, reason = 0.0, _rare_shorts_sentence(evidence.short_dividends)
    else:
        reason = _charge_sentence(total, least, by_kind=config.min_cost_bps is None)
    return Measured(value=value, threshold=1.0, comparison=">=", passed=value >= 1.0, reason=reason)


def _rare_shorts_sentence(unknown: ShortDividends) -> str:
    return (
        f"Shorts of {unknown.names} that were held over few nights of a quarter gained "
        f"{unknown.rare_gain / unknown.gain:.0%} of the gain between a close and the next open, and the data do not "
        "know the dividends that shorts owe on the morning of an ex-date: give a column dividend, or "
        "data.prices=total_return."
    )


def _charge_sentence(total: ChargedCost, least: ChargedCost, *, by_kind: bool) -> str:
    whose = "" if by_kind else " by gate.min_cost_bps"
    short = least.share < 1.0
    place = f" on {least.symbol}" if short and least is not total else ""
    shown = least if place else total
    reason = (
        f"The cost charged{place} is {shown.bps:.2f} bps of the notional traded; "
        f"at least {shown.minimum_bps:.2f} bps is required{whose}"
    )
    if place:
        reason += f" ({total.bps:.2f} bps over all symbols, where {total.minimum_bps:.2f} is)"
    return reason + (": charge fee, spread and slippage of a market order there." if short else ".")


def _doubt(doubted: Sequence[DelayLoss]) -> str:
    """What a score hangs on, and what to state if it is as it should be."""
    first = doubted[0].names
    if first == OWN_VOLUME:
        return (
            f"Too much hangs on how much was traded in the very bars that orders fill in, which is not known at their "
            f"open: of the score, {suspicion(doubted)}. Trade an account whose orders earlier bars have room for "
            "(env.initial_equity), and take a slippage that is not by volume."
        )
    if first == REACH:
        return (
            f"Too much hangs on fills inside of bars: of the score, {suspicion(doubted)}. If trades took place at "
            "those highs and lows, state it in the data config, as data.columns: {high: {known_after: 0 bars, traded: "
            "true}, low: {known_after: 0 bars, traded: true}}."
        )
    later = "" if first[0] in BAR_COLUMNS else ", or 1 bar and more, by which a column is then delayed"
    return (
        f"Too much hangs on {doubted[0].delay}: of the score, {suspicion(doubted)}. When is it known? State it in the "
        f"data config, as data.columns.{first[0]}.known_after: 0 bars (at the close of its own bar){later}."
    )


def _foreknown_sentence(suspects: Sequence[Foreknown]) -> str:
    """What ranks what is still to come, and what to do about it."""
    first, others = suspects[0], len(suspects) - 1
    more = f" ({others} more do)" if others else ""
    if first.column == MEMBER:
        return (
            f"The universe ranks what is still to come: {first}{more} Date each stay in it from when it was known "
            f"(from and to of data.universe), or state that it was: data.columns.{MEMBER}.known_after: 0 bars."
        )
    return (
        f"An input ranks what is still to come: {first}{more} "
        f"State it in the data config, as data.columns.{first.column}.known_after: 0 bars (at the close of its own "
        f"bar), or 1 bar and more, by which a column is then delayed; or released_in: 45 days, where it is dated "
        f"by the period that it tells of."
    )


def _plausibility(config: GateConfig, evidence: GateEvidence) -> Measured:
    value, most = sharpe_ratio(evidence.net_return, periods_per_year=evidence.periods_per_year), math.nan
    losses, stated, short = evidence.delay_losses, evidence.known_after, ""
    written = "".join(f" Stated: {name} is known after {after}." for name, after in stated.items())
    if evidence.synthetic:
        reason = "The market is drawn from a law and says so: no result is too good for it."
        return Measured(value=value, threshold=most, comparison="<=", passed=True, reason=reason)
    years = len(evidence.net_return) / evidence.periods_per_year
    most = most_plausible(config.max_plausible_sharpe, years) if years else config.max_plausible_sharpe
    if most > config.max_plausible_sharpe:
        short = f" of {365 * years:.1f} days, in which luck alone does much"
    if losses is None:
        return missing(most, "<=", "What is lost when one input is a bar late")
    doubted = in_doubt(losses, stated)
    if value > most:
        hangs = f" Of it, {suspicion(losses)}." if losses else ""
        reason = f"The annual Sharpe ratio of {value:.2f} is too good for real bars; "
        reason += f"at most {most:.2f} is believed{short}.{hangs}{written}"
    elif doubted:
        value, most = max(loss.share_lost for loss in doubted), MAX_SHARE_LOST
        reason = _doubt(doubted) + written
    elif evidence.foreknown:
        reason = _foreknown_sentence(evidence.foreknown) + written
    elif evidence.untraded:
        doubtful, others = evidence.untraded[0], len(evidence.untraded) - 1
        reason = (
            f"{doubtful}{f' ({others} more do)' if others else ''} If trades took place at them, state it in the data "
            f"config, as data.columns.{doubtful.price}: {{known_after: 0 bars, traded: true}}.{written}"
        )
    else:
        held = f" Of it, {suspicion(losses)}, as stated." if losses else ""
        shown = "is not defined" if math.isnan(value) else f"is {value:.2f}"
        reason = f"The annual Sharpe ratio {shown}; at most {most:.2f} is believed{short}.{held}{written}"
        return Measured(value=value, threshold=most, comparison="<=", passed=True, reason=reason)
    return Measured(value=value, threshold=most, comparison="<=", passed=False, reason=reason)


def _placebo(config: GateConfig, evidence: GateEvidence) -> Measured:
    if evidence.placebo_rate is None:
        return missing(config.max_placebo_rate, "<=", "The rate of passing placebo markets")
    markets = f"{evidence.num_placebos} placebo market{'s' if evidence.num_placebos != 1 else ''}"
    subject = f"The share of {markets} on which the same policy class passes"
    return measured(evidence.placebo_rate, config.max_placebo_rate, "<=", subject, ".0%")


def _unseen(config: GateConfig, evidence: GateEvidence) -> Measured:
    if evidence.exposure is None:
        return missing(0.0, "<=", "What the policy had seen of the scored bars")
    shares = SeenShares.of(evidence.exposure)
    if (
        evidence.paths is not None
    ):  # even of a script, which has seen nothing: paths are no record to deploy on
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


def _unseen_symbols(config: GateConfig, evidence: GateEvidence) -> Measured:
    """How many of the enforced criteria that a record alone decides fail on the symbols held out of training."""
    other = evidence.unseen_symbols
    if other is None:
        return missing(0.0, "<=", "The record on symbols held out of training (data.test_symbols)")
    names = [name for name in OF_A_RECORD if name in config.enforced or name == "unseen"]
    found = [CRITERIA[name][1](config, other) for name in names]
    failed = [one for one in found if not one.passed]
    value = sharpe_ratio(other.net_return, periods_per_year=other.periods_per_year)
    who = f"On {', '.join(other.symbols)}, held out of training,"
    shown = (
        "the annual Sharpe ratio is not defined"
        if math.isnan(value)
        else f"the annual Sharpe ratio is {value:.2f}"
    )
    if failed:
        first = failed[0].reason
        reason = (
            f"{who} {shown} and {len(failed)} of {len(found)} criteria fail: {first[0].lower()}{first[1:]}"
        )
    else:
        reason = f"{who} {shown} and all {len(found)} criteria that a record alone decides hold as well."
    return Measured(
        value=float(len(failed)), threshold=0.0, comparison="<=", passed=not failed, reason=reason
    )


Measure = Callable[["GateConfig", "GateEvidence"], Measured]
CRITERIA: Mapping[str, tuple[str, Measure]] = {
    "sharpe": ("Sharpe ratio, annual, net", _sharpe),
    "max_drawdown": ("Maximum drawdown", _drawdown),
    "deflated_sharpe": ("Deflated Sharpe ratio", _deflated),
    "beats_baselines": ("Confidence in the lead over baselines", _baselines),
    "beats_baselines_stressed": ("Sharpe lead under higher costs", _stressed),
    "num_trades": ("Closed trades", _trades),
    "track_record": ("Track record, bars", _track_record),
    "all_seeds_positive": ("Worst seed, net return", _seeds),
    "overfitting": ("Overfitting: loss after selection", _overfitting),
    "leak_check": ("Leak check", _leak_check),
    "full_costs": ("Share of the least cost charged", _costs),
    "placebo": ("Passes on placebo markets", _placebo),
    "plausibility": ("Plausible: not too good, no input foreknown", _plausibility),
    "unseen": ("Scored bars that the policy had seen", _unseen),
}
"""Name of each criterion -> its label and the function that measures it."""


def criteria_of(config: GateConfig, evidence: GateEvidence) -> Mapping[str, tuple[str, Measure]]:
    """`CRITERIA`, and that of symbols held out of training where there are some, or the gate demands it."""
    if evidence.unseen_symbols is None and not config.unseen_symbols:
        return CRITERIA
    return {**CRITERIA, UNSEEN_SYMBOLS: ("Criteria that fail on symbols held out", _unseen_symbols)}
