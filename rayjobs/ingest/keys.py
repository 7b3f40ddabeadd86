"""Keys of vendors: taken from the environment or from an untracked file, and blotted out of every text."""

from __future__ import annotations

import os
import re
from pathlib import Path

from data.vendors.keys import without_keys as blotted
from rayjobs.config.typed_config import ConfigError

_SECRET = re.compile(r"(KEY|SECRET|TOKEN|PASSWORD|PASSWD)(_ID)?$", re.IGNORECASE)
_LINE = re.compile(
    r"""\s*(?:export\s+)?(?P<name>[A-Za-z_]\w*)\s*=\s*"""
    r"""(?:'(?P<single>[^']*)'|"(?P<double>[^"]*)"|(?P<bare>[^\s'"#]*))\s*(?:\s\#.*)?"""
)


def load_keys(env_file: str) -> bool:
    """Read the keys of an env file into the environment; what is set there already stays. False if there is no file.

    A line is NAME=VALUE, with `export` before it or not, the value in quotes or not; empty lines and comments (#) are
    left aside, and so are names without a value.

    Raises
    ------
    ConfigError
        If a line is something else; its number is told and never its text.
    """
    path = Path(env_file).expanduser()
    if not path.is_file():
        return False
    for number, text in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if not text.strip() or text.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(text)
        if match is None:
            raise ConfigError(f"{path}, line {number}: a line must be NAME=VALUE")
        value = next((match[kind] for kind in ("single", "double", "bare") if match[kind]), "")
        if value:
            os.environ.setdefault(match["name"], value)
    return True


def without_keys(text: str) -> str:
    """The text with the value of every variable that is named like a secret blotted out."""
    return blotted(text, (value.strip() for name, value in os.environ.items() if _SECRET.search(name)))
