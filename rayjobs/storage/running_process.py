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
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is there, and another user's
        return True
    return True
