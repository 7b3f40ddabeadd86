"""Ray's own walk over a working tree, the one private part of Ray that submission depends on.

Ray has no public way to ask what it would pack. A test packs a tree by Ray itself and compares.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from ray._private.runtime_env.packaging import _dir_travel, _get_excludes

_SILENT = logging.getLogger(__name__)
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


def packed_files(tree: Path, excludes: Sequence[str]) -> list[Path]:
    """The files that Ray would pack of an absolute tree: without those of `.gitignore`, `.rayignore` and `excludes`."""
    found: list[Path] = []

    def note(path: Path) -> None:
        if path.is_file():
            found.append(path)

    _dir_travel(tree, [_get_excludes(tree, list(excludes))], note, include_gitignore=True, logger=_SILENT)
    return sorted(found)
