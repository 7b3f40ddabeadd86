"""The criterion of plausibility: that a result is not too good, and hangs on nothing that is known too late."""

from __future__ import annotations

import math
from collections.abc import Sequence

from data.checks.foreknown import Foreknown
from data.schema import BAR_COLUMNS
from data.universe import MEMBER
from evaluation.gate.config import GateConfig
from evaluation.gate.evidence import GateEvidence
from evaluation.gate.measured import Measured, missing
from evaluation.gate.plausibility import MAX_SHARE_LOST, DelayLoss, in_doubt, most_plausible, suspicion
from evaluation.scoring.inside_fills import REACH
from evaluation.scoring.known_volume import OWN_VOLUME
from evaluation.scoring.stop_fills import STOPS
from evaluation.statistics.metrics import sharpe_ratio


def plausibility(config: GateConfig, evidence: GateEvidence) -> Measured:
    """The annual Sharpe ratio beside what is believed of real bars; where much hangs on one input, what hangs on it."""
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


def _doubt(doubted: Sequence[DelayLoss]) -> str:
    """What a score hangs on, and what to state if it is as it should be."""
    first = doubted[0].names
    if first == OWN_VOLUME:
        return (
            f"Too much hangs on how much was traded in the very bars that orders fill in, which is not known at their "
            f"open: of the score, {suspicion(doubted)}. Trade an account whose orders earlier bars have room for "
            "(env.initial_equity), and take a slippage that is not by volume."
        )
    if first == STOPS:
        return (
            f"Too much hangs on stops that fill at their level inside of a bar, which a market that jumps through it "
            f"does not pay: of the score, {suspicion(doubted)}, where a price that only wanders would be as likely "
            "above as below. Trade shorter bars, in which less can happen, or set stops further away."
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
