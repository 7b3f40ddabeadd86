"""What the dashboard may do to a job of this machine: stop it so that it can go on later, nudge its learning rate."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

from rayjobs.config.typed_config import ConfigError
from rayjobs.storage.run_directory import read_status
from rayjobs.storage.running_process import still_running
from rayjobs.training.nudges import Nudge, write_nudge


def stop(run: Path) -> str:
    """Interrupt the process of a run, as Ctrl-C does; it writes down that it was interrupted and can be resumed.

    Raises
    ------
    ConfigError
        If it does not run, runs on another machine, or the process is no job of Rayfold.
    """
    status = read_status(run) or {}
    if status.get("status") != "running":
        raise ConfigError(f"the job is not running, its status is {status.get('status', 'not known')}")
    if status.get("host") != socket.gethostname():
        raise ConfigError(
            f"the job runs on {status.get('host')}; stop it there, or with python -m rayjobs.submit stop"
        )
    if not still_running(status):
        raise ConfigError("the process of the job is gone; there is nothing to stop")
    pid = int(status["pid"])
    if not _is_ours(pid):
        raise ConfigError(f"process {pid} is no job of Rayfold any more; nothing was stopped")
    os.kill(pid, signal.SIGINT)
    return f"process {pid} was interrupted; go on later with resume={run}"


def nudge(run: Path, learning_rate: str, fold: int | None) -> str:
    """Leave a change of the learning rate for a running job.

    Raises
    ------
    ConfigError
        If the job does not run, or the change is not understood.
    """
    if (read_status(run) or {}).get("status") != "running":
        raise ConfigError("the job is not running; only a running job takes nudges")
    try:
        write_nudge(run / "checkpoints", Nudge(learning_rate=learning_rate, fold=fold))
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return f"lr={learning_rate} was left; the job takes it at its next iteration"


def _is_ours(pid: int) -> bool:
    """Whether a process was started as a job of Rayfold: the number may belong to another one by now."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:  # no such folder on this system: the status must do
        return not Path("/proc/self/cmdline").exists()
    return "rayjobs" in command or "rayfold" in command
