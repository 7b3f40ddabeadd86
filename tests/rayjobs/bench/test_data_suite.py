"""The suite `data`: both ways of aligning give one panel, and every row has its number."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import pytest

from rayjobs.bench.data_suite import alignment_rows, curation_rows, run


def test_the_pandas_way_gives_the_panel_and_the_counts_of_ours():
    rows = alignment_rows(3_000, 1)  # raises where they differ
    assert [row["value"] > 0.0 for row in rows] == [True] * 5


@pytest.mark.slow
def test_a_small_run_of_the_suite_measures_everything():
    rows = run({"repetitions": 1, "alignment_bars": 3_000, "curate_gb": 0.001})
    assert len(rows) == 10
    early, memory = rows[-2:]
    assert 0.0 < early["value"] <= memory["value"] < memory["settings"]["wanted_memory_gb"]


def test_a_disk_that_is_too_small_is_said_before_anything_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=5.5e9))
    (row,) = curation_rows(tmp_path / "lake", 5.0)
    assert row["value"] is None
    assert "6.0 GB of disk are needed" in row["settings"]["reason"]
    assert list((tmp_path / "lake").iterdir()) == []
