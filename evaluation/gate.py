"""The gate: criteria that a policy's out-of-sample, net-of-cost record must meet before anything is deployed.

Each criterion carries its value, its threshold, the bars it was computed on and one sentence. An enforced criterion
whose evidence is missing or undefined fails: the gate cannot be passed by leaving something out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics import as_returns, max_drawdown, sharpe_ratio, total_return
from evaluation.significance import (
    expected_maximum_sharpe,
    minimum_track_record_length,
    probabilistic_sharpe_ratio,
    sharpe_moments,
)
from evaluation.walk_forward import ORACLE, WalkForwardResult, closed_mask

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class GateConfig:
    """Thresholds, and which criteria decide.

    Attributes
    ----------
    enforced : names of the criteria that must hold (see `CRITERIA`); the others are shown but do not decide.
    min_sharpe : annualised, net of costs, out of sample.
    max_drawdown : deepest fall allowed, a negative fraction (-0.20).
    min_deflated_sharpe : probability, 0 to 1.
    min_trades : closed trades, all folds together.
    track_record_confidence : confidence of the minimum track record length, 0.5 to 1.
    stress_cost_factor : multiple of all costs under which the baselines must still be beaten.
    max_overfitting : largest probability that the best trial of one half of the bars loses in the other, 0 to 1.
    """

    enforced: tuple[str, ...]
    min_sharpe: float
    max_drawdown: float
    min_deflated_sharpe: float
    min_trades: int
    track_record_confidence: float
    stress_cost_factor: float
    max_overfitting: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "enforced", tuple(self.enforced))
        for name in self.enforced:
            if name not in CRITERIA:
                raise ValueError(f"gate.enforced names {name!r}; known criteria are {', '.join(CRITERIA)}")
        if not self.enforced:
            raise ValueError("gate.enforced is empty; a gate without criteria lets everything through")
        if not -1.0 <= self.max_drawdown <= 0.0:
            raise ValueError(
                f"gate.max_drawdown is {self.max_drawdown}; write it as a fraction between -1 and 0"
            )
        for name in ("min_deflated_sharpe", "max_overfitting"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"gate.{name} is {getattr(self, name)}; it is a probability between 0 and 1")
        if not 0.5 <= self.track_record_confidence < 1.0:
            raise ValueError(f"gate.track_record_confidence is {self.track_record_confidence}; use 0.5 to 1")


@dataclass(frozen=True, kw_only=True)
class GateEvidence:
    """What the gate looks at; None for what was not measured. All returns are net of costs and out of sample.

    Attributes
    ----------
    net_return : (T,) per-bar returns of the folds' test windows, chained in time order.
    bar_utc : (T,) labels of those bars.
    periods_per_year : of the data's calendar.
    num_trades : closed trades.
    baselines : name -> (T,) returns on the same bars.
    num_trials : trials recorded for this study, failed ones included; may be an effective number.
    trial_sharpe_variance : variance across trials of the per-bar Sharpe ratio; None when fewer than two trials have
        one, in which case the variance under the hypothesis of no skill, 1 / (T - 1), stands in.
    stressed, stressed_baselines : the same with costs multiplied by `GateConfig.stress_cost_factor`.
    seeds : seed -> (T,) returns of the same configuration trained with other seeds.
    overfitting : CSCV's probability of loss over the study's trials (`evaluation.overfitting.cscv`). The probability of
        backtest overfitting as published is near one half for trials of equal skill, however good, so it cannot be a
        threshold; docs/evaluation.md has the calibration.
    leak_check : whether the leak check of the market, features and env passed.
    """

    net_return: FloatArray
    bar_utc: NDArray[np.datetime64]
    periods_per_year: float
    num_trades: int
    baselines: Mapping[str, FloatArray]
    num_trials: float = 1
    trial_sharpe_variance: float | None = None
    stressed: FloatArray | None = None
    stressed_baselines: Mapping[str, FloatArray] | None = None
    seeds: Mapping[int, FloatArray] | None = None
    overfitting: float | None = None
    leak_check: bool | None = None

    @classmethod
    def of(cls, result: WalkForwardResult, **known: Any) -> GateEvidence:
        """The evidence that a study itself holds; `known` adds the rest (num_trials, seeds, leak_check, ...).

        The oracle of a synthetic market is a reference and no baseline: it is left out.
        """
        rivals = [name for name in result.baseline_names if name != ORACLE]
        stressed = result.stressed_return()
        if stressed is not None:
            rivals_stressed = [
                n for n in rivals if all(n in fold.stressed_baselines for fold in result.folds)
            ]
            known.setdefault(
                "stressed_baselines",
                {name: result.stressed_baseline_return(name) for name in rivals_stressed},
            )
        return cls(
            net_return=result.net_return,
            bar_utc=result.panel.bar_utc[result.bar],
            periods_per_year=result.panel.periods_per_year,
            num_trades=sum(int(closed_mask(fold.recording).sum()) for fold in result.folds),
            baselines={name: result.baseline_return(name) for name in rivals},
            stressed=stressed,
            **known,
        )

    def __post_init__(self) -> None:
        series = {"net_return": self.net_return, **{f"baseline {k}": v for k, v in self.baselines.items()}}
        for name, values in series.items():
            if as_returns(values, name=name).size != len(self.bar_utc):
                raise ValueError(
                    f"{name} has {len(values)} returns for {len(self.bar_utc)} bars; give one per bar"
                )


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """One criterion's outcome. `value` and `threshold` are nan when undefined; `passed` is None if not measured."""

    name: str
    label: str
    value: float
    threshold: float
    comparison: str
    passed: bool | None
    enforced: bool
    first_bar_utc: str
    last_bar_utc: str
    num_bars: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The gate's decision. `headline` is one sentence."""

    passed: bool
    headline: str
    criteria: tuple[Criterion, ...]
    num_trials: float

    def to_dict(self) -> dict[str, object]:
        """The content of verdict.json."""
        rows = [{**asdict(c), "pass": c.passed} for c in self.criteria]
        for row in rows:
            row.pop("passed")
            row["bars"] = {key: row.pop(key) for key in ("first_bar_utc", "last_bar_utc", "num_bars")}
        return {
            "pass": self.passed,
            "headline": self.headline,
            "num_trials": self.num_trials,
            "criteria": rows,
        }


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


