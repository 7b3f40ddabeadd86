"""What the handlers of a request share: the catalogue and its companions, the run that is named, what was sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from rayjobs.pages.catalogue import Catalogue, RunEntry
from rayjobs.pages.events import Changes
from rayjobs.pages.guard import Guard
from rayjobs.pages.listing import BadQuestion
from rayjobs.pages.notes import Notes
from rayjobs.pages.reader_process import ReaderProcess

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


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


def shared(request: web.Request) -> Dashboard:
    """What the application was made with."""
    return request.app[DASHBOARD]


def run_of(request: web.Request, key: str = "id") -> RunEntry:
    """The run that a request names.

    Raises
    ------
    UnknownRun
        If there is none of that name.
    """
    return shared(request).catalogue.find(request.query.get(key, ""))


def whole_number(request: web.Request, key: str, default: int | None = None) -> int | None:
    """A whole number of the request's address; BadQuestion where it is none."""
    text = request.query.get(key, "")
    if not text:
        return default
    try:
        return int(text)
    except ValueError:
        raise BadQuestion(f"{key} is {text!r}; it must be a whole number") from None


async def body_of(request: web.Request) -> dict[str, Any]:
    """The JSON object that was sent; BadQuestion where it is none."""
    try:
        content = await request.json()
    except ValueError:
        content = None
    if request.content_type != "application/json" or not isinstance(content, dict):
        raise BadQuestion("send a JSON object")
    return content
