"""Compiled functions on disk: a cache that is never older than the sources.

Numba's cache notices when the file changes that an entry point stands in, but not the others whose functions it calls.
Here the cache lies in a folder named after what all of them say.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numba

FOLDER_PREFIX = "kernels-"
KEPT_SECONDS = 30 * 86_400
"""Age from which kernels of other sources are removed."""


def cached(function: Callable[..., Any], njit: Callable[..., Any], sources: Iterable[Path]) -> Any:
    """Compile a function with `njit`, cached on disk as long as none of the files changes from which it calls others.

    Where no folder of ours can be written, Numba would take one that says nothing of the sources: then nothing is
    cached, and each process compiles anew.
    """
    folder = FOLDER_PREFIX + digest_of(sources)
    for place in _places(function):
        with _cache_in(place / folder):
            dispatcher = njit(function, cache=True)
        # Asked of Numba itself: were the setting renamed, kernels would go elsewhere and could be stale.
        if folder in Path(str(dispatcher.stats.cache_path)).parts:
            _remove_old(place, keep=folder)
            return dispatcher
    return njit(function)


def is_cached(dispatcher: Any) -> bool:
    """Whether some earlier process has left compiled code of this function on disk, for its sources as they are."""
    folder = dispatcher.stats.cache_path
    return folder is not None and any(Path(folder).glob(f"*.{dispatcher.py_func.__name__}-*.nbi"))


def digest_of(sources: Iterable[Path]) -> str:
    """Short hash of the names and contents of files."""
    digest = hashlib.sha256()
    for path in sorted(sources):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _places(function: Callable[..., Any]) -> list[Path]:
    """Folders that may hold caches, the best first."""
    if numba.config.CACHE_DIR:
        return [Path(numba.config.CACHE_DIR)]
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return [Path(function.__code__.co_filename).parent / "__pycache__", user / "rayfold"]


@contextmanager
def _cache_in(folder: Path) -> Iterator[None]:
    """Let functions that are decorated meanwhile have their cache in `folder`, as NUMBA_CACHE_DIR would."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(folder)
    try:
        yield
    finally:
        numba.config.CACHE_DIR = before


def _remove_old(place: Path, keep: str) -> None:
    for folder in place.glob(f"{FOLDER_PREFIX}*"):
        if folder.name != keep and time.time() - folder.stat().st_mtime > KEPT_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
