"""Minutes of compilation are announced, and only where there is something to compile."""

from __future__ import annotations

import logging

import pytest

from rayjobs.monitoring.compilation import tell_compilation


@pytest.mark.parametrize("known", [True, False])
def test_compilation_is_announced_where_nothing_is_compiled_yet(monkeypatch, caplog, known):
    monkeypatch.setattr("envs.kernel.jit.is_cached", lambda dispatcher: known)
    with caplog.at_level(logging.INFO, logger="rayjobs"):
        assert tell_compilation() is not known
    assert ("compiled for this machine first" in caplog.text) is not known
