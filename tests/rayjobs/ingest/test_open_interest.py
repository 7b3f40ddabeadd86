"""Open interest goes from files of Databento through the lake into the bars that rolls are decided by."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from data.lake import Lake, Series
from data.sources import load
from data.sources.lake import LakeConfig
from rayjobs.ingest.__main__ import main

sys.path.insert(0, str(Path(__file__).parents[2] / "data" / "vendors" / "web"))

from vendor_doubles import MINUTES, Figure, dbn_bytes, statistics_bytes


def test_open_interest_is_a_column_of_the_lake_and_of_the_panel(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "bars.dbn").write_bytes(dbn_bytes(MINUTES))
    figures = [Figure("2024-05-30 22:10", 1000), Figure("2024-05-31 14:01:30", 2000)]
    (folder / "statistics.dbn").write_bytes(statistics_bytes(figures))
    words = [
        "source=databento", "symbols=[ESM4]", "start=2024-05-31", "end=2024-06-01", "bar=1m", "env_file=none",
        f"lake={tmp_path}/lake", f"source.databento.options.path={folder}",
    ]  # fmt: skip
    assert main([*words, "source.databento.options.open_interest=true"]) == 0
    series = Series(source="databento", bar_seconds=60, adjustment="raw", symbol="ESM4")
    assert Lake(f"{tmp_path}/lake").read(series).rows["open_interest"].tolist() == [1000.0, 2000.0, 2000.0]
    config = LakeConfig(
        lake=f"{tmp_path}/lake", source_name="databento", bar="1m", made_from=None, adjustment="raw", calendar="24/7",
        as_of=None, symbols=("ESM4",), start_utc=None, stop_utc=None,
    )  # fmt: skip
    panel = load(config).panel  # 14:00, 14:01, 14:02 without a bar, 14:03
    np.testing.assert_array_equal(panel.exogenous["open_interest"][:, 0], [1000.0, 2000.0, np.nan, 2000.0])
