"""Suite `data`: a year of minute bars from the lake as a panel, aligning 8 symbols, and curating gigabytes.

    python -m rayjobs.bench suite=data

Made bars in a temporary folder, deleted after; one pinned thread. The pandas way beside ours gives the same panel and
the same counts of what was found, which is compared before anything is timed; the two take turns, and the best of each
counts. Time is CPU time. Curating runs in a process of its own, whose largest memory is read when it ends; its time is
wall time.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data.alignment import align
from data.calendars import bar_grid
from data.checks.hygiene import JUMP_RATIO
from data.lake import Lake, Series
from data.lake.lake import by_month
from data.schema import BAR_COLUMNS, PRICE_COLUMNS
from data.sources.lake import LakeConfig
from data.vendors.definition import BarRequest, Delivery
from rayjobs.bench.env_suite import Row, pin_thread, row

GIGABYTE = 1e9
NUM_SYMBOLS = 8
WANTED = {"panel_ms": 100.0, "alignment": 5.0, "memory_gb": 1.0}


def made_bars(labels: pd.DatetimeIndex, generator: np.random.Generator, gaps: int = 0) -> pd.DataFrame:
    """A random walk on these labels, with stretches of 200 bars cut out."""
    count = len(labels)
    close = np.round(100.0 * np.exp(np.cumsum(generator.normal(0.0, 1e-4, count))), 4)
    opened = np.concatenate([[100.0], close[:-1]])
    rows = pd.DataFrame({"open": opened, "close": close}, index=labels)
    rows["high"] = np.maximum(opened, close) + 0.01
    rows["low"] = np.minimum(opened, close) - 0.01
    rows["volume"] = generator.integers(0, 1000, count).astype(np.float64)
    kept = np.ones(count, dtype=bool)
    for begin in generator.integers(0, max(count - 200, 1), gaps):
        kept[begin : begin + 200] = False
    return rows.loc[kept, list(BAR_COLUMNS)]


def store(lake: Lake, series: Series, rows: pd.DataFrame, calendar: str) -> None:
    """Put made bars into a lake."""
    aware = rows.tz_localize("UTC")
    piece = BarRequest(
        symbol=series.symbol,
        bar_seconds=series.bar_seconds,
        start_utc=aware.index[0],
        stop_utc=aware.index[-1] + pd.Timedelta(seconds=series.bar_seconds),
    )
    delivery = Delivery(rows=aware, source_uri="made:", calls=1)
    lake.store(
        series, piece, delivery, now_utc=pd.Timestamp.now("UTC"), settle_seconds=0.0, calendar=calendar
    )


def best_in_turn(measures: Mapping[str, Callable[[], object]], repetitions: int) -> dict[str, float]:
    """Name -> least CPU time, s; the measures take turns, so that a busy machine is busy for all of them."""
    best = dict.fromkeys(measures, np.inf)
    for _ in range(repetitions):
        for name, measure in measures.items():
            began = time.process_time()
            measure()
            best[name] = min(best[name], time.process_time() - began)
    return best


def panel_rows(folder: Path, repetitions: int) -> list[Row]:
    """A symbol-year of minute bars of the NYSE, from the lake to a panel."""
    lake = Lake(str(folder))
    grid = bar_grid("NYSE", 60, "2022-01-01", "2025-01-01").bar_utc
    rows = made_bars(pd.DatetimeIndex(grid), np.random.default_rng(1))
    series = Series(source="made", bar_seconds=60, adjustment="raw", symbol="ABC")
    store(lake, series, rows, "NYSE")
    lake.curate(series)
    plain: dict[str, Any] = {
        "lake": str(folder), "source_name": "made", "made_from": None, "adjustment": "raw", "calendar": None,
        "as_of": None, "symbols": ("ABC",), "start_utc": "2023-01-01", "stop_utc": "2024-01-01",
    }  # fmt: skip
    minutes, hours = LakeConfig(bar="1m", **plain), LakeConfig(bar="30m", **plain)
    bars = minutes.read().panel.num_bars
    times = best_in_turn({"1m": minutes.read, "30m": hours.read}, repetitions)
    facts = {"bars": bars, "wanted_ms": WANTED["panel_ms"], "threads": 1}
    return [
        row("a symbol-year of minute bars from the lake as a panel", times["1m"] * 1e3, "ms", **facts),
        row("the same as bars of 30 minutes", times["30m"] * 1e3, "ms", **facts),
    ]


def pandas_way(bars: Mapping[str, pd.DataFrame], step: str) -> tuple[dict[str, pd.DataFrame], dict[str, int]]:
    """The panel and the counts of what was found, by pandas: reindexed to a grid, checked, joined."""
    grid = pd.date_range(
        min(r.index[0] for r in bars.values()), max(r.index[-1] for r in bars.values()), freq=step
    )
    counts = dict.fromkeys(("missing", "missing_runs", "zero_volume", "inconsistent", "jump"), 0)
    frames = {}
    for symbol, rows in bars.items():
        if not rows.index.is_monotonic_increasing or rows.index.has_duplicates or rows.isna().any(axis=None):
            raise ValueError(symbol)
        if (rows[list(PRICE_COLUMNS)] <= 0.0).any(axis=None) or (rows["volume"] < 0.0).any():
            raise ValueError(symbol)
        bad = (rows["high"] < rows[["open", "close"]].max(axis=1)) | (
            rows["low"] > rows[["open", "close"]].min(axis=1)
        )
        before = rows["close"].shift(1).fillna(rows["open"])
        moves = pd.concat(
            [rows["open"] / before, rows["close"] / rows["open"],
             rows["high"] / rows[["open", "close"]].max(axis=1), rows["low"] / rows[["open", "close"]].min(axis=1)],
            axis=1,
        )  # fmt: skip
        jumps = (moves > JUMP_RATIO).any(axis=1) | (moves < 1.0 / JUMP_RATIO).any(axis=1)
        whole = rows.mask(bad).reindex(grid)
        absent = whole["close"].isna()
        counts["missing"] += int(absent.sum() - bad.sum())
        counts["missing_runs"] += int((absent & ~absent.shift(1, fill_value=False)).sum())
        counts["zero_volume"] += int((rows["volume"] == 0.0).sum())
        counts["inconsistent"] += int(bad.sum())
        counts["jump"] += int(jumps.sum())
        frames[symbol] = whole
    wide = pd.concat(frames, axis=1)
    panel = {name: wide.xs(name, axis=1, level=1) for name in BAR_COLUMNS}
    panel["volume"] = panel["volume"].fillna(0.0)
    panel["tradable"] = panel["close"].notna() & (panel["volume"] > 0.0)
    return panel, counts


def long_table_way(bars: Mapping[str, pd.DataFrame], step: str) -> dict[str, pd.DataFrame]:
    """The panel from one long table, as files of several symbols and databases give it; nothing is checked."""
    table = pd.concat(bars, names=["symbol", "opened"]).reset_index()
    grid = pd.date_range(table["opened"].min(), table["opened"].max(), freq=step)
    return {
        name: table.pivot(index="opened", columns="symbol", values=name).reindex(grid) for name in BAR_COLUMNS
    }


def alignment_rows(num_bars: int, repetitions: int) -> list[Row]:
    """Aligning 8 symbols of minute bars around the clock, beside the pandas way of doing the same."""
    generator = np.random.default_rng(2)
    labels = pd.date_range("2020-01-01", periods=num_bars, freq="min").as_unit("ns")
    bars = {f"S{number}": made_bars(labels, generator, gaps=50) for number in range(NUM_SYMBOLS)}
    ours = align(bars, calendar="24/7", bar_seconds=60)
    panel, counts = pandas_way(bars, "min")
    for name in (*BAR_COLUMNS, "tradable"):
        np.testing.assert_array_equal(getattr(ours.panel, name), panel[name].to_numpy())
    for kind in ("missing", "zero_volume", "inconsistent", "jump"):
        if ours.hygiene.bars(kind) != counts[kind]:
            raise AssertionError(f"{kind}: {ours.hygiene.bars(kind)} bars by ours, {counts[kind]} by pandas")
    del ours, panel
    times = best_in_turn(
        {
            "pandas": lambda: pandas_way(bars, "min"),
            "ours": lambda: align(bars, calendar="24/7", bar_seconds=60),
        },
        repetitions,
    )
    facts = {"symbols": NUM_SYMBOLS, "bars": num_bars, "wanted_ratio": WANTED["alignment"], "threads": 1}
    short = {symbol: rows.iloc[: num_bars // 10] for symbol, rows in bars.items()}
    pivoting = best_in_turn({"long": lambda: long_table_way(short, "min")}, 1)["long"]
    total = num_bars * NUM_SYMBOLS
    wide = row("aligning 8 symbols by pandas, wide frames", total / times["pandas"], "rows/s", **facts)
    pivoted = row(
        "by pandas, a long table pivoted, nothing checked",
        sum(map(len, short.values())) / pivoting,
        "rows/s",
        wide,
        **{**facts, "bars": num_bars // 10},
    )
    return [
        wide,
        pivoted,
        row("by data.alignment", total / times["ours"], "rows/s", wide, **facts),
        row(
            "by data.alignment, beside the long table",
            total / times["ours"],
            "rows/s",
            pivoted,
            **facts,
        ),
    ]


def curation_rows(folder: Path, gigabytes: float) -> list[Row]:
    """Curating made deliveries of this many gigabytes, half of a year delivered twice, in a process of its own."""
    lake = Lake(str(folder))
    generator = np.random.default_rng(3)
    labels = pd.date_range("2023-01-01", "2024-01-01", freq="min", inclusive="left").as_unit("ns")
    row_bytes = 8 * (1 + len(BAR_COLUMNS))
    delivered = number = 0
    while delivered * row_bytes < gigabytes * GIGABYTE:
        rows = made_bars(labels, generator)
        series = Series(source="made", bar_seconds=60, adjustment="raw", symbol=f"S{number:04d}")
        store(lake, series, rows, "24/7")
        half = rows.iloc[: len(rows) // 2]
        store(lake, series, half.assign(close=half["close"] + 0.001), "24/7")
        delivered += len(rows) + len(half)
        number += 1
    command = [sys.executable, "-m", "rayjobs.bench.data_suite", str(folder)]
    began = time.perf_counter()
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - began
    months, memory_kb = (int(word) for word in answer.stdout.split())
    on_disk = sum(fact.size for fact in lake.files.files_below("raw"))
    facts = {
        "rows": delivered, "raw_gb": delivered * row_bytes / GIGABYTE, "raw_gb_on_disk": on_disk / GIGABYTE,
        "symbol_months": months, "wanted_memory_gb": WANTED["memory_gb"], "threads": 1,
    }  # fmt: skip
    return [
        row(f"curating {facts['raw_gb']:.2g} GB of raw bars", delivered / seconds, "rows/s", **facts),
        row("its largest memory", memory_kb * 1024 / GIGABYTE, "GB", **facts),
    ]


def run(settings: Mapping[str, Any]) -> list[Row]:
    """Run the suite; settings : repetitions, alignment_bars, curate_gb."""
    affinity = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    pin_thread()
    import pyarrow as pa

    pa.set_cpu_count(1)
    repetitions = int(settings["repetitions"])
    try:
        with tempfile.TemporaryDirectory(prefix="rayfold-bench-") as folder:
            rows = panel_rows(Path(folder) / "panel", repetitions)
            rows += alignment_rows(int(settings["alignment_bars"]), repetitions)
            rows += curation_rows(Path(folder) / "curation", float(settings["curate_gb"]))
        return rows
    finally:
        if affinity is not None:
            os.sched_setaffinity(0, affinity)


def _curate(folder: str) -> None:
    """Curate a lake and say how many months there were and the largest memory, kB."""
    lake = Lake(folder)
    months = 0
    for series in lake.series():
        lake.curate(series)
        months += len(by_month(lake.parts(series)))
    print(months, _largest_memory_kb())


def _largest_memory_kb() -> int:
    """Largest resident memory of this process since it began its program, kB.

    `getrusage` also knows what the process that started this one had when it forked.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1])
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    _curate(sys.argv[1])
