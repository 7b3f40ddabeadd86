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
from envs.kernel.jit import hot

LINE_BYTES = 64


@intrinsic
def touch(typingctx: Any, array: Any, offset: Any) -> Any:
    """Prefetch the cache line of element `offset` of the flattened C-contiguous array."""
    signature = types.void(array, types.int64)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        pointer = builder.gep(data, [args[1]])
        byte = ir.IntType(8).as_pointer()
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        hint = [ir.Constant(number, value) for value in (0, 3, 1)]  # read, keep in all levels, data
        builder.call(function, [builder.bitcast(pointer, byte), *hint])
        return impl_ret_untracked(context, builder, types.void, context.get_dummy_value())

    return signature, generate


@hot
def touch_row(array, row, width):
    """Prefetch `width` elements of row `row` of an array whose rows are `width` elements long."""
    per_line = LINE_BYTES // array.itemsize
    first = row * width
    for offset in range(first, first + width, per_line):
        touch(array, offset)
    touch(array, first + width - 1)


@hot
def prefetch_row(bars, features, context, clock, calendar, counter, e):
    """Prefetch what env row e will read of bar t + 1 in its next step."""
    t = counter[e, BAR] + 1
    touch_row(bars, t, bars.shape[1] * bars.shape[2])
    touch_row(features, t, features.shape[1])
    if context.shape[0] > 0:
        touch_row(context, t, context.shape[1] * context.shape[2])
    touch_row(clock, t, clock.shape[1])
    touch_row(calendar, t, calendar.shape[1])
