"""The catalogue of all runs below one folder: where each stands, its headline numbers, read again where a file changed.

A run is a folder with a ``config.yaml``. Its settings, which take longest to read, are read when first asked for.
"""

from __future__ import annotations

import json
import math
import os
import shlex
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rayjobs.monitoring.live_rows import LIVE_FILE, read_live_rows
from rayjobs.monitoring.trading_snapshot import SNAPSHOT_FILE
from rayjobs.pages.settings_index import SettingsIndex
from rayjobs.pages.trial_progress import STUDY_DATABASE, sweep_progress
from rayjobs.storage.run_directory import read_status
from rayjobs.storage.running_process import was_killed
from rayjobs.storage.started_run import CONFIG_FILE

SUMMARY, VERDICT, STATUS, STUDY = "backtest/summary.json", "verdict.json", "status.json", "study.json"
METRICS = (
    "sharpe", "total_return", "annual_return", "max_drawdown", "volatility", "sortino", "calmar", "dsr", "psr",
    "num_trades", "win_rate", "annual_turnover", "total_cost", "mean_gross_exposure", "oracle_fraction", "num_folds",
    "num_bars",
)  # fmt: skip
"""Numbers of ``summary.json`` that the list of runs can show, filter and sort by."""
LIVE = ("approx_kl", "clip_fraction", "explained_variance", "entropy", "learning_rate", "validation_sharpe")
"""Numbers of the newest training row that it can show beside them."""
PROGRESS = ("progress", "folds_begun", "trials_ended", "num_trials", "seconds_left")
"""How far a training or a sweep is."""
WATCHED = (
    STATUS, SUMMARY, VERDICT, STUDY, STUDY_DATABASE, f"{STUDY_DATABASE}-wal", LIVE_FILE, SNAPSHOT_FILE, CONFIG_FILE,
)  # fmt: skip
"""Files of a run whose change means that there is something new to show."""
DEPTH = 5
KINDS = {"sweeps": "sweep", "evaluations": "evaluation", "screenings": "screening", "trading": "trading"}
"""Folder that holds a run -> what kind of run that is."""
RESUMED_BY = {"run": "train", "sweep": "sweep"}
"""Kind of run -> command that goes on with one that ended before its end."""


class UnknownRun(KeyError):
    """There is no run of the name that was asked for."""


@dataclass(frozen=True, kw_only=True)
class RunEntry:
    """One run as the list shows it.

    Attributes
    ----------
    name : path below the root, with slashes: what the run is called in every address.
    kind : run, sweep, winner, evaluation, screening or trading.
    status : running, killed, interrupted, failed or done; "unknown" where nothing says so.
    verdict : approved, lowered, refused, or "" where it was not judged.
    numbers : finite numbers by name, of `METRICS`, `LIVE` and `PROGRESS`.
    """

    name: str
    path: Path
    kind: str
    status: str
    started_utc: str
    ended_utc: str
    error: str
    verdict: str
    headline: str
    numbers: Mapping[str, float]

    @property
    def experiment(self) -> str:
        """First folder below the root."""
        return self.name.split("/", 1)[0]

    @property
    def resumed_by(self) -> str:
        """Command line that goes on with this run, typed on this machine; "" where there is nothing to go on with."""
        command = RESUMED_BY.get(self.kind, "")
        if not command or self.status not in ("killed", "interrupted", "failed"):
            return ""
        return f"python -m rayjobs.{command} {shlex.quote(f'resume={self.path}')}"

    def row(self) -> dict[str, Any]:
        """What columns of the list are made of."""
        return {
            "run": self.name,
            "experiment": self.experiment,
            "kind": self.kind,
            "status": self.status,
            "verdict": self.verdict,
            "started": self.started_utc,
            "ended": self.ended_utc,
            **self.numbers,
        }


class Catalogue:
    """All runs below a root; safe to be asked from several threads.

    Parameters
    ----------
    root : folder of all runs, ``run.directory``.

    Attributes
    ----------
    version : grows with every change that `refresh` finds.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().resolve()
        self.version = 0
        self._lock = threading.RLock()
        self._entries: dict[str, RunEntry] = {}
        self._signatures: dict[str, tuple[Any, ...]] = {}
        self._settings = SettingsIndex(self.root)

    def refresh(self) -> list[str]:
        """Look for new, changed and removed runs; returns their names."""
        with self._lock:
            found = dict(_run_folders(self.root))
            changed = [name for name in self._entries if name not in found]
            for name in changed:
                del self._entries[name], self._signatures[name]
            for name, path in found.items():
                signature = _signature(path)
                running = name in self._entries and self._entries[name].status == "running"
                if self._signatures.get(name) == signature and not running:
                    continue
                entry = _read_entry(name, path, self._settings)
                if entry != self._entries.get(name) or self._signatures.get(name) != signature:
                    changed.append(name)
                self._entries[name], self._signatures[name] = entry, signature
            self.version += bool(changed)
            return changed

    def entries(self) -> list[RunEntry]:
        """Every run, the newest first."""
        with self._lock:
            return sorted(self._entries.values(), key=lambda e: (e.started_utc, e.name), reverse=True)

    def find(self, name: str) -> RunEntry:
        """The run of a name; only what `refresh` found is known, so no name leads out of the root.

        Raises
        ------
        UnknownRun
            If there is no such run.
        """
        with self._lock:
            try:
                return self._entries[name]
            except KeyError:
                raise UnknownRun(name) from None

    def settings(self, name: str) -> dict[str, Any]:
        """Dotted key -> value of a run's configuration, secrets blotted out; empty where it cannot be read."""
        return self._settings.of(name, self.find(name).path)

    def read_settings(self, stopped: threading.Event) -> None:
        """Read the settings of every run that has none yet, so that the first question about one need not wait."""
        self._settings.read(self._paths(), stopped)

    def column(self, key: str) -> dict[str, Any]:
        """Run -> value of one setting, of the runs that have it."""
        return self._settings.column(key, self._paths())

    def _paths(self) -> dict[str, Path]:
        with self._lock:
            return {name: entry.path for name, entry in self._entries.items()}

    def keys(self) -> list[str]:
        """Every setting that some run of the newest fifty has."""
        found: dict[str, None] = {}
        for entry in self.entries()[:50]:
            found.update(dict.fromkeys(self.settings(entry.name)))
        return sorted(found)