def _measured(value: float, threshold: float, comparison: str, subject: str, style: str) -> Measured:
    """A sentence of the form '<subject> is <value>, required is <comparison> <threshold>'."""
    passed = _compare(value, threshold, comparison)
    if math.isnan(value):
        reason = f"{subject} is not defined on this record."
    else:
        bound = {">=": "at least", ">": "more than", "<=": "at most"}[comparison]
        reason = f"{subject} is {value:{style}}; {bound} {threshold:{style}} is required."
    return Measured(value=value, threshold=threshold, comparison=comparison, passed=passed, reason=reason)


def _missing(threshold: float, comparison: str, what: str) -> Measured:
    return Measured(
        value=math.nan,
        threshold=threshold,
        comparison=comparison,
        passed=None,
        reason=f"{what} was not measured.",
    )


def _sharpe(config: GateConfig, evidence: GateEvidence) -> Measured:
    value = sharpe_ratio(evidence.net_return, periods_per_year=evidence.periods_per_year)
    return _measured(value, config.min_sharpe, ">=", "The net annual Sharpe ratio", ".2f")


def _drawdown(config: GateConfig, evidence: GateEvidence) -> Measured:
    value = max_drawdown(evidence.net_return)
    return _measured(value, config.max_drawdown, ">=", "The maximum drawdown", ".1%")


def _deflated(config: GateConfig, evidence: GateEvidence) -> Measured:
    moments = sharpe_moments(evidence.net_return)
    variance = evidence.trial_sharpe_variance
    if variance is None or math.isnan(variance):
        variance = 1.0 / max(moments.num_observations - 1, 1)
    value = math.nan
    if not math.isnan(moments.sharpe):
        value = probabilistic_sharpe_ratio(
            moments.sharpe,
            moments.num_observations,
            skewness=moments.skewness,
            kurtosis=moments.kurtosis,
            benchmark=expected_maximum_sharpe(evidence.num_trials, variance),
        )
    trials = f"{evidence.num_trials:g} trial{'s' if evidence.num_trials != 1 else ''}"
    subject = f"The probability of skill, deflated for {trials},"
    return _measured(value, config.min_deflated_sharpe, ">=", subject, ".3f")


def _lead(net_return: FloatArray, baselines: Mapping[str, FloatArray], periods: float) -> tuple[float, str]:
    """Smallest lead in annual Sharpe ratio over the baselines, and whose; a baseline that is flat counts as 0."""
    ours = sharpe_ratio(net_return, periods_per_year=periods)
    rivals = {name: sharpe_ratio(r, periods_per_year=periods) for name, r in baselines.items()}
    rivals = {name: 0.0 if math.isnan(value) else value for name, value in rivals.items()}
    best = max(rivals, key=lambda name: rivals[name])
    return ours - rivals[best], best


