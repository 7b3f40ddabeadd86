"""The dashboard's server: pages, answers as JSON, changes as server-sent events, what takes the token."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jinja2
from aiohttp import web

from data.errors import DataError, one_line
from rayjobs.config.typed_config import ConfigError
from rayjobs.pages import actions, reading
from rayjobs.pages.catalogue import Catalogue, RunEntry, run_files
from rayjobs.pages.events import Changes
from rayjobs.pages.guard import REPORT_POLICY, TOKEN_HEADER, Guard
from rayjobs.pages.listing import NUMBERS, WORDS, BadQuestion, Question, listed
from rayjobs.pages.live_trading import kill, trading_runs
from rayjobs.pages.notes import Note, Notes
from rayjobs.pages.reader_process import ReaderLost, ReaderProcess
from rayjobs.pages.training_curves import training_curves
from rayjobs.storage.run_directory import original

LOG = logging.getLogger(__name__)
HERE = Path(__file__).parent
PAGES = ("runs", "run", "study", "market", "compare", "data", "live")
MAX_ROWS, MAX_BODY = 5000, 64 << 10
TYPES = {".html": "text/html", ".csv": "text/csv", ".json": "application/json"}


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """What the handlers share.

    Parameters
    ----------
    catalogue, notes : of the runs below one root. lake : place of the lake whose inventory the data page shows.
    reader : process for what is large. changes : tells open pages what has changed. guard : who may ask for what.
    """

    catalogue: Catalogue
    notes: Notes
    lake: str
    reader: ReaderProcess
    changes: Changes
    guard: Guard


DASHBOARD = web.AppKey("dashboard", Dashboard)
TEMPLATES = web.AppKey("templates", jinja2.Environment)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_application(root: Path, guard: Guard, *, lake: str = "lake", warm: bool = True) -> web.Application:
    """The application for the runs below a root.

    Parameters
    ----------
    lake : a lake's folder or URI. warm : start the reader process at once, and not with the first question.
    """
    catalogue = Catalogue(root)
    application = web.Application(middlewares=[guard.middleware(), _sentences], client_max_size=MAX_BODY)
    application[DASHBOARD] = Dashboard(
        catalogue=catalogue,
        notes=Notes(catalogue.root),
        lake=lake,
        reader=ReaderProcess(reading.warm if warm else None),
        changes=Changes(catalogue),
        guard=guard,
    )
    application[TEMPLATES] = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    application.cleanup_ctx.append(_around(warm))
    application.add_routes(
        [
            web.get("/", _home),
            *(web.get(f"/{page}", _page) for page in PAGES),
            web.get("/style.css", _style),
            web.static("/static", HERE / "static", follow_symlinks=False),
            web.get("/file", _file),
            web.get("/events", _events),
            web.get("/metrics", _metrics),
            *(web.get(f"/api/{name}", answer) for name, answer in ANSWERS.items()),
            *(web.post(f"/api/{name}", change) for name, change in CHANGES.items()),
        ]
    )
    return application


def _around(warm: bool) -> Callable[[web.Application], AsyncIterator[None]]:
    async def around(application: web.Application) -> AsyncIterator[None]:
        shared = application[DASHBOARD]
        await asyncio.to_thread(shared.catalogue.refresh)
        stopped = threading.Event()
        reading_settings = asyncio.create_task(asyncio.to_thread(shared.catalogue.read_settings, stopped))
        if warm:
            shared.reader.start()
        yield
        stopped.set()
        await reading_settings
        await shared.changes.close()
        shared.reader.close()

    return around


@web.middleware
async def _sentences(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What a user can cause is one sentence and a code of the 400s."""
    try:
        return await handler(request)
    except KeyError as error:
        return web.json_response({"error": f"there is no run {error.args[0]!r} here"}, status=404)
    except (ConfigError, DataError, BadQuestion, ValueError) as error:
        return web.json_response({"error": one_line(original(error))}, status=400)
    except ReaderLost as error:
        return web.json_response({"error": str(error)}, status=503)
    except OSError as error:
        LOG.warning("%s", error)
        return web.json_response({"error": f"a file cannot be read: {error.strerror}"}, status=500)


def _shared(request: web.Request) -> Dashboard:
    return request.app[DASHBOARD]


def _run(request: web.Request, key: str = "id") -> RunEntry:
    return _shared(request).catalogue.find(request.query.get(key, ""))


def _whole(request: web.Request, key: str, default: int | None = None) -> int | None:
    text = request.query.get(key, "")
    if not text:
        return default
    try:
        return int(text)
    except ValueError:
        raise BadQuestion(f"{key} is {text!r}; it must be a whole number") from None


