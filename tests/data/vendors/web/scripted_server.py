"""A web server on this machine that answers what a test says, and keeps what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A request: path, query (of the address, or of a form), headers in lower case."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is answered.

    Parameters
    ----------
    body : JSON, or bytes and text as they are.
    missing : bytes that are announced and never sent.
    reset : close the connection without an answer.
    """

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    missing: int = 0
    reset: bool = False


Script = Callable[[Seen], Answer]


class ScriptedServer:
    """`answer` is the script; `seen` what was asked so far."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.answer: Script = lambda seen: Answer(status=404, body={"error": "nothing is scripted"})

    def __enter__(self) -> ScriptedServer:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.005})
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def in_turn(self, *answers: Answer) -> None:
        """Answer these one after the other; the last one again and again."""
        left = list(answers)
        self.answer = lambda seen: left.pop(0) if len(left) > 1 else left[0]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._reply("")

            def do_POST(self) -> None:
                self._reply(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())

            def _reply(self, form: str) -> None:
                parts = urlsplit(self.path)
                seen = Seen(
                    path=parts.path,
                    query=dict(parse_qsl(parts.query) + parse_qsl(form)),
                    headers={name.lower(): value for name, value in self.headers.items()},
                )
                server.seen.append(seen)
                self._send(server.answer(seen))

            def _send(self, answer: Answer) -> None:
                self.close_connection = True
                if answer.reset:
                    return
                plain = answer.body
                if not isinstance(plain, (bytes, str)):
                    plain = json.dumps(plain)
                data = plain.encode() if isinstance(plain, str) else plain
                self.send_response_only(answer.status)
                given = {
                    "Content-Type": "application/json",
                    "Connection": "close",
                    "Date": self.date_time_string(),
                    **answer.headers,
                }
                for name, value in given.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data) + answer.missing))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *words: object) -> None:
                """Say nothing."""

        return Handler
