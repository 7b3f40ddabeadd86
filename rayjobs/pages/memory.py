"""A process that reads much and keeps little: memory goes back to the system once an answer is sent.

glibc gives each thread an arena of its own and keeps what was freed in it, and Arrow's allocator does the same, so that
a process that has read a study once stays as large as it was at its largest. Elsewhere than on glibc nothing is done.
"""

from __future__ import annotations

import ctypes
import os

ARENA_MAX, ARENAS = -8, 2
"""glibc's ``M_ARENA_MAX``, and how many arenas a few threads may have together."""


def keep_little() -> None:
    """Call it before Arrow is imported and before other threads begin."""
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    _call("mallopt", ARENA_MAX, ARENAS)


def give_back() -> None:
    """Return what was freed to the system; takes a millisecond or two."""
    _call("malloc_trim", 0)


def _call(name: str, *arguments: int) -> None:
    """A function of the C library, where it has one."""
    try:
        function = getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):
        return
    function(*arguments)
