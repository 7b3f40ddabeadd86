"""Questions of the pages, answered as JSON: what is quick here, what is large by the reader process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

from aiohttp import web

from rayjobs.pages import reading
from rayjobs.pages.catalogue import run_files
from rayjobs.pages.listing import NUMBERS, WORDS, BadQuestion, Question, listed
from rayjobs.pages.live_trading import trading_runs
from rayjobs.pages.notes import Note
from rayjobs.pages.request_parts import Handler, run_of, shared, whole_number
from rayjobs.pages.training_curves import training_curves

MAX_ROWS = 5000


async def _runs(request: web.Request) -> web.StreamResponse:
    dashboard, query = shared(request), request.query
    question = Question(
        filter=query.get("filter", ""),
        sort=query.get("sort", ""),
        columns=tuple(filter(None, query.get("columns", "").split(","))),
        limit=min(MAX_ROWS, max(1, whole_number(request, "limit", 200) or 200)),
    )

    def answer() -> dict[str, Any]:
        if "told" not in query:  # a page that was told of a change asks for what was seen then
            dashboard.catalogue.refresh()
        return listed(dashboard.catalogue, dashboard.notes, question)

    return web.json_response(await asyncio.to_thread(answer))


async def _keys(request: web.Request) -> web.StreamResponse:
    keys = await asyncio.to_thread(shared(request).catalogue.keys)
    return web.json_response({"settings": keys, "numbers": list(NUMBERS), "words": list(WORDS)})


async def _one_run(request: web.Request) -> web.StreamResponse:
    dashboard, entry = shared(request), run_of(request)
    settings = await asyncio.to_thread(dashboard.catalogue.settings, entry.name)
    note = dashboard.notes.all().get(entry.name, Note())
    verdict = reading.verdict_of(entry.path)
    return web.json_response(
        {
            **entry.row(),
            "error": entry.error,
            "resumed_by": entry.resumed_by,
            "headline": entry.headline,
            "criteria": verdict,
            "files": run_files(entry.path),
            "settings": settings,
            "tags": list(note.tags),
            "note": note.text,
        }
    )


async def _curves(request: web.Request) -> web.StreamResponse:
    return web.json_response(await asyncio.to_thread(training_curves, run_of(request).path))


async def _defaults(request: web.Request) -> web.StreamResponse:
    entry = run_of(request)
    root = "sweep" if entry.kind == "sweep" else "train"
    return await _read(request, ("defaults", root), reading.defaults_answer, root)


def _of_study(function: Callable[..., bytes]) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        path = run_of(request).path
        return await _read(request, (function.__name__, str(path), _stamp(path)), function, str(path))

    return answer


async def _study_equity(request: web.Request) -> web.StreamResponse:
    path = run_of(request).path
    numbers = [text for text in request.query.get("trials", "").split(",") if text]
    if not all(text.isdigit() for text in numbers) or len(numbers) > 20:
        raise BadQuestion("trials must be up to 20 numbers with commas between")
    trials = tuple(map(int, numbers))
    return await _read(request, ("equity", str(path), trials), reading.equity, str(path), trials)


async def _trial(request: web.Request) -> web.StreamResponse:
    path, number = run_of(request).path, whole_number(request, "trial")
    if number is None:
        raise BadQuestion("trial: name one by its number")
    return await _read(request, ("trial", str(path), number, _stamp(path)), reading.trial, str(path), number)


async def _comparison(request: web.Request) -> web.StreamResponse:
    dashboard = shared(request)
    names = tuple(dict.fromkeys(filter(None, request.query.get("ids", "").split(","))))
    if len(names) < 2:
        raise BadQuestion("choose at least two runs to compare")
    stamps = tuple(_stamp(dashboard.catalogue.find(name).path) for name in names)
    return await _read(
        request, ("compare", names, stamps), reading.comparison, str(dashboard.catalogue.root), names
    )


def _of_bars(function: Callable[..., bytes]) -> Handler:
    """Of a stretch of bars of one symbol."""

    async def answer(request: web.Request) -> web.StreamResponse:
        path, symbol = run_of(request).path, request.query.get("symbol", "")
        start, count = whole_number(request, "start"), whole_number(request, "count", 300)
        arguments = (str(path), _stamp(path), symbol, start, count)
        return await _read(request, (function.__name__, *arguments), function, *arguments)

    return answer


async def _trades(request: web.Request) -> web.StreamResponse:
    path = run_of(request).path
    arguments = (str(path), _stamp(path), request.query.get("order", "worst"), 50)
    return await _read(request, ("trades", *arguments), reading.trades, *arguments)


async def _bar(request: web.Request) -> web.StreamResponse:
    path = run_of(request).path
    arguments = (str(path), _stamp(path), request.query.get("symbol", ""), whole_number(request, "bar", 0))
    return await _read(request, ("bar", *arguments), reading.bar, *arguments)


async def _lake(request: web.Request) -> web.StreamResponse:
    place = shared(request).lake
    minute = int(time.time() // 60)  # a lake is looked at again after a minute
    return await _read(request, ("lake", place, minute), reading.lake, place)


async def _live(request: web.Request) -> web.StreamResponse:
    runs = await asyncio.to_thread(trading_runs, shared(request).catalogue)
    return web.json_response({"runs": runs, "utc": time.time()})


async def _read(
    request: web.Request, key: Hashable, function: Callable[..., bytes], *arguments: Any
) -> web.StreamResponse:
    answer = await shared(request).reader.ask(key, function, *arguments)
    response = web.Response(body=answer, content_type="application/json")
    response.enable_compression()
    return response


def _stamp(path: Path) -> int:
    """When a run's results, or its study's database, changed last."""
    names = ("study.db", "study.db-wal", "study.json", "status.json", "verdict.json", "backtest/summary.json")
    return max((file.stat().st_mtime_ns for name in names if (file := path / name).exists()), default=0)


ANSWERS: dict[str, Handler] = {
    "runs": _runs,
    "keys": _keys,
    "run": _one_run,
    "curves": _curves,
    "defaults": _defaults,
    "study": _of_study(reading.study),
    "deflation": _of_study(reading.deflation),
    "importance": _of_study(reading.importance),
    "equity": _study_equity,
    "trial": _trial,
    "compare": _comparison,
    "market": _of_bars(reading.market),
    "thoughts": _of_bars(reading.thoughts),
    "trades": _trades,
    "bar": _bar,
    "lake": _lake,
    "live": _live,
}
"""Name below ``/api/`` -> what answers it."""
