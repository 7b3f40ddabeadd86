"""Whether the process that a run's status names is still at work on this machine."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Any


def still_running(status: Mapping[str, Any]) -> bool:
    """Whether another process of this machine works on the run; False for one of another machine, which none can tell.

    Parameters
    ----------
    status : content of ``status.json``.
    """
    if status.get("status") != "running" or status.get("host") != socket.gethostname():
        return False
    pid = int(status["pid"])
    return pid != os.getpid() and _is_alive(pid)


def was_killed(status: Mapping[str, Any]) -> bool:
    """Whether the run was begun on this machine, has no end on record, and its process is gone."""
    here = status.get("status") == "running" and status.get("host") == socket.gethostname()
    return here and not _is_alive(int(status["pid"]))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is there, and another user's
        return True
    return True
