"""Asking the memory for rows of the market before they are needed: which bars env rows read next cannot be guessed.

Only a hint to the hardware: results do not depend on it.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from envs.kernel.columns import BAR, HERE
from envs.kernel.jit import hot
from envs.kernel.lanes import LANES

LINE_BYTES = 64
# State beyond this is asked for too: below, it waits in some cache, and asking costs a twentieth of a step.
FAR_BYTES = 3 << 20


@intrinsic
def prefetch_line(typingctx: Any, array: Any, offset: Any) -> Any:
    """Prefetch the cache line that lies `offset` bytes behind the start of an array."""
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
        return context.get_dummy_value()

    return signature, generate


@hot
def prefetch_bytes(array, one, other, count):
    """Prefetch `count` bytes from byte `one` on, and from byte `other` on, of what `array` is a view of."""
    # The same number of lines wherever they begin, so that the end of the loop can be predicted.
    for line in range((count + LINE_BYTES - 1) // LINE_BYTES):
        prefetch_line(array, one + line * LINE_BYTES)
        prefetch_line(array, other + line * LINE_BYTES)
    prefetch_line(array, one + count - 1)
    prefetch_line(array, other + count - 1)


@hot
def is_far(num_rows, rows):
    """True if the state of this many rows is larger than the caches."""
    block_bytes = rows.account.strides[0] + rows.position.strides[0] + rows.flow.strides[0]
    return num_rows // LANES * block_bytes > FAR_BYTES


@hot
def prefetch_part(array, b, quarter):
    """Prefetch one quarter of block b of an array (B, ...)."""
    share = array.strides[0] // 4
    start = b * array.strides[0] + quarter * share
    prefetch_bytes(array, start, start + share // 2, share // 2)


@hot
def prefetch_quarter(market, ahead, quarter):
    """Prefetch one quarter (0 .. 3) of what is read next: features for the block at work, state and prices of the next.

    Bit by bit between other work: the memory takes some two dozen requests at once, then everything waits.
    """
    bars, calendar = market.bars, market.calendar
    record, prices, share = bars.strides[0], 8 * bars.shape[1] * bars.shape[2], LANES // 4
    for i in range(quarter * share, (quarter + 1) * share, 2):
        one, other = ahead.places[HERE, i] * record, ahead.places[HERE, i + 1] * record
        prefetch_bytes(bars, one + prices, other + prices, record - prices)
    if ahead.first == ahead.stop:
        return
    b = ahead.first // LANES
    if ahead.far:
        prefetch_part(ahead.rows.account, b, quarter)
        prefetch_part(ahead.rows.counter, b, quarter)
        prefetch_part(ahead.rows.position, b, quarter)
        prefetch_part(ahead.rows.slot, b, quarter)
        prefetch_part(ahead.rows.flow, b, quarter)
    for i in range(quarter * share, (quarter + 1) * share, 2):
        one, other = ahead.rows.counter[b, BAR, i] + 1, ahead.rows.counter[b, BAR, i + 1] + 1
        prefetch_bytes(bars, one * record, other * record, prices)
        prefetch_line(calendar, 4 * calendar.shape[1] * one)
        prefetch_line(calendar, 4 * calendar.shape[1] * other)
