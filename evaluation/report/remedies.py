"""Why a run was refused, in words: for each criterion that fails, what was found and what would have to be otherwise.

Lengths are answers to "if the bars to come are like those scored": they follow from the Sharpe ratio, skewness and
kurtosis that were measured (Bailey and Lopez de Prado 2012, 2014; `evaluation.statistics.significance`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from evaluation.gate.criteria import UNSEEN_SYMBOLS
from evaluation.gate.verdict import INVALID_RECORD, Criterion, Verdict
from evaluation.statistics.significance import (
    expected_maximum_sharpe,
    minimum_track_record_length,
    sharpe_moments,
)

FloatArray = NDArray[np.float64]
CONFIDENCE = 0.95
"""With which a true Sharpe ratio is to be told from none where a criterion names no confidence of its own."""


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """One criterion that fails: its label, why, and what would have to change."""

    label: str
    why: str
    change: str


@dataclass(frozen=True, kw_only=True)
class _Record:
    """What the words need of the scored record. Per bar where nothing else is said; nan where undefined."""

    sharpe: float
    skewness: float
    kurtosis: float
    mean: float
    deviation: float
    bars: int
    year: float
    trials: float
    trial_variance: float | None
    min_sharpe: float

    @property
    def shape(self) -> dict[str, float]:
        return {"skewness": self.skewness, "kurtosis": self.kurtosis}


def remedies(
    verdict: Verdict, net_return: FloatArray, periods_per_year: float, summary: Mapping[str, Any]
) -> list[Remedy]:
    """What fails and decides, what makes the record void first; nothing where the gate has passed.

    Parameters
    ----------
    net_return : (T,) scored, per bar. summary : as `evaluation.artefacts.summary.summarise`.
    """
    failed = [one for one in verdict.criteria if one.enforced and not one.passed]
    failed.sort(key=lambda one: INVALID_RECORD.index(one.name) if one.name in INVALID_RECORD else 99)
    record = _record(verdict, net_return, periods_per_year, summary)
    return [Remedy(label=one.label, why=one.reason, change=_change(one, record, summary)) for one in failed]


def length_in_words(
    verdict: Verdict, net_return: FloatArray, periods_per_year: float, summary: Mapping[str, Any]
) -> str:
    """How many bars a true Sharpe ratio of the size that was measured needs, and one as the gate asks for.

    Parameters
    ----------
    net_return : (T,) scored, per bar. summary : as `remedies` takes it.
    """
    record = _record(verdict, net_return, periods_per_year, summary)
    wanted = _of_true_sharpe(record.min_sharpe, record, CONFIDENCE)
    if math.isnan(record.sharpe):
        return (
            f"The record does not move, so that no Sharpe ratio is defined and no length shows skill.{wanted}"
        )
    annual = record.sharpe * math.sqrt(record.year)
    if not record.sharpe > 0.0:
        return (
            f"The annual Sharpe ratio was {annual:.2f}: more bars of a record like this one only show the loss better."
            f"{wanted}"
        )
    bars = minimum_track_record_length(record.sharpe, confidence=CONFIDENCE, **record.shape)
    return (
        f"The annual Sharpe ratio was {annual:.2f}. A true one of that size is told from none at {CONFIDENCE:.0%} "
        f"after {bars_in_words(bars, record.bars, record.year)}.{wanted}"
    )


def _record(verdict: Verdict, net_return: FloatArray, year: float, summary: Mapping[str, Any]) -> _Record:
    moments = sharpe_moments(net_return)
    asked = next((one.threshold for one in verdict.criteria if one.name == "sharpe"), math.nan)
    variance = summary.get("trial_sharpe_variance")
    return _Record(
        sharpe=moments.sharpe,
        skewness=moments.skewness,
        kurtosis=moments.kurtosis,
        mean=float(np.mean(net_return)) if len(net_return) else math.nan,
        deviation=float(np.std(net_return, ddof=1)) if len(net_return) > 1 else math.nan,
        bars=len(net_return),
        year=year,
        trials=float(summary.get("num_trials") or 1.0),
        trial_variance=None if variance is None or math.isnan(variance) else float(variance),
        min_sharpe=asked,
    )


def _change(one: Criterion, record: _Record, summary: Mapping[str, Any]) -> str:
    if one.passed is None:
        return _MISSING.get(one.name, "It has to be measured: what is left out fails.")
    if one.name in _MEASURED:
        if math.isnan(one.value) or (one.name not in _OF_TRADES and math.isnan(record.sharpe)):
            return "The policy has to trade: of a record that does not move this number is not defined."
        return _MEASURED[one.name](one, record, summary)
    return _WORDS.get(one.name, "The value has to meet what is required.")


def bars_in_words(bars: float, scored: int, year: float) -> str:
    """``about 52,000 bars (3.0 years), 34,528 more than were scored``."""
    whole = math.ceil(bars)
    more = whole - scored
    beside = f"{more:,} more than were scored" if more > 0 else "which is no more than were scored"
    return f"about {whole:,} bars ({whole / year:,.1f} years), {beside}"


def bars_for_deflation(record_sharpe: float, probability: float, *, trials: float, trial_variance: float | None,
                       skewness: float = 0.0, kurtosis: float = 3.0) -> float:  # fmt: skip
    """Bars at which a Sharpe ratio of this size has a deflated probability of skill as asked; nan where none would do.

    Parameters
    ----------
    record_sharpe : per bar. probability : required, 0.5 to 1.
    trials : that the record was chosen from. trial_variance : of their Sharpe ratios, which more bars do not change;
        None for that of trials without skill, 1 / (T - 1), which they do.
    """
    if not 0.5 <= probability < 1.0 or not record_sharpe > 0.0:
        return math.nan
    shape = {"skewness": skewness, "kurtosis": kurtosis}
    if trial_variance is not None:
        luck = expected_maximum_sharpe(trials, trial_variance)
        return minimum_track_record_length(record_sharpe, benchmark=luck, confidence=probability, **shape)
    # (SR - m / sqrt(n - 1)) sqrt(n - 1) / sqrt(V) >= z, solved for n; m is the best of as many standard normals.
    root = math.sqrt(1.0 - skewness * record_sharpe + (kurtosis - 1.0) / 4.0 * record_sharpe**2)
    needed = (float(ndtri(probability)) * root + expected_maximum_sharpe(trials, 1.0)) / record_sharpe
    return 1.0 + needed**2


def _of_true_sharpe(annual: float, record: _Record, confidence: float) -> str:
    """How many bars a true Sharpe ratio needs before it is told from luck; of normal returns."""
    if not annual > 0.0:
        return ""
    bars = minimum_track_record_length(annual / math.sqrt(record.year), confidence=confidence)
    return (
        f" A true Sharpe ratio of {annual:.2f} a year is told from none at {confidence:.0%} after "
        f"{bars_in_words(bars, record.bars, record.year)}."
    )


def _sharpe(one: Criterion, record: _Record, summary: Mapping[str, Any]) -> str:
    volatility = record.deviation * math.sqrt(record.year)
    wanted, found = one.threshold * volatility, record.mean * record.year
    return (
        f"At the volatility that was measured ({volatility:.1%} a year) the mean net return has to be {wanted:+.1%} a "
        f"year; it was {found:+.1%}.{_of_true_sharpe(one.threshold, record, CONFIDENCE)}"
    )


def _drawdown(one: Criterion, record: _Record, summary: Mapping[str, Any]) -> str:
    # Falls compound: positions of a share k turn a log fall of L into about k L.
    fall, allowed = math.log1p(max(one.value, -1.0 + 1e-12)), math.log1p(one.threshold)
    if not fall < 0.0 or allowed == -math.inf:
        return "The fall has to be smaller."
    return (
        f"Positions of about {allowed / fall:.0%} of those held would have kept the same fall within "
        f"{one.threshold:.0%}, at as much less gain (env.sizing, risk.max_drawdown)."
    )


def _deflated(one: Criterion, record: _Record, summary: Mapping[str, Any]) -> str:
    if not record.sharpe > 0.0:
        return "The Sharpe ratio has to be above zero; more bars of a record like this one only show the loss better."
    bars = bars_for_deflation(
        record.sharpe,
        one.threshold,
        trials=record.trials,
        trial_variance=record.trial_variance,
        **record.shape,
    )
    variance = record.trial_variance
    luck = expected_maximum_sharpe(
        record.trials, 1.0 / max(record.bars - 1, 1) if variance is None else variance
    )
    scale = math.sqrt(record.year)
    if math.isnan(bars):
        return (
            f"The annual Sharpe ratio has to be above {luck * scale:.2f}, which the best of {record.trials:g} trials "
            f"without skill shows; it was {record.sharpe * scale:.2f}, and no number of bars makes up for that."
        )
    return (
        f"A true Sharpe ratio of {record.sharpe * scale:.2f} a year, as measured, would need "
        f"{bars_in_words(bars, record.bars, record.year)}. Fewer trials need fewer bars; they cannot be taken back."
    )


def _track_record(one: Criterion, record: _Record, summary: Mapping[str, Any]) -> str:
    if math.isnan(one.threshold):
        return (
            "The Sharpe ratio has to be above zero first."
            f"{_of_true_sharpe(record.min_sharpe, record, CONFIDENCE)}"
        )
    return (
        f"A true Sharpe ratio of {record.sharpe * math.sqrt(record.year):.2f} a year, as measured, would need "
        f"{bars_in_words(one.threshold, record.bars, record.year)}."
    )


def _lead(one: Criterion, record: _Record, summary: Mapping[str, Any]) -> str:
    sure, asked = float(ndtri(one.value)), float(ndtri(one.threshold))
    if not sure > 0.0:
        return "The Sharpe ratio has to be above that of the baseline: what is simpler did as well on the same bars."
    bars = record.bars * (asked / sure) ** 2  # the error of a lead falls with the root of the bars
    return f"A true lead of this size would need {bars_in_words(bars, record.bars, record.year)}."


def _stressed(one: Criterion, record: _Record, summary: Mapping[str, Any]) -> str:
    turnover = summary.get("annual_turnover")
    traded = (
        ""
        if turnover is None or math.isnan(turnover)
        else f" (equity is traded {turnover:,.0f} times a year)"
    )
    return (
        f"The lead under higher costs has to grow by {-one.value:.2f}: trade less{traded}, or where it pays."
    )


def _trades(one: Criterion, record: _Record, summary: Mapping[str, Any]) -> str:
    more = one.threshold - one.value
    if not one.value > 0.0:
        return f"{more:,.0f} closed trades are needed; none was closed on {record.bars:,} bars."
    bars = record.bars * one.threshold / one.value
    length = bars_in_words(bars, record.bars, record.year)
    return f"{more:,.0f} more closed trades; as often as so far that takes {length}."


def _seeds(one: Criterion, record: _Record, summary: Mapping[str, Any]) -> str:
    return (
        f"Every seed has to gain; the worst has {one.value:+.1%}. What hangs on the seed is luck of the training: "
        "train longer (trainer.total_env_steps) or make the policy simpler; more seeds only show it better."
    )


_MEASURED: Mapping[str, Callable[[Criterion, _Record, Mapping[str, Any]], str]] = {
    "sharpe": _sharpe,
    "max_drawdown": _drawdown,
    "deflated_sharpe": _deflated,
    "track_record": _track_record,
    "beats_baselines": _lead,
    "beats_baselines_stressed": _stressed,
    "num_trades": _trades,
    "all_seeds_positive": _seeds,
}
_OF_TRADES = ("num_trades", "all_seeds_positive", "max_drawdown")
"""Criteria that are defined where no Sharpe ratio is."""
_WORDS: Mapping[str, str] = {
    "overfitting": "What is best in one half of the bars has to gain in the other as well: search fewer and simpler "
    "settings, or score on more bars. Beside fewer than five trials stand random strategies that trade as much: a "
    "single trial has to beat them in one half and to gain in the other.",
    "leak_check": "Mend the input that moved when only later bars were changed; until then no other number counts.",
    "full_costs": "Charge what a market order pays (costs.fee_bps, costs.half_spread_bps, costs.slippage), or give the "
    "dividends that shorts owe (a column dividend, data.prices=total_return), and score again with python -m "
    "rayjobs.evaluate.",
    "placebo": "The same training has to fail on markets without anything to find: train less, ask more of the gate.",
    "plausibility": "Find what the policy knows too early; an input that is known later than its bar is stated with "
    "data.columns.NAME.known_after, one that is dated by its period with data.columns.NAME.released_in.",
    UNSEEN_SYMBOLS: "It has to earn as much on symbols that it was not trained on: train on more symbols or make the "
    "policy simpler; other symbols in data.test_symbols only look elsewhere.",
    "unseen": "Score on bars that neither training nor selection has used, later than all of them.",
}
_MISSING: Mapping[str, str] = {
    "beats_baselines": "Score it beside the baselines: a training does, and so does python -m rayjobs.evaluate.",
    "beats_baselines_stressed": "Score under the costs that the gate asks for (scoring.stress_cost_factor).",
    "all_seeds_positive": "Train at least one seed in this job (trainer.num_seeds).",
    "overfitting": "It takes several records of the same bars to be measured: a sweep's trials, seeds or random "
    "strategies (scoring.placebo_strategies above 0), and enough bars to cut.",
    "placebo": "Train on placebo markets as well, or leave the criterion out of gate.enforced.",
    "leak_check": "Let the leak check run: it is part of training and of python -m rayjobs.evaluate.",
    UNSEEN_SYMBOLS: "Hold symbols out of training (data.test_symbols), so that there is a record of them.",
    "unseen": "Train again with this release: its export says which bars the policy has seen.",
    "full_costs": "Score again with python -m rayjobs.evaluate, which measures what was charged.",
    "plausibility": "Score again with python -m rayjobs.evaluate, which measures what is lost when an input is late.",
}
