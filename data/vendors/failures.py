"""From what a client raises, or a server answers, to the kinds of errors of `data.vendors.definition`.

Messages quote the vendor in one line, shortened, and never hold a key. The client's own exception is not chained to
ours, since its text and its request may hold one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from data.errors import one_line
from data.vendors.definition import (
    AnswerRefused,
    KeyRefused,
    MalformedAnswer,
    RateLimited,
    TemporarilyUnavailable,
    VendorError,
)
from data.vendors.keys import without_keys

T = TypeVar("T")
Headers = Mapping[str, str]
Translation = Callable[[Exception], VendorError | None]

LONGEST_QUOTE = 200
_BROKEN = ("connect", "timeout", "protocol", "incomplete", "chunked", "ssl", "decod", "badstatus")
"""What the names of exceptions have in common that mean a line that broke; clients share no base class."""
_TRANSPORTS = ("requests", "urllib3", "http", "ssl", "curl_cffi", "aiohttp")


def ask(
    call: Callable[[], T], vendor: str, keys: Iterable[str] = (), translate: Translation | None = None
) -> T:
    """Return what `call` returns; every exception of it comes out as a `VendorError` without keys.

    Parameters
    ----------
    translate : the kind of an exception of this client, or None for what is no special case of it.
    """
    try:
        return call()
    except Exception as error:
        refusal = _kind(error, vendor, translate)
        refusal.args = (without_keys(str(refusal), keys),)
    refusal.__context__ = (
        None  # raised outside of the handler, so that no client's exception is shown with it
    )
    raise refusal


def _kind(error: Exception, vendor: str, translate: Translation | None) -> VendorError:
    if isinstance(error, VendorError):
        return error
    translated = translate(error) if translate is not None else None
    if translated is not None:
        return translated
    quoted = quote(one_line(error))
    if type(error).__name__ == "JSONDecodeError":  # that of json, or of simplejson where a client prefers it
        return TemporarilyUnavailable(f"{vendor} sent a body that ends early or is no JSON: {quoted}")
    if isinstance(error, (ConnectionError, TimeoutError)) or _is_broken_line(error):
        return TemporarilyUnavailable(f"{vendor} could not be reached: {type(error).__name__}: {quoted}")
    return MalformedAnswer(f"{vendor} sent what it does not document: {type(error).__name__}: {quoted}")


def _is_broken_line(error: Exception) -> bool:
    return any(
        kind.__module__.split(".")[0] in _TRANSPORTS
        and any(word in kind.__name__.lower() for word in _BROKEN)
        for kind in type(error).__mro__
    )


def refused(
    status: int, vendor: str, text: str, headers: Headers | None = None, asked: str = ""
) -> VendorError:
    """The error that an HTTP status means.

    Parameters
    ----------
    text : the body, quoted in part. headers : of the answer. asked : what was asked for, in a few words.
    """
    about = f"{vendor} answered {status}{f' to {asked}' if asked else ''}: {quote(said(text))}"
    if status == 429:
        return RateLimited(about, retry_after_seconds(headers))
    if status in (401, 402, 403, 407):
        return KeyRefused(about)
    if status == 408 or status >= 500:
        return TemporarilyUnavailable(about)
    if 300 <= status < 400:
        return MalformedAnswer(f"{about}; it sends elsewhere, which is not followed with a key")
    if 400 <= status < 500:
        return AnswerRefused(about)
    return MalformedAnswer(about)


def retry_after_seconds(headers: Headers | None) -> float | None:
    """`Retry-After` in seconds, from a number or a date; None where it is absent or unreadable."""
    value = header(headers, "Retry-After")
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except (TypeError, ValueError):
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = (moment - datetime.now(UTC)).total_seconds()
    return max(seconds, 0.0) if seconds < float("inf") else None


def header(headers: Headers | None, name: str) -> str | None:
    """A header by its name, whatever its case."""
    return next((value for key, value in (headers or {}).items() if key.lower() == name.lower()), None)


def said(text: str) -> str:
    """What a vendor says in a JSON body of an error; the body itself where it says nothing that is known."""
    try:
        body = json.loads(text)
    except ValueError:
        return text
    for name in ("error", "message", "error_message", "detail", "retMsg"):
        if isinstance(body, dict) and isinstance(body.get(name), str):
            return str(body[name])
    return text


def quote(text: str) -> str:
    """One line of at most `LONGEST_QUOTE` characters."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_QUOTE else line[: LONGEST_QUOTE - 3] + "..."
