"""The guard's own process: it watches account and loop over its own line to the broker, halts, and flattens.

It shares nothing with the loop but a folder (`envs.live.guard_folder`), so that a loop that hangs, is stopped or has
died is flattened all the same; where the venue is away it goes on until the venue answers.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from types import FrameType
from typing import Any

import numpy as np

from envs.live.broker import BrokerError, BrokerUnavailable, Snapshot
from envs.live.equity_marks import EquityMarks
from envs.live.flattening import Flattening, GuardedBroker
from envs.live.guard_folder import GUARD_BEAT, GUARD_STATE, LOOP_BEAT, MARKET, GuardFolder
from envs.live.guard_limits import GuardLimits, Reaction, account_breaches
from envs.live.guarded_account import AccountView

_log = logging.getLogger(__name__)
STEP_S = 0.05
"""Pause between two looks at the kill switch."""
RETRY_S = 0.25
"""Pause between two attempts to reach the venue."""
ROUND_S = 0.2
"""Pause between two rounds of flattening: TWS takes 45 messages a second, a round sends some six."""
Alert = Callable[[str, str], None]
"""Told of what happens: (subject, words)."""


class GuardWatch:
    """The guard of one account.

    Parameters
    ----------
    symbols : that are traded, and closed.
    zone : IANA zone in which a day begins at midnight.
    alert : told once of each thing that happens.
    clock : seconds, as `time.time`.
    """

    def __init__(
        self,
        broker: GuardedBroker,
        folder: GuardFolder,
        limits: GuardLimits,
        symbols: Sequence[str],
        *,
        zone: str,
        alert: Alert,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._broker, self._folder, self._limits = broker, folder, limits
        self._symbols = tuple(symbols)
        self._alert, self._clock = alert, clock
        self._flattening = Flattening(broker, symbols, self._now)
        self._begun = clock()
        self._next_look = self._next_try = 0.0
        self._asked = ""
        self._told: set[str] = set()
        state = folder.read(GUARD_STATE) or {}
        self._marks = EquityMarks(zone, state)
        self._state: dict[str, Any] = {"pid": os.getpid(), "reached": False, "flat": state.get("flat")}

    def run(self, stopped: Callable[[], bool]) -> None:
        """Watch until told to stop."""
        while not stopped():
            self.step()
            self._broker.poll(STEP_S)

    def throw(self, reason: str) -> None:
        """Throw the kill switch with the next step; safe in a handler of signals."""
        self._asked = self._asked or reason

    def step(self) -> None:
        """One look at the folder, and where it is time at the account."""
        self._folder.beat(GUARD_BEAT)
        if self._asked:
            self._folder.kill(self._asked)
            self._asked = ""
        killed = self._folder.killed()
        if killed is not None:
            self._tell("kill", f"the kill switch is thrown: {killed}")
            self._flatten()
            return
        self._flattening = Flattening(self._broker, self._symbols, self._now)
        self._state["flat"] = None
        self._told.discard("kill")
        self._listen()
        if self._clock() >= self._next_look:
            self._next_look = self._clock() + self._limits.watch_s
            self._look()

    # Inside

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)

    def _flatten(self) -> None:
        if self._clock() < self._next_try:
            return
        try:
            self._broker.connect()
            progress = self._flattening.round()
        except BrokerUnavailable as error:
            self._next_try = self._clock() + RETRY_S
            self._unreached(str(error))
            return
        except BrokerError as error:
            self._next_try = self._clock() + RETRY_S
            self._tell(f"refused {error}", f"the venue refuses to flatten: {error}")
            return
        self._reached()
        if progress.flat and self._state["flat"] is not True:
            self._tell(f"flat {self._clock()}", "the account is flat")
        if not progress.flat:
            self._next_try = self._clock() + ROUND_S
        else:
            self._next_try = self._clock() + self._limits.watch_s
        self._write(flat=progress.flat, held=dict(progress.held), open_orders=list(progress.open_orders))

    def _listen(self) -> None:
        now = self._clock()
        age = self._folder.age_s(LOOP_BEAT, now)
        silent = now - self._begun if age is None else min(age, now - self._begun)
        if silent > self._limits.silence_s:
            self._react(self._limits.on_silence, f"the loop has shown no sign of life for {silent:.0f} s")

    def _look(self) -> None:
        try:
            self._broker.connect()
            snapshot = self._broker.snapshot([])
            view = self._view(snapshot)
        except BrokerUnavailable as error:
            self._unreached(str(error))
            return
        except BrokerError as error:
            self._react("halt", f"the account cannot be watched: {error}")
            return
        self._reached()
        for breach in account_breaches(view, self._limits):
            if breach.unknown:
                if self._clock() - self._begun > self._limits.silence_s:
                    self._react("halt", f"{breach.limit}: {breach.words}")
                continue
            self._react(self._limits.on_breach, f"{breach.limit}: {breach.words}")
        strange = [p.symbol for p in snapshot.positions if p.symbol not in self._symbols]
        self._write(
            equity=view.equity, buying_power=view.buying_power, held=dict(view.units), not_ours=strange
        )

    def _view(self, snapshot: Snapshot) -> AccountView:
        equity = snapshot.account_values.get("NetLiquidation")
        if equity is None:
            raise BrokerError("the venue tells no NetLiquidation")
        self._marks.take(equity, self._now())
        told = self._folder.read(MARKET) or {}
        returns = {
            symbol: np.asarray(values, np.float64) for symbol, values in told.get("returns", {}).items()
        }
        return AccountView(
            equity=equity,
            day_equity=self._marks.day_equity,
            peak_equity=self._marks.peak_equity,
            units={p.symbol: p.units for p in snapshot.positions if p.symbol in self._symbols},
            prices={**told.get("prices", {}), **self._broker.prices()},
            multipliers=self._broker.multipliers(),
            buying_power=snapshot.account_values.get("BuyingPower"),
            returns=returns,
        )

    def _react(self, reaction: Reaction, reason: str) -> None:
        self._tell(reason.partition(":")[0], f"{reaction}: {reason}")
        if reaction == "flatten":
            self._folder.kill(reason)
        else:
            self._folder.halt(reason)

    def _unreached(self, reason: str) -> None:
        self._tell("unreached", f"the venue cannot be reached: {reason}")
        self._state["reached"] = False
        self._write()

    def _reached(self) -> None:
        if "unreached" in self._told:
            self._told.discard("unreached")
            self._alert("reached", "the venue answers again")
        self._state["reached"] = True

    def _tell(self, what: str, words: str) -> None:
        if what not in self._told:
            self._told.add(what)
            _log.warning("%s", words)
            self._alert(what.partition(" ")[0], words)

    def _write(self, **seen: Any) -> None:
        self._state |= {"seen_utc": self._now().isoformat(), **self._marks.state, **seen}
        self._folder.write(GUARD_STATE, self._state)


def listen_for_signals(watch: GuardWatch) -> Callable[[], bool]:
    """SIGUSR1 throws the kill switch, SIGTERM and SIGINT end the guard; returns whether it was told to end."""
    ended: list[int] = []

    def kill(number: int, frame: FrameType | None) -> None:
        watch.throw("signal SIGUSR1")

    def end(number: int, frame: FrameType | None) -> None:
        ended.append(number)

    signal.signal(signal.SIGUSR1, kill)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    return lambda: bool(ended)
