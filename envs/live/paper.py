"""Venues: what a loop asks of one, and the paper venue, where the simulator fills what is working."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from envs.live.account import LiveAccount, VenueFill
from envs.live.growing_market import ClosedBar
from envs.live.paper_guard import PaperGuard


@dataclass(frozen=True, kw_only=True)
class BookedFill:
    """An execution as it stands in the account's books.

    Attributes
    ----------
    execution_id, revision : of the venue. asset : place on the asset axis. units : signed. price : per unit.
    commission : currency of the price; commission_known : False while 0 stands in its place.
    client_order_id : None where it belongs to no order of ours. filled_utc : when it happened at the venue.
    symbol : at the venue: the contract, where the asset is a series of them; empty in records that are older than this.
    """

    execution_id: str
    revision: int
    asset: int
    units: float
    price: float
    commission: float
    commission_known: bool
    client_order_id: str | None
    filled_utc: datetime
    symbol: str = ""


class Venue(Protocol):
    """Where what an account decided is filled.

    A bar goes: `send` at the close before it, `attend` while it runs, `settle` when it has closed and was appended to
    the market, then the account is closed.
    """

    def open(self) -> None:
        """Make ready, and book what was filled since the account was saved. Raises BrokerError."""

    def send(self, decided_utc: datetime, *, entries: bool) -> None:
        """Have what the account wants to trade traded.

        Parameters
        ----------
        decided_utc : close at which it was decided. entries : False lets orders reduce positions and nothing else.
        """

    def attend(self, timeout_s: float) -> None:
        """Let so much time pass, and take in what the venue reports; it may come back early where there is a report."""

    def settle(self, bar: ClosedBar) -> None:
        """Bring the fills of the bar that has just closed into the account."""

    def close(self) -> None:
        """End the session; nothing is cancelled."""

    def take_booked(self) -> list[BookedFill]:
        """What was booked of a broker's executions since this was last asked, for the record."""

    def take_moves(self) -> list[VenueFill] | None:
        """Every booking since this was last asked, those that take one back included; None where the simulator logs."""

    def restore_booked(self, booked: Iterable[BookedFill]) -> None:
        """Take over what the account's books held when its state was saved; before `open`."""

    def state(self) -> Mapping[str, Any]:
        """What is to be saved beside the account's state: words, numbers and mappings of them."""

    def restore_state(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` returned; before `open`."""


class PaperVenue:
    """Fills by the simulator's kernel: nothing leaves the process.

    guard : holds what is filled to the limits of a broker's account; None fills all that is decided.
    """

    def __init__(self, account: LiveAccount, guard: PaperGuard | None = None) -> None:
        self._account, self._guard = account, guard

    def open(self) -> None:
        """Nothing is to be opened."""

    def send(self, decided_utc: datetime, *, entries: bool) -> None:
        """The account's own targets are what works; they are filled as in a backtest, whenever they were decided."""
        if self._guard is not None:
            self._guard.review(decided_utc)

    def attend(self, timeout_s: float) -> None:
        """Nothing is reported; the time passes."""
        time.sleep(timeout_s)

    def settle(self, bar: ClosedBar) -> None:
        """Fill what works in the bar, as the simulator does."""
        self._account.simulate()

    def close(self) -> None:
        """Nothing is open."""

    def take_booked(self) -> list[BookedFill]:
        """The simulator books by itself."""
        return []

    def take_moves(self) -> list[VenueFill] | None:
        """The simulator logs by itself."""
        return None

    def restore_booked(self, booked: Iterable[BookedFill]) -> None:
        """The account's state holds all."""

    def state(self) -> Mapping[str, Any]:
        """Nothing: the simulator rolls by itself."""
        return {}

    def restore_state(self, state: Mapping[str, Any]) -> None:
        """Nothing is held here."""
