"""Brings an account flat over a broker's line: cancels what is open, closes what is held, and looks again until it is.

It believes only snapshots of the venue. An order of its own that was sent and is neither told of nor proven never to
have arrived is waited for, so that no position is closed twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from envs.live.broker import (
    TERMINAL,
    BrokerUnavailable,
    KnownOrder,
    Order,
    Report,
    Snapshot,
    client_order_id,
)
from envs.live.orders import DUST

_log = logging.getLogger(__name__)
CANCEL_WAIT_S = 0.4
"""How long cancels may take before what is held is closed all the same."""
TRACE_WAIT_S = 3.0
"""How long an own order may be without a trace, in whole snapshots, before it counts as never arrived."""


class GuardedBroker(Protocol):
    """What the guard needs of a broker: `envs.live.broker.Broker`, and three calls more."""

    def connect(self) -> None: ...
    def close(self) -> None: ...
    def reserve(self, order: Order) -> str: ...
    def submit(self, orders: Sequence[KnownOrder]) -> None: ...
    def poll(self, timeout_s: float) -> list[Report]: ...
    def snapshot(self, known: Sequence[KnownOrder]) -> Snapshot: ...

    def cancel_everything(self) -> None:
        """Ask for every open order of the account to be cancelled, whoever sent it."""

    def prices(self) -> Mapping[str, float]:
        """Last price by symbol of what is held."""

    def multipliers(self) -> Mapping[str, float]:
        """Account currency per unit and point, by symbol."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a flattening stands. held : units by symbol that are left. open_orders : that are left, in words."""

    held: Mapping[str, float]
    open_orders: tuple[str, ...]

    @property
    def flat(self) -> bool:
        return not self.held and not self.open_orders


@dataclass
class _Sent:
    known: KnownOrder
    lost_since: datetime | None = None


class Flattening:
    """One flattening, in as many rounds as it takes; a broken line or a new process begins the next round.

    Parameters
    ----------
    symbols : that are closed; positions of others are left alone.
    now : aware, UTC.
    """

    def __init__(self, broker: GuardedBroker, symbols: Sequence[str], now: Callable[[], datetime]) -> None:
        self._broker, self._symbols, self._now = broker, tuple(symbols), now
        self._sent: dict[str, _Sent] = {}
        self._rounds = 0
        self._cancelling_since: datetime | None = None

    def round(self) -> Progress:
        """Look, cancel, close; returns what was left when it looked.

        Raises
        ------
        BrokerUnavailable
            If the venue does not answer; call again.
        """
        self._rounds += 1
        snapshot = self._broker.snapshot([sent.known for sent in self._sent.values()])
        pending = self._pending(snapshot)
        held = {
            p.symbol: p.units for p in snapshot.positions if p.symbol in self._symbols and abs(p.units) > DUST
        }
        mine = tuple(
            f"{sent.known.order.client_order_id}"
            for sent in self._sent.values()
            if sent.known.order.symbol in pending
        )
        left = Progress(held=held, open_orders=(*snapshot.foreign_orders, *mine))
        if snapshot.foreign_orders:
            now = self._now()
            self._cancelling_since = self._cancelling_since or now
            self._broker.cancel_everything()
            if now - self._cancelling_since < timedelta(seconds=CANCEL_WAIT_S):
                return left
        for symbol, units in held.items():
            if symbol not in pending:
                self._close(symbol, units)
        return left

    def _close(self, symbol: str, units: float) -> None:
        now = self._now()
        name = client_order_id("guard", now, symbol, f"flat{self._rounds}")
        order = Order(client_order_id=name, symbol=symbol, units=-units)
        known = KnownOrder(
            order=order, venue_order_id=self._broker.reserve(order), permanent_id=None, sent_utc=now
        )
        self._sent = {n: s for n, s in self._sent.items() if s.known.order.symbol != symbol}
        self._sent[name] = _Sent(known=known)
        _log.warning("closing %s: %+g units", symbol, -units)
        self._broker.submit([known])

    def _pending(self, snapshot: Snapshot) -> set[str]:
        """Symbols of which an own order may still fill."""
        status = {r.client_order_id: r.status for r in (*snapshot.finished_orders, *snapshot.open_orders)}
        filled: dict[str, float] = {}
        latest = {fill.execution_id: fill for fill in snapshot.fills}
        for fill in latest.values():
            if fill.client_order_id is not None:
                filled[fill.client_order_id] = filled.get(fill.client_order_id, 0.0) + fill.units
        pending, now = set(), self._now()
        for name, sent in list(self._sent.items()):
            whole = abs(filled.get(name, 0.0)) >= abs(sent.known.order.units) * (1.0 - DUST)
            if whole or status.get(name) in TERMINAL or name in snapshot.never_arrived:
                del self._sent[name]
                continue
            if name not in status and name not in filled:
                sent.lost_since = sent.lost_since or now
                if now - sent.lost_since > timedelta(seconds=TRACE_WAIT_S):
                    _log.error("%s left no trace at the venue and is sent anew", name)
                    del self._sent[name]
                    continue
            else:
                sent.lost_since = None
            pending.add(sent.known.order.symbol)
        return pending


def flatten_until(
    flattening: Flattening, broker: GuardedBroker, deadline: Callable[[], bool], pause_s: float
) -> Progress | None:
    """Go on with a flattening until the account is flat or the time is up; None where the venue never answered."""
    progress = None
    while True:
        try:
            broker.connect()
            progress = flattening.round()
            if progress.flat:
                return progress
        except BrokerUnavailable as error:
            _log.warning("the venue cannot be reached: %s", error)
        if deadline():
            return progress
        broker.poll(pause_s)
