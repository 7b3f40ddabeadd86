"""The command `python -m rayjobs.trade` as a process of its own, with what it says and where it writes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from clocked_market import wait_until

from envs.live.guard_folder import GuardFolder

ROOT = Path(__file__).parents[3]


class TradeProcess:
    """One run of the command. log : file of what it says."""

    def __init__(self, log: Path, *arguments: str) -> None:
        self.log = log
        with log.open("ab") as stream:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "rayjobs.trade", *arguments],
                stdout=stream,
                stderr=stream,
                cwd=log.parent,
                env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            )

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def ended(self, timeout_s: float) -> int:
        """Its exit code."""
        return self._process.wait(timeout_s)

    def kill(self) -> None:
        """SIGKILL, also where it is stopped."""
        if not self.is_over:
            self._process.kill()
            self._process.wait()

    def until(self, condition, timeout_s: float):
        """Wait for something, as long as the process lives."""

        def looked():
            assert not self.is_over, f"it ended:\n{self.said()}"
            return condition()

        return wait_until(looked, timeout_s, f"it did not come about:\n{self.said()}")

    def said(self) -> str:
        """The end of what it says."""
        return self.log.read_text()[-6000:]


def trading_run(root: Path) -> Path | None:
    """The one trading run below a root, once it is there."""
    found = list((root / "trading").glob("*"))
    return found[0] if found else None


def guard_of(run: Path) -> GuardFolder:
    """The folder of its guard."""
    return GuardFolder(run / "guard")


def stop(process: TradeProcess) -> int:
    """SIGTERM, and the exit code."""
    process.signal(signal.SIGTERM)
    return process.ended(30.0)
