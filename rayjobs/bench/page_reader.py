"""Two open pages of the dashboard as a browser has them: what they ask at first, and again at each change.

A process of its own, which asks what `runs.js` and `run.js` ask and lets go of the answers. A browser's own work
(layout, charts) is left out: it is on the machine of whoever looks.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import aiohttp

STATIC = ("/style.css", "/static/uplot.min.js", "/static/common.js", "/static/measures.js")
DEBOUNCE_S = 0.3
"""From a change to the questions about it, as the pages have it."""
POLL_S = 0.05


class PageReader:
    """Opens and closes the pages when it is told to; a context manager.

    Parameters
    ----------
    address : of the dashboard. run : whose page is open beside the list of runs. cores : that its process may use.
    """

    def __init__(self, address: str, run: str, cores: set[int]) -> None:
        context = multiprocessing.get_context("spawn")
        self._open, self._answers = context.Event(), context.Value("i", 0)
        self._process = context.Process(
            target=_read, args=(address, run, cores, self._open, self._answers), daemon=True
        )

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.join(10.0)

    def open(self, opened: bool) -> None:
        """Open both pages, or close them."""
        if self._process.exitcode is not None:
            raise RuntimeError(f"the process that reads pages has ended with code {self._process.exitcode}")
        (self._open.set if opened else self._open.clear)()

    @property
    def answers(self) -> int:
        """Answers that the pages were sent so far."""
        return int(self._answers.value)


def _read(address: str, run: str, cores: set[int], opened: Any, answers: Any) -> None:
    os.sched_setaffinity(0, cores)
    asyncio.run(_read_in_turns(address, quote(run, safe=""), opened, answers))


async def _read_in_turns(address: str, run: str, opened: Any, answers: Any) -> None:
    async with aiohttp.ClientSession(address) as session:

        async def ask(path: str) -> None:
            async with session.get(path) as answer:
                answer.raise_for_status()
                await answer.read()
            answers.value += 1

        pages = {
            "/runs": (
                ["/static/runs.js", "/api/runs?limit=200", "/api/keys"],
                ["/api/runs?limit=200&told=1"],
            ),
            f"/run?id={run}": (
                ["/static/run.js", f"/api/run?id={run}", f"/api/curves?id={run}", f"/api/defaults?id={run}"],
                [f"/api/run?id={run}", f"/api/curves?id={run}"],
            ),
        }
        while True:
            while not opened.is_set():
                await asyncio.sleep(POLL_S)
            tasks = [
                asyncio.create_task(_page(session, ask, [page, *STATIC, *first], again))
                for page, (first, again) in pages.items()
            ]
            while opened.is_set():
                await asyncio.sleep(POLL_S)
                for task in tasks:
                    if task.done():
                        task.result()  # raises: a page that fails is no measurement
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _page(
    session: aiohttp.ClientSession, ask: Callable[[str], Awaitable[None]], first: list[str], again: list[str]
) -> None:
    """One page: what it asks when it is opened, then at each change."""
    for path in first:
        await ask(path)
    async for _ in _changes(session):
        await asyncio.sleep(DEBOUNCE_S)
        for path in again:
            await ask(path)


async def _changes(session: aiohttp.ClientSession) -> AsyncIterator[str]:
    """Lines of the server that name runs which have changed."""
    async with session.get("/events", timeout=aiohttp.ClientTimeout(total=None)) as events:
        async for line in events.content:
            if line.startswith(b"data: "):
                yield line.decode().removeprefix("data: ")
