"""The client of Interactive Brokers' TWS and Gateway: whichever library is installed, and one connection of it.

`ib_insync` and its continuation `ib_async` have the same names; they must not be installed side by side. Both run on
the asyncio loop of the thread that connected, so a connection belongs to one thread and is used from synchronous
code: a script, a task of Ray or a synchronous actor, never from inside a coroutine.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import logging
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from data.vendors.definition import TemporarilyUnavailable, VendorError

LIBRARIES = ("ib_insync", "ib_async")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TwsAddress:
    """Where a TWS or Gateway listens.

    Parameters
    ----------
    host, port : 7497 and 7496 are TWS's ports for paper and live trading, 4002 and 4001 Gateway's.
    client_id : 0 to 999,999; each connection to one TWS needs its own.
    connect_timeout_s : how long the handshake may take, seconds.
    """

    host: str
    port: int
    client_id: int
    connect_timeout_s: float

    def __post_init__(self) -> None:
        if not self.host:
            raise ValueError(
                "host is empty; name the machine on which TWS or Gateway runs, such as 127.0.0.1"
            )
        if not 1 <= self.port <= 65_535:
            raise ValueError(f"port is {self.port}; expected 1 to 65535 (7497, 7496, 4002 or 4001 as a rule)")
        if not 0 <= self.client_id < 1_000_000:
            raise ValueError(f"client_id is {self.client_id}; expected 0 to 999999")
        if not self.connect_timeout_s > 0:
            raise ValueError(f"connect_timeout_s is {self.connect_timeout_s}; expected seconds > 0")

    def __str__(self) -> str:
        return f"{self.host}:{self.port} as client {self.client_id}"


def client_library() -> ModuleType:
    """Import the client that is installed.

    Raises
    ------
    VendorError
        If none is, or both are.
    """
    found = [name for name in LIBRARIES if importlib.util.find_spec(name) is not None]
    if len(found) != 1:
        state = "both ib_insync and ib_async are" if found else "neither ib_insync nor ib_async is"
        raise VendorError(
            f"{state} installed; have exactly one of them: pip install 'rayfold[ibkr]' brings ib_insync "
            "(they share a module, so uninstall both before you change)."
        )
    _give_thread_a_loop()
    return importlib.import_module(found[0])


def _give_thread_a_loop() -> None:
    """The library asks for its thread's loop, also while it is imported; threads other than the main one have none."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise RuntimeError(
            "TWS's client was called from a running event loop (an async actor, a coroutine, a notebook cell); "
            "call it from synchronous code, such as a plain Ray task."
        )
    try:
        loop = asyncio.get_event_loop_policy().get_event_loop()
    except RuntimeError:
        loop = None  # type: ignore[assignment]
    if loop is None or loop.is_closed():
        asyncio.set_event_loop(asyncio.new_event_loop())


class TwsConnection:
    """A connection for data alone: nothing of the account is asked for, so that none of it can reach a log.

    Attributes
    ----------
    ib : the library's `IB` object, connected.
    line_up : whether TWS has its line to IB. lines_lost : how often it has lost it. data_lost : how often what was
        subscribed ended with it.
    """

    def __init__(self, address: TwsAddress) -> None:
        self.line_up, self.lines_lost, self.data_lost = True, 0, 0
        self.address = address
        self._thread = threading.get_ident()
        self._notices: list[str] = []
        library = client_library()
        # Below errors its log names accounts.
        logging.getLogger(library.__name__).setLevel(logging.ERROR)
        self._run = library.util.run
        self.request_error: type[Exception] = library.wrapper.RequestError
        self.ib: Any = library.IB()
        self.ib.RaiseRequestErrors = True
        self.ib.errorEvent += self._on_error
        self._connect()

    def _on_error(self, _req_id: int, code: int, text: str, *_: Any) -> None:
        if code == 1100:
            self.line_up = False
            self.lines_lost += 1
        elif code in (1101, 1102):
            self.line_up = True
            self.data_lost += code == 1101
        if code in (326, 502, 504, 507, 1100):
            self._notices.append(f"{code}: {text}")

    def _connect(self) -> None:
        address = self.address
        self.ib.wrapper.clientId = address.client_id
        try:
            self.ib.client.connect(address.host, address.port, address.client_id, address.connect_timeout_s)
        except (OSError, TimeoutError) as error:
            self.close()
            said = f" It said {'; '.join(self._notices)}." if self._notices else ""
            raise TemporarilyUnavailable(
                f"TWS or Gateway at {address} did not accept the connection ({type(error).__name__}).{said} Is it "
                "running and logged in, are socket clients enabled under API > Settings, and is the client id free?"
            ) from error
        _log.info("connected to TWS at %s", address)

    def ask(self, request: Callable[[Any], Awaitable[Any]], timeout_s: float) -> Any:
        """Send a request and run the loop until it is answered.

        request : called with `ib`; returns what the client's asynchronous methods return.

        Raises
        ------
        TemporarilyUnavailable
            If it is not answered in time, or the connection breaks; this connection is closed then.
        Exception
            `request_error` where TWS answered with an error.
        """
        if threading.get_ident() != self._thread:
            raise RuntimeError("a connection to TWS was used from another thread than the one that opened it")
        try:
            return self._run(request(self.ib), timeout=timeout_s)
        except TimeoutError as error:
            self.close()
            raise TemporarilyUnavailable(
                f"TWS at {self.address} did not answer within {timeout_s:g} s; it may be without a line to IB."
            ) from error
        except (ConnectionError, asyncio.CancelledError) as error:
            self.close()
            raise TemporarilyUnavailable(f"The connection to TWS at {self.address} broke: {error}") from error

    @property
    def is_open(self) -> bool:
        """Whether requests can be sent."""
        return bool(self.ib.isConnected())

    def close(self) -> None:
        """Close the socket."""
        transport = self.ib.client.conn.transport
        # Where TWS has closed its side already, the library's polite end of the stream raises.
        with suppress(OSError):
            if self.ib.client.isConnected():
                self.ib.client.disconnect()
            return
        if transport is not None:
            transport.abort()
        self.ib.client.reset()
