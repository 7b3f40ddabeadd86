"""Size rules: how many units an entry or a flip trades.

With equity W (never below zero), mark P, point value m, ATR a, per-bar volatility s and N periods per year:

    fixed_units          units
    fixed_fraction       fraction * W / (P m)
    atr_risk             risk_fraction * W / (a m), notional at most max_fraction * W
    volatility_target    target_volatility / (s sqrt(N)) * W / (P m), notional at most max_fraction * W
    fractional_kelly     kelly_fraction * clip(p - (1 - p) / b, 0, max_fraction) * W / (P m); p win rate, b average
                         win over average loss of closed trades; `fraction` until kelly_min_trades are closed
    equity_schedule      by W / initial equity: fraction * W / (P m), at most notional_cap in account currency
    stop_distance        risk_fraction * W / (d m), d the price to the nearer of the barriers' fixed and trailing stop,
                         notional at most max_fraction * W
    money_budget         money_budget / (P m)
    var_target           target_loss / V * W / (P m), V the loss of a bar in the tail of the symbol's past returns,
                         notional at most max_fraction * W
    cvar_target          the same with the mean of the tail

A `risk_budget` in account currency stands in the place of risk_fraction * W. No rule gives more than `max_units`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from envs.validation import require_choice, require_non_negative, require_positive, require_range

SIZE_RULES: tuple[str, ...] = (
    "fixed_units",
    "fixed_fraction",
    "atr_risk",
    "volatility_target",
    "fractional_kelly",
    "equity_schedule",
    "stop_distance",
    "money_budget",
    "var_target",
    "cvar_target",
)


@dataclass(frozen=True, kw_only=True)
class ScheduleStep:
    """One step of the equity schedule: from `equity_multiple` of initial equity on, trade `fraction`, capped."""

    equity_multiple: float
    fraction: float
    notional_cap: float

    def __post_init__(self) -> None:
        require_non_negative("sizing.schedule", "equity_multiple", self.equity_multiple)
        require_non_negative("sizing.schedule", "fraction", self.fraction)
        require_non_negative("sizing.schedule", "notional_cap", self.notional_cap)


@dataclass(frozen=True, kw_only=True)
class SizingConfig:
    """Which size rule is in force and its numbers; numbers of other rules are ignored.

    Attributes
    ----------
    rule : one of `SIZE_RULES`; not used by action scheme `weights`.
    units : contracts, shares or coins per entry.
    fraction : fraction of equity per entry.
    risk_fraction : fraction of equity lost if price moves one ATR.
    target_volatility : annualised volatility of one position, fraction of equity.
    kelly_fraction : 0.5 is half Kelly.
    kelly_min_trades : closed trades before the Kelly estimate is trusted.
    max_fraction : cap on notional over equity for atr_risk, volatility_target and fractional_kelly.
    schedule : steps by ascending equity multiple; below the first one the first step holds.
    risk_budget : atr_risk and stop_distance: account currency lost if price moves one ATR, or to the stop; None is
        `risk_fraction` of equity.
    money_budget : notional per entry, account currency.
    target_loss : loss of one position in a bar of its tail (`context.tail_level`), fraction of equity.
    max_units : most units of an entry by any rule; None for no cap.
    """

    rule: Literal[
        "fixed_units",
        "fixed_fraction",
        "atr_risk",
        "volatility_target",
        "fractional_kelly",
        "equity_schedule",
        "stop_distance",
        "money_budget",
        "var_target",
        "cvar_target",
    ]
    units: float
    fraction: float
    risk_fraction: float
    target_volatility: float
    kelly_fraction: float
    kelly_min_trades: int
    max_fraction: float
    schedule: tuple[ScheduleStep, ...]
    risk_budget: float | None = None
    money_budget: float | None = None
    max_units: float | None = None
    target_loss: float | None = None

    def __post_init__(self) -> None:
        require_choice("sizing", "rule", self.rule, SIZE_RULES)
        for name in ("units", "fraction", "risk_fraction", "target_volatility", "kelly_fraction"):
            require_non_negative("sizing", name, getattr(self, name))
        require_range("sizing", "kelly_min_trades", self.kelly_min_trades, 1, 1e9)
        require_positive("sizing", "max_fraction", self.max_fraction)
        for name in ("risk_budget", "money_budget", "max_units", "target_loss"):
            if getattr(self, name) is not None:
                require_positive("sizing", name, getattr(self, name))
        if self.rule == "money_budget" and self.money_budget is None:
            raise ValueError(
                "sizing.rule is 'money_budget' but sizing.money_budget is null; give it an amount in account currency"
            )
        if self.rule in ("var_target", "cvar_target") and self.target_loss is None:
            raise ValueError(
                f"sizing.rule is {self.rule!r} but sizing.target_loss is null; give it a fraction of equity, such as "
                "0.01"
            )
        multiples = [step.equity_multiple for step in self.schedule]
        if multiples != sorted(set(multiples)):
            raise ValueError(
                f"sizing.schedule has equity multiples {multiples}; they must be ascending and unique"
            )
        if self.rule == "equity_schedule" and not self.schedule:
            raise ValueError("sizing.rule is 'equity_schedule' but sizing.schedule is empty; give it steps")
