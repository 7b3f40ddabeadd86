"""What an account comes to for its guard: equity, positions, open orders, and the exposure and VaR that follow.

Exposures are notional over equity; notional is units x price x multiplier, account currency.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from envs.live.broker import Order


@dataclass(frozen=True, kw_only=True)
class AccountView:
    """An account at one moment, from whoever looks at it.

    Parameters
    ----------
    equity, day_equity, peak_equity : now, at the day's beginning, the highest of the run; account currency.
    units : signed, by symbol. prices : the last, by symbol; one that is missing is not known.
    multipliers : account currency per unit and point; 1.0 where none is named.
    open_units : symbol -> signed units of each open order that waits for no other.
    buying_power : account currency; None where the venue tells none.
    returns : symbol -> (N,) returns of its last bars, for VaR; one that is missing is not known.
    """

    equity: float
    day_equity: float
    peak_equity: float
    units: Mapping[str, float]
    prices: Mapping[str, float]
    multipliers: Mapping[str, float] = field(default_factory=dict)
    open_units: Mapping[str, Sequence[float]] = field(default_factory=dict)
    buying_power: float | None = None
    returns: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    def notional(self, symbol: str, units: float) -> float:
        """Signed, account currency; nan where the price is not known."""
        price = self.prices.get(symbol, math.nan)
        return units * price * self.multipliers.get(symbol, 1.0) if units else 0.0


Ends = Mapping[str, tuple[float, float]]
"""Symbol -> the least and the most, signed, that it can come to, whichever open orders fill."""


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """What positions can come to, over equity; nan where a price is not known."""

    ends: Ends

    @classmethod
    def of(cls, view: AccountView, units: Ends) -> Exposure:
        """Of some units under the prices of a view."""
        equity = view.equity if view.equity > 0.0 else math.nan
        return cls(
            ends={
                symbol: (view.notional(symbol, low) / equity, view.notional(symbol, high) / equity)
                for symbol, (low, high) in units.items()
            }
        )

    def position(self, symbol: str) -> float:
        """The largest of one symbol, unsigned."""
        low, high = self.ends.get(symbol, (0.0, 0.0))
        return math.nan if low != low or high != high else max(abs(low), abs(high))

    @property
    def gross(self) -> float:
        """The largest sum, unsigned."""
        return float(sum(self.position(symbol) for symbol in self.ends))

    @property
    def net(self) -> float:
        """The largest signed sum, unsigned."""
        low, high = (sum(ends[side] for ends in self.ends.values()) for side in (0, 1))
        return math.nan if low != low or high != high else float(max(abs(low), abs(high)))

    def var(self, returns: Mapping[str, NDArray[np.float64]], level: float) -> float:
        """The larger VaR of all that can be bought and of all that can be sold."""
        sides = ({symbol: ends[side] for symbol, ends in self.ends.items()} for side in (0, 1))
        values = [historical_var(exposure, returns, level) for exposure in sides]
        return math.nan if any(value != value for value in values) else max(values)


def unit_ends(view: AccountView, orders: Sequence[Order]) -> dict[str, tuple[float, float]]:
    """Units by symbol if of all open and new orders only the sales fill, and only the purchases."""
    open_units: dict[str, list[float]] = {symbol: list(units) for symbol, units in view.open_units.items()}
    for order in orders:
        open_units.setdefault(order.symbol, []).append(order.units)
    ends = {}
    for symbol in {*view.units, *open_units}:
        held, waiting = view.units.get(symbol, 0.0), open_units.get(symbol, [])
        ends[symbol] = (
            held + sum(units for units in waiting if units < 0.0),
            held + sum(units for units in waiting if units > 0.0),
        )
    return ends


def historical_var(
    exposure: Mapping[str, float], returns: Mapping[str, NDArray[np.float64]], level: float
) -> float:
    """Loss that a bar exceeds with probability 1 - level, fraction of equity, at least 0.

    Parameters
    ----------
    exposure : by symbol, signed, over equity.
    returns : symbol -> (N,) of the same bars, one length for all.

    Returns
    -------
    nan where a symbol that is held has no returns.
    """
    held = {symbol: value for symbol, value in exposure.items() if value != 0.0}
    if not held:
        return 0.0
    if any(symbol not in returns for symbol in held) or any(value != value for value in held.values()):
        return math.nan
    profit_N = sum(value * np.asarray(returns[symbol], np.float64) for symbol, value in held.items())
    # The empirical quantile at or below the level: never between two observed losses.
    return max(float(-np.quantile(profit_N, 1.0 - level, method="lower")), 0.0)
