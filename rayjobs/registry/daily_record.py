"""The daily returns that a trading run left, for holding one version of a policy to another.

A trading run lies beside the run of its policy, in ``trading/RUN_ID/``, and names the export that it trades.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rayjobs.config.typed_config import ConfigError
from rayjobs.registry.versions import Version
from rayjobs.storage.started_run import StartedRun

TRADING = "trading"
DAILY_FILE = "daily_report.csv"
LIVE_BROKERS = ("shadow", "paper", "ibkr")
"""Brokers whose runs count: what was replayed from history was known to whoever replayed it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class DailyRecord:
    """Net return by day.

    Attributes
    ----------
    days : (N,) datetime64[D], ascending, each once. net_return : (N,) fraction.
    sources : files that it was read from, with the hash of each.
    """

    days: NDArray[np.datetime64]
    net_return: NDArray[np.float64]
    sources: tuple[tuple[str, str], ...]

    def since(self, first: np.datetime64) -> DailyRecord:
        """The days from one on."""
        kept = self.days >= first.astype("datetime64[D]")
        return DailyRecord(days=self.days[kept], net_return=self.net_return[kept], sources=self.sources)


def daily_record(directories: Iterable[Path]) -> DailyRecord:
    """Join the daily returns of trading runs of one policy; where two have a day, the later run counts.

    Raises
    ------
    ConfigError
        If a file cannot be read, or holds a return that is no number.
    """
    by_day: dict[np.datetime64, float] = {}
    sources = []
    for directory in sorted(directories, key=lambda path: path.name):
        path = directory / DAILY_FILE
        try:
            content = path.read_bytes()
            table = pd.read_csv(path)
            days = pd.to_datetime(table["date"], utc=True).dt.tz_localize(None).to_numpy("datetime64[D]")
            returns = table["net_return"].to_numpy(np.float64)
        except (OSError, ValueError, KeyError) as error:
            raise ConfigError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
        if not np.isfinite(returns).all():
            raise ConfigError(f"{path} holds a day without a return; it is no whole record")
        by_day |= dict(zip(days, returns.tolist()))
        sources.append((str(path.absolute()), sha256(content).hexdigest()))
    ordered = sorted(by_day)
    return DailyRecord(
        days=np.array(ordered, dtype="datetime64[D]"),
        net_return=np.array([by_day[day] for day in ordered], dtype=np.float64),
        sources=tuple(sources),
    )


def trading_runs(version: Version, given: str | None) -> list[Path]:
    """The trading runs of a version: the one that is named, or those beside its run that traded live bars.

    Raises
    ------
    ConfigError
        If the named one traded another policy, or history.
    """
    if given is not None:
        path = Path(given).expanduser()
        if not _trades(path, version):
            raise ConfigError(
                f"{given} is no run of {version.reference} over live bars (broker={', '.join(LIVE_BROKERS)}) with a "
                f"{DAILY_FILE}"
            )
        return [path]
    beside = Path(version.facts.run).parent / TRADING
    return [path for path in sorted(beside.glob("*")) if _trades(path, version)]


def _trades(directory: Path, version: Version) -> bool:
    """Whether a directory is a trading run of just this export over live bars, with a record of days."""
    if not (directory / DAILY_FILE).is_file():
        return False
    try:
        asked = StartedRun.read(directory).values.get(TRADING)
    except (OSError, ValueError, KeyError):
        return False
    if not isinstance(asked, dict) or not isinstance(asked.get("broker"), dict):
        return False
    live = (asked.get("feed") or {}).get("kind") != "history" and asked["broker"].get("kind") in LIVE_BROKERS
    return live and Path(str(asked.get("policy"))).absolute() == version.facts.export.absolute()
