"""The folder over which loop, guard and people reach each other: kill switch, halt, signs of life.

| file | written by | means |
|---|---|---|
| `KILL`, also in the run's directory | anybody (`touch` is enough) | flatten now, send nothing until it is removed |
| `halt.json` | the guard | orders may only reduce, until a person removes it |
| `loop.beat` | the loop | its time of change: the loop lives |
| `guard.beat` | the guard | its time of change: the guard lives |
| `guard.json` | the guard | its process, what it saw last, the day's and the highest equity |
| `market.json` | the loop | last prices and returns of the symbols |

Each file is replaced whole, so that no reader sees a half.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = "guard"
"""Name of the folder, inside the directory of its trading run."""
KILL, HALT, LOOP_BEAT, GUARD_BEAT = "KILL", "halt.json", "loop.beat", "guard.beat"
GUARD_STATE, MARKET = "guard.json", "market.json"


class GuardFolder:
    """The folder of one account's guard. path : made where it is new."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)

    # The kill switch

    def killed(self) -> str | None:
        """Why everything is to be flat; None where it is not."""
        return switch_thrown(self.path.parent)

    def kill(self, reason: str) -> None:
        """Throw the switch; the first reason that was given here stays."""
        if self._reason(KILL) is None:
            self.write(KILL, {"reason": reason})

    def halted(self) -> str | None:
        """Why orders may only reduce; None where they may enter."""
        return self._reason(HALT)

    def halt(self, reason: str) -> None:
        """Let orders only reduce from now on; the first reason stays."""
        if self.halted() is None:
            self.write(HALT, {"reason": reason})

    # Signs of life

    def beat(self, name: str) -> None:
        """Show a sign of life."""
        (self.path / name).touch()

    def age_s(self, name: str, now_s: float) -> float | None:
        """Seconds since a file changed; None where there is none. now_s : as `time.time` tells."""
        try:
            return max(now_s - (self.path / name).stat().st_mtime, 0.0)
        except FileNotFoundError:
            return None

    # What is told

    def write(self, name: str, content: Mapping[str, Any]) -> None:
        """Replace a file whole, and see it on disk."""
        temporary = self.path / f".{name}.{os.getpid()}"
        with temporary.open("w", encoding="utf-8") as stream:
            json.dump(content, stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, self.path / name)

    def read(self, name: str) -> dict[str, Any] | None:
        """A file's content; None where there is none, or it is none of ours."""
        try:
            content = json.loads((self.path / name).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return content if isinstance(content, dict) else None

    def _reason(self, name: str) -> str | None:
        return reason_in(self.path / name)


def reason_in(path: Path) -> str | None:
    """What a file that stops something says: its `reason`, or its words as they are; None where it is not there."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return None
    except OSError as error:  # it is there, whatever it holds
        return f"the file {path.name} cannot be read ({error.strerror})"
    try:
        content = json.loads(text)
    except ValueError:
        return text or f"somebody made the file {path.name}"
    reason = content.get("reason") if isinstance(content, dict) else text
    return str(reason or f"somebody made the file {path.name}")


def switches(run: Path) -> tuple[Path, Path]:
    """Where the kill switch of a trading run may be thrown: in its directory, or in its guard's folder."""
    return run / KILL, run / FOLDER / KILL


def switch_thrown(run: Path) -> str | None:
    """Why the kill switch of a trading run is thrown; None where it is not."""
    reasons = (reason_in(path) for path in reversed(switches(run)))
    return next((reason for reason in reasons if reason is not None), None)
