"""Lets the tests of this folder import the made runs beside them, and the made studies of the search's tests."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "search")]


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path_factory):
    """No test reads or writes the user's cache."""
    monkeypatch.setenv("RAYFOLD_CACHE", str(tmp_path_factory.mktemp("cache")))
