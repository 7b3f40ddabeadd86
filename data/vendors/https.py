"""A question to a vendor without a client of its own: one GET, with the key in the query, that no log sees.

The usual libraries write the whole address at level DEBUG, and quote it in their exceptions. That of Python does
neither; it is asked without redirects, and what is shorter than announced is an error.
"""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

from data.vendors.definition import MalformedAnswer, TemporarilyUnavailable, VendorError
from data.vendors.failures import Headers, ask, refused

T = TypeVar("T")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """Follow nothing: the status comes back as an error."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A body with its headers."""

    text: str
    headers: Headers


def get(
    vendor: str,
    url: str,
    query: Mapping[str, str],
    *,
    secret: Mapping[str, str],
    timeout_s: float,
    explain: Callable[[int, str, Headers], VendorError | None] | None = None,
) -> Answer:
    """Ask once.

    Parameters
    ----------
    secret : what else belongs into the query, and into no message.
    explain : the error that a status and body mean at this vendor; None for what statuses mean anywhere.

    Raises
    ------
    VendorError
        One of its kinds.
    """
    if not url.startswith(("https://", "http://")):
        raise ValueError(f"{url} is no address of a web server; it must begin with https://")
    opener = urllib.request.build_opener(_NoRedirects)

    def answered() -> Answer:
        request = urllib.request.Request(
            f"{url}?{urlencode({**query, **secret})}", headers={"User-Agent": "rayfold"}
        )
        with opener.open(request, timeout=timeout_s) as response:
            return Answer(text=response.read().decode("utf-8"), headers=dict(response.headers))

    def translate(error: Exception) -> VendorError | None:
        if isinstance(error, urllib.error.HTTPError):
            text, headers = _body(error), dict(error.headers)
            told = explain(error.code, text, headers) if explain else None
            return told or refused(error.code, vendor, text, headers)
        if isinstance(error, urllib.error.URLError):
            return TemporarilyUnavailable(f"{vendor} could not be reached: {error.reason}")
        if isinstance(error, (http.client.HTTPException, UnicodeDecodeError)):
            return TemporarilyUnavailable(f"{vendor} sent an answer that breaks off: {type(error).__name__}")
        return None

    return ask(answered, vendor, secret.values(), translate)


def json_object(answer: Answer, vendor: str) -> dict[str, Any]:
    """The JSON object of an answer.

    Raises
    ------
    TemporarilyUnavailable
        If it is no JSON, as when it ends early.
    MalformedAnswer
        If it is another value than an object.
    """
    body = ask(lambda: json.loads(answer.text), vendor)
    if not isinstance(body, dict):
        raise MalformedAnswer(f"{vendor} sent a {type(body).__name__} where it documents an object")
    return body


def _body(error: urllib.error.HTTPError) -> str:
    try:
        return error.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return ""
