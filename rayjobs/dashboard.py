"""Show all runs, studies, markets and trading of this machine in a browser, live.

Run: python -m rayjobs.dashboard
"""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rayjobs.config.exit_codes import ExitCode
from rayjobs.config.terminal import speech
from rayjobs.config.typed_config import ConfigError, build_dataclass
from rayjobs.entry import run_entry_point

LOG = logging.getLogger("rayjobs.dashboard")
TOKEN_VARIABLE = "RAYFOLD_DASHBOARD_TOKEN"
LEAST_TOKEN = 12
OWN = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, kw_only=True)
class DashboardConfig:
    """``conf/dashboard.yaml``.

    Parameters
    ----------
    runs : folder of all runs, or a URI whose local copy is shown. lake : place of the lake for the data page.
    host, port : to listen on. remote : ``host`` may be another than this machine's own.
    token : for what changes something; None draws one.
    """

    runs: str
    host: str
    port: int
    remote: bool
    token: str | None
    lake: str

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port is {self.port}; it must lie between 0 and 65535")
        if self.host not in OWN and not self.remote:
            raise ValueError(
                f"host is {self.host}, which other machines can reach; add remote=true if they may, with the token"
            )
        if self.token is not None and len(self.token) < LEAST_TOKEN:
            raise ValueError(f"token has {len(self.token)} characters; give at least {LEAST_TOKEN}")


def dashboard(values: dict[str, Any]) -> ExitCode:
    """Serve until it is interrupted; ``values`` is the resolved ``conf/dashboard.yaml``."""
    values = {**values, "token": values["token"] or os.environ.get(TOKEN_VARIABLE)}
    config = build_dataclass(DashboardConfig, values, "")
    from aiohttp import web

    from rayjobs.pages.guard import Guard
    from rayjobs.pages.listening import listening_socket
    from rayjobs.pages.server import make_application
    from rayjobs.storage.uri import is_uri, local_directory

    root = local_directory(config.runs)
    if is_uri(
        config.runs
    ):  # a folder of our own making, empty until a job of this machine mirrors a run there
        root.mkdir(parents=True, exist_ok=True)
    refuse_no_folder(Path(root), config.runs)
    guard = Guard(config.host, remote=config.remote, token=config.token)
    sock, address = listening_socket(config.host, config.port)
    LOG.info(
        "the dashboard of %s is at %s (with the token: %s/#token=%s)", root, address, address, guard.token
    )
    LOG.info("stop and nudge buttons, tags and the kill switch take the token: %s", guard.token)
    speech().facts |= {"address": address, "token": guard.token}
    application = make_application(root, guard, lake=config.lake)
    # aiohttp prints once it listens: then an object is told, where one was asked for.
    web.run_app(
        application, sock=sock, print=lambda *_: speech().tell(), access_log=None, handle_signals=True
    )
    return ExitCode.DONE


def refuse_no_folder(root: Path, given: str) -> None:
    """Refuse a folder that cannot hold runs; one that the first job is still to make is shown as empty until then.

    Raises
    ------
    ConfigError
        If it is a file, or its own folder is not there.
    """
    if root.exists() and not root.is_dir():
        raise ConfigError(f"runs={given} is a file; name the folder of all runs")
    if not root.absolute().parent.is_dir():
        raise ConfigError(f"runs={given}: there is no such folder; train something, or name another one")
    if not root.exists():
        LOG.warning("there is no folder %s yet; runs are shown as soon as a job makes it", root)


if __name__ == "__main__":
    sys.exit(run_entry_point(dashboard, "dashboard"))
