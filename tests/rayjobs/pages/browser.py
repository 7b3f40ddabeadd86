"""A headless Chromium for tests, over its own debugging protocol, so that no driver need be installed."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Page:
    """One tab; ``errors`` are exceptions of its scripts and what its console complained of."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._number, self.errors = socket, 0, []

    async def call(self, method: str, **arguments):
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": arguments})
        while True:
            told = json.loads((await self._socket.receive()).data)
            if told.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.errors.append(json.dumps(told["params"])[:500])
            if told.get("id") == self._number:
                return told["result"]

    async def run(self, script: str):
        """The value of an expression in the page."""
        found = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def until(self, script: str, seconds: float = 60.0):
        """Wait until an expression is true; returns its value."""
        for _ in range(int(seconds / 0.2)):
            value = await self.run(f"(found => found instanceof Node ? true : found)({script})")
            if value:
                return value
            await asyncio.sleep(0.2)
        raise AssertionError(f"never true: {script}; {self.errors}")

    async def open(self, address: str) -> None:
        await self.call("Page.navigate", url=address)
        await self.until("document.readyState === 'complete'")


@asynccontextmanager
async def browser_page():
    """A fresh browser with one tab."""
    folder = tempfile.mkdtemp(prefix="rayfold_browser")
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0",
               f"--user-data-dir={folder}", "about:blank"]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        told = Path(folder) / "DevToolsActivePort"
        for _ in range(300):
            if told.is_file() and "\n" in told.read_text():
                break
            await asyncio.sleep(0.1)
        port = told.read_text().split("\n")[0]
        async with aiohttp.ClientSession() as session:
            tab = await (await session.put(f"http://127.0.0.1:{port}/json/new?about:blank")).json()
            async with session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                page = Page(socket)
                for domain in ("Runtime", "Log", "Page"):
                    await page.call(f"{domain}.enable")
                yield page
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)
