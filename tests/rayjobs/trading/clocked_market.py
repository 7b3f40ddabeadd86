"""A market at the double of TWS that goes by this machine's clock: bars of five seconds, quotes, and their memory."""

from __future__ import annotations

import math
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tws.history import Bar
from tws.listings import Listing
from tws.server import TwsDouble
from tws.venue import Venue

SECONDS = 5
STEP_S = 0.05


@dataclass(frozen=True, kw_only=True)
class OpenListing(Listing):
    """A contract that trades at all times."""

    def trades_at(self, when: datetime, regular_hours: bool) -> bool:
        return True


def listed(symbol: str, number: int) -> OpenListing:
    """A stock under this name."""
    return OpenListing(
        con_id=900_000 + number,
        symbol=symbol,
        sec_type="STK",
        exchange="SMART",
        primary_exchange="ARCA",
        local_symbol=symbol,
        trading_class=symbol,
    )


def price(at_s: float, number: int) -> float:
    """What a contract is worth at an instant, in whole cents: two waves, so that decisions change."""
    wave = math.sin(at_s / 23.0 + number) + 0.4 * math.sin(at_s / 7.0 + 2.0 * number)
    return round(100.0 + 10.0 * number + wave, 2)


def bar_at(opened_s: int, number: int) -> Bar:
    """The bar of five seconds that opens at this second since 1970."""
    path = [price(opened_s + k, number) for k in range(SECONDS + 1)]
    return Bar(
        opened_utc=datetime.fromtimestamp(opened_s, UTC),
        open=path[0],
        high=max(path),
        low=min(path),
        close=path[-1],
        volume=1000.0 + 10.0 * (opened_s % 60),
        wap=round(sum(path) / len(path), 4),
        count=12,
    )


class ClockedMarket:
    """A TWS whose venue has the time of this machine, and contracts that trade by it.

    history_s : seconds of bars that are there from the beginning.
    """

    def __init__(self, symbols: tuple[str, ...] = ("SYN0", "SYN1"), history_s: int = 4000) -> None:
        now = datetime.now(UTC)
        self.listings = tuple(listed(symbol, number) for number, symbol in enumerate(symbols))
        self.tws = TwsDouble(Venue(start_utc=now))
        self.tws.venue.listings.extend(self.listings)
        first = int(now.timestamp()) // SECONDS * SECONDS - history_s
        self._bars = {one: [bar_at(first, n)] for n, one in enumerate(self.listings)}
        self._catch_up(self.tws.venue)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="market", daemon=True)

    def __enter__(self) -> ClockedMarket:
        self.tws.__enter__()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(10.0)
        self.tws.__exit__()

    def units(self) -> dict[str, float]:
        """What the account holds, flat ones left out."""

        def read(venue: Venue) -> dict[str, float]:
            held = {one.symbol: venue.account.units(one) for one in self.listings}
            return {symbol: units for symbol, units in held.items() if units}

        return self.tws.do(read)

    def executions(self) -> list[tuple[str, str, float]]:
        """(execution id without its revision, our name of the order, signed units) of every fill, in order."""
        return self.tws.do(
            lambda venue: [
                (fill.exec_id.rpartition(".")[0], fill.order.ref, fill.order.side * fill.shares)
                for fill in venue.book.executions
            ]
        )

    def order_names(self) -> list[str]:
        """References of every order that the venue ever had."""
        return self.tws.do(lambda venue: [order.ref for order in venue.book.orders.values()])

    def _go_on(self) -> None:
        while not self._ended.wait(STEP_S):
            with suppress(RuntimeError, TimeoutError):
                self.tws.do(self._catch_up)

    def _catch_up(self, venue: Venue) -> None:
        """Move the venue's clock to the present, and let what has closed meanwhile be known."""
        venue.clock.advance(max((datetime.now(UTC) - venue.clock.now).total_seconds(), 0.0))
        for number, one in enumerate(self.listings):
            bars, new = self._bars[one], False
            while bars[-1].opened_utc + timedelta(seconds=2 * SECONDS) <= venue.clock.now:
                bars.append(bar_at(int(bars[-1].opened_utc.timestamp()) + SECONDS, number))
                new = True
                if venue.connected:
                    venue.bar(one, bars[-1])
            if new or one.con_id not in venue.book.quotes:
                venue.history.put(one, SECONDS, bars)
                last = bars[-1].close
                venue.quote(one, round(last - 0.01, 2), round(last + 0.01, 2))


def wait_until(condition, timeout_s: float, why: str = "it did not come about in time"):
    """Return what a condition gives as soon as that counts as true."""
    end = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < end, why
        time.sleep(0.02)
    return value
