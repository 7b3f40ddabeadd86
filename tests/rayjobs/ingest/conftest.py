"""Lets the tests of this folder import what stands beside them, and spares them waiting for the disk."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch):
    """What a crash of the machine would lose is not what these tests are about."""
    monkeypatch.setattr("os.fsync", lambda handle: None)
