"""Arrays that nobody writes to: read-only by a flag, or in memory that Python lets nobody change."""

from __future__ import annotations

import ctypes
import math
import mmap
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.array_types import FloatArray

_LARGE_BYTES = 1 << 22
"""From which on NumPy asks for large pages, too."""


def frozen(array: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """Return `array` as a C-contiguous read-only array of `dtype`; copies unless it is that already."""
    result = np.ascontiguousarray(array, dtype=dtype)
    if result.flags.writeable:
        result = result.copy() if np.may_share_memory(result, array) else result
        result.flags.writeable = False
    return result


def locked(array: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """Return `array` as a C-contiguous array of `dtype` that nothing makes writeable again; copies unless it is one.

    A read-only flag is a note: whoever is handed the array may clear it (`setflags`). Memory of `bytes`, which Python
    never changes, lets nobody.
    """
    result = np.ascontiguousarray(array, dtype=dtype)
    if not result.size or is_locked(result):
        return frozen(result, dtype)
    return np.frombuffer(result.tobytes(), dtype=result.dtype).reshape(result.shape)


def locked_room(shape: tuple[int, ...]) -> tuple[FloatArray, FloatArray]:
    """Return zeros that are `locked`, and the same memory to write their values into.

    For whoever makes an array to lock, so that it need not be copied; the second one is let go of before the first is
    handed on.
    """
    count = math.prod(shape)
    if not count:
        return frozen(np.zeros(shape), np.float64), np.zeros(shape)
    room = np.frombuffer(bytes(8 * count), dtype=np.float64).reshape(shape)
    address = room.__array_interface__["data"][0]
    _advise_large_pages(address, room.nbytes)
    memory = (ctypes.c_double * count).from_address(address)
    return room, np.ctypeslib.as_array(memory).reshape(shape)


def _advise_large_pages(address: int, size: int) -> None:
    """Ask Linux for large pages, as NumPy does for its own arrays: first writes take a third of the time."""
    if not hasattr(mmap, "MADV_HUGEPAGE") or size < _LARGE_BYTES:
        return
    start = -(-address // mmap.PAGESIZE) * mmap.PAGESIZE
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).madvise(
            ctypes.c_void_p(start), ctypes.c_size_t(size - (start - address)), mmap.MADV_HUGEPAGE
        )


def is_locked(array: NDArray[Any]) -> bool:
    """True if the memory of an array belongs to what hands it out for reading only, such as `bytes` or a shared store.

    Of an array that owns its memory, or views one that does, the read-only flag can be cleared.
    """
    base: Any = array
    while isinstance(base, np.ndarray):
        if base.flags.writeable:
            return False
        base = base.base
    try:
        return base is not None and memoryview(base).readonly
    except TypeError:  # it does not say
        return False
