"""What the gate is told: its thresholds, and the evidence of one study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.checks.foreknowledge import Foreknown
from envs.checks.leaks import LeakReport
from evaluation.gate.criteria import CRITERIA
from evaluation.gate.plausibility import DelayLoss
from evaluation.ledger.looks import Looks
from evaluation.scoring.charged_costs import ChargedCost
from evaluation.scoring.walk_forward import ORACLE, WalkForwardResult, closed_mask
from evaluation.statistics.metrics import as_returns, total_return
from policies.origin import SeenLabels

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class GateConfig:
    """Thresholds, and which criteria decide.

    Attributes
    ----------
    enforced : names of the criteria that must hold (keys of `CRITERIA`); the others are shown but do not decide.
    min_sharpe : annualised, net of costs, out of sample.
    max_drawdown : deepest fall allowed, a negative fraction (-0.20).
    min_deflated_sharpe : probability, 0 to 1.
    min_trades : closed trades, all folds together.
    track_record_confidence : confidence of the minimum track record length, 0.5 to 1.
    stress_cost_factor : multiple of all costs under which the baselines must still be beaten.
    max_overfitting : largest probability that the best trial of one half of the bars loses in the other, 0 to 1.
    max_placebo_rate : largest share of placebo markets on which the same gate may pass, 0 to 1.
    min_cost_bps : least trading cost per unit of turnover, basis points a side; None takes that of each symbol's kind.
    max_plausible_sharpe : annual Sharpe ratio above which a record on real bars is not believed; of a short one more
        is, see `evaluation.gate.plausibility.most_plausible`.
    """

    enforced: tuple[str, ...]
    min_sharpe: float
    max_drawdown: float
    min_deflated_sharpe: float
    min_trades: int
    track_record_confidence: float
    stress_cost_factor: float
    max_overfitting: float
    max_placebo_rate: float
    min_cost_bps: float | None
    max_plausible_sharpe: float

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
        for name in ("min_deflated_sharpe", "max_overfitting", "max_placebo_rate"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"gate.{name} is {getattr(self, name)}; it is a probability between 0 and 1")
        if not 0.5 <= self.track_record_confidence < 1.0:
            raise ValueError(f"gate.track_record_confidence is {self.track_record_confidence}; use 0.5 to 1")
        if self.min_cost_bps is not None and not 0.0 <= self.min_cost_bps < 1e4:
            raise ValueError(
                f"gate.min_cost_bps is {self.min_cost_bps}; give basis points from 0, or null for each kind's own"
            )
        if not self.max_plausible_sharpe > 0.0:
            raise ValueError(f"gate.max_plausible_sharpe is {self.max_plausible_sharpe}; it must be above 0")


@dataclass(frozen=True, kw_only=True)
class SupportingEvidence:
    """What the gate is told beside the folds themselves; None for what was not measured.

    Attributes
    ----------
    looks : what the ledger counted; None where there is none (calibration studies).
    num_trials : that are deflated for, failed ones included: the effective number of `looks`.
    trial_sharpe_variance : variance across trials of the per-bar Sharpe ratio; None when fewer than two trials have
        one, in which case the variance under the hypothesis of no skill, 1 / (T - 1), stands in.
    seeds : seed -> (T,) returns of the same configuration trained with other seeds.
    other_jobs_seeds : the same, of seeds that other jobs trained, by the ledger.
    overfitting : CSCV's probability of loss over the study's trials (`statistics.overfitting.cscv`), padded with
        placebo strategies where there are few (`gate.search_evidence.padded_overfitting`). The probability of backtest
        overfitting as published is near one half for trials of equal skill, however good, so it cannot be a
        threshold; docs/evaluation.md has the calibration.
    overfitting_published : the probability as published, for the sentence only.
    leak_check : report of the leak check of the study's features, normaliser, market and env.
    placebo_rate : share of placebo markets on which the policy class, trained again, passed (`gate.placebo_markets`).
    num_placebos : on how many.
    charged : what the trades of each symbol were charged, beside the least that it must be.
    synthetic : the market is drawn from a law by `data.synthetic`, whose best policy may be as good as it likes.
    delay_losses : inputs whose delay by a bar takes more than half of the score (`evaluation.gate.plausibility`).
    known_after : column or feature -> when the user states that it is known.
    foreknown : inputs that rank a later return too well, not stated (`data.checks.foreknowledge`).
    stress_cost_factor : multiple of all costs of the stressed comparison; None where it is the gate's own.
    """

    looks: Looks | None = None
    num_trials: float = 1
    trial_sharpe_variance: float | None = None
    seeds: Mapping[int, FloatArray] | None = None
    other_jobs_seeds: Mapping[int, FloatArray] = field(default_factory=dict)
    overfitting: float | None = None
    overfitting_published: float | None = None
    leak_check: LeakReport | None = None
    placebo_rate: float | None = None
    num_placebos: int = 0
    charged: Sequence[ChargedCost] | None = None
    synthetic: bool = False
    delay_losses: Sequence[DelayLoss] | None = None
    known_after: Mapping[str, str] = field(default_factory=dict)
    foreknown: Sequence[Foreknown] = ()
    stress_cost_factor: float | None = None


@dataclass(frozen=True, kw_only=True)
class GateEvidence(SupportingEvidence):
    """What the gate looks at: the record of the folds, net of costs and out of sample, and what supports it.

    Attributes
    ----------
    net_return : (T,) per-bar returns of the folds' test windows, chained in time order.
    bar_utc : (T,) labels of those bars.
    periods_per_year : of the data's calendar.
    num_trades : closed trades.
    baselines : name -> (T,) returns on the same bars.
    stressed, stressed_baselines : the same with costs multiplied by `GateConfig.stress_cost_factor`.
    cost_factor : multiple of all costs at which `net_return` was earned; below 1 costs were left out.
    exposure : (T,) int8 what the policy had seen of each bar (`policies.origin`); None when it is not known.
    """

    net_return: FloatArray
    bar_utc: NDArray[np.datetime64]
    periods_per_year: float
    num_trades: int
    baselines: Mapping[str, FloatArray]
    stressed: FloatArray | None = None
    stressed_baselines: Mapping[str, FloatArray] | None = None
    cost_factor: float | None = None
    exposure: SeenLabels | None = None

    @classmethod
    def of(cls, result: WalkForwardResult, supporting: SupportingEvidence) -> GateEvidence:
        """The evidence of a study: the record that its folds hold, and what supports it.

        The oracle of a synthetic market is a reference and no baseline: it is left out.
        """
        rivals = [name for name in result.baseline_names if name != ORACLE]
        stressed = result.stressed_return()
        stressed_rivals = [n for n in rivals if all(n in fold.stressed_baselines for fold in result.folds)]
        return cls(
            net_return=result.net_return,
            bar_utc=result.panel.bar_utc[result.bar],
            periods_per_year=result.panel.periods_per_year,
            num_trades=sum(int(closed_mask(fold.recording).sum()) for fold in result.folds),
            baselines={name: result.baseline_return(name) for name in rivals},
            stressed=stressed,
            stressed_baselines=None
            if stressed is None
            else {name: result.stressed_baseline_return(name) for name in stressed_rivals},
            cost_factor=min(fold.cost_factor for fold in result.folds),
            exposure=result.exposure,
            **{field.name: getattr(supporting, field.name) for field in fields(SupportingEvidence)},
        )

    def __post_init__(self) -> None:
        series = {"net_return": self.net_return, **{f"baseline {k}": v for k, v in self.baselines.items()}}
        for name, values in series.items():
            if as_returns(values, name=name).size != len(self.bar_utc):
                raise ValueError(
                    f"{name} has {len(values)} returns for {len(self.bar_utc)} bars; give one per bar"
                )
        if self.exposure is not None and len(self.exposure) != len(self.bar_utc):
            raise ValueError(
                f"exposure has {len(self.exposure)} values for {len(self.bar_utc)} bars; give one per bar"
            )


def evidence_record(evidence: SupportingEvidence) -> dict[str, Any]:
    """The content of evidence.json: every field; of a series of returns its length and total return."""
    return {one.name: _recorded(getattr(evidence, one.name)) for one in fields(SupportingEvidence)}


def _recorded(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return {"num_bars": len(value), "total_return": total_return(value)}
    if isinstance(value, Mapping):
        return {str(key): _recorded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_recorded(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: _recorded(getattr(value, one.name)) for one in fields(value)}
    return value if value is None or isinstance(value, (str, int, float, np.generic)) else str(value)
