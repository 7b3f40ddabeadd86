"""The dashboard's server: its routes and its life, the pages, files of runs, and what has changed as it changes."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import jinja2
from aiohttp import web

from data.errors import DataError, one_line
from rayjobs.config.typed_config import ConfigError
from rayjobs.pages import reading
from rayjobs.pages.catalogue import Catalogue, UnknownRun, run_files
from rayjobs.pages.change_requests import CHANGES
from rayjobs.pages.events import Changes
from rayjobs.pages.guard import REPORT_POLICY, TOKEN_HEADER, Guard
from rayjobs.pages.listing import BadQuestion
from rayjobs.pages.notes import Notes
from rayjobs.pages.questions import ANSWERS
from rayjobs.pages.reader_process import ReaderLost, ReaderProcess
from rayjobs.pages.request_parts import DASHBOARD, Dashboard, Handler, run_of, shared
from rayjobs.storage.run_directory import original

LOG = logging.getLogger(__name__)
HERE = Path(__file__).parent
PAGES = ("runs", "run", "study", "market", "compare", "data", "live")
MAX_BODY = 64 << 10
TYPES = {".html": "text/html", ".csv": "text/csv", ".json": "application/json"}
TEMPLATES = web.AppKey("templates", jinja2.Environment)


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
        dashboard = application[DASHBOARD]
        await asyncio.to_thread(dashboard.catalogue.refresh)
        stopped = threading.Event()
        reading_settings = asyncio.create_task(asyncio.to_thread(dashboard.catalogue.read_settings, stopped))
        if warm:
            dashboard.reader.start()
        yield
        stopped.set()
        await reading_settings
        await dashboard.changes.close()
        dashboard.reader.close()

    return around


@web.middleware
async def _sentences(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What a user can cause is one sentence and a code of the 400s."""
    try:
        return await handler(request)
    except UnknownRun as error:
        return web.json_response({"error": f"there is no run {error.args[0]!r} here"}, status=404)
    except KeyError as error:
        return web.json_response({"error": f"the run's files lack {error.args[0]!r}"}, status=400)
    except (ConfigError, DataError, BadQuestion, ValueError) as error:
        return web.json_response({"error": one_line(original(error))}, status=400)
    except ReaderLost as error:
        return web.json_response({"error": str(error)}, status=503)
    except OSError as error:
        LOG.warning("%s", error)
        return web.json_response({"error": f"a file cannot be read: {error.strerror}"}, status=500)


async def _home(request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("/runs")


async def _page(request: web.Request) -> web.StreamResponse:
    name = request.path.strip("/")
    template = request.app[TEMPLATES].get_template(f"{name}.html.j2")
    run = request.query.get("id", "")
    facts: dict[str, Any] = {"page": name, "run": run, "root": str(shared(request).catalogue.root)}
    if run:
        await asyncio.to_thread(shared(request).catalogue.refresh)
        facts["kind"] = run_of(request).kind
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
    entry, name = run_of(request), request.query.get("name", "")
    path = entry.path / name
    root = shared(request).catalogue.root
    if name not in run_files(entry.path) or not path.resolve().is_relative_to(root):
        raise web.HTTPNotFound(text="The run has no such page or table.")
    kind = TYPES[path.suffix]
    headers = {"Content-Type": f"{kind}; charset=utf-8", "Content-Security-Policy": REPORT_POLICY}
    return web.Response(body=await asyncio.to_thread(path.read_bytes), headers=headers)


async def _metrics(request: web.Request) -> web.StreamResponse:
    """For Prometheus; the library is imported when it first asks."""
    from rayjobs.pages.metrics import CONTENT_TYPE, metrics_page

    page = await asyncio.to_thread(metrics_page, shared(request).catalogue)
    return web.Response(body=page, headers={"Content-Type": CONTENT_TYPE})


async def _events(request: web.Request) -> web.StreamResponse:
    """Names of runs that have changed, as they change; a line at least every fifteen seconds."""
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
    await response.prepare(request)
    await response.write(b"retry: 2000\n\n")
    async for changed in shared(request).changes.listen():
        line = f"data: {json.dumps(changed)}\n\n" if changed else ": still here\n\n"
        try:
            await response.write(line.encode())
        except ConnectionError:
            break
    return response


__all__ = ["TOKEN_HEADER", "make_application"]
