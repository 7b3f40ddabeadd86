"""Suite `data`: a year of minute bars from the lake as a panel, aligning 8 symbols, and curating gigabytes.

    python -m rayjobs.bench suite=data

Made bars in a temporary folder, deleted after; one pinned thread. Aligning stands beside pandas twice: the same work
(`pandas_way` gives the same panel and the same counts of what was found, which is compared before anything is timed),
and the bare minimum, rows reindexed and put side by side with nothing looked at. All take turns, each beginning with
frames as a reader hands them over, whose indices have built no tables of their own yet; the best of each counts. Time
is CPU time. Curating runs in a process of its own, whose largest memory is read on the way and at the end; its time is
wall time.
"""

from __future__ import annotations

import os
import shutil
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
from data.lake import Lake, Series
from data.lake.lake import by_month
from data.schema import BAR_COLUMNS
from data.sources.lake import LakeConfig
from data.vendors.definition import BarRequest, Delivery
from rayjobs.bench.alignment_peers import as_read, bare_way, long_table_way, pandas_way
from rayjobs.bench.env_suite import Row, pin_thread, row

GIGABYTE = 1e9
NUM_SYMBOLS = 8
WANTED = {"panel_ms": 100.0, "alignment": 5.0, "memory_gb": 1.0}
ROW_BYTES = 8 * (1 + len(BAR_COLUMNS))
"""A row in memory: its label, prices and volume."""
DISK_SHARE = 1.2
"""Disk that made deliveries and their curated months take, as a share of the raw rows in memory, at most."""


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


def best_in_turn(
    measures: Mapping[str, Callable[[Any], object]], repetitions: int, given: Callable[[], Any] = lambda: None
) -> dict[str, float]:
    """Name -> least CPU time, s; the measures take turns, so that a busy machine is busy for all of them.

    Parameters
    ----------
    given : what a measure is handed, made anew before each and not timed.
    """
    best = dict.fromkeys(measures, np.inf)
    for _ in range(repetitions):
        for name, measure in measures.items():
            argument = given()
            began = time.process_time()
            measure(argument)
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
    times = best_in_turn({"1m": lambda _: minutes.read(), "30m": lambda _: hours.read()}, repetitions)
    facts = {"bars": bars, "wanted_ms": WANTED["panel_ms"], "threads": 1}
    return [
        row("a symbol-year of minute bars from the lake as a panel", times["1m"] * 1e3, "ms", **facts),
        row("the same as bars of 30 minutes", times["30m"] * 1e3, "ms", **facts),
    ]


