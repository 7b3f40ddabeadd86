"""Requests that change something, which take the token: notes, a job's end or learning rate, the kill switch."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

from aiohttp import web

from rayjobs.pages import actions
from rayjobs.pages.listing import BadQuestion
from rayjobs.pages.live_trading import kill
from rayjobs.pages.notes import Note
from rayjobs.pages.request_parts import Handler, body_of, shared


async def _note(request: web.Request) -> web.StreamResponse:
    dashboard, body = shared(request), await body_of(request)
    entry = dashboard.catalogue.find(str(body.get("id", "")))
    words = body.get("tags", [])
    if not isinstance(words, list):
        raise BadQuestion("tags must be a list of words")
    tags = tuple(sorted({str(tag).strip() for tag in words if str(tag).strip()}))
    note = Note(tags=tags, text=str(body.get("note", "")).strip())
    await asyncio.to_thread(dashboard.notes.write, entry.name, note)
    return web.json_response({"done": "noted", **asdict(note)})


async def _stop(request: web.Request) -> web.StreamResponse:
    body = await body_of(request)
    entry = shared(request).catalogue.find(str(body.get("id", "")))
    return web.json_response({"done": await asyncio.to_thread(actions.stop, entry.path)})


async def _nudge(request: web.Request) -> web.StreamResponse:
    body = await body_of(request)
    entry = shared(request).catalogue.find(str(body.get("id", "")))
    fold = body.get("fold")
    if fold is not None and (isinstance(fold, bool) or not isinstance(fold, int)):
        raise BadQuestion(f"fold is {fold!r}; give its index, or nothing for all")
    return web.json_response({"done": actions.nudge(entry.path, str(body.get("lr", "")), fold)})


async def _kill(request: web.Request) -> web.StreamResponse:
    body = await body_of(request)
    entry = shared(request).catalogue.find(str(body.get("id", "")))
    return web.json_response({"done": await asyncio.to_thread(kill, entry, str(body.get("confirm", "")))})


CHANGES: dict[str, Handler] = {"note": _note, "stop": _stop, "nudge": _nudge, "kill": _kill}
"""Name below ``/api/`` -> what does it."""
