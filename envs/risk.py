"""Limits that stand between a policy's wish and an order: the same functions guard training and live trading.

All limits look at the close of bar t only. Exits that a limit forces are orders for the next open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from envs.validation import require_choice, require_positive, require_range


@dataclass(frozen=True, kw_only=True)
class RiskConfig:
    """Limits; None switches one off.

    Attributes
    ----------
    max_gross_exposure : sum of |notional| over equity that new orders may reach.
    max_position_exposure : |notional| over equity that a new order may reach in one asset.
    margin : check initial margin at the decision and liquidate at maintenance margin inside the bar.
    max_daily_loss : loss since the session's start, fraction; flatten and halt until the next session.
    max_drawdown : loss from the episode's peak, fraction; flatten and halt for the rest of the episode.
    max_var : historical VaR of the portfolio's own net returns, fraction; above it orders may only reduce.
    var_bars, var_level : window (bars) and confidence level (0.95) of that VaR.
    max_entries_per_session : entries and flips a session, all assets together.
    min_holding_bars : a position younger than this keeps its units (forced exits override).
    no_trade_open_bars, no_trade_close_bars : first and last bars of a session in which orders may only reduce.
    flat_at_session_end : "never"; "last_open": flat at the open of the session's last bar; "last_close": at its close.
    ruin_equity : the episode is terminated when equity falls to this fraction of its initial value.
    """

    max_gross_exposure: float
    max_position_exposure: float | None
    margin: bool
    max_daily_loss: float | None
    max_drawdown: float | None
    max_var: float | None
    var_bars: int
    var_level: float
    max_entries_per_session: int | None
    min_holding_bars: int
    no_trade_open_bars: int
    no_trade_close_bars: int
    flat_at_session_end: Literal["never", "last_open", "last_close"]
    ruin_equity: float

    def __post_init__(self) -> None:
        require_positive("risk", "max_gross_exposure", self.max_gross_exposure)
        if self.max_position_exposure is not None:
            require_positive("risk", "max_position_exposure", self.max_position_exposure)
        for name in ("max_daily_loss", "max_drawdown", "max_var"):
            if getattr(self, name) is not None:
                require_range("risk", name, getattr(self, name), 0.0, 1.0, open_low=True)
        require_range("risk", "var_bars", self.var_bars, 2, 100_000)
        require_range("risk", "var_level", self.var_level, 0.5, 0.9999)
        if self.max_entries_per_session is not None:
            require_range("risk", "max_entries_per_session", self.max_entries_per_session, 0, 1e9)
        for name in ("min_holding_bars", "no_trade_open_bars", "no_trade_close_bars"):
            require_range("risk", name, getattr(self, name), 0, 1e9)
        require_choice(
            "risk", "flat_at_session_end", self.flat_at_session_end, ("never", "last_open", "last_close")
        )
        require_range("risk", "ruin_equity", self.ruin_equity, 0.0, 1.0)
