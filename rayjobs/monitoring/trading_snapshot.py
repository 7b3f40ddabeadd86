"""How a trading run stands, for whoever watches it: a small file that the loop writes anew after each bar.

The loop's own record is locked while it trades. This file is what others may read, and a file beside it is how they
ask it to stop.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from envs.live.guard_folder import switch_thrown, switches

SNAPSHOT_FILE = "trading_snapshot.json"


@dataclass(frozen=True, kw_only=True)
class TradingSnapshot:
    """A trading run after a bar.

    Parameters
    ----------
    written_utc : when it was written, ISO with Z. bar_utc : label of the last bar that was decided on.
    mode : replay, paper, shadow or the broker's name.
    equity, pnl_day, pnl_total : account currency; None where not known.
    positions : symbol -> units. orders : open ones, a mapping each. limits : limit -> share of it that is used.
    data_age_s : from the last bar's close to its arrival. latency_ms : of decisions, such as p50 and p99.
    drift : what of the inputs has moved away from training, by name. decisions : the last few, newest first.
    halted : why nothing is traded any more; empty while it trades.
    """

    written_utc: str
    bar_utc: str
    mode: str
    equity: float | None = None
    pnl_day: float | None = None
    pnl_total: float | None = None
    positions: Mapping[str, float] = field(default_factory=dict)
    orders: Sequence[Mapping[str, Any]] = ()
    limits: Mapping[str, float] = field(default_factory=dict)
    data_age_s: float | None = None
    latency_ms: Mapping[str, float] = field(default_factory=dict)
    drift: Mapping[str, float] = field(default_factory=dict)
    decisions: Sequence[Mapping[str, Any]] = ()
    halted: str = ""


def write_snapshot(directory: Path, snapshot: TradingSnapshot) -> None:
    """Put the snapshot in the place of the earlier one, in one step."""
    temporary = directory / f".{SNAPSHOT_FILE}.{os.getpid()}.part"
    temporary.write_text(json.dumps(asdict(snapshot)), encoding="utf-8")
    os.replace(temporary, directory / SNAPSHOT_FILE)


def read_snapshot(directory: Path) -> dict[str, Any] | None:
    """The snapshot as plain values; None where there is none that can be read."""
    try:
        content = json.loads((directory / SNAPSHOT_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def ask_to_stop(directory: Path, by: str) -> Path:
    """Throw the kill switch of a trading run: its guard, where it has one, flattens; its loop trades no more.

    by : who asks; stands in the file, with the time.
    """
    path = switches(directory)[0]
    path.write_text(f"{datetime.now(UTC).strftime('%Y-%m-%dT%H:%M:%SZ')} {by}\n", encoding="utf-8")
    return path


def stop_asked(directory: Path) -> str:
    """Why the kill switch is thrown; empty where it is not."""
    return switch_thrown(directory) or ""


def files_to_remove(directory: Path) -> str:
    """The files that hold the switch down, in words."""
    return " and ".join(str(path) for path in switches(directory) if path.exists())
