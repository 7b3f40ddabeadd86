"""What the gate is told: the evidence of one study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.checks.followed_returns import FollowedReturns
from data.checks.foreknown import Foreknown
from envs.checks.leaks import LeakReport
from evaluation.gate.plausibility import DelayLoss
from evaluation.ledger.looks import Looks
from evaluation.scoring.charged_costs import ChargedCost
from evaluation.scoring.path_distribution import PathDistribution
from evaluation.scoring.short_dividends import ShortDividends
from evaluation.scoring.walk_forward import ORACLE, WalkForwardResult, closed_mask
from evaluation.statistics.metrics import as_returns, total_return
from policies.origin import SeenLabels

FloatArray = NDArray[np.float64]


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
    other_jobs_seeds : the same, of seeds that other jobs trained, by the ledger, on the bars in common.
    doubted_weights : why the weights may not be what the configuration gives, by the ledger
        (`evaluation.ledger.trained_weights`): an approval names it.
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
    untraded : symbols whose prices look like averages, not stated to be traded at (`data.checks.followed_returns`).
    stress_cost_factor : multiple of all costs of the stressed comparison; None where it is the gate's own.
    shown_spreads : symbol -> half spread that its bars show, bps, where its trades were charged less
        (`data.checks.bar_spread`): the stressed comparison charges it.
    short_dividends : what is not known of the dividends that shorts owe; None where they are known, or none was short.
    """

    looks: Looks | None = None
    num_trials: float = 1
    trial_sharpe_variance: float | None = None
    seeds: Mapping[int, FloatArray] | None = None
    other_jobs_seeds: Mapping[int, FloatArray] = field(default_factory=dict)
    doubted_weights: tuple[str, ...] = ()
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
    untraded: Sequence[FollowedReturns] = ()
    stress_cost_factor: float | None = None
    shown_spreads: Mapping[str, float] = field(default_factory=dict)
    short_dividends: ShortDividends | None = None


@dataclass(frozen=True, kw_only=True)
class GateEvidence(SupportingEvidence):
    """What the gate looks at: the record of the folds, net of costs and out of sample, and what supports it.

    Attributes
    ----------
    net_return : (T,) per-bar returns of the folds' test windows, chained in time order.
    bar_utc : (T,) labels of those bars.
    periods_per_year : of the data's calendar, in the years of the record.
    num_trades : closed trades.
    baselines : name -> (T,) returns on the same bars.
    stressed, stressed_baselines : the same with costs multiplied by `GateConfig.stress_cost_factor`.
    cost_factor : multiple of all costs at which `net_return` was earned; below 1 costs were left out.
    exposure : (T,) int8 what the policy had seen of each bar (`policies.origin`); None when it is not known.
    symbols : whose bars these are.
    unseen_symbols : the record of the same policies on symbols held out of training; None where there are none.
    paths : of combinatorial cross-validation, whose first path `net_return` is; None of a walk-forward record.
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
    paths: PathDistribution | None = None
    symbols: tuple[str, ...] = ()
    unseen_symbols: GateEvidence | None = None

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
            periods_per_year=result.periods_per_year,
            num_trades=sum(int(closed_mask(fold.recording).sum()) for fold in result.folds),
            baselines={name: result.baseline_return(name) for name in rivals},
            stressed=stressed,
            stressed_baselines=None
            if stressed is None
            else {name: result.stressed_baseline_return(name) for name in stressed_rivals},
            cost_factor=min(fold.cost_factor for fold in result.folds),
            exposure=result.exposure,
            paths=PathDistribution.of(result),
            symbols=result.panel.symbols,
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
