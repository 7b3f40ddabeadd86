"""Tells open pages which runs have changed: the folders are looked at while somebody listens, by one task for all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from rayjobs.pages.catalogue import Catalogue

LEAST_SECONDS, MOST_SECONDS = 1.0, 10.0
SHARE = 50.0
"""Between two looks lies this many times what a look takes: two per cent of one core, however many runs there are."""
HEARTBEAT_SECONDS = 15.0


class Changes:
    """Changes of a catalogue for any number of listeners."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._listeners: set[asyncio.Queue[list[str]]] = set()
        self._task: asyncio.Task[None] | None = None

    async def listen(self) -> AsyncIterator[list[str]]:
        """Names of runs that changed, each time some did; an empty list as a sign of life. Never ends by itself."""
        queue: asyncio.Queue[list[str]] = asyncio.Queue()
        self._listeners.add(queue)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look())
        try:
            while True:
                try:
                    yield await asyncio.wait_for(queue.get(), HEARTBEAT_SECONDS)
                except TimeoutError:
                    yield []
        finally:
            self._listeners.discard(queue)

    async def close(self) -> None:
        """End the task that looks."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _look(self) -> None:
        while self._listeners:
            began = time.monotonic()
            changed = await asyncio.to_thread(self._catalogue.refresh)
            took = time.monotonic() - began
            if changed:
                for queue in self._listeners:
                    queue.put_nowait(changed)
            await asyncio.sleep(min(MOST_SECONDS, max(LEAST_SECONDS, SHARE * took)))
