"""Vendors' real clients against a local server; no key may show up in any log of a test."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

# Test support modules of this folder are imported by name; tests have no __init__.py.
sys.path.insert(0, str(Path(__file__).parent))
from canary import CANARY, KEYS
from scripted_server import ScriptedServer


@pytest.fixture
def server():
    with ScriptedServer() as running:
        yield running


@pytest.fixture(autouse=True)
def keys_that_no_log_may_show(monkeypatch, caplog):
    for name in KEYS:
        monkeypatch.setenv(name, f"{CANARY}-{name.lower().replace('_', '-')}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    caplog.set_level(logging.DEBUG)
    yield
    assert CANARY not in caplog.text


@pytest.fixture(autouse=True)
def yahoo_without_cookies(monkeypatch):
    """yfinance asks Yahoo's own hosts for a cookie before anything else."""
    from yfinance.data import YfData

    monkeypatch.setattr(YfData, "_get_cookie_and_crumb", lambda self, timeout=30: (None, "basic"))
