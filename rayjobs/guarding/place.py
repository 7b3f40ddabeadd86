"""Where the guard of a trading run lies: known without what a guard is made of, so that a server may ask it."""

from __future__ import annotations

from pathlib import Path

from envs.live.guard_folder import FOLDER, GuardFolder
from rayjobs.config.typed_config import ConfigError

SETTINGS = "settings.json"


def guard_folder(directory: Path) -> GuardFolder:
    """The guard's folder of a trading run.

    Raises
    ------
    ConfigError
        If it has none.
    """
    if not (directory / FOLDER / SETTINGS).is_file():
        raise ConfigError(f"{directory} is no trading run with a guard (it has no {FOLDER}/{SETTINGS})")
    return GuardFolder(directory / FOLDER)