def alignment_rows(num_bars: int, repetitions: int) -> list[Row]:
    """Aligning 8 symbols of minute bars around the clock, beside the pandas ways of doing it."""
    generator = np.random.default_rng(2)
    labels = pd.date_range("2020-01-01", periods=num_bars, freq="min").as_unit("ns")
    bars = {f"S{number}": made_bars(labels, generator, gaps=50) for number in range(NUM_SYMBOLS)}
    _require_same(bars)
    measures: dict[str, Callable[[Any], object]] = {
        "pandas": lambda rows: pandas_way(rows, "min"),
        "bare": lambda rows: bare_way(rows, "min"),
        "ours": lambda rows: align(rows, calendar="24/7", bar_seconds=60),
    }
    times = best_in_turn(measures, repetitions, lambda: as_read(bars))
    short = {symbol: rows.iloc[: num_bars // 10] for symbol, rows in bars.items()}
    pivoting = best_in_turn({"long": lambda rows: long_table_way(rows, "min")}, 1, lambda: as_read(short))
    facts = {"symbols": NUM_SYMBOLS, "bars": num_bars, "threads": 1}
    total = sum(map(len, bars.values()))
    same = row(
        "aligning 8 symbols by pandas, the same counts",
        total / times["pandas"],
        "rows/s",
        wanted_ratio=WANTED["alignment"],
        **facts,
    )
    bare = row("by pandas, nothing looked at or counted", total / times["bare"], "rows/s", same, **facts)
    long = row(
        "by pandas, a long table pivoted, nothing looked at",
        sum(map(len, short.values())) / pivoting["long"],
        "rows/s",
        same,
        **{**facts, "bars": num_bars // 10},
    )
    ours = total / times["ours"]
    return [
        same,
        bare,
        long,
        row("by data.alignment", ours, "rows/s", same, **facts),
        row("by data.alignment, beside pandas that looks at nothing", ours, "rows/s", bare, **facts),
    ]


def _require_same(bars: Mapping[str, pd.DataFrame]) -> None:
    """Compare what is timed: the panel, and the counts of what was found in the bars."""
    ours = align(bars, calendar="24/7", bar_seconds=60)
    panel, counts = pandas_way(bars, "min")
    for name in (*BAR_COLUMNS, "tradable"):
        np.testing.assert_array_equal(getattr(ours.panel, name), panel[name])
    for kind in ("missing", "zero_volume", "inconsistent", "jump"):
        if ours.hygiene.bars(kind) != counts[kind]:
            raise AssertionError(f"{kind}: {ours.hygiene.bars(kind)} bars by ours, {counts[kind]} by pandas")
    if ours.hygiene.runs("missing") != counts["missing_runs"]:
        raise AssertionError(
            f"{ours.hygiene.runs('missing')} gaps by ours, {counts['missing_runs']} by pandas"
        )


def curation_rows(folder: Path, gigabytes: float) -> list[Row]:
    """Curating made deliveries of this many gigabytes, half of a year delivered twice, in a process of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    needed = gigabytes * GIGABYTE * DISK_SHARE
    free = shutil.disk_usage(folder).free
    if free < needed:
        reason = f"{needed / GIGABYTE:.1f} GB of disk are needed, and {folder} has {free / GIGABYTE:.1f}: set TMPDIR"
        return [row(f"curating {gigabytes:.2g} GB of raw bars", None, "rows/s", reason=reason)]
    lake = Lake(str(folder))
    delivered = _deliver(lake, gigabytes)
    command = [sys.executable, "-m", "rayjobs.bench.data_suite", str(folder)]
    began = time.perf_counter()
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - began
    months, early_kb, memory_kb = (int(word) for word in answer.stdout.split())
    on_disk = sum(fact.size for fact in lake.files.files_below("raw"))
    facts = {
        "rows": delivered, "raw_gb": delivered * ROW_BYTES / GIGABYTE, "raw_gb_on_disk": on_disk / GIGABYTE,
        "symbol_months": months, "seconds": seconds, "wanted_memory_gb": WANTED["memory_gb"], "threads": 1,
    }  # fmt: skip
    early = row("its largest memory when a tenth was done", early_kb * 1024 / GIGABYTE, "GB", **facts)
    return [
        row(f"curating {facts['raw_gb']:.2g} GB of raw bars", delivered / seconds, "rows/s", **facts),
        early,
        row("its largest memory at the end", memory_kb * 1024 / GIGABYTE, "GB", early, **facts),
    ]


def _deliver(lake: Lake, gigabytes: float) -> int:
    """Store made years of minutes, the first half of each once more with other closes; return how many rows."""
    generator = np.random.default_rng(3)
    labels = pd.date_range("2023-01-01", "2024-01-01", freq="min", inclusive="left").as_unit("ns")
    delivered = number = 0
    while delivered * ROW_BYTES < gigabytes * GIGABYTE:
        rows = made_bars(labels, generator)
        series = Series(source="made", bar_seconds=60, adjustment="raw", symbol=f"S{number:04d}")
        store(lake, series, rows, "24/7")
        half = rows.iloc[: len(rows) // 2]
        store(lake, series, half.assign(close=half["close"] + 0.001), "24/7")
        delivered += len(rows) + len(half)
        number += 1
    return delivered


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
    """Curate a lake; say how many months there were, and the largest memory after a tenth of the series and all, kB."""
    lake = Lake(folder)
    every = lake.series()
    months = early_kb = 0
    for number, series in enumerate(every):
        lake.curate(series)
        months += len(by_month(lake.parts(series)))
        if number == len(every) // 10:
            early_kb = _largest_memory_kb()
    print(months, early_kb, _largest_memory_kb())


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
