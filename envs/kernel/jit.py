"""How kernel functions are compiled: cached on disk, without the interpreter lock, NumPy division semantics.

The cache (`data.kernel_cache`) is that of the kernel's sources as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numba
import numpy as np

from data.kernel_cache import cached, is_cached

__all__ = ["cached", "compiled", "hot", "inner", "is_cached", "non_negative"]

inner = partial(numba.njit, nogil=True, error_model="numpy", _nrt=False)
# Small functions on the hot path: inlining saves passing a hundred words of array headers per call.
hot = partial(numba.njit, nogil=True, error_model="numpy", _nrt=False, forceinline=True)


@hot
def non_negative(index):
    """`index`, known not to be negative (and below 2**32): spares each use of it the test for Python's a[-1]."""
    return np.int64(np.uint32(index))


def compiled(function: Callable[..., Any]) -> Any:
    """Compile an entry point of the kernel, cached on disk as long as no file of the kernel changes."""
    return cached(function, inner, Path(__file__).parent.glob("*.py"))
