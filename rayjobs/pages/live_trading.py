"""What the page of live trading shows, and its kill switch: what the loop tells of itself after each bar."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from envs.live.guard_folder import FOLDER
from rayjobs.config.typed_config import ConfigError
from rayjobs.guarding.place import SETTINGS, guard_folder
from rayjobs.monitoring.trading_snapshot import ask_to_stop, read_snapshot, stop_asked
from rayjobs.pages.catalogue import Catalogue, RunEntry

CONFIRM = "STOP"
"""The word that a person types before the kill switch does anything."""


def trading_runs(catalogue: Catalogue) -> list[dict[str, Any]]:
    """Trading runs, the newest first, with how each stands and how old that news is."""
    catalogue.refresh()
    found = []
    for entry in catalogue.entries():
        snapshot = read_snapshot(entry.path)
        if snapshot is None and entry.kind != "trading":
            continue
        found.append(
            {
                "run": entry.name,
                "status": entry.status,
                "started": entry.started_utc,
                "snapshot": snapshot,
                "age_s": None if snapshot is None else _age(snapshot.get("written_utc")),
                "asked": stop_asked(entry.path),
            }
        )
    return found


def kill(entry: RunEntry, confirm: str) -> str:
    """Throw the kill switch of a run's guard, which flattens the account; a run without a guard trades no more.

    Raises
    ------
    ConfigError
        Without the confirming word, or for a run that does not trade.
    """
    if read_snapshot(entry.path) is None and entry.kind != "trading":
        raise ConfigError(f"{entry.name} is no trading run; there is nothing to stop")
    if confirm != CONFIRM:
        raise ConfigError(f"nothing was stopped; confirm it by the word {CONFIRM}")
    if (entry.path / FOLDER / SETTINGS).is_file():
        guard_folder(entry.path).kill("the dashboard")
        return (
            f"the switch of {entry.name} is thrown: its guard cancels all orders and makes the account flat"
        )
    path = ask_to_stop(entry.path, "dashboard")
    return (
        f"{path.name} was left in {entry.name}: no bar after the next one is traded; what is held stays held"
    )


def _age(written: Any) -> float | None:
    """Seconds since an instant, None where it is none."""
    try:
        return (datetime.now(UTC) - datetime.fromisoformat(str(written))).total_seconds()
    except (ValueError, TypeError):
        return None