def run_files(path: Path) -> list[str]:
    """Pages and tables of a run that may be fetched, by their path below it."""
    wanted = ("report.html", "tearsheet.html", "comparison.html", "features.html", "winner/report.html")
    tables = ("progress.csv", "trials.csv", SUMMARY, VERDICT, "walk_forward/folds.csv", "backtest/trades.csv")
    return [name for name in (*wanted, *tables) if (path / name).is_file()]


def _run_folders(root: Path) -> Iterator[tuple[str, Path]]:
    """(name, folder) of every run below the root; hidden folders and links are not entered."""
    waiting = [(root, 0)]
    while waiting:
        folder, depth = waiting.pop()
        try:
            inside = [entry for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
        except OSError:
            continue
        is_run = depth > 0 and (folder / CONFIG_FILE).is_file()
        if is_run:
            yield folder.relative_to(root).as_posix(), folder
        wanted = ("winner", *KINDS) if is_run else None
        waiting += [
            (Path(entry.path), depth + 1)
            for entry in inside
            if depth < DEPTH and not entry.name.startswith(".") and (wanted is None or entry.name in wanted)
        ]


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _signature(path: Path) -> tuple[Any, ...]:
    return tuple(_stamp(path / name) for name in WATCHED)


def _read_entry(name: str, path: Path, settings: SettingsIndex) -> RunEntry:
    status, verdict = read_status(path) or {}, _json(path / VERDICT)
    if not verdict:
        verdict = _json(path / STUDY).get("verdict") or {}
    summary = _json(path / SUMMARY)
    numbers = {key: summary[key] for key in METRICS if _finite(summary.get(key))}
    state = str(status.get("status", "done" if verdict else "unknown"))
    if state == "running":
        state = "killed" if was_killed(status) else state
    kind = "winner" if path.name == "winner" else KINDS.get(path.parent.name, "run")
    if state != "done":
        numbers |= sweep_progress(path, settings.of(name, path)) if kind == "sweep" else _progress(path)
    started = str(status.get("started_utc", "")) or _started(path.name)
    return RunEntry(
        name=name,
        path=path,
        kind=kind,
        status=state,
        started_utc=started or _started(path.parent.name),
        ended_utc=str(status.get("ended_utc", "")),
        error=str(status.get("error", "")),
        verdict=_word(verdict),
        headline=str(verdict.get("headline", "")),
        numbers=numbers,
    )


def _progress(path: Path) -> dict[str, float]:
    """How far a training is, folds that have not begun included, and its newest numbers."""
    rows = read_live_rows(path / LIVE_FILE)
    if not rows:
        return {}
    newest = {row["fold"]: row for row in rows}
    latest = max(rows, key=lambda row: str(row.get("utc", "")))
    found = {name: latest[name] for name in LIVE if _finite(latest.get(name))}
    shares = [min(1.0, row["env_steps"] / row["total_env_steps"]) for row in newest.values()]
    speed = sum(
        row.get("env_steps_per_second", 0.0)
        for row in newest.values()
        if row["env_steps"] < row["total_env_steps"]
    )
    folds, total = max(len(newest), int(latest.get("num_folds", 0))), latest["total_env_steps"]
    left = (folds - sum(shares)) * total
    found |= {"progress": sum(shares) / folds, "folds_begun": float(len(newest))}
    return found | ({"seconds_left": left / speed} if speed > 0 else {})


def _started(name: str) -> str:
    """Start of a run as its folder's name has it, ``20260101T000000Z-abcdef``; empty for another name."""
    stamp = name.split("-")[0]
    if len(stamp) != 16 or stamp[8] != "T" or stamp[-1] != "Z":
        return ""
    day, time = stamp[:8], stamp[9:15]
    return f"{day[:4]}-{day[4:6]}-{day[6:]}T{time[:2]}:{time[2:4]}:{time[4:]}Z"


def _word(verdict: Mapping[str, Any]) -> str:
    if "pass" not in verdict:
        return ""
    return "refused" if not verdict["pass"] else ("lowered" if verdict.get("lowered") else "approved")


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
