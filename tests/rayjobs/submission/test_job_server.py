"""Each way that a job server cannot be used is one sentence and exit code 2."""

from __future__ import annotations

import json
import platform
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from rayjobs.config.typed_config import ConfigError
from rayjobs.submission.job_server import connect, read_token
from rayjobs.submit import main

ray = pytest.importorskip("ray")
OURS = {"rayVersion": ray.__version__, "pythonVersion": platform.python_version()}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def serve():
    """Start a job server that asks for a token and says what it runs; gives its URL."""
    servers = []

    def start(versions=OURS, token="right"):
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self):
                shown = self.headers.get("Authorization", "")
                code = 200 if shown == f"Bearer {token}" else 403 if shown else 401
                if self.path == "/api/version":
                    body = {"version": "4", "ray_version": versions["rayVersion"], "ray_commit": "x"}
                else:
                    body = {"result": True, "msg": "", "data": versions}
                self.send_response(code)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *arguments):
                pass

        server = HTTPServer(("127.0.0.1", 0), Answer)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_the_right_token_and_the_same_versions_connect(serve, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "right")
    assert connect(serve()).get_version() == "4"


@pytest.mark.parametrize(
    ("token", "message"),
    [(None, "asks for a token and none was found"), ("wrong", "refuses the token")],
)
def test_a_missing_and_a_wrong_token_are_told_apart(serve, monkeypatch, token, message):
    if token:
        monkeypatch.setenv("RAY_AUTH_TOKEN", token)
    with pytest.raises(ConfigError, match=message):
        connect(serve())


@pytest.mark.parametrize(
    ("versions", "message"),
    [
        (OURS | {"rayVersion": "2.61.0"}, "runs Ray 2.61.0 but this machine Ray"),
        (OURS | {"pythonVersion": "3.12.7"}, "runs Python 3.12.7 but this machine Python"),
    ],
)
def test_other_versions_are_refused_by_name(serve, monkeypatch, versions, message):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "right")
    with pytest.raises(ConfigError, match=message):
        connect(serve(versions))


def test_another_patch_release_of_python_will_do(serve, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "right")
    major, minor, _ = platform.python_version_tuple()
    assert connect(serve(OURS | {"pythonVersion": f"{major}.{minor}.99"}))


def test_rays_own_address_variables_do_not_lead_elsewhere(serve, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "right")
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:1")
    assert connect(serve())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["status", "cluster.dashboard=http://127.0.0.1:1"], "no Ray job server answers"),
        (["status", "cluster.dashboard=127.0.0.1:1"], "give the job server as http://HOST:PORT"),
        (["logs"], "takes one job"),
        (["stop", "a", "b"], "takes one job"),
        (["status", "cluster=local"], "only while its job runs"),
        (["job=train", "cluster=local", "submit.follow=false"], "needs a cluster that outlives"),
        (["job=train", "cluster=aws"], "cluster.storage: missing"),
        (["job=train", "submit.max_upload_mb=0"], "must be above 0 MB"),
    ],
)
def test_the_command_line_answers_in_one_sentence_and_exit_code_2(capsys, arguments, message):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_the_token_is_found_where_ray_looks_for_it(home, monkeypatch):
    assert read_token() is None
    (home / ".ray").mkdir()
    (home / ".ray" / "auth_token").write_text("of-the-home\n")
    assert read_token() == "of-the-home"
    (home / "named").write_text("of-a-file")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(home / "named"))
    assert read_token() == "of-a-file"
    monkeypatch.setenv("RAY_AUTH_TOKEN", "of-the-variable")
    assert read_token() == "of-the-variable"


def test_a_token_file_that_is_named_but_absent_is_an_error_and_not_skipped(home, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(home / "absent"))
    with pytest.raises(ConfigError, match="RAY_AUTH_TOKEN_PATH=.*No such file"):
        read_token()