async def _home(request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("/runs")


async def _page(request: web.Request) -> web.StreamResponse:
    name = request.path.strip("/")
    template = request.app[TEMPLATES].get_template(f"{name}.html.j2")
    run = request.query.get("id", "")
    facts: dict[str, Any] = {"page": name, "run": run, "root": str(_shared(request).catalogue.root)}
    if run:
        await asyncio.to_thread(_shared(request).catalogue.refresh)
        facts["kind"] = _run(request).kind
    return web.Response(text=template.render({"kind": "", **facts}), content_type="text/html")


async def _style(request: web.Request) -> web.StreamResponse:
    """The style sheet of all pages that Rayfold writes, and what the dashboard has beside it."""
    report = HERE.parents[1] / "evaluation" / "report" / "report.css"
    text = report.read_text(encoding="utf-8") + (HERE / "static" / "dashboard.css").read_text(
        encoding="utf-8"
    )
    return web.Response(text=text, content_type="text/css")


async def _file(request: web.Request) -> web.StreamResponse:
    """A report or a table of a run: of a short list of names, so that no path can be asked for."""
    entry, name = _run(request), request.query.get("name", "")
    path = entry.path / name
    root = _shared(request).catalogue.root
    if name not in run_files(entry.path) or not path.resolve().is_relative_to(root):
        raise web.HTTPNotFound(text="The run has no such page or table.")
    kind = TYPES[path.suffix]
    headers = {"Content-Type": f"{kind}; charset=utf-8", "Content-Security-Policy": REPORT_POLICY}
    return web.Response(body=await asyncio.to_thread(path.read_bytes), headers=headers)


async def _metrics(request: web.Request) -> web.StreamResponse:
    """For Prometheus; the library is imported when it first asks."""
    from rayjobs.pages.metrics import CONTENT_TYPE, metrics_page

    page = await asyncio.to_thread(metrics_page, _shared(request).catalogue)
    return web.Response(body=page, headers={"Content-Type": CONTENT_TYPE})


async def _events(request: web.Request) -> web.StreamResponse:
    """Names of runs that have changed, as they change; a line at least every fifteen seconds."""
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
    await response.prepare(request)
    await response.write(b"retry: 2000\n\n")
    async for changed in _shared(request).changes.listen():
        line = f"data: {json.dumps(changed)}\n\n" if changed else ": still here\n\n"
        try:
            await response.write(line.encode())
        except ConnectionError:
            break
    return response


# Answers


async def _runs(request: web.Request) -> web.StreamResponse:
    shared, query = _shared(request), request.query
    question = Question(
        filter=query.get("filter", ""),
        sort=query.get("sort", ""),
        columns=tuple(filter(None, query.get("columns", "").split(","))),
        limit=min(MAX_ROWS, max(1, _whole(request, "limit", 200) or 200)),
    )

    def answer() -> dict[str, Any]:
        shared.catalogue.refresh()
        return listed(shared.catalogue, shared.notes, question)

    return web.json_response(await asyncio.to_thread(answer))


async def _keys(request: web.Request) -> web.StreamResponse:
    keys = await asyncio.to_thread(_shared(request).catalogue.keys)
    return web.json_response({"settings": keys, "numbers": list(NUMBERS), "words": list(WORDS)})


async def _one_run(request: web.Request) -> web.StreamResponse:
    shared, entry = _shared(request), _run(request)
    settings = await asyncio.to_thread(shared.catalogue.settings, entry.name)
    note = shared.notes.all().get(entry.name, Note())
    verdict = reading.verdict_of(entry.path)
    return web.json_response(
        {
            **entry.row(),
            "error": entry.error,
            "headline": entry.headline,
            "criteria": verdict,
            "files": run_files(entry.path),
            "settings": settings,
            "tags": list(note.tags),
            "note": note.text,
        }
    )


async def _curves(request: web.Request) -> web.StreamResponse:
    return web.json_response(await asyncio.to_thread(training_curves, _run(request).path))


async def _defaults(request: web.Request) -> web.StreamResponse:
    entry = _run(request)
    root = "sweep" if entry.kind == "sweep" else "train"
    return await _read(request, ("defaults", root), reading.defaults_answer, root)


def _of_study(function: Callable[..., bytes]) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        path = _run(request).path
        return await _read(request, (function.__name__, str(path), _stamp(path)), function, str(path))

    return answer


async def _study_equity(request: web.Request) -> web.StreamResponse:
    path = _run(request).path
    numbers = [text for text in request.query.get("trials", "").split(",") if text]
    if not all(text.isdigit() for text in numbers) or len(numbers) > 20:
        raise BadQuestion("trials must be up to 20 numbers with commas between")
    trials = tuple(map(int, numbers))
    return await _read(request, ("equity", str(path), trials), reading.equity, str(path), trials)


async def _trial(request: web.Request) -> web.StreamResponse:
    path, number = _run(request).path, _whole(request, "trial")
    if number is None:
        raise BadQuestion("trial: name one by its number")
    return await _read(request, ("trial", str(path), number, _stamp(path)), reading.trial, str(path), number)


async def _comparison(request: web.Request) -> web.StreamResponse:
    shared = _shared(request)
    names = tuple(dict.fromkeys(filter(None, request.query.get("ids", "").split(","))))
    if len(names) < 2:
        raise BadQuestion("choose at least two runs to compare")
    stamps = tuple(_stamp(shared.catalogue.find(name).path) for name in names)
    return await _read(
        request, ("compare", names, stamps), reading.comparison, str(shared.catalogue.root), names
    )


async def _market(request: web.Request) -> web.StreamResponse:
    path, symbol = _run(request).path, request.query.get("symbol", "")
    start, count = _whole(request, "start"), _whole(request, "count", 300)
    arguments = (str(path), _stamp(path), symbol, start, count)
    return await _read(request, ("market", *arguments), reading.market, *arguments)


async def _trades(request: web.Request) -> web.StreamResponse:
    path = _run(request).path
    arguments = (str(path), _stamp(path), request.query.get("order", "worst"), 50)
    return await _read(request, ("trades", *arguments), reading.trades, *arguments)


async def _bar(request: web.Request) -> web.StreamResponse:
    path = _run(request).path
    arguments = (str(path), _stamp(path), request.query.get("symbol", ""), _whole(request, "bar", 0))
    return await _read(request, ("bar", *arguments), reading.bar, *arguments)


async def _lake(request: web.Request) -> web.StreamResponse:
    place = _shared(request).lake
    minute = int(time.time() // 60)  # a lake is looked at again after a minute
    return await _read(request, ("lake", place, minute), reading.lake, place)


async def _live(request: web.Request) -> web.StreamResponse:
    runs = await asyncio.to_thread(trading_runs, _shared(request).catalogue)
    return web.json_response({"runs": runs, "utc": time.time()})


async def _read(
    request: web.Request, key: Hashable, function: Callable[..., bytes], *arguments: Any
) -> web.StreamResponse:
    answer = await _shared(request).reader.ask(key, function, *arguments)
    response = web.Response(body=answer, content_type="application/json")
    response.enable_compression()
    return response


def _stamp(path: Path) -> int:
    """When a run's results, or its study's database, changed last."""
    names = ("study.db", "study.db-wal", "study.json", "status.json", "verdict.json", "backtest/summary.json")
    return max((file.stat().st_mtime_ns for name in names if (file := path / name).exists()), default=0)


# Changes


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        content = await request.json()
    except ValueError:
        content = None
    if request.content_type != "application/json" or not isinstance(content, dict):
        raise BadQuestion("send a JSON object")
    return content


async def _note(request: web.Request) -> web.StreamResponse:
    shared, body = _shared(request), await _body(request)
    entry = shared.catalogue.find(str(body.get("id", "")))
    words = body.get("tags", [])
    if not isinstance(words, list):
        raise BadQuestion("tags must be a list of words")
    tags = tuple(sorted({str(tag).strip() for tag in words if str(tag).strip()}))
    note = Note(tags=tags, text=str(body.get("note", "")).strip())
    await asyncio.to_thread(shared.notes.write, entry.name, note)
    return web.json_response({"done": "noted", **asdict(note)})


async def _stop(request: web.Request) -> web.StreamResponse:
    body = await _body(request)
    entry = _shared(request).catalogue.find(str(body.get("id", "")))
    return web.json_response({"done": await asyncio.to_thread(actions.stop, entry.path)})


async def _nudge(request: web.Request) -> web.StreamResponse:
    body = await _body(request)
    entry = _shared(request).catalogue.find(str(body.get("id", "")))
    fold = body.get("fold")
    if fold is not None and (isinstance(fold, bool) or not isinstance(fold, int)):
        raise BadQuestion(f"fold is {fold!r}; give its index, or nothing for all")
    return web.json_response({"done": actions.nudge(entry.path, str(body.get("lr", "")), fold)})


async def _kill(request: web.Request) -> web.StreamResponse:
    body = await _body(request)
    entry = _shared(request).catalogue.find(str(body.get("id", "")))
    return web.json_response({"done": await asyncio.to_thread(kill, entry, str(body.get("confirm", "")))})


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
    "market": _market,
    "trades": _trades,
    "bar": _bar,
    "lake": _lake,
    "live": _live,
}
CHANGES: dict[str, Handler] = {"note": _note, "stop": _stop, "nudge": _nudge, "kill": _kill}

__all__ = ["TOKEN_HEADER", "make_application"]
