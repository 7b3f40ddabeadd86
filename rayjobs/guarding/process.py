"""The guard's process: started beside a loop, told what it needs over files without secrets, ended with the loop.

The account's number goes over the environment alone. A loop that is killed leaves its guard alive: it halts or
flattens by `on_silence`, and is replaced when the loop goes on.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from envs.live.guard_folder import FOLDER, GUARD_BEAT, GUARD_STATE, GuardFolder
from envs.live.guard_limits import GuardLimits
from envs.live.guard_watch import GuardWatch, listen_for_signals
from envs.live.ibkr_config import IbkrBrokerConfig
from rayjobs.config.typed_config import ConfigError, build_dataclass
from rayjobs.guarding.place import SETTINGS
from rayjobs.monitoring.alerts import Alerts, AlertSettings

LOG = logging.getLogger(__name__)
LOG_FILE = "guard.log"
ACCOUNT_VARIABLE = "RAYFOLD_GUARD_ACCOUNT"
START_S = 30.0
"""How long the process may take to show its first sign of life."""
LOOK_S = 5.0
"""How long a loop waits for its guard's first look at the account, before which no order may enter."""
END_S = 5.0
FLAT_S = 10.0
"""How long an ending loop waits for its guard to flatten; after that the guard goes on alone."""


@dataclass(frozen=True, kw_only=True)
class GuardSettings:
    """What a guard's process is told.

    Parameters
    ----------
    name : of the run, in alerts. symbols : that are traded, and closed. zone : in which a day begins.
    broker : as the loop's, with a client id of its own and without the account's number.
    """

    name: str
    symbols: tuple[str, ...]
    zone: str
    broker: IbkrBrokerConfig
    limits: GuardLimits
    alerts: AlertSettings

    def write(self, folder: GuardFolder) -> None:
        """Write everything but the account's number."""
        content = asdict(self)
        content["broker"] |= {"account": "", "live": False, "real_money": self.broker.live}
        folder.write(SETTINGS, json.loads(json.dumps(content)))

    @classmethod
    def read(cls, folder: GuardFolder, account: str) -> GuardSettings:
        """What `write` left, with the account's number.

        Raises
        ------
        ConfigError
            If there is nothing to be read.
        """
        content: dict[str, Any] | None = folder.read(SETTINGS)
        if content is None:
            raise ConfigError(
                f"{folder.path / SETTINGS} is not there or cannot be read; this run has no guard"
            )
        broker = dict(content["broker"])
        real_money = broker.pop("real_money")
        content["broker"] = broker | {"account": account, "live": real_money}
        return build_dataclass(cls, content)


def guard_settings(
    broker: IbkrBrokerConfig, limits: GuardLimits, alerts: AlertSettings, symbols: tuple[str, ...], name: str
) -> GuardSettings:
    """The settings of the guard beside a loop: another client id, and no limit left out with real money.

    Raises
    ------
    ConfigError
        If a limit is switched off and money is real.
    """
    if broker.live:
        try:
            limits.require_for_real_money()
        except ValueError as error:
            raise ConfigError(str(error)) from error
    own = replace(broker, client_id=broker.client_id + 1)
    return GuardSettings(
        name=name, symbols=symbols, zone=broker.zone, broker=own, limits=limits, alerts=alerts
    )


@contextmanager
def guard_beside(directory: Path, settings: GuardSettings) -> Iterator[GuardFolder]:
    """A guard's process for as long as the block runs.

    Raises
    ------
    ConfigError
        If the kill switch is thrown, or the process does not come up.
    """
    folder = GuardFolder(directory / FOLDER)
    killed = folder.killed()
    if killed is not None:
        raise ConfigError(
            f"the kill switch of {directory} is thrown ({killed}); when all is understood, remove KILL there or in "
            f"{folder.path}"
        )
    halted = folder.halted()
    if halted is not None:
        LOG.warning("orders may only reduce until %s/halt.json is removed: %s", folder.path, halted)
    end_guard(folder)
    settings.write(folder)
    process = start_guard(folder, settings.broker.account)
    try:
        _await_life(folder, process)
        yield folder
    finally:
        if folder.killed() is None or _flat_within(folder, FLAT_S):
            process.terminate()
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
        else:
            LOG.error(
                "the account is NOT flat yet; the guard goes on by itself, see %s/%s", folder.path, LOG_FILE
            )


def _flat_within(folder: GuardFolder, seconds: float) -> bool:
    """Whether a guard says within so long that its account is flat."""
    until = time.monotonic() + seconds
    while (folder.read(GUARD_STATE) or {}).get("flat") is not True:
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def start_guard(folder: GuardFolder, account: str) -> subprocess.Popen[bytes]:
    """Start the process; it has a session of its own, so that Ctrl-C in the loop's terminal does not end it."""
    (folder.path / GUARD_BEAT).unlink(missing_ok=True)
    environment = {
        **os.environ,
        ACCOUNT_VARIABLE: account,
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
    }
    with (folder.path / LOG_FILE).open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "rayjobs.guard", str(folder.path.parent)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
        )


def watch_account(directory: Path, account: str) -> None:
    """What the process does: watch until it is told to end.

    Raises
    ------
    ConfigError
        If the run has no guard.
    """
    from envs.live.ibkr import IbkrBroker

    folder = GuardFolder(directory / FOLDER)
    settings = GuardSettings.read(folder, account)
    alerts = Alerts(settings.alerts, settings.name)
    broker = IbkrBroker(settings.broker, settings.symbols)
    watch = GuardWatch(broker, folder, settings.limits, settings.symbols, zone=settings.zone, alert=alerts)
    try:
        watch.run(listen_for_signals(watch))
    finally:
        broker.close()
        alerts.close()


def living_guard(folder: GuardFolder) -> int | None:
    """Process id of the guard of a folder, where it lives on this machine."""
    state: Mapping[str, Any] = folder.read(GUARD_STATE) or {}
    pid = state.get("pid")
    if not isinstance(pid, int):
        return None
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return None
    return pid if "rayjobs.guard" in command and str(folder.path.parent) in command else None


def end_guard(folder: GuardFolder) -> None:
    """End a guard that an earlier loop left behind."""
    pid = living_guard(folder)
    if pid is None:
        return
    os.kill(pid, signal.SIGTERM)
    until = time.monotonic() + END_S
    while living_guard(folder) is not None and time.monotonic() < until:
        time.sleep(0.05)


def _await_life(folder: GuardFolder, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_S
    while folder.age_s(GUARD_BEAT, time.time()) is None:
        if process.poll() is not None or time.monotonic() > until:
            raise ConfigError(f"the guard's process did not come up; see {folder.path / LOG_FILE}")
        time.sleep(0.05)
    until = time.monotonic() + LOOK_S
    while time.monotonic() < until:
        state = folder.read(GUARD_STATE) or {}
        if state.get("pid") == process.pid and state.get("reached"):
            return
        time.sleep(0.05)
    LOG.warning("the guard has not seen the account yet; until it has, orders may only reduce")
