"""A local double of W&B's HTTP API, as far as `wandb` 0.31 uses it: GraphQL, the file stream, and uploads.

It keeps what a run was sent: configuration, history, summary, files, artefacts. It resumes and overwrites runs as the
service does, and can be out of order for a while.
"""

from __future__ import annotations

import gzip
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

KEY = "a" * 40
"""A key of the right length."""

VIEWER = {"id": "u", "entity": "desk", "username": "desk", "flags": "{}", "teams": {"edges": []}}
_OPERATION = re.compile(r"(?:query|mutation)\s+(\w+)")
_FILE_STREAM = re.compile(r"/files/[^/]+/[^/]+/([^/]+)/file_stream")


@dataclass
class SentRun:
    """What the double was sent of one run.

    Attributes
    ----------
    history : lines by place; a run that is begun anew writes from the first one on.
    begun : how often a process opened it.
    exit_code : None while it is open.
    """

    name: str
    config: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    artifacts: list[dict[str, Any]] = field(default_factory=list)
    exit_code: int | None = None
    begun: int = 0

    def curve(self, name: str) -> list[Any]:
        """Values of a key over the history."""
        return [line[name] for line in self.history if name in line]


class WandbDouble:
    """The server, for the length of a block; ``environment`` makes `wandb` speak to it."""

    def __init__(self) -> None:
        self.runs: dict[str, SentRun] = {}
        self.unknown: list[str] = []
        self.out_of_order = threading.Event()
        self.refused = 0
        self._lock = threading.Lock()

    def __enter__(self) -> WandbDouble:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._server.handle_error = lambda request, address: None  # clients that end reset their connections
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def environment(self) -> dict[str, str]:
        return {
            "WANDB_BASE_URL": self.url,
            "WANDB_API_KEY": KEY,
            "WANDB_MODE": "online",
            "WANDB_ERROR_REPORTING": "false",
        }

    @contextmanager
    def outage(self) -> Iterator[None]:
        """Every request is answered with 503 meanwhile."""
        self.out_of_order.set()
        try:
            yield
        finally:
            self.out_of_order.clear()

    def answer(self, operation: str, variables: dict[str, Any]) -> dict[str, Any]:
        """The ``data`` of a GraphQL request."""
        with self._lock:
            known: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
                "Viewer": lambda v: {"viewer": VIEWER},
                "RunResumeStatus": self._resume_status,
                "UpsertBucket": self._upsert,
                "CreateRunFiles": self._run_files,
                "CreateArtifact": self._artifact,
                "CreateArtifactManifest": lambda v: {"createArtifactManifest": {"artifactManifest": self._manifest()}},
                "UpdateArtifactManifest": lambda v: {"updateArtifactManifest": {"artifactManifest": self._manifest()}},
                "CreateArtifactFiles": self._artifact_files,
                "CommitArtifact": lambda v: {"commitArtifact": {"artifact": {"id": "artifact", "digest": "d"}}},
                "OrganizationCoreWeaveOrganizationID": lambda v: {"entity": None},
                "ArtifactType": lambda v: {"project": None},
            }  # fmt: skip
            if operation not in known:
                self.unknown.append(operation)
                return {}
            return known[operation](variables)

    def _resume_status(self, variables: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.get(variables["name"])
        bucket = run and {
            "id": f"id-{run.name}", "name": run.name, "displayName": run.facts.get("displayName"), "logLineCount": 0,
            "summaryMetrics": json.dumps(run.summary), "historyLineCount": len(run.history), "eventsLineCount": 0,
            "historyTail": json.dumps([json.dumps(line) for line in run.history[-1:]]), "eventsTail": "[]",
            "config": json.dumps({key: {"value": value} for key, value in run.config.items()}),
            "tags": run.facts.get("tags"), "notes": None, "wandbConfig": json.dumps({"t": 1}),
        }  # fmt: skip
        return {
            "model": {"id": "m", "name": "project", "entity": {"id": "e", "name": "desk"}, "bucket": bucket}
        }

    def _upsert(self, variables: dict[str, Any]) -> dict[str, Any]:
        name = variables["name"]
        inserted = name not in self.runs
        run = self.runs.setdefault(name, SentRun(name))
        if variables.get("displayName"):  # a process opens the run; later calls change its configuration
            run.begun += 1
            run.exit_code = None
        config = json.loads(variables.get("config") or "{}")
        run.config |= {key: item["value"] for key, item in config.items()}
        run.facts |= {key: value for key, value in variables.items() if value is not None and key != "config"}
        bucket = {
            "id": f"id-{name}", "name": name, "displayName": run.facts.get("displayName"), "description": None,
            "config": variables.get("config"), "sweepName": None, "historyLineCount": len(run.history),
            "project": {"id": "p", "name": variables.get("project"), "entity": {"id": "e", "name": "desk"}},
        }  # fmt: skip
        return {"upsertBucket": {"bucket": bucket, "inserted": inserted}}

    def _run_files(self, variables: dict[str, Any]) -> dict[str, Any]:
        files = [
            {"name": f, "uploadUrl": f"{self.url}/storage/{variables['run']}/{f}"} for f in variables["files"]
        ]
        return {"createRunFiles": {"runID": f"id-{variables['run']}", "uploadHeaders": [], "files": files}}

    def _artifact(self, variables: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.get(str(variables["input"].get("runName")))
        if run is not None:
            run.artifacts.append(variables["input"])
        sequence = {"id": "sequence", "latestArtifact": None}
        artifact = {"id": "artifact", "state": "PENDING", "artifactSequence": sequence}
        return {"createArtifact": {"artifact": artifact}}

    def _manifest(self) -> dict[str, Any]:
        url = f"{self.url}/storage/artifact/manifest"
        file = {
            "id": "f",
            "name": "wandb_manifest.json",
            "displayName": "m",
            "uploadUrl": url,
            "uploadHeaders": [],
        }
        return {"id": "manifest", "file": file}

    def _artifact_files(self, variables: dict[str, Any]) -> dict[str, Any]:
        nodes = [
            {
                "id": "f", "name": spec["name"], "displayName": spec["name"], "uploadHeaders": [],
                "storagePath": "path", "uploadUrl": f"{self.url}/storage/artifact/{spec['name']}",
                "uploadMultipartUrls": None, "artifact": {"id": "artifact"},
            }
            for spec in variables["input"]["artifactFiles"]
        ]  # fmt: skip
        return {"createArtifactFiles": {"files": {"edges": [{"node": node} for node in nodes]}}}

    def stream(self, name: str, body: dict[str, Any]) -> None:
        """A piece of a run's file stream."""
        with self._lock:
            run = self.runs[name]
            for file, chunk in body.get("files", {}).items():
                lines = [json.loads(line) for line in chunk["content"] if line] if "json" in file else []
                if file == "wandb-history.jsonl":
                    run.history[chunk["offset"] :] = lines
                elif file == "wandb-summary.json":
                    run.summary = lines[-1]
            if body.get("complete"):
                run.exit_code = body.get("exitcode")

    def store(self, path: str, content: bytes) -> None:
        """An uploaded file."""
        _, run, name = path.removeprefix("/storage").split("/", 2)
        if run in self.runs:
            self.runs[run].files[name] = content


def _handler(double: WandbDouble) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *arguments: Any) -> None:
            return

        def _body(self) -> bytes:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

        def _send(self, answer: Any, status: int = 200) -> None:
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _refuses(self) -> bool:
            if double.out_of_order.is_set():
                double.refused += 1
                self._send({"error": "out of order"}, 503)
                return True
            return False

        def do_POST(self) -> None:
            body = self._body()
            if self._refuses():
                return
            stream = _FILE_STREAM.match(self.path)
            if stream:
                double.stream(stream[1], json.loads(body))
                self._send({"exitcode": None, "limits": {}})
            elif self.path == "/graphql":
                asked = json.loads(body)
                found = _OPERATION.search(asked["query"])
                name = asked.get("operationName") or (found[1] if found else "")
                try:
                    self._send({"data": double.answer(name, asked.get("variables") or {})})
                except (
                    KeyError,
                    TypeError,
                ) as error:  # answered at once: `wandb` would ask again for minutes
                    double.unknown.append(f"{name}: {error!r}")
                    self._send({"errors": [{"message": str(error)}]}, 400)
            else:
                self._send({})

        def do_PUT(self) -> None:
            body = self._body()
            if not self._refuses():
                double.store(self.path, body)
                self._send({})

        def do_HEAD(self) -> None:
            self.send_response(503 if double.out_of_order.is_set() else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            if not self._refuses():
                self._send({})

    return Handler
