"""Lets the tests of this folder import the small training beside them, and leave the leak check to its own tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="module")
def leak_check_aside() -> Iterator[None]:
    """Whole runs and evaluations without their leak check, for modules that are about something else.

    It is half of a small run's time; its own tests are in test_leak_audit.py, and whole runs with it in test_audit*.py.
    """
    from envs.checks.leaks import LeakReport

    clean = LeakReport(cut_bars=(1,), bars_compared=1, findings=())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rayjobs.study.evidence.leak_report", lambda *_: clean)
        yield
