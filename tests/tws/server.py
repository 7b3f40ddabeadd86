"""The socket of the double: a TWS on loopback, in a thread of its own, that the real client connects to.

    with TwsDouble() as tws:
        ib.connect("127.0.0.1", tws.port, clientId=1)
        tws.do(lambda venue: venue.quote(SPY, 500.00, 500.02))

Nothing happens by itself: the venue's clock stands until a test moves it, and messages are answered in the order in
which they come. `tws.faults` says what goes wrong, `tws.log` keeps every message in and out.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from tws import reports
from tws.faults import Fault, FaultPlan, Message
from tws.session import Session
from tws.venue import Venue
from tws.wire import ANSWERS, REQUESTS, SERVER_VERSION, WireError, frame, split_frames

Result = TypeVar("Result")
TIMEOUT_S = 10.0


class TwsDouble:
    """A TWS that is scripted.

    Parameters
    ----------
    venue : what stands behind it; a fresh one when None.
    zone : of its login, which it writes into its greeting and reads times without a zone in.
    refused : answer of the handshake of a version too old, to see clients refuse it.
    """

    def __init__(self, venue: Venue | None = None, zone: str = "America/New_York") -> None:
        self.venue = venue or Venue()
        self.faults = FaultPlan()
        self.log: list[Message] = []
        self.problems: list[str] = []
        self.zone = zone
        self.port = 0
        self._server: asyncio.Server | None = None
        self._connections: list[_Connection] = []
        self._held: list[tuple[_Connection, bytes]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tws", daemon=True)

    def __enter__(self) -> TwsDouble:
        self._thread.start()
        self.come_up()
        return self

    def __exit__(self, *_: object) -> None:
        self.go_down()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(TIMEOUT_S)
        self._loop.close()

    # What tests do

    def do(self, action: Callable[[Venue], Result]) -> Result:
        """Do something with the venue, between two messages."""

        async def call() -> Result:
            return action(self.venue)

        return self._wait(call())

    def plan(self, *faults: Fault) -> None:
        """Let these go wrong, counted from now."""
        self.do(lambda _: self.faults.plan(*faults))

    def release(self) -> None:
        """Send what was held."""

        def send(_: Venue) -> None:
            held, self._held = self._held, []
            for connection, data in held:
                connection.write(data)

        self.do(send)

    def drop_clients(self) -> None:
        """Close every connection."""
        self.do(lambda _: [connection.close() for connection in list(self._connections)] and None)

    def go_down(self) -> None:
        """TWS ends: every connection is closed, new ones are refused. What the exchange knows lives on."""

        async def stop() -> None:
            if self._server is not None:
                self._server.close()
                self._server = None
            for connection in list(self._connections):
                connection.close()

        self._wait(stop())

    def come_up(self) -> None:
        """TWS is there (again), on the same port."""

        async def start() -> None:
            self._server = await self._loop.create_server(lambda: _Connection(self), "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

        self._wait(start())

    def restart(self) -> None:
        """Down and up at once."""
        self.go_down()
        self.come_up()

    def nightly_reset(self) -> None:
        """TWS says 1100, closes, and stays away until `come_up`; a new day has begun by then."""
        self.do(lambda venue: venue.lose_connectivity())
        self.go_down()

        def night(venue: Venue) -> None:
            venue.connected = True
            venue.new_day()

        self.do(night)

    def restore_connectivity(self, *, data_lost: bool, deliver: bool = True) -> None:
        """1101 or 1102; where data are lost, subscriptions end."""

        def restore(venue: Venue) -> None:
            if data_lost:
                for connection in self._connections:
                    if connection.session is not None:
                        connection.session.lose_subscriptions()
            venue.restore_connectivity(data_lost=data_lost, deliver=deliver)

        self.do(restore)

    def messages(self, name: str | None = None, direction: str | None = None) -> list[Message]:
        """Messages that passed, of this name and direction."""
        with_log = self.do(lambda _: list(self.log))
        return [m for m in with_log if name in (None, m.name) and direction in (None, m.direction)]

    # Inside

    def _wait(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(TIMEOUT_S)

    def note(self, direction: Any, client_id: int, name: str, fields: list[Any], fate: str) -> None:
        """Keep a message in the log."""
        self.log.append(
            Message(
                number=len(self.log),
                direction=direction,
                client_id=client_id,
                name=name,
                fields=tuple(str(field) for field in fields),
                fate=fate,
            )
        )

    def hold(self, connection: _Connection, data: bytes) -> None:
        """Keep a frame until `release`."""
        self._held.append((connection, data))


class _Connection(asyncio.Protocol):
    """One client's socket: the handshake, frames in and out, and the faults that befall them."""

    def __init__(self, tws: TwsDouble) -> None:
        self._tws = tws
        self._received = b""
        self._greeted = False
        self._transport: Any = None
        self.session: Session | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._tws._connections.append(self)

    def connection_lost(self, _: BaseException | None) -> None:
        self._forget()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._greeted:
            if not self._received.startswith(b"API\0"[: len(self._received)]):
                self._tws.problems.append(f"a client began with {self._received[:20]!r} in place of API")
                self.close()
                return
            if len(self._received) < 8:
                return
            self._received = self._received[4:]
        messages, self._received = split_frames(self._received)
        for fields in messages:
            if self._transport is None:
                return
            try:
                self._handle(fields)
            except (WireError, ValueError, KeyError) as error:
                self._tws.problems.append(f"{type(error).__name__}: {error}")
                self.close()

    def _handle(self, fields: list[str]) -> None:
        if not self._greeted:
            self._greeted = True
            self.send_raw("handshake", [SERVER_VERSION, f"20240603 10:00:00 {self._tws.zone}"])
            return
        name = REQUESTS.get(int(fields[0]), fields[0])
        client_id = self.session.client_id if self.session else -1
        fate = self._tws.faults.next("in", name)
        self._tws.note("in", client_id, name, fields, fate or "passed")
        if fate == "cut_before":
            self.close()
            return
        if fate == "drop":
            return
        if self.session is not None:
            self.session.handle(fields)
        elif name == "startApi":
            self._start(int(fields[2]))
        else:
            raise WireError(f"{name} came before startApi")
        if fate == "cut_after":
            self.close()

    def _start(self, client_id: int) -> None:
        if client_id in self._tws.venue.sessions:
            words = "Unable connect as the client id is already in use. Retry with a unique client id."
            self.send(reports.error(-1, 326, words))
            self.close()
            return
        self.session = Session(self._tws.venue, client_id, self.send, self._tws.zone)
        self._tws.venue.sessions[client_id] = self.session
        self.session.greet()

    def send(self, fields: reports.Fields) -> None:
        """Send one message, unless a fault befalls it."""
        self.send_raw(ANSWERS.get(int(str(fields[0])), str(fields[0])), list(fields))

    def send_raw(self, name: str, fields: list[Any]) -> None:
        """Send fields under a name for the log."""
        if self._transport is None:
            return
        data, fate = frame(fields), self._tws.faults.next("out", name)
        client_id = self.session.client_id if self.session else -1
        self._tws.note("out", client_id, name, fields, fate or "passed")
        if fate == "cut_before":
            self.close()
        elif fate == "cut_half":
            self.write(data[: len(data) // 2])
            self.close()
        elif fate == "hold":
            self._tws.hold(self, data)
        elif fate != "drop":
            self.write(data * 2 if fate == "duplicate" else data)
            if fate == "cut_after":
                self.close()

    def write(self, data: bytes) -> None:
        """Put bytes on the wire, if there is one."""
        if self._transport is not None:
            self._transport.write(data)

    def close(self) -> None:
        """Close the socket after what was written; nothing that comes later is read."""
        if self._transport is not None:
            self._transport.close()
            self._forget()

    def _forget(self) -> None:
        """The venue takes the client for gone at once."""
        self._transport = None
        if self in self._tws._connections:
            self._tws._connections.remove(self)
        if self.session is not None and self._tws.venue.sessions.get(self.session.client_id) is self.session:
            del self._tws.venue.sessions[self.session.client_id]
