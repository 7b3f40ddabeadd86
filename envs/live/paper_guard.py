"""The guard's limits where the simulator fills: the same check of each order, and the same limits of the account.

What a broker's guard would refuse is not filled here either, so that what was tried on paper is what runs at a venue.
There is no process of its own, for there is no account that could be left alone: who stops the loop stops its fills.
A simulated account has no buying power, and `min_buying_power` is left out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from envs.live.account import LiveAccount
from envs.live.broker import Order, client_order_id
from envs.live.guard_check import OrderCheck, OrderRefused
from envs.live.guard_folder import GuardFolder
from envs.live.guard_limits import GuardLimits, account_breaches
from envs.live.guard_view import LoopView
from envs.live.orders import DUST, TrackedOrder

_log = logging.getLogger(__name__)
INTENT = "target"


class SimulatedHoldings:
    """What an account holds whose orders all fill in their bar; see `envs.live.guard_view.Holdings`."""

    def __init__(self, account: LiveAccount, symbols: Sequence[str]) -> None:
        self._account, self._symbols = account, tuple(symbols)

    def open(self) -> tuple[TrackedOrder, ...]:
        """No order is left open: what has not filled is decided anew."""
        return ()

    def units(self) -> dict[str, float]:
        """Signed units by symbol; flat ones are left out."""
        held = zip(self._symbols, self._account.units.tolist())
        return {symbol: units for symbol, units in held if abs(units) > DUST}


class PaperGuard:
    """Stands between what an account wants and what the simulator fills.

    Parameters
    ----------
    run : part of the orders' names. folder : holds a halt, through restarts.
    today : an instant of the account's day, aware; the day's loss is counted from its first equity.
    now : aware, UTC, of the bars.
    """

    def __init__(
        self,
        limits: GuardLimits,
        account: LiveAccount,
        symbols: Sequence[str],
        folder: GuardFolder,
        run: str,
        *,
        today: Callable[[], datetime],
        now: Callable[[], datetime],
    ) -> None:
        self._limits = replace(limits, min_buying_power=None)
        self._account, self._symbols, self._folder, self._run = account, tuple(symbols), folder, run
        holdings = SimulatedHoldings(account, symbols)
        self._view = LoopView(
            account, lambda: holdings, symbols, folder, zone="UTC", var_bars=limits.var_bars, now=today
        )
        self._check = OrderCheck(
            self._limits, self._view, folder, needs_guard=False, clock=lambda: now().timestamp()
        )

    def review(self, decided_utc: datetime) -> None:
        """Hold the account to its limits, and take back what would pass one; just after a decision."""
        flatten = self._watch()
        for a, units in enumerate(self._account.to_trade.tolist()):
            if flatten:
                self._account.retarget(a, 0.0)
            elif units != 0.0:
                self._let(a, units, decided_utc)

    def _let(self, a: int, units: float, decided_utc: datetime) -> None:
        name = client_order_id(self._run, decided_utc, self._symbols[a], INTENT)
        try:
            self._check.review([Order(client_order_id=name, symbol=self._symbols[a], units=units)])
        except OrderRefused as error:
            _log.error("%s was refused: %s", name, error)
            self._account.retarget(a, float(self._account.units[a]))

    def _watch(self) -> bool:
        """Whether the account has passed a limit that closes everything."""
        flatten = False
        for breach in account_breaches(self._view(), self._limits):
            if breach.unknown:
                continue
            reason = f"{breach.limit}: {breach.words}"
            if self._folder.halted() is None:
                _log.error("%s: %s", self._limits.on_breach, reason)
            self._folder.halt(reason)
            flatten = flatten or self._limits.on_breach == "flatten"
        return flatten