def _baselines(config: GateConfig, evidence: GateEvidence) -> Measured:
    if not evidence.baselines:
        return _missing(0.0, ">", "The lead over baselines")
    value, rival = _lead(evidence.net_return, evidence.baselines, evidence.periods_per_year)
    subject = f"The lead in annual Sharpe ratio over the best baseline, {rival.replace('_', ' ')},"
    return _measured(value, 0.0, ">", subject, ".2f")


def _stressed(config: GateConfig, evidence: GateEvidence) -> Measured:
    if evidence.stressed is None or not evidence.stressed_baselines:
        return _missing(0.0, ">", f"The lead over baselines under costs x{config.stress_cost_factor:g}")
    value, rival = _lead(evidence.stressed, evidence.stressed_baselines, evidence.periods_per_year)
    subject = (
        f"Under costs x{config.stress_cost_factor:g} the lead in Sharpe ratio over {rival.replace('_', ' ')}"
    )
    return _measured(value, 0.0, ">", subject, ".2f")


def _trades(config: GateConfig, evidence: GateEvidence) -> Measured:
    subject = "The number of closed trades"
    return _measured(float(evidence.num_trades), float(config.min_trades), ">=", subject, ",.0f")


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
    return _measured(value, math.ceil(needed), ">=", "The track record in bars", ",.0f")


def _seeds(config: GateConfig, evidence: GateEvidence) -> Measured:
    if not evidence.seeds:
        return _missing(0.0, ">", "The spread over seeds")
    worst = min(total_return(returns) for returns in evidence.seeds.values())
    subject = f"The net return of the worst of {len(evidence.seeds)} seeds"
    return _measured(worst, 0.0, ">", subject, ".1%")


def _overfitting(config: GateConfig, evidence: GateEvidence) -> Measured:
    if evidence.overfitting is None:
        return _missing(config.max_overfitting, "<=", "The probability of overfitting")
    subject = "The probability that the best trial of one half of the bars loses in the other"
    return _measured(evidence.overfitting, config.max_overfitting, "<=", subject, ".3f")


def _leak_check(config: GateConfig, evidence: GateEvidence) -> Measured:
    if evidence.leak_check is None:
        return _missing(1.0, ">=", "The leak check")
    reason = (
        "Poisoning the future moved nothing before it."
        if evidence.leak_check
        else "The leak check found a leak."
    )
    return Measured(
        value=float(evidence.leak_check),
        threshold=1.0,
        comparison=">=",
        passed=evidence.leak_check,
        reason=reason,
    )


Measure = Callable[[GateConfig, GateEvidence], Measured]
CRITERIA: Mapping[str, tuple[str, Measure]] = {
    "sharpe": ("Sharpe ratio, annual, net", _sharpe),
    "max_drawdown": ("Maximum drawdown", _drawdown),
    "deflated_sharpe": ("Deflated Sharpe ratio", _deflated),
    "beats_baselines": ("Sharpe lead over the best baseline", _baselines),
    "beats_baselines_stressed": ("The same under higher costs", _stressed),
    "num_trades": ("Closed trades", _trades),
    "track_record": ("Track record, bars", _track_record),
    "all_seeds_positive": ("Worst seed, net return", _seeds),
    "overfitting": ("Overfitting: loss after selection", _overfitting),
    "leak_check": ("Leak check", _leak_check),
}
"""Name of each criterion -> its label and the function that measures it."""


def judge(config: GateConfig, evidence: GateEvidence) -> Verdict:
    """Measure every criterion and decide: passed when every enforced one holds."""
    outcomes = tuple(
        _outcome(name, label, measure(config, evidence), config, evidence)
        for name, (label, measure) in CRITERIA.items()
    )
    enforced = [c for c in outcomes if c.enforced]
    failed = [c for c in enforced if not c.passed]
    if failed:
        headline = f"Refused: {failed[0].reason[0].lower()}{failed[0].reason[1:]}"
        if len(failed) > 1:
            headline = f"{headline[:-1]} ({len(failed)} of {len(enforced)} criteria fail)."
    else:
        headline = f"Approved: all {len(enforced)} criteria hold out of sample and net of costs."
    return Verdict(passed=not failed, headline=headline, criteria=outcomes, num_trials=evidence.num_trials)


def _outcome(
    name: str, label: str, measured: Measured, config: GateConfig, evidence: GateEvidence
) -> Criterion:
    bars = evidence.bar_utc.astype("datetime64[s]")
    return Criterion(
        name=name,
        label=label,
        enforced=name in config.enforced,
        first_bar_utc=f"{bars[0]}Z" if len(bars) else "",
        last_bar_utc=f"{bars[-1]}Z" if len(bars) else "",
        num_bars=len(bars),
        **asdict(measured),
    )
