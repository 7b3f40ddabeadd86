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
    ) -> None:
        self._account, self._orders, self._symbols = account, orders, tuple(symbols)
        self._folder, self._var_bars, self._now = folder, var_bars, now
        self._marks = EquityMarks(zone, folder.read(LOOP_MARKS) or {})

    def __call__(self) -> AccountView:
        before = self._marks.state
        self._marks.take(self._account.equity, self._now())
        if self._marks.state != before:
            self._folder.write(LOOP_MARKS, self._marks.state)
        close_TA = self._closes()
        orders, seen = self._orders(), self._folder.read(GUARD_STATE) or {}
        open_units = _open_units(orders.open())
        held = orders.units()
        power = seen.get("buying_power")
        multiplier_A = self._account.env.instrument[:, c.MULTIPLIER]
        return AccountView(
            equity=self._account.equity,
            day_equity=self._marks.day_equity,
            peak_equity=self._marks.peak_equity,
            units={symbol: held[symbol] for symbol in self._symbols if symbol in held},
            prices={s: float(p) for s, p in zip(self._symbols, close_TA[-1]) if p > 0.0},
            multipliers=dict(zip(self._symbols, map(float, multiplier_A))),
            open_units=open_units,
            buying_power=None if power is None else float(power),
            returns=self._returns(close_TA),
        )

    def _closes(self) -> FloatArray:
        """(T, A) closes up to the last bar that the account knows."""
        bar, market = self._account.bar, self._account.env.market
        return np.asarray(market.mark[max(bar - self._var_bars, 0) : bar + 1], np.float64)

    def _returns(self, close_TA: FloatArray) -> dict[str, FloatArray]:
        """Returns of the symbols that have a price at each of these bars; one that has not is not known."""
        return {
            symbol: close_TA[1:, a] / close_TA[:-1, a] - 1.0
            for a, symbol in enumerate(self._symbols)
            if len(close_TA) > 1 and np.isfinite(close_TA[:, a]).all() and (close_TA[:, a] > 0.0).all()
        }


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
