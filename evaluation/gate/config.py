"""The group `gate`: thresholds, and which criteria decide."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class GateConfig:
    """Thresholds, and which criteria decide.

    Attributes
    ----------
    enforced : names of the criteria that must hold (keys of `criteria.CRITERIA`, which `verdict.refuse_unknown` asks
        for); the others are shown but do not decide.
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
    assumed_dividend_yield : a year, of the price, that shorts of stocks are charged in the stressed comparison where
        the data know no dividends; runs that are older than the key charged none.
    unseen_symbols : demand the same of symbols that were held out of training (``data.test_symbols``).
    min_lead_confidence : confidence, 0.5 to 1, that the Sharpe ratio is above that of every baseline; any lead at all
        (0.5) in configurations that are older than it.
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
    unseen_symbols: bool = False
    assumed_dividend_yield: float = 0.0
    min_lead_confidence: float = 0.5

    def __post_init__(self) -> None:
        object.__setattr__(self, "enforced", tuple(self.enforced))
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
        if not 0.5 <= self.min_lead_confidence < 1.0:
            raise ValueError(
                f"gate.min_lead_confidence is {self.min_lead_confidence}; it must be from 0.5 (any lead) to below 1"
            )
        if self.min_cost_bps is not None and not 0.0 <= self.min_cost_bps < 1e4:
            raise ValueError(
                f"gate.min_cost_bps is {self.min_cost_bps}; give basis points from 0, or null for each kind's own"
            )
        if not 0.0 <= self.assumed_dividend_yield < 1.0:
            raise ValueError(
                f"gate.assumed_dividend_yield is {self.assumed_dividend_yield}; give a fraction of the price a year, "
                "such as 0.02"
            )
        if not self.max_plausible_sharpe > 0.0:
            raise ValueError(f"gate.max_plausible_sharpe is {self.max_plausible_sharpe}; it must be above 0")
