"""The doctor names what is wrong, with a cure, and never shows a key."""

from __future__ import annotations

import importlib.metadata
import json
import socket

import pytest

from rayjobs.config.exit_codes import ExitCode
from rayjobs.shell import doctor
from rayjobs.shell.commands import main


def findings(capsys) -> dict[str, dict]:
    main(["doctor", "--json"])
    return {row["name"]: row for row in json.loads(capsys.readouterr().out)["tables"][0]["rows"]}


def test_all_that_is_looked_at_has_a_line_and_what_is_wrong_a_cure(capsys):
    rows = findings(capsys)
    assert {"python", "packages", "cores", "threads", "memory", "GPU", "clock", "keys", "port 8050"} <= set(
        rows
    )
    assert all(row["cure"] for row in rows.values() if row["state"] != "ok")
    assert rows["packages"]["state"] == "ok"


def test_a_missing_package_is_a_fault(monkeypatch, capsys):
    real = importlib.metadata.version

    def version(name):
        if name == "optuna":
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.0" if name == "pandas" else real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert main(["doctor"]) == ExitCode.FAILED
    capsys.readouterr()
    seen = findings(capsys)["packages"]["seen"]
    assert "optuna is missing" in seen
    assert "pandas 1.0 is not" in seen


def test_keys_are_named_by_vendor_and_never_shown(monkeypatch, capsys):
    monkeypatch.setenv("FRED_API_KEY", "s3cr3t-value")
    main(["doctor"])
    shown = capsys.readouterr().out
    assert "fred" in shown
    assert "s3cr3t" not in shown


def test_a_port_that_is_taken_is_told(monkeypatch, capsys):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        monkeypatch.setattr(doctor, "PORTS", {busy.getsockname()[1]: "a test"})
        row = findings(capsys)[f"port {busy.getsockname()[1]}"]
    assert row["state"] == "warning"


@pytest.mark.parametrize("words", [["now"], ["--quick"]])
def test_other_words_are_refused(words, capsys):
    assert main(["doctor", *words]) == ExitCode.BAD_INPUT
