"""How the kernels of features are compiled: NumPy's division, and a cache that is never older than their sources."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numba

from data.kernel_cache import cached

_njit = partial(numba.njit, nogil=True, error_model="numpy", _nrt=False)
inner = partial(_njit, no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""For functions that others of this package call: arrays in, arrays out, none made."""
_MARKS = (b"@inner\n", b"@compiled\n", b"COPY, NEGATIVE")
"""What stands in a file that compiled code is made of: a kernel, or the codes of steps."""


def compiled(function: Callable[..., Any]) -> Any:
    """Compile what Python calls, cached on disk as long as no file of kernels changes."""
    return cached(function, _njit, _sources())


@lru_cache(maxsize=1)
def _sources() -> tuple[Path, ...]:
    files = Path(__file__).parent.rglob("*.py")
    return (Path(__file__), *(path for path in files if any(mark in path.read_bytes() for mark in _MARKS)))
