"""One process beside the server that reads what is large: studies, returns, bars. Its answers are kept while they hold.

It is started once and stays warm, and started again when it dies; a question that fails is an error of that question
alone. A few questions are read side by side, so that a slow one does not keep a quick one waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import multiprocessing
import os
import signal
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any

from rayjobs.pages.memory import give_back, keep_little

LOG = logging.getLogger(__name__)
KEPT_BYTES = 48 << 20
"""Answers that are kept, together."""
SIDE_BY_SIDE = 3
ATTEMPTS = 2


class ReaderLost(RuntimeError):
    """The process ended while it was reading, as when memory ran out."""


class ReaderProcess:
    """Asks functions of modules that are slow to import, in a process of their own.

    Parameters
    ----------
    warm : called in the new process at once, so that the first question need not wait for imports; None for none.
    """

    def __init__(self, warm: Callable[[], None] | None = None) -> None:
        self._warm = warm
        self._process: multiprocessing.process.BaseProcess | None = None
        self._connection: Connection | None = None
        self._numbers = itertools.count()
        self._open: dict[int, asyncio.Future[bytes]] = {}
        self._kept: OrderedDict[Hashable, bytes] = OrderedDict()
        self._asked: dict[Hashable, asyncio.Task[bytes]] = {}

    def start(self) -> None:
        """Start the process; call it from the event loop."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self._process = context.Process(target=_read_on, args=(theirs, self._warm), daemon=True)
        self._process.start()
        theirs.close()
        self._connection = ours
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._take, args=(ours, loop), daemon=True).start()

    def close(self) -> None:
        """End it, whatever it is reading."""
        if self._process is not None:
            self._process.terminate()
            self._process.join(5.0)
        self._process = self._connection = None

    async def ask(self, key: Hashable, function: Callable[..., bytes], *arguments: Any) -> bytes:
        """The answer of a function of the top level of a module; the one that is kept, where there is one.

        Parameters
        ----------
        key : question and the state of the files that it is about; equal keys have equal answers.

        Raises
        ------
        ReaderLost
            If the process was lost twice over this question; what the function raises is raised here.
        """
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        if key not in self._asked:  # asked by two pages at once, it is read once
            self._asked[key] = asyncio.ensure_future(self._answer(function, *arguments))
            self._asked[key].add_done_callback(lambda _: self._asked.pop(key, None))
        answer = await asyncio.shield(self._asked[key])
        self._kept[key] = answer
        while len(self._kept) > 1 and sum(map(len, self._kept.values())) > KEPT_BYTES:
            self._kept.popitem(last=False)
        return answer

    async def _answer(self, function: Callable[..., bytes], *arguments: Any) -> bytes:
        for attempt in range(ATTEMPTS):
            if self._connection is None:
                self.start()
            assert self._connection is not None
            number, future = next(self._numbers), asyncio.get_running_loop().create_future()
            self._open[number] = future
            try:
                self._connection.send((number, function, arguments))
                return await future
            except (ReaderLost, OSError) as error:
                LOG.warning("the process that reads runs was lost; another one is started")
                self._connection = None
                if attempt + 1 == ATTEMPTS or not isinstance(error, (ReaderLost, BrokenPipeError)):
                    raise
            finally:
                self._open.pop(number, None)
        raise AssertionError("the last attempt returns or raises")

    def _take(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> None:
        """A thread: hands answers to those who wait for them until the process has ended."""
        with contextlib.suppress(EOFError, OSError):
            while True:
                loop.call_soon_threadsafe(self._settle, *connection.recv())
        with contextlib.suppress(RuntimeError):  # the loop has ended as well
            loop.call_soon_threadsafe(self._lose, connection)

    def _settle(self, number: int, answer: bytes | None, error: Exception | None) -> None:
        future = self._open.get(number)
        if future is None or future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(answer or b"")

    def _lose(self, connection: Connection) -> None:
        if self._connection is not connection:
            return
        self._connection = None
        for future in self._open.values():
            if not future.done():
                future.set_exception(
                    ReaderLost("the process that reads runs has ended; memory may have run out")
                )


def _read_on(connection: Connection, warm: Callable[[], None] | None) -> None:
    """The process: reads until the server has gone. Ctrl-C is for the server; one thread, as others may be training."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    os.nice(5)
    keep_little()
    sending = threading.Lock()

    def read(number: int, function: Callable[..., bytes], arguments: tuple[Any, ...]) -> None:
        answer: bytes | None = None
        error: Exception | None = None
        try:
            answer = function(*arguments)
        except Exception as raised:  # it is the question's, and told to whom asked
            error = raised
        with sending:
            try:
                connection.send((number, answer, error))
            except (
                OSError,
                ValueError,
                TypeError,
                AttributeError,
            ):  # one that cannot be sent, or nobody is there
                with contextlib.suppress(OSError):
                    connection.send((number, None, RuntimeError(f"{type(error).__name__}: {error}")))
        answer = None
        give_back()

    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool, contextlib.suppress(EOFError, OSError):
        if warm is not None:
            warm()
        while True:
            pool.submit(read, *connection.recv())
