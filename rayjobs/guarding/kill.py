"""The kill switch as a command: `python -m rayjobs.trade kill [RUN]`.

It throws the switch as a file, which the loop's own check and the guard's process both see, waits until the guard says
that the account is flat, and starts a guard where none lives: no loop has to work for it.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from envs.live.guard_folder import FOLDER, GUARD_STATE, GuardFolder
from rayjobs.config.exit_codes import ExitCode
from rayjobs.config.typed_config import ConfigError
from rayjobs.guarding.place import SETTINGS, guard_folder
from rayjobs.guarding.process import ACCOUNT_VARIABLE, living_guard, start_guard
from rayjobs.monitoring.result_tables import print_sentence
from rayjobs.monitoring.trading_snapshot import SNAPSHOT_FILE, ask_to_stop, files_to_remove
from rayjobs.registry.registry import who_decides

RECORD = "trading.sqlite"
"""The record of a trading run (`rayjobs.trading`, which lies above this room)."""
WAIT_S = 60.0
"""How long the command waits for flat; the guard goes on after that."""


def main(words: Sequence[str]) -> ExitCode:
    """The command: directories of trading runs, none for every one below `runs` whose guard lives, and `reason=...`.

    It composes no configuration, so that no mistake in one is in its way.

    Raises
    ------
    ConfigError
        For another word, and as `kill`.
    """
    given = [word.partition("=")[2] for word in words if word.startswith("reason=")]
    paths = [Path(word) for word in words if "=" not in word and not word.startswith("-")]
    odd = [word for word in words if (word.startswith("-") or "=" in word) and not word.startswith("reason=")]
    if odd:
        raise ConfigError(f"kill takes directories of trading runs and reason='...'; got {odd[0]}")
    return kill(
        paths or guarded_runs(Path("runs")), given[-1] if given else f"the command, by {who_decides()}"
    )


def kill(directories: Sequence[Path], reason: str, *, wait_s: float = WAIT_S) -> ExitCode:
    """Throw the switch of trading runs and wait until their accounts are flat; `FAILED` where one is not by then.

    Raises
    ------
    ConfigError
        If there is no run to kill.
    """
    simulated = [directory for directory in directories if trades_without_guard(directory)]
    folders = [guard_folder(directory) for directory in directories if directory not in simulated]
    for directory in simulated:
        path = ask_to_stop(directory, reason)
        print_sentence(
            f"{directory} has no guard, for its fills are simulated: no bar after the next one is traded; remove "
            f"{path} before it may trade again"
        )
    if simulated and not folders:
        return ExitCode.DONE
    if not folders:
        raise ConfigError(
            "no trading run with a guard was found; name its directory: rayjobs.trade kill RUN_DIRECTORY"
        )
    for folder in folders:  # all of them before anything is waited for
        folder.kill(reason)
    started = [_with_guard(folder) for folder in folders]
    until = time.monotonic() + wait_s
    flat = [_await_flat(folder, until) for folder in folders]
    for folder, is_flat, process in zip(folders, flat, started):
        run = folder.path.parent
        state = folder.read(GUARD_STATE) or {}
        held = ", ".join(f"{symbol} {units:+g}" for symbol, units in (state.get("held") or {}).items())
        print_sentence(
            f"{run} is flat; remove {files_to_remove(run)} before it may trade again"
            if is_flat
            else f"{run} is NOT flat yet ({held or 'the venue has not answered'}); its guard goes on, see "
            f"{folder.path}/guard.log"
        )
        if is_flat and process is not None:
            process.terminate()
    return ExitCode.DONE if all(flat) else ExitCode.FAILED


def trades_without_guard(directory: Path) -> bool:
    """Whether it is a trading run whose fills are simulated: it tells how it stands, and has no guard."""
    has_guard = (directory / FOLDER / SETTINGS).is_file()
    return not has_guard and ((directory / SNAPSHOT_FILE).is_file() or (directory / RECORD).is_file())


def guarded_runs(root: Path) -> list[Path]:
    """Trading runs below a folder whose guard lives on this machine."""
    found = sorted(path.parents[1] for path in root.glob(f"**/trading/*/{FOLDER}/{SETTINGS}"))
    return [run for run in found if living_guard(GuardFolder(run / FOLDER)) is not None]


def _with_guard(folder: GuardFolder) -> subprocess.Popen[bytes] | None:
    """Start a guard where none lives; None where one does."""
    if living_guard(folder) is not None:
        return None
    return start_guard(folder, os.environ.get(ACCOUNT_VARIABLE, ""))


def _await_flat(folder: GuardFolder, until: float) -> bool:
    begun = time.time()
    while True:
        state = folder.read(GUARD_STATE) or {}
        if (
            state.get("flat") is True
            and (folder.age_s(GUARD_STATE, time.time()) or 0.0) <= time.time() - begun + 2.0
        ):
            return True
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
