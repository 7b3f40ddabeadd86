"""What a replay says while it runs."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from rayjobs.trading.replay_progress import SECONDS, ReplayProgress

LABELS = np.datetime64("2024-01-01T00:00", "ns") + np.arange(1_300) * np.timedelta64(1800, "s")


def ground(recorded):
    panel = SimpleNamespace(bar_utc=LABELS) if recorded else None
    return SimpleNamespace(recorded=panel, start_bar=100, stop_bar=1_300)


def closed(bar):
    return SimpleNamespace(
        arrival=SimpleNamespace(bar=SimpleNamespace(bar_utc=LABELS[bar])),
        closed=SimpleNamespace(equity=98_073.4),
    )


def test_a_replay_tells_what_it_replays_and_how_far_it_is_and_live_bars_tell_nothing(caplog):
    caplog.set_level("INFO")
    now = [0.0]
    live = ReplayProgress(ground(recorded=False), clock=lambda: now[0])
    progress = ReplayProgress(ground(recorded=True), clock=lambda: now[0])
    for bar, seconds in (
        (100, 0.0),
        (101, SECONDS - 1),
        (1_099, SECONDS),
        (1_100, SECONDS + 1),
        (1_299, 2 * SECONDS),
    ):
        now[0] = seconds
        progress.add(closed(bar))
        live.add(closed(bar))
    assert [record.getMessage() for record in caplog.records] == [
        "replaying 1,200 bars from 2024-01-03 02:00 to 2024-01-28 01:30; results are written at the end",
        "1,000 of 1,200 bars, to 2024-01-23 21:30: equity 98,073.40",
        "1,200 of 1,200 bars, to 2024-01-28 01:30: equity 98,073.40",
    ]
