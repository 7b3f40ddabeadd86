"""Trading costs: what each fill and each held bar is charged, part by part.

Formulas (q units signed, P reference price, m point value, all in account currency, all booked apart):

    commission  |q| / split * commission_per_unit + |q| * P * m * fee_bps * 1e-4      (taker; maker at a profit target)
    spread      |q| * m * (half_spread_ticks * tick_size / split + P * half_spread_bps * 1e-4)
    slippage    fixed_bps:   |q| * P * m * value * 1e-4
                fixed_ticks: |q| * m * value * tick_size / split
                volume:      |q| * P * m * value / sqrt(volume of the fill bar)
    impact      |q| * P * m * impact_coefficient * sigma_day * sqrt(|q| / ADV)         (square-root law)
                + |q| * P * m * linear_impact_bps * 1e-4 * |q| * P * m / 1,000         (linear)
    funding     q * mark * m * rate, at each funding instant crossed while the position is held
    borrow      max(-q, 0) * mark * m * borrow_rate * elapsed years, for shorts
    dividend    -q * D * m on the bar whose open is the first without it, D per unit of the price: below 0 where longs
                are paid, owed by shorts; a multiple of all costs leaves it as it is

Fills happen at the reference price (an open, a barrier, a close) and the costs are taken from cash, so that
equity change = price PnL - the sum of the seven parts, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from envs.validation import require_choice, require_non_negative, require_range

COST_NAMES: tuple[str, ...] = ("commission", "spread", "slippage", "impact", "funding", "borrow", "dividend")
SLIPPAGE_KINDS: tuple[str, ...] = ("none", "fixed_bps", "fixed_ticks", "volume")


@dataclass(frozen=True, kw_only=True)
class CostConfig:
    """How costs are modelled; what a venue charges stands in `Instrument`.

    Attributes
    ----------
    half_spread_bps, fee_bps : replace every instrument's own spread or fees; None keeps the instrument's.
        `half_spread_bps` also sets tick spreads to zero, `fee_bps` also sets per-unit commissions to zero.
    slippage : one of `SLIPPAGE_KINDS`.
    slippage_value : bps, ticks, or the coefficient of `coef / sqrt(volume)`, by `slippage`.
    impact_coefficient : multiplies sigma_day * sqrt(|q| / ADV); 0 switches impact off.
    linear_impact_bps : basis points of notional for each 1,000 of account currency that a fill trades; 0 for none.
    max_participation : largest share of the fill bar's volume that one fill at an open may take; None for no cap.
    remainder : "carry" keeps working what did not fit, "drop" cancels it.
    latency_bars : bars between the earliest possible fill (open t+1) and the fill; 0 fills at open t+1.
    borrow, funding : charge borrow fees for shorts, funding for perpetuals.
    delisting_recovery : share of the last price that is paid for what is held when a symbol ends or is delisted.
    """

    half_spread_bps: float | None
    fee_bps: float | None
    slippage: Literal["none", "fixed_bps", "fixed_ticks", "volume"]
    slippage_value: float
    impact_coefficient: float
    max_participation: float | None
    remainder: Literal["carry", "drop"]
    latency_bars: int
    borrow: bool
    funding: bool
    delisting_recovery: float
    linear_impact_bps: float = 0.0

    def __post_init__(self) -> None:
        for name in ("half_spread_bps", "fee_bps"):
            if getattr(self, name) is not None:
                require_non_negative("costs", name, getattr(self, name))
        require_choice("costs", "slippage", self.slippage, SLIPPAGE_KINDS)
        require_non_negative("costs", "slippage_value", self.slippage_value)
        require_non_negative("costs", "impact_coefficient", self.impact_coefficient)
        require_non_negative("costs", "linear_impact_bps", self.linear_impact_bps)
        if self.max_participation is not None:
            require_range("costs", "max_participation", self.max_participation, 0.0, 1.0, open_low=True)
        require_choice("costs", "remainder", self.remainder, ("carry", "drop"))
        require_range("costs", "latency_bars", self.latency_bars, 0, 64)
        require_range("costs", "delisting_recovery", self.delisting_recovery, 0.0, 1.0)
