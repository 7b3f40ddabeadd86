"""The suite `data`: both ways of aligning give one panel, and every row has its number."""

from __future__ import annotations

import pytest

from rayjobs.bench.data_suite import alignment_rows, run


def test_the_pandas_way_gives_the_panel_and_the_counts_of_ours():
    rows = alignment_rows(3_000, 1)  # raises where they differ
    assert [row["value"] > 0.0 for row in rows] == [True] * 4


@pytest.mark.slow
def test_a_small_run_of_the_suite_measures_everything():
    rows = run({"repetitions": 1, "alignment_bars": 3_000, "curate_gb": 0.001})
    assert len(rows) == 8
    memory = rows[-1]
    assert 0.0 < memory["value"] < memory["settings"]["wanted_memory_gb"]
