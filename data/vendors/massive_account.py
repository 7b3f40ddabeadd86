"""An account at Massive (Polygon until 2025): how it is reached through the vendor's own client, page by page.

The client's own paging is not used: it takes a body that is no JSON for an empty page, follows a link for ever that
leads to itself, and its errors hold neither status nor `Retry-After`.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pandas as pd

from data.calendars import check_calendar
from data.vendors.clients import require_client
from data.vendors.clock import utc_now
from data.vendors.definition import (
    AnswerRefused,
    Budget,
    KeyRefused,
    MalformedAnswer,
    RateLimited,
    TemporarilyUnavailable,
    VendorError,
)
from data.vendors.failures import ask, quote, refused, said
from data.vendors.keys import key_from_environment

log = logging.getLogger(__name__)

KEY_VARIABLES = ("MASSIVE_API_KEY", "POLYGON_API_KEY")
_OWN_HOSTS = {"api.massive.com", "api.polygon.io"}
"""The vendor links to further pages under either name; whatever a link says, it is followed at `base_url` alone."""
_MOST_RESTS, _LONGEST_REST_S = 30, 60.0
Asking = Callable[[str, Mapping[str, Any] | None], dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class MassiveAccount:
    """What has to be known of an account.

    Parameters
    ----------
    base_url : of the REST interface.
    calls_per_minute : that the plan allows; None where it allows any number.
    delay_seconds : how far the plan is behind: 0 live, 900 where it is delayed by 15 minutes, 86400 for end of day.
    timeout_s : for connecting, and for each read.
    calendar : of stocks, indices and options, whose sessions label their days.
    now : the clock of this machine.
    wait : waits so many seconds; reference data, which no pacing asks for, rest by it when they come too fast.
    """

    name: ClassVar[str] = "massive"

    base_url: str = "https://api.massive.com"
    calls_per_minute: float | None = 5
    delay_seconds: float = 900
    timeout_s: float = 30
    calendar: str = "NYSE"
    now: Callable[[], pd.Timestamp] = utc_now
    wait: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        require_client("massive", self.name)
        check_calendar(self.calendar)

    @property
    def budget(self) -> Budget:
        """Calls that the plan allows."""
        return Budget(calls_per_minute=self.calls_per_minute, calls_per_day=None, at_a_time=4)

    def reference_rows(self, path: str, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        """All results of a question for reference data, which may take more pages than the plan allows in a minute."""
        rests = 0
        massive = self.connection()

        def patiently(path: str, params: Mapping[str, Any] | None) -> dict[str, Any]:
            nonlocal rests
            while True:
                try:
                    return massive.body(path, params)
                except RateLimited as error:
                    rests += 1
                    if rests > _MOST_RESTS:
                        raise
                    seconds = min(
                        _LONGEST_REST_S if error.retry_after_s is None else error.retry_after_s,
                        _LONGEST_REST_S,
                    )
                    log.info("massive rests for %.0f s: %s", seconds, error)
                self.wait(seconds)

        return [row for page in massive.pages(path, params, patiently) for row in page]

    def connection(self) -> MassiveConnection:
        """A connection of its own for one fetch.

        Raises
        ------
        KeyRefused
            If no key is set.
        """
        return MassiveConnection(
            self.base_url, key_from_environment(self.name, *KEY_VARIABLES), self.timeout_s
        )


class MassiveConnection:
    """The vendor's client, with every answer in view; it neither waits nor tries again."""

    def __init__(self, base_url: str, key: str, timeout_s: float) -> None:
        from massive import RESTClient

        self._key = key
        self._base_url = base_url.rstrip("/")
        self._client = RESTClient(
            api_key=key,
            base=self._base_url,
            connect_timeout=timeout_s,
            read_timeout=timeout_s,
            connection_pool_kw={"retries": False},
        )
        self._pool = self._client.client
        self._client.client = self  # type: ignore[assignment]  # answers pass through `request` below
        self._answer: Any = None
        self.calls = 0

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of the last answer."""
        return {} if self._answer is None else dict(self._answer.headers)

    def request(self, *args: Any, **kwargs: Any) -> Any:
        """Pass a request of the client on to its pool of connections, and keep the answer."""
        self.calls += 1
        self._answer = None
        self._answer = self._pool.request(*args, **kwargs)
        return self._answer

    def body(self, path: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The JSON object of one answer.

        Raises
        ------
        VendorError
            One of its kinds.
        """

        def answered() -> Any:
            response = self._client._get(path, params=dict(params or {}), raw=True)
            return json.loads(response.data.decode("utf-8"))

        about = path.split("?")[0]

        def translate(error: Exception) -> VendorError | None:
            if self._answer is not None and self._answer.status != 200:
                text = self._answer.data.decode("utf-8", "replace")
                return refused(self._answer.status, "massive", text, self.headers, about)
            if isinstance(error, UnicodeDecodeError):
                return TemporarilyUnavailable(f"massive sent a body to {about} that is no text")
            return None

        body = ask(answered, "massive", [self._key], translate)
        if not isinstance(body, dict):
            raise MalformedAnswer(
                f"massive sent a {type(body).__name__} to {about} where it documents an object"
            )
        status = body.get("status")
        if status in ("ERROR", "NOT_FOUND", "NOT_AUTHORIZED"):
            kind = KeyRefused if status == "NOT_AUTHORIZED" else AnswerRefused
            raise kind(f"massive answered {status} to {about}: {quote(said(json.dumps(body)))}")
        return body

    def pages(
        self, path: str, params: Mapping[str, Any], asking: Asking | None = None
    ) -> Iterator[list[dict[str, Any]]]:
        """The results of each page, following the links to the next.

        Parameters
        ----------
        asking : asks for one body; None asks at once, and once.

        Raises
        ------
        MalformedAnswer
            If a link leads to another host, or to a page that was there before.
        """
        ask_for = asking or self.body
        seen: set[str] = set()
        body = ask_for(path, params)
        while True:
            yield _results(body, path)
            link = body.get("next_url")
            if link is None:
                return
            further = self._path_of(link, path)
            if further in seen:
                raise MalformedAnswer(f"massive links from a page of {path} to one that was there before")
            seen.add(further)
            body = ask_for(further, None)

    def _path_of(self, link: Any, path: str) -> str:
        parts = urlsplit(link) if isinstance(link, str) else None
        if parts is None or parts.netloc not in {*_OWN_HOSTS, urlsplit(self._base_url).netloc}:
            host = repr(link) if parts is None else parts.netloc
            raise MalformedAnswer(
                f"massive links from {path} to {quote(host)}, which is not {self._base_url}; the key is not sent there"
            )
        return f"{parts.path}?{parts.query}" if parts.query else parts.path


def _results(body: Mapping[str, Any], path: str) -> list[dict[str, Any]]:
    results = body.get("results")
    counted = body.get("resultsCount", body.get("count"))
    if results is None and (not isinstance(counted, int) or not counted):
        return []  # a day without trades has no key `results` at all
    if not isinstance(results, list) or not all(isinstance(row, dict) for row in results):
        raise MalformedAnswer(f"massive sent results to {path} that are no list of objects")
    return results
