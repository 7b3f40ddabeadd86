"""The dashboard's server: who is refused, what is answered, what the token may change."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import asynccontextmanager

import pytest
from aiohttp.test_utils import TestClient, TestServer
from made_runs import make_run, write_live

from envs.live.guard_folder import GuardFolder
from rayjobs.config.typed_config import ConfigError
from rayjobs.dashboard import DashboardConfig, refuse_no_folder
from rayjobs.pages.guard import TOKEN_HEADER, Guard
from rayjobs.pages.server import PAGES, make_application

TOKEN = "a-token-of-the-tests"
HOSTILE = "<script>alert(1)</script>"


@asynccontextmanager
async def opened(root, *, remote=False):
    guard = Guard("127.0.0.1", remote=remote, token=TOKEN)
    application = make_application(root, guard, lake=str(root / "lake"), warm=False)
    async with TestClient(TestServer(application)) as client:
        yield client


def asked(root, path, *, method="GET", remote=False, **options):
    """Status, headers and text of one request."""

    async def ask():
        async with opened(root, remote=remote) as client:
            options.setdefault("allow_redirects", False)
            answer = await client.request(method, path, **options)
            return answer.status, answer.headers, await answer.text()

    return asyncio.run(ask())


def posted(root, path, body, token=TOKEN, **headers):
    given = {TOKEN_HEADER: token, **headers} if token else headers
    status, _, text = asked(root, path, method="POST", json=body, headers=given)
    return status, text


@pytest.fixture
def root(tmp_path):
    make_run(tmp_path, "one/20260101T000000Z-aaaaaa", sharpe=1.5)
    return tmp_path


RUN = "one/20260101T000000Z-aaaaaa"


def test_every_page_is_served_with_a_policy_that_lets_no_strange_script_run(root):
    async def ask():
        async with opened(root) as client:
            for page in PAGES:
                answer = await client.get(f"/{page}", params={"id": RUN})
                text = await answer.text()
                assert answer.status == 200, (page, text)
                assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
                assert "https://" not in text.replace("http://www.w3.org", "")  # nothing from elsewhere

    asyncio.run(ask())


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8050", "127.0.0.1.evil.example"])
def test_a_name_that_was_bent_to_this_machine_is_refused(root, host):
    assert asked(root, "/api/runs", headers={"Host": host})[0] == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
    ],
)
def test_what_a_page_of_another_origin_asks_is_refused_with_or_without_a_token(root, headers):
    assert asked(root, "/api/runs", headers=headers)[0] == 403
    assert posted(root, "/api/note", {"id": RUN, "tags": ["x"]}, **headers)[0] == 403


@pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x", "ä"])
@pytest.mark.parametrize("path", ["/api/note", "/api/stop", "/api/nudge", "/api/kill"])
def test_what_changes_something_is_refused_without_the_right_token(root, path, token):
    status, _ = posted(root, path, {"id": RUN, "tags": ["x"], "confirm": "STOP", "lr": "x0.5"}, token)
    assert status == 403
    assert not (root / ".dashboard").exists()


@pytest.mark.parametrize(
    "path",
    [
        f"/file?id={RUN}&name=../../../../etc/passwd",
        f"/file?id={RUN}&name=config.yaml",
        f"/file?id={RUN}&name=/etc/passwd",
        "/file?id=../..&name=report.html",
        "/file?id=..%2F..&name=report.html",
        "/static/../server.py",
        "/static/%2e%2e/server.py",
        "/static/..%2fserver.py",
        "/..%2f..%2fetc/passwd",
        "/api/run?id=../../etc",
        "/market?id=%2Fetc",
    ],
)
def test_no_path_leads_out_of_the_runs_root_nor_to_files_that_are_not_for_show(root, path):
    status, _, text = asked(root, path)
    assert status in (403, 404)
    assert "root:" not in text
    assert "def make_application" not in text


def test_a_link_out_of_the_root_is_not_followed(root, tmp_path_factory):
    outside = make_run(tmp_path_factory.mktemp("outside"), "x/20260101T000000Z-bbbbbb")
    (root / "linked").symlink_to(outside.parent)
    (root / RUN / "tearsheet.html").symlink_to(outside / "report.html")
    _, _, text = asked(root, "/api/runs")
    assert "bbbbbb" not in text
    assert asked(root, f"/file?id={RUN}&name=tearsheet.html")[0] == 404


def test_a_report_is_served_without_an_origin_so_that_its_script_can_ask_nothing(root):
    status, headers, text = asked(root, f"/file?id={RUN}&name=report.html")
    assert (status, text) == (200, "<h1>the report</h1>")
    assert headers["Content-Security-Policy"].startswith("sandbox allow-scripts; default-src 'none'")


def test_hostile_names_and_notes_come_as_text_and_pages_escape_them(root):
    name = f"{HOSTILE.replace('/', '')}/20260102T000000Z-cccccc"
    make_run(root, name)
    assert posted(root, "/api/note", {"id": name, "tags": [], "note": HOSTILE})[0] == 200
    status, headers, text = asked(root, "/api/runs")
    assert headers["Content-Type"].startswith("application/json")
    assert json.loads(text)["rows"][0]["note"] == HOSTILE
    for page in ("run", "market"):
        status, _, text = asked(root, f"/{page}", params={"id": name})
        assert status == 200
        assert "<script>alert" not in text
        assert "&lt;script&gt;" in text


def test_no_secret_of_a_configuration_is_shown(root):
    config = {
        "tracking": {"api_key": "sk-1", "deep": {"token": "t-2"}},
        "search": {"storage": "postgresql://me:pw-3@db/x"},
        "source": {"url": "s3://b/x?secret_key=pw-4&region=eu"},
    }
    make_run(root, "one/20260103T000000Z-dddddd", config=config)
    paths = ["/api/run?id=one/20260103T000000Z-dddddd",
             "/api/runs?columns=tracking.api_key,search.storage,source.url"]  # fmt: skip
    for path in paths:
        status, _, text = asked(root, path)
        assert status == 200, text
        assert not [word for word in ("sk-1", "t-2", "pw-3", "pw-4") if word in text]
    assert "region=eu" in text


def test_a_note_lies_beside_the_runs_and_not_in_a_run_whose_files_are_sealed(root):
    before = sorted((root / RUN).rglob("*"))
    status, _ = posted(root, "/api/note", {"id": RUN, "tags": ["keep", "keep", "b"], "note": "seen"})
    assert status == 200
    assert sorted((root / RUN).rglob("*")) == before
    row = json.loads(asked(root, "/api/runs?filter=tags~keep")[2])["rows"][0]
    assert (row["tags"], row["note"]) == (["b", "keep"], "seen")
    assert posted(root, "/api/note", {"id": RUN, "tags": ["<b>"]})[0] == 400


def test_a_nudge_reaches_a_running_job_and_no_other(root):
    make_run(root, "one/20260104T000000Z-eeeeee", status="running")
    status, text = posted(root, "/api/nudge", {"id": "one/20260104T000000Z-eeeeee", "lr": "x0.5", "fold": 1})
    assert status == 200, text
    lines = (root / "one/20260104T000000Z-eeeeee/checkpoints/nudges.jsonl").read_text()
    assert json.loads(lines) == {"learning_rate": "x0.5", "fold": 1}
    assert posted(root, "/api/nudge", {"id": RUN, "lr": "x0.5"})[0] == 400
    status, text = posted(root, "/api/nudge", {"id": "one/20260104T000000Z-eeeeee", "lr": "much"})
    assert (status, "x0.5" in text) == (400, True)


def test_stopping_interrupts_only_a_living_job_of_this_machine_that_is_rayfolds(root, monkeypatch):
    sent = []
    kill = os.kill
    monkeypatch.setattr(os, "kill", lambda pid, sign: sent.append((pid, sign)) if sign else kill(pid, sign))
    cases = {
        "one/20260105T000000Z-000001": ({}, "is gone"),
        "one/20260105T000000Z-000002": ({"host": "another"}, "runs on another"),
        "one/20260105T000000Z-000003": ({"pid": 1}, "no job of Rayfold"),
        RUN: (None, "not running"),
    }
    for name, (facts, why) in cases.items():
        if facts is not None:
            make_run(root, name, status="running", **facts)
        status, text = posted(root, "/api/stop", {"id": name})
        assert status == 400
        assert why in text
    assert sent == []


def test_a_stop_is_the_interrupt_that_a_job_can_be_resumed_after(root, monkeypatch):
    sent = []
    monkeypatch.setattr("rayjobs.pages.actions._is_ours", lambda pid: True)
    monkeypatch.setattr("rayjobs.pages.actions.still_running", lambda status: True)
    monkeypatch.setattr("rayjobs.pages.actions.os.kill", lambda pid, sign: sign and sent.append((pid, sign)))
    make_run(root, "one/20260106T000000Z-ffffff", status="running", pid=4242)
    status, text = posted(root, "/api/stop", {"id": "one/20260106T000000Z-ffffff"})
    assert (status, sent) == (200, [(4242, 2)])
    assert "resume=" in text


def test_the_kill_switch_takes_the_token_and_the_word(root):
    run = make_run(root, "one/20260107T000000Z-abcdef", status="running")
    (run / "trading_snapshot.json").write_text(json.dumps({"mode": "paper", "equity": 5.0}))
    name = "one/20260107T000000Z-abcdef"
    assert json.loads(asked(root, "/api/live")[2])["runs"][0]["snapshot"]["equity"] == 5.0
    for word in ("", "stop", "yes"):
        assert posted(root, "/api/kill", {"id": name, "confirm": word})[0] == 400
    assert not (run / "KILL").exists()
    assert posted(root, "/api/kill", {"id": name, "confirm": "STOP"})[0] == 200
    assert "dashboard" in (run / "KILL").read_text()
    assert posted(root, "/api/kill", {"id": RUN, "confirm": "STOP"})[0] == 400
    (run / "guard").mkdir()  # of a run at a broker: its guard is who acts
    (run / "guard" / "settings.json").write_text("{}")
    assert posted(root, "/api/kill", {"id": name, "confirm": "STOP"})[0] == 200
    assert GuardFolder(run / "guard").killed() == "the dashboard"


def test_reading_takes_the_token_as_well_where_other_machines_may_ask(root):
    assert asked(root, "/api/runs", remote=True)[0] == 401
    assert asked(root, "/runs?token=wrong", remote=True)[0] == 401
    assert asked(root, "/api/runs", remote=True, headers={TOKEN_HEADER: TOKEN})[0] == 200
    status, headers, _ = asked(root, f"/runs?token={TOKEN}", remote=True)
    assert status == 303
    assert TOKEN not in headers["Location"]
    assert {"HttpOnly", "SameSite=Strict"} <= {part.strip() for part in headers["Set-Cookie"].split(";")}


def test_a_listener_is_told_of_a_run_that_begins_and_of_rows_that_it_trains(root):
    async def ask():
        async with opened(root) as client:
            events = await client.get("/events")
            assert events.headers["Content-Type"] == "text/event-stream"
            run = make_run(root, "one/20260108T000000Z-abcabc", status="running", pid=os.getpid())
            write_live(run, {"fold": 0, "iteration": 1, "env_steps": 250, "approx_kl": 0.01})

            async def told():
                while True:
                    line = (await events.content.readline()).decode()
                    if line.startswith("data:"):
                        return json.loads(line[5:])

            first = await asyncio.wait_for(told(), 10)
            curves = await (await client.get("/api/curves", params={"id": first[0]})).json()
            return first, curves

    changed, curves = asyncio.run(ask())
    assert changed == ["one/20260108T000000Z-abcabc"]
    assert curves["curves"]["approx_kl"] == {"fold 0": [[250.0], [0.01]]}


@pytest.mark.parametrize(
    ("change", "words"),
    [({"host": "0.0.0.0"}, "remote=true"), ({"port": 70000}, "65535"), ({"token": "short"}, "at least 12")],
)
def test_an_unsafe_setting_is_one_sentence(change, words):
    usual = {
        "runs": "runs",
        "host": "127.0.0.1",
        "port": 8050,
        "remote": False,
        "token": None,
        "lake": "lake",
    }
    with pytest.raises(ValueError, match=words):
        DashboardConfig(**{**usual, **change})


def test_malformed_questions_are_sentences_and_never_a_traceback(root):
    for path in ("/api/runs?filter=sharp > 1", "/api/runs?filter=sharpe > many", "/api/runs?columns=algo.gama",
                 "/api/runs?limit=x", "/api/compare?ids=a", f"/api/equity?id={RUN}&trials=x"):  # fmt: skip
        status, _, text = asked(root, path)
        assert status == 400
        assert json.loads(text)["error"]
    assert "did you mean algo.gamma" in asked(root, "/api/runs?columns=algo.gama")[2]
    assert asked(root, "/api/run?id=nowhere")[0] == 404
    status, _, text = asked(
        root, "/api/note", method="POST", data="[]",
        headers={TOKEN_HEADER: TOKEN, "Content-Type": "application/json"},
    )  # fmt: skip
    assert status == 400


def test_a_dashboard_that_is_opened_before_the_first_job_shows_it_once_it_runs_and_a_wrong_folder_is_refused(
    tmp_path, caplog
):
    root = tmp_path / "runs"
    refuse_no_folder(root, "runs")
    assert "no folder" in caplog.text

    async def ask():
        async with opened(root) as client:
            before = (await (await client.get("/api/runs")).json())["total"]
            make_run(root, "e/20260101T000000Z-a")
            return before, (await (await client.get("/api/runs")).json())["total"]

    assert asyncio.run(ask()) == (0, 1)
    with pytest.raises(ConfigError, match="there is no such folder"):
        refuse_no_folder(tmp_path / "elsewhere" / "runs", "elsewhere/runs")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="is a file"):
        refuse_no_folder(tmp_path / "file", "file")
