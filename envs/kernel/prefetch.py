"""Asking the memory for rows of the market before they are needed: which bars env rows read next cannot be guessed.

Only a hint to the hardware: results do not depend on it.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import impl_ret_untracked
from numba.extending import intrinsic

from envs.kernel.columns import BAR
from envs.kernel.jit import hot, non_negative

LINE_BYTES = 64


@intrinsic
def touch(typingctx: Any, array: Any, offset: Any) -> Any:
    """Prefetch the cache line that lies `offset` bytes into a C-contiguous array."""
    signature = types.void(array, types.int64)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        byte = ir.IntType(8).as_pointer()
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        pointer = builder.gep(builder.bitcast(data, byte), [args[1]])
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        hint = [ir.Constant(number, value) for value in (0, 3, 1)]  # read, keep in all levels, data
        builder.call(function, [pointer, *hint])
        return impl_ret_untracked(context, builder, types.void, context.get_dummy_value())

    return signature, generate


@hot
def touch_rows(array, first, width, count):
    """Prefetch `count` rows from row `first` on of an array whose rows are `width` bytes long."""
    start = first * width
    stop = start + count * width
    for offset in range(start, stop, LINE_BYTES):
        touch(array, offset)
    touch(array, stop - 1)


@hot
def prefetch_row(bars, features, clock, calendar, years, counter, e):
    """Prefetch what env row e will read of the market in its next step."""
    t = non_negative(counter[e, BAR])
    touch_rows(bars, t, 8 * bars.shape[1] * bars.shape[2], 2)
    touch_rows(features, t + 1, 4 * features.shape[1], 1)
    touch_rows(clock, t + 1, 4 * clock.shape[1], 1)
    touch_rows(calendar, t, 4 * calendar.shape[1], 2)
    touch(years, 8 * (t + 1))
