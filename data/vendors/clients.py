"""The vendors' own clients: are they installed, and how their HTTP sessions are made to fail at once and openly.

Clients wait and try again by themselves, which would hide from the pacing that a vendor is asked too often, have no
time-out, or follow a redirect with the key. Only `data.vendors` imports them, each where it is used.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from data.errors import DataError

if TYPE_CHECKING:
    from requests import PreparedRequest, Response, Session


def require_client(package: str, vendor: str) -> None:
    """Raise DataError unless the client of a vendor is installed."""
    if find_spec(package) is None:
        raise DataError(
            f"{vendor} is asked through the package {package!r}, which is not installed: pip install 'rayfold[vendors]'"
        )


def watch(session: Session, timeout_s: float) -> Transport:
    """Give a client's session a time-out, forbid redirects, and see every answer that passes."""
    from requests.adapters import HTTPAdapter

    transport = Transport()

    class Watched(HTTPAdapter):
        def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
            kwargs["timeout"] = timeout_s
            transport.calls += 1
            transport.answer = None
            transport.answer = super().send(request, *args, **kwargs)
            return transport.answer

    session.mount("https://", Watched(max_retries=0))
    session.mount("http://", Watched(max_retries=0))
    session.max_redirects = 0
    return transport


class Transport:
    """What passed through a session: how many requests, and the last answer (None while there is none)."""

    def __init__(self) -> None:
        self.calls = 0
        self.answer: Response | None = None

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the last answer."""
        return {} if self.answer is None else dict(self.answer.headers)

    @property
    def status(self) -> int | None:
        """Status of the last answer."""
        return None if self.answer is None else self.answer.status_code
