"""Rolls at a venue: what is held of a contract is closed, and the same units of the next one are opened.

Two orders at the market, one after the other, so that never more is held than was: `roll_out` closes the old contract,
and when it is done `roll_in` opens in the next one what it closed. Each has a name of its own (run, bar, asset,
intent), so a process that decides again names the same two; which of them is due follows from what is held alone, so it
goes on wherever the last one was killed.

A leg that ends without having filled whole is sent again at the next close, under the name of that one, a number of
times; then trading stops. What waits in between is named in the log, and stands in the books as it is: units in the old
contract, or closed ones that earn nothing.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Literal

from envs.live.broker import BrokerError, BrokerUnavailable, Order, client_order_id
from envs.live.desk import OrderDesk
from envs.live.orders import TrackedOrder
from envs.live.roll_rules import RollRules
from envs.live.traded_contracts import TradedContracts

_log = logging.getLogger(__name__)
OUT, IN = "roll_out", "roll_in"
"""Last part of the names of the two orders."""
Progress = Literal["done", "under way", "stalled"]


def leg_of(name: str | None) -> str:
    """`OUT` or `IN` where the order of this name is a leg of a roll, else empty."""
    intent = "" if name is None else name.rpartition("/")[2].partition("-")[0]
    return intent if intent in (OUT, IN) else ""


class ContractRolls:
    """The rolls of one account.

    Parameters
    ----------
    run : part of the orders' names.

    Attributes
    ----------
    stalled : assets of which a leg waits for the next close.
    """

    def __init__(self, desk: OrderDesk, contracts: TradedContracts, run: str, rules: RollRules) -> None:
        self._desk, self._contracts, self._run, self._rules = desk, contracts, run, rules
        self._tried: dict[int, str] = {}
        self._failures: dict[int, int] = {}
        self._refused: dict[str, str] = {}
        self.stalled: set[int] = set()

    def legs(self, a: int) -> list[TrackedOrder]:
        """Legs of an asset that are not done."""
        return [
            tracked
            for tracked in self._desk.orders.open()
            if leg_of(tracked.order.client_order_id) and self._contracts.asset(tracked.order.symbol) == a
        ]

    def decide(self) -> None:
        """Settle at a close what is to be rolled, and whether what was begun before goes on.

        Raises
        ------
        BrokerError
            If a roll has failed too often, or leads into a contract that nobody knows.
        """
        self._contracts.decide()
        if self._desk.is_ready:
            for a in self._contracts.series:
                self._count_failure(a)
        self._refused.clear()
        self.stalled.clear()

    def begun(self, a: int, decided_utc: datetime) -> bool:
        """Whether a leg of an asset was sent at this close."""
        symbol = self._contracts.symbols[a]
        names = (client_order_id(self._run, decided_utc, symbol, intent) for intent in (OUT, IN))
        return any(name in self._desk.orders for name in names)

    def step(self, a: int, decided_utc: datetime) -> Progress:
        """Do what is next of the roll of an asset, once the desk is ready.

        Parameters
        ----------
        decided_utc : names the legs.

        Returns
        -------
        "stalled" where a leg waits for the next close.

        Raises
        ------
        BrokerError
            If the roll is late, and the rules stop there.
        """
        leaving, moving = self._contracts.leaving(a), self._contracts.moving(a)
        if self.legs(a):
            return "under way"
        if not (leaving or moving):
            return "done"
        intent, (contract, units) = (IN, (self._contracts.contract(a), -moving))
        if leaving:
            intent, (contract, units) = OUT, leaving[0]
        name = self._name(a, intent, contract, decided_utc)
        self._tried[a] = name
        if name in self._refused or name in self._desk.orders:  # it was sent at this close, and is done
            self.stalled.add(a)
            return "stalled"
        if leaving:
            self._judge_late(a, contract, units)
            if self._withdraw(contract):
                return "under way"
        self._send(a, Order(client_order_id=name, symbol=contract, units=-units))
        return "under way"

    # Inside

    def _send(self, a: int, order: Order) -> None:
        try:
            self._desk.submit([order])
        except BrokerUnavailable as error:
            _log.warning("%s was not sent: %s", order.client_order_id, error)
        except BrokerError as error:
            self._refused[order.client_order_id] = str(error)
            self.stalled.add(a)
            _log.error("%s was refused: %s", order.client_order_id, error)

    def _name(self, a: int, intent: str, contract: str, decided_utc: datetime) -> str:
        symbol = self._contracts.symbols[a]
        name = client_order_id(self._run, decided_utc, symbol, intent)
        known = name in self._desk.orders
        if known and self._desk.orders[name].order.symbol != contract:  # two months were missed at once
            month = contract.rpartition(":")[2]
            name = client_order_id(self._run, decided_utc, symbol, f"{intent}-{month}")
        return name

    def _withdraw(self, contract: str) -> bool:
        """Ask for what else is open in a contract to be cancelled; whether anything is."""
        others = [tracked for tracked in self._desk.orders.open() if tracked.order.symbol == contract]
        for tracked in others:
            if tracked.status != "cancelling":
                try:
                    self._desk.cancel(tracked.order.client_order_id)
                except BrokerUnavailable as error:
                    _log.warning("%s cannot be cancelled now: %s", tracked.order.client_order_id, error)
        return bool(others)

    def _unfinished(self, a: int) -> str:
        """What of a roll is left, in words; empty where nothing is."""
        words = [f"{units:g} are still in {contract}" for contract, units in self._contracts.leaving(a)]
        if self._contracts.moving(a):
            words.append(
                f"{self._contracts.moving(a):g} were closed and are not open in {self._contracts.contract(a)}"
            )
        return " and ".join(words)

    def _count_failure(self, a: int) -> None:
        tried = self._tried.pop(a, "")
        left, why = self._unfinished(a), self._refused.get(tried)
        if why is None and tried in self._desk.orders:
            leg = self._desk.orders[tried]
            why = leg.reason or leg.status if leg.is_done and leg.status != "filled" else None
        if not left:
            self._failures.pop(a, None)
        if not left or self.legs(a) or why is None:
            return
        self._failures[a] = self._failures.get(a, 0) + 1
        told = f"the roll of {self._contracts.symbols[a]} is not done: {left} ({tried}: {why})"
        if self._failures[a] >= self._rules.roll_attempts:
            raise BrokerError(
                f"{told}; it failed at {self._failures[a]} closes in a row: finish it at the venue, or mend what it "
                "lacks, and go on with resume=..."
            )
        _log.error("%s; it is tried again", told)

    def _judge_late(self, a: int, contract: str, units: float) -> None:
        """Whether a contract that the bars have left already is rolled now."""
        held = self._contracts.held(a)
        assert held is not None
        if contract == held.shown or held.is_ahead(contract) or self._was_begun(contract):
            return
        told = (
            f"{self._contracts.symbols[a]}: {units:g} are held in {contract}, which the bars have left for "
            f"{held.shown}"
        )
        if self._rules.late_roll == "stop":
            raise BrokerError(
                f"{told}; roll them at the venue, or set broker.late_roll=roll, and go on with resume=..."
            )
        _log.warning("%s; they are rolled now", told)

    def _was_begun(self, contract: str) -> bool:
        """Whether a roll out of a contract was sent before."""
        return any(
            tracked.order.symbol == contract and leg_of(tracked.order.client_order_id) == OUT
            for tracked in self._desk.orders.all()
        )
