"""Who may ask for what: the host that is named, the page that a request comes from, and the token for what changes.

A browser sends requests to 127.0.0.1 on behalf of any page that is open in it. So the Host header must be ours (a name
that was bent to 127.0.0.1 is refused), a request from another origin is refused whatever it asks for, and what changes
something carries the token in a header, which a form of another page cannot set.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

TOKEN_HEADER, TOKEN_COOKIE = "X-Rayfold-Token", "rayfold_token"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
)
"""No script but ours, no request to anywhere else."""
REPORT_POLICY = (
    "sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src data:; frame-ancestors 'self'"
)
"""A report brings its own script; it runs without an origin, so that it can ask nothing of this server."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Guard:
    """Refuses what is not asked for by our own pages.

    Parameters
    ----------
    host : name or address that the server listens on. remote : it may be reached from other machines, so that reading
        takes the token as well.
    """

    def __init__(self, host: str, *, remote: bool = False, token: str | None = None) -> None:
        self.token = token or secrets.token_urlsafe(24)
        self.remote = remote
        self._hosts = {host.lower(), *LOOPBACK}

    def middleware(self) -> Any:
        """For `aiohttp.web.Application`."""

        @web.middleware
        async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
            self.refuse_strangers(request)
            if self.remote:
                entry = request.query.get("token")
                if entry is not None and self._matches(entry) and request.method == "GET":
                    return self._let_in(request)
                if not (self.may_change(request) or self._may_read(request)):
                    raise web.HTTPUnauthorized(
                        text="Open the address with the token that was printed at the start."
                    )
            if request.method not in ("GET", "HEAD") and not self.may_change(request):
                raise web.HTTPForbidden(
                    text=f"What changes something takes the token that was printed at the start, as {TOKEN_HEADER}."
                )
            response = await handler(request)
            if not response.prepared:
                response.headers.setdefault("Content-Security-Policy", POLICY)
                response.headers.setdefault("X-Content-Type-Options", "nosniff")
                response.headers.setdefault("Referrer-Policy", "no-referrer")
                response.headers.setdefault("Cache-Control", "no-store")
            return response

        return guarded

    def refuse_strangers(self, request: web.Request) -> None:
        """Refuse a Host that is not ours, and a request that a page of another origin sends.

        Raises
        ------
        aiohttp.web.HTTPForbidden
        """
        named = (urlsplit(f"//{request.host}").hostname or "").lower()
        if not self.remote and named not in self._hosts:
            raise web.HTTPForbidden(text="This server is not known by that name; open it by its own address.")
        origin = request.headers.get("Origin")
        if origin is not None and origin != f"{request.scheme}://{request.host}":
            raise web.HTTPForbidden(text="A page of another origin may ask nothing here.")
        site = request.headers.get("Sec-Fetch-Site", "none")
        opened = request.method == "GET" and request.headers.get("Sec-Fetch-Mode") == "navigate"
        if site not in ("none", "same-origin") and not opened:
            raise web.HTTPForbidden(text="A page of another origin may ask nothing here.")

    def may_change(self, request: web.Request) -> bool:
        """Whether the request carries the token in its header."""
        return self._matches(request.headers.get(TOKEN_HEADER, ""))

    def _may_read(self, request: web.Request) -> bool:
        """Whether it carries the token as a browser that was let in does, or as a program such as Prometheus."""
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        bearer = scheme.lower() == "bearer" and self._matches(given.strip())
        return bearer or self._matches(request.cookies.get(TOKEN_COOKIE, ""))

    def _matches(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.token.encode())

    def _let_in(self, request: web.Request) -> web.Response:
        """A cookie in place of the token in the address, which would stay in the history."""
        response = web.Response(status=303, headers={"Location": request.path})
        response.set_cookie(TOKEN_COOKIE, self.token, httponly=True, samesite="Strict")
        return response
