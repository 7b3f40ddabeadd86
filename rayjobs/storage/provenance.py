"""Where a result comes from: command, seed, data, commit, versions."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rayjobs.storage.ledger_place import hidden

_SOURCE = Path(__file__).resolve().parents[2]


COMMIT_VARIABLE = "RAYFOLD_COMMIT"
"""Names the commit of a source that was sent to a cluster without its git folder: the hash, and ``dirty``."""


_PACKAGES = (
    "rayfold", "ray", "torch", "gymnasium", "numpy", "numba", "pandas", "pyarrow", "pandas_market_calendars",
    "optuna", "hydra-core", "wandb",
)  # fmt: skip


def provenance(run_id: str, seed: int, data_fingerprint: str | None) -> dict[str, Any]:
    """The facts that ``config.yaml`` keeps under ``provenance``."""
    commit, dirty = git_commit()
    return {
        "run_id": run_id,
        "command": [Path(sys.argv[0]).name, *(hidden(word) for word in sys.argv[1:])],
        "seed": seed,
        "data_fingerprint": data_fingerprint,
        "git_commit": commit,
        "git_dirty": dirty,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in _PACKAGES},
    }


def git_commit() -> tuple[str | None, bool | None]:
    """Commit of Rayfold's source and whether tracked files were changed; (None, None) outside a git checkout.

    A copy that `rayjobs.submit` sent says it by the variable; no variable speaks for a checkout.
    """

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(_SOURCE), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "rayjobs/__init__.py")
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):  # a copy that was sent to a cluster
        sent = os.environ.get(COMMIT_VARIABLE, "").split()
        return (sent[0], "dirty" in sent) if sent else (None, None)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
