"""How kernel functions are compiled: cached on disk, without the interpreter lock, NumPy division semantics.

Numba's cache does not notice a change in a function that a cached one calls from another file. `compiled` therefore
drops a cache that is older than any kernel source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numba
import numpy as np

inner = partial(numba.njit, nogil=True, error_model="numpy", _nrt=False)
# Small functions on the hot path: inlining saves passing a hundred words of array headers per call.
hot = partial(numba.njit, nogil=True, error_model="numpy", _nrt=False, forceinline=True)


@hot
def non_negative(index):
    """`index`, known not to be negative (and below 2**32): spares each use of it the test for Python's a[-1]."""
    return np.int64(np.uint32(index))


def compiled(function: Callable[..., Any]) -> Any:
    """Compile an entry point of the kernel with an on-disk cache next to its source."""
    dispatcher = numba.njit(function, nogil=True, error_model="numpy", _nrt=False, cache=True)
    return without_stale_cache(dispatcher, Path(__file__).parent.glob("*.py"))


def without_stale_cache(dispatcher: Any, sources: Iterable[Path]) -> Any:
    """The dispatcher, its cache on disk dropped if that is older than a file from which it calls functions."""
    cache_file = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
    index = Path(getattr(cache_file, "_index_path", ""))
    if index.is_file() and index.stat().st_mtime <= max(path.stat().st_mtime for path in sources):
        dispatcher._cache.flush()
    return dispatcher
