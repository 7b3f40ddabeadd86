"""A short-lived process that runs a run's policies again and leaves what they thought: torch is in no other one.

Run by the process that reads runs: python -m rayjobs.pages.policy_process RUN WINDOW,WINDOW FILE
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data.errors import one_line
from rayjobs.config.exit_codes import ExitCode
from rayjobs.config.typed_config import ConfigError

SECONDS = 600.0
"""After which it is given up."""


def think_again(run: str, windows: Sequence[int]) -> dict[int, dict[str, Any]]:
    """What the policies of some test windows thought, by window: fields of `rayjobs.replay.decisions_again.Thoughts`.

    Raises
    ------
    ConfigError
        If it cannot be told, with the reason.
    """
    with tempfile.TemporaryDirectory(prefix="rayfold_thoughts_") as folder:
        file = Path(folder) / "thoughts.npz"
        command = [sys.executable, "-m", __name__, run, ",".join(map(str, windows)), str(file)]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "CUDA_VISIBLE_DEVICES": "",
        }
        # Its end is closed when this process ends, however that comes about, which ends the other.
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            text=True,
        ) as process:
            try:
                told = process.stdout.read() if process.stdout else ""
                code = process.wait(SECONDS)
            finally:
                process.kill()
        if code == ExitCode.DONE:
            return _read(file)
    if code == ExitCode.BAD_INPUT:
        raise ConfigError(told.strip())
    raise ConfigError(f"what the policy thought could not be worked out (the process ended with code {code})")


def _read(file: Path) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    with np.load(file, allow_pickle=False) as arrays:
        for key in arrays.files:
            window, name = key.split("/", 1)
            found.setdefault(int(window), {})[name] = arrays[key]
    return found


def _write(file: Path, thoughts: Mapping[int, Any]) -> None:
    arrays: dict[str, Any] = {
        f"{window}/{name}": np.asarray(value)
        for window, one in thoughts.items()
        for name, value in vars(one).items()
    }
    np.savez(file, **arrays)


def main(arguments: Sequence[str]) -> ExitCode:
    """The process. What a user can mend is one sentence on standard output."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from rayjobs.replay.decisions_again import decided_again
    from rayjobs.replay.finished_run import open_run

    run, windows, file = arguments
    numbers = [int(number) for number in windows.split(",")]
    try:
        _write(Path(file), dict(zip(numbers, decided_again(open_run(run), numbers))))
    except (ValueError, OSError) as error:
        sys.stdout.write(one_line(error))
        return ExitCode.BAD_INPUT
    return ExitCode.DONE


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(ExitCode.FAILED)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
