"""Resuming a run that was stopped: which one, and whether it may be resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rayjobs.config.typed_config import ConfigError, build_dataclass
from rayjobs.storage.run_directory import RunConfig, RunDirectory, list_runs, read_status
from rayjobs.storage.running_process import still_running
from rayjobs.storage.started_run import StartedRun
from rayjobs.storage.uri import is_uri, local_copy, local_directory, newest_remote

LATEST = "latest"


def run_to_resume(values: dict[str, Any]) -> Path | None:
    """The run directory that ``resume`` names; None when a new run is asked for.

    Raises
    ------
    ConfigError
        If there is none, it is done, or a process of this machine still works on it.
    """
    wanted = values["resume"]
    if wanted is None:
        return None
    path = _latest(values) if wanted == LATEST else local_copy(str(wanted))
    status = read_status(path)
    if status is None:
        raise ConfigError(f"resume={wanted}: {path} is not a run directory, it has no readable status.json")
    if status["status"] == "done":
        raise ConfigError(f"resume={wanted}: the run in {path} is done; there is nothing to resume")
    if still_running(status):
        raise ConfigError(
            f"resume={wanted}: process {status['pid']} is still working on {path}; end it first, or wait for it"
        )
    return path


def values_of(run: Path) -> dict[str, Any]:
    """The configuration that a run was started with."""
    return RunDirectory(run).config()


def check_same_data(run: Path, fingerprint: str) -> None:
    """Refuse to resume a run on other bars than those it was started with.

    Raises
    ------
    ConfigError
        If the fingerprint of the bars differs from the recorded one.
    """
    recorded = StartedRun.read(run).provenance["data_fingerprint"]
    if recorded != fingerprint:
        raise ConfigError(
            f"the bars are not those that the run in {run} was started with (fingerprint {fingerprint[:12]}, "
            f"recorded {str(recorded)[:12]}); put the old data back or start a new run"
        )


def _latest(values: dict[str, Any]) -> Path:
    run = build_dataclass(RunConfig, values["run"], "run")
    parent = local_directory(run.directory) / run.experiment
    if is_uri(run.directory):
        there = newest_remote(run.directory, run.experiment, lambda status: status["status"] != "done")
        if there is not None:
            local_copy(there)
    stopped = _stopped(parent)
    if not stopped:
        elsewhere = sorted((run for other in parent.parent.glob("*") for run in _stopped(other)), key=_name)
        hint = (
            f"the newest one that was is {elsewhere[-1]}: resume={elsewhere[-1]}, or +experiment="
            f"{elsewhere[-1].parent.name} resume=latest"
            if elsewhere
            else "name one with resume=DIR"
        )
        raise ConfigError(f"resume=latest: {parent} holds no run that was stopped; {hint}")
    return stopped[-1]


def _stopped(experiment: Path) -> list[Path]:
    """Runs of an experiment that are not done, oldest first."""
    return [path for path in list_runs(experiment, None) if _status(path) != "done"]


def _name(run: Path) -> str:
    """Sorts by start."""
    return run.name


def _status(path: Path) -> str:
    return str((read_status(path) or {}).get("status"))
