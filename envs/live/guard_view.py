"""The account as its loop sees it, for the guard in the path of each order.

Equity, positions and prices are the loop's own; what only the venue knows (buying power) is what the guard's process
saw last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from envs.kernel import columns as c
from envs.live.account import LiveAccount
from envs.live.equity_marks import EquityMarks
from envs.live.guard_folder import GUARD_STATE, GuardFolder
from envs.live.guarded_account import AccountView
from envs.live.orders import TrackedOrder

FloatArray = NDArray[np.float64]

LOOP_MARKS = "loop.json"
"""File of the loop's own marks of equity."""


class Holdings(Protocol):
    """What the loop knows of an account at its venue: `envs.live.orders.Orders` is one."""

    def open(self) -> tuple[TrackedOrder, ...]:
        """Orders that are not done."""

    def units(self) -> Mapping[str, float]:
        """Signed units held, by symbol."""


class LoopView:
    """See `AccountView`; call it for the account now.

    Parameters
    ----------
    orders : of the desk, which replaces them once, so they are asked for each time.
    contracts : name at the venue -> asset, and what its price lies above that of the asset's bars; None where names are
        the symbols.
    zone : IANA zone in which a day begins. var_bars : of the returns.
    """

    def __init__(
        self,
        account: LiveAccount,
        orders: Callable[[], Holdings],
        symbols: Sequence[str],
        folder: GuardFolder,
        *,
        zone: str,
        var_bars: int,
        now: Callable[[], datetime],
        contracts: Callable[[], Mapping[str, tuple[int, float]]] | None = None,
    ) -> None:
        self._account, self._orders = account, orders
        plain = {symbol: (a, 0.0) for a, symbol in enumerate(symbols)}
        self._contracts = contracts or (lambda: plain)
        self._folder, self._var_bars, self._now = folder, var_bars, now
        self._marks = EquityMarks(zone, folder.read(LOOP_MARKS) or {})

    def __call__(self) -> AccountView:
        before = self._marks.state
        self._marks.take(self._account.equity, self._now())
        if self._marks.state != before:
            self._folder.write(LOOP_MARKS, self._marks.state)
        close_A, contracts = self._closes()[-1], self._contracts()
        orders, seen = self._orders(), self._folder.read(GUARD_STATE) or {}
        open_units = _open_units(orders.open())
        held = orders.units()
        power = seen.get("buying_power")
        multiplier_A = self._account.env.instrument[:, c.MULTIPLIER]
        return AccountView(
            equity=self._account.equity,
            day_equity=self._marks.day_equity,
            peak_equity=self._marks.peak_equity,
            units={name: held[name] for name in contracts if name in held},
            prices={
                name: float(close_A[a]) + offset
                for name, (a, offset) in contracts.items()
                if close_A[a] > 0.0 and close_A[a] + offset > 0.0
            },
            multipliers={name: float(multiplier_A[a]) for name, (a, _) in contracts.items()},
            open_units=open_units,
            buying_power=None if power is None else float(power),
            returns=self._returns(contracts),
        )

    def _closes(self) -> FloatArray:
        """(T, A) closes up to the last bar that the account knows."""
        bar, market = self._account.bar, self._account.env.market
        return np.asarray(market.mark[max(bar - self._var_bars, 0) : bar + 1], np.float64)

    def _returns(self, contracts: Mapping[str, tuple[int, float]]) -> dict[str, FloatArray]:
        """Returns by name of the assets that have a price at each of these bars; one that has not is not known.

        In the bar of a roll the close before counts as it would have been in the contract of the bar.
        """
        close_TA, known = self._closes(), {}
        if len(close_TA) < 2:
            return {}
        before_TA = close_TA[:-1] + self._steps(len(close_TA) - 1)
        for name, (a, _) in contracts.items():
            prices = np.append(before_TA[:, a], close_TA[-1, a])
            if np.isfinite(close_TA[:, a]).all() and (prices > 0.0).all() and (close_TA[:, a] > 0.0).all():
                known[name] = close_TA[1:, a] / before_TA[:, a] - 1.0
        return known

    def _steps(self, num_bars: int) -> FloatArray:
        """(num_bars, A) from the contract that was left in a bar to the one that began in it; 0 in all others."""
        bar, bars = self._account.bar, self._account.env.market.bars
        last = bars[bar + 1 - num_bars : bar + 1]
        if bars.shape[2] <= c.ROLL:
            return np.zeros(last.shape[:2])
        rolls = last[:, :, c.ROLL] != c.NO_ROLL
        return np.where(rolls, last[:, :, c.OPEN] - last[:, :, c.ROLL], 0.0)


def _open_units(orders: Sequence[TrackedOrder]) -> dict[str, list[float]]:
    """Signed units by symbol of orders that wait for no other; of a group, which cancel each other, the largest."""
    largest: dict[tuple[str, str], float] = {}
    for tracked in orders:
        order = tracked.order
        if order.entry is None:
            key = (order.symbol, order.group or f"alone {order.client_order_id}")
            largest[key] = max(largest.get(key, 0.0), tracked.open_units, key=abs)
    open_units: dict[str, list[float]] = {}
    for (symbol, _), units in largest.items():
        open_units.setdefault(symbol, []).append(units)
    return open_units
