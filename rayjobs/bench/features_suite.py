"""Suite `features`: the whole feature library on many bars, beside pandas and TA-Lib, and one bar at a time.

    python -m rayjobs.bench suite=features

One pinned thread; time is CPU time of that thread, the best of some runs. Memory is touched once before, because the
first use of a page is the operating system's work, and the same for everybody. Peers compute the features that they
have, and only these are compared; ours give them as ratios, in float32, into one array.
"""

from __future__ import annotations

import gc
import os
import resource
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from data.features import ClosedBar, FeatureSpec, FeatureStream, compute_features
from data.schema import Panel
from rayjobs.bench import feature_peers
from rayjobs.bench.env_suite import Row, pin_thread, row
from rayjobs.config.compose import compose

SYMBOLS = ("SPY", "QQQ", "AMD", "NVDA", "VIX", "VIX9D", "BTC", "ETH")
WARM_BARS = 6_000


def library() -> list[FeatureSpec]:
    """Every entry of ``features=library``."""
    entries = compose("train", ["features=library"])["features"]["specs"].values()
    return [FeatureSpec(**entry) for entry in entries]


def random_bars(num_bars: int, seed: int = 0) -> Panel:
    """One-minute bars of eight symbols of a market without a close, without gaps."""
    rng = np.random.default_rng(seed)
    shape = (num_bars, len(SYMBOLS))
    close = 100.0 * np.exp(np.cumsum(5e-4 * rng.standard_normal(shape), axis=0))
    opened = close * np.exp(2e-4 * rng.standard_normal(shape))
    reach = np.exp(2e-4 * np.abs(rng.standard_normal(shape)))
    times = np.datetime64("2018-01-01", "ns") + np.arange(num_bars) * np.timedelta64(60, "s")
    return Panel(
        symbols=SYMBOLS,
        bar_utc=times,
        open=opened,
        high=np.maximum(opened, close) * reach,
        low=np.minimum(opened, close) / reach,
        close=close,
        volume=np.floor(rng.exponential(500.0, shape)),
        tradable=np.ones(shape, dtype=bool),
        session=times.astype("datetime64[D]").astype(np.int32),
        calendar="24/7",
        bar_seconds=60,
        exogenous={"signal": np.sign(rng.standard_normal(shape))},
    )


def cpu_seconds(work: Callable[[], Any], repetitions: int) -> float:
    """The best of some repetitions."""
    best = np.inf
    for _ in range(repetitions):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return float(best)


def library_rows(num_bars: int) -> list[Row]:
    """Time and memory of the whole library."""
    specs, panel = library(), random_bars(num_bars)
    outputs = compute_features(panel.slice_bars(0, WARM_BARS), specs)  # compiles
    names = len(outputs.asset_names)
    needed = panel.close.size * names * 4 + num_bars * len(outputs.clock_names) * 4
    touched = np.ones(int(1.1 * needed) // 8)
    del touched
    gc.collect()
    before = _resident_bytes()
    peak_before = _peak_bytes()
    began = time.process_time()
    features = compute_features(panel, specs)
    seconds = time.process_time() - began
    # The touched memory is the peak until the library needs more than it.
    grown = max(_peak_bytes() - before, _resident_bytes() - before)
    facts = {"bars": num_bars, "assets": len(SYMBOLS), "features": len(specs), "outputs": names, "threads": 1}
    result = features.asset.nbytes + features.clock.nbytes
    del features
    seconds = min(seconds, cpu_seconds(lambda: compute_features(panel, specs), 1))
    began = time.process_time()
    np.empty(result, np.uint8).fill(1)
    writing = time.process_time() - began
    told = {"reason": "at most"} if _peak_bytes() <= peak_before else {}
    return [
        row("library, CPU time", seconds, "s", **facts),
        row("library, writing so much memory once", writing, "s", **facts),
        row("library, per output", 1e9 * seconds / (panel.close.size * names), "ns", **facts),
        row("library, result", result / 2**30, "GiB", **facts),
        row("library, peak over result", grown / result, "ratio", **facts, **told),
    ]


def _resident_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def peer_rows(num_bars: int, repetitions: int) -> list[Row]:
    """The same features by us, pandas and TA-Lib, one asset after the other for those that know no other way."""
    panel, rows = random_bars(num_bars), []
    for peer, table in feature_peers.PEERS.items():
        if table is None:
            rows.append(row(f"features that {peer} has", None, "s", reason=f"{peer} is not installed"))
            continue
        specs = [spec for spec, _ in table]
        compute_features(panel.slice_bars(0, WARM_BARS), specs)
        ours = cpu_seconds(lambda specs=specs: compute_features(panel, specs), repetitions)
        theirs = cpu_seconds(
            lambda table=table: [function(panel) for _, function in table],
            1 if peer == "pandas" else repetitions,
        )
        facts = {"bars": num_bars, "assets": len(SYMBOLS), "features": len(specs), "threads": 1}
        own = row(f"{len(specs)} features that {peer} has, ours", ours, "s", **facts)
        rows += [own, row(f"{len(specs)} features, {peer}", theirs, "s", own, **facts)]
    return rows


def stream_rows(bars: int) -> list[Row]:
    """Milliseconds of a bar of the whole library, bar by bar."""
    specs, panel = library(), random_bars(2_000 + bars)
    stream = FeatureStream.after(specs, panel.slice_bars(0, 2_000))
    taken = []
    for at in range(2_000, 2_000 + bars):
        bar = ClosedBar.of(panel, at)
        began = time.process_time()
        stream.push(bar)
        taken.append(time.process_time() - began)
    facts = {"assets": len(SYMBOLS), "features": len(specs), "bars": bars, "threads": 1}
    return [row("stream, a bar (median)", 1e3 * float(np.median(taken)), "ms", **facts)]


def run(settings: Mapping[str, Any]) -> list[Row]:
    """Run the suite; settings : bars (of the library), peer_bars, stream_bars, repetitions (of ours and TA-Lib's)."""
    affinity = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    pin_thread()
    try:
        return [
            *stream_rows(int(settings["stream_bars"])),
            *peer_rows(int(settings["peer_bars"]), int(settings["repetitions"])),
            *library_rows(int(settings["bars"])),
        ]
    finally:
        if affinity is not None:
            os.sched_setaffinity(0, affinity)
