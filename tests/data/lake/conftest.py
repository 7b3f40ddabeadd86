"""Spares the tests of the lake what only a crash of the machine would show."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch):
    """What a crash of the machine would lose is not what these tests are about."""
    monkeypatch.setattr("os.fsync", lambda handle: None)
