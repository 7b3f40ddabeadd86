"""The real client in tests: one that does not throttle, an event loop of its own, and logs that must stay clean.

ib_insync only logs what it cannot decode, and goes on without it: a test must fail on that.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

LIBRARIES = ("ib_insync", "ib_async")


class _Faults(logging.Handler):
    """Keeps records of what a client could not decode, and of exceptions in its handlers.

    A reply that a broken line took, to a request whose time was up in the same moment, is neither: asyncio tells of it
    when the library's future is collected, for nobody waits for it any more.
    """

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        lost = record.exc_info is not None and isinstance(record.exc_info[1], ConnectionError)
        if lost and record.getMessage().startswith("Future exception was never retrieved"):
            return
        if record.exc_info or record.name.endswith((".Decoder", ".decoder")):
            self.found.append(f"{record.name}: {record.getMessage()} {record.exc_info or ''}")


@contextmanager
def clean_client_logs() -> Iterator[None]:
    """Fail where the client could not decode a message, or a handler of its events raised.

    Raises
    ------
    AssertionError
        With everything that was logged so.
    """
    handler = _Faults()
    loggers = [logging.getLogger(name) for name in (*LIBRARIES, "eventkit", "asyncio")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
    assert not handler.found, "\n".join(handler.found)


@contextmanager
def event_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop for the main thread: the client takes the one of its thread, and other tests may have closed that."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        yield loop
    finally:
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        asyncio.set_event_loop(asyncio.new_event_loop())


def until(ib: Any, condition: Callable[[], Any], timeout_s: float = 5.0) -> Any:
    """Let the client work until something is so, and return it.

    Raises
    ------
    AssertionError
        If it does not come about in time.
    """
    end = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < end, "the client waited in vain"
        # A blocking call raises where the socket closes meanwhile.
        with suppress(ConnectionError):
            ib.sleep(0.001)
    return value
