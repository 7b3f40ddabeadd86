"""Limits that stand between a policy's wish and an order: the same functions guard training and live trading.

All limits look at the close of bar t only. Exits that a limit forces are orders for the next open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from envs.validation import require_choice, require_non_negative, require_positive, require_range

PerSymbol = float | Mapping[str, float]
"""A limit of every symbol, or of those that it names."""
PER_SYMBOL = ("max_position_units", "max_position_notional", "max_entries_per_symbol")
"""Limits of `RiskConfig` that are `PerSymbol`."""


@dataclass(frozen=True, kw_only=True)
class RiskConfig:
    """Limits; None switches one off, as configurations do that are older than a limit.

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
    max_position_units : contracts, shares or coins that a new order may reach in one asset; a number for every symbol,
        or symbol -> number for those that have one.
    max_position_notional : |notional| in account currency that a new order may reach in one asset; as above.
    max_gross_notional : sum of |notional| in account currency that new orders may reach.
    max_daily_loss_amount, max_drawdown_amount : as `max_daily_loss` and `max_drawdown`, in account currency.
    max_entries_per_symbol : entries and flips a session in one asset; a number, or symbol -> number.
    max_sector_exposure : sum of |notional| over equity that new orders may reach in one sector (`Instrument.sector`).
    max_sector_net_exposure : the same of the signed sum.
    max_concentration : sum of squared weights, notional over equity, that new orders may reach (Herfindahl's index):
        fully invested, 0.1 is ten equal names.
    target_volatility : annual volatility of the portfolio, fraction of equity, down to which new targets are scaled:
        what they and the kept ones together would have had over the last `volatility_bars` bars, correlations included.
    volatility_bars : window of that volatility, bars up to the decision; symbols without them may only be reduced.
    unknown_borrow_haircut : share by which a short is cut whose borrow is unknown (`Instrument.hard_to_borrow` None).
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
    max_position_units: PerSymbol | None = None
    max_position_notional: PerSymbol | None = None
    max_gross_notional: float | None = None
    max_daily_loss_amount: float | None = None
    max_drawdown_amount: float | None = None
    max_entries_per_symbol: PerSymbol | None = None
    max_sector_exposure: float | None = None
    max_sector_net_exposure: float | None = None
    max_concentration: float | None = None
    target_volatility: float | None = None
    volatility_bars: int | None = None
    unknown_borrow_haircut: float = 0.0

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
        for name in (
            *("max_gross_notional", "max_daily_loss_amount", "max_drawdown_amount"),
            *("max_sector_exposure", "max_sector_net_exposure", "max_concentration", "target_volatility"),
        ):
            if getattr(self, name) is not None:
                require_positive("risk", name, getattr(self, name))
        for name in PER_SYMBOL:
            limit = getattr(self, name)
            for key, value in (limit if isinstance(limit, Mapping) else {"": limit}).items():
                if value is not None:
                    require_non_negative("risk", f"{name}.{key}".rstrip("."), value)
        if self.volatility_bars is not None:
            require_range("risk", "volatility_bars", self.volatility_bars, 2, 100_000)
        elif self.target_volatility is not None:
            raise ValueError(
                "risk.target_volatility is on but risk.volatility_bars is null; give it a window of bars, such as 60"
            )
        require_range("risk", "unknown_borrow_haircut", self.unknown_borrow_haircut, 0.0, 1.0)

    @property
    def caps_sectors(self) -> bool:
        """Whether a limit reads the sectors of the instruments."""
        return not (self.max_sector_exposure is None and self.max_sector_net_exposure is None)

    @property
    def limits_jointly(self) -> bool:
        """Whether a limit looks at several symbols together beside gross exposure and margin."""
        return self.caps_sectors or not (self.max_concentration is None and self.target_volatility is None)

    @property
    def named_symbols(self) -> dict[str, str]:
        """Symbol -> key of a limit that names it."""
        limits = {name: getattr(self, name) for name in PER_SYMBOL}
        return {s: f"risk.{n}" for n, limit in limits.items() if isinstance(limit, Mapping) for s in limit}

    def for_symbols(self, symbols: Sequence[str]) -> RiskConfig:
        """The same limits where only these symbols are traded: what is said of others is left out."""
        limits = {name: getattr(self, name) for name in PER_SYMBOL}
        own = {
            name: {symbol: value for symbol, value in limit.items() if symbol in symbols}
            for name, limit in limits.items()
            if isinstance(limit, Mapping)
        }
        return replace(self, **own)  # type: ignore[arg-type]


def by_symbol(limit: PerSymbol | None, symbols: Sequence[str]) -> NDArray[np.float64]:
    """(S,) the limit of each symbol, infinite where it has none."""
    if isinstance(limit, Mapping):
        return np.array([limit.get(symbol, np.inf) for symbol in symbols], dtype=np.float64)
    return np.full(len(symbols), np.inf if limit is None else float(limit))
