"""Whole numbers from and to lanes, and runs of entries from one row of an array to another."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import signature
from numba.extending import intrinsic

from envs.kernel.jit import hot
from envs.kernel.lane_arrays import check_index, entry_bytes, length_of, number_at
from envs.kernel.lanes import DOUBLE, LANES, MASK, NUMBERS, VECTOR, WORD, place


@intrinsic
def lane_numbers(typingctx: Any, numbers: Any) -> Any:
    """Entry i of a contiguous array (LANES,) of int64 in lane i."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        result = ir.Constant(VECTOR, ir.Undefined)
        for lane in range(LANES):
            number = builder.sitofp(number_at(context, builder, sig.args[0], args[0], lane), DOUBLE)
            result = builder.insert_element(result, number, place(lane))
        return result

    return signature(NUMBERS, numbers), generate


@intrinsic
def put_numbers(typingctx: Any, numbers: Any, values: Any) -> Any:
    """Write the lanes, whole numbers below 2**31, into a contiguous array (LANES,) of int64."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        whole = builder.sext(builder.fptosi(args[1], ir.VectorType(ir.IntType(32), LANES)), MASK)
        builder.store(whole, builder.bitcast(data, MASK.as_pointer()), align=8)
        return context.get_dummy_value()

    return signature(types.none, numbers, NUMBERS), generate


@intrinsic
def _copy_entries(typingctx: Any, target: Any, first: Any, source: Any, start: Any, count: Any) -> Any:
    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        one, two, length = (context.cast(builder, args[k], sig.args[k], types.int64) for k in (1, 3, 4))
        pointers = []
        for array, index in ((0, one), (2, two)):
            view = context.make_array(sig.args[array])(context, builder, args[array])
            last = builder.sub(builder.add(index, length), ir.Constant(WORD, 1))
            check_index(context, builder, last, length_of(builder, view))
            pointers.append(builder.gep(view.data, [index]))
        cgutils.raw_memcpy(builder, *pointers, length, entry_bytes(sig.args[0]))
        return context.get_dummy_value()

    return signature(types.none, target, first, source, start, count), generate


@hot
def copy_entries(target, first, source, start, count):
    """target[first : first + count] = source[start : start + count], both contiguous and of one type."""
    if count > 0:
        _copy_entries(target, first, source, start, count)
