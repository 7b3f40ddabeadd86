"""How lanes get from and to arrays.

- `Block`: columns of LANES neighbouring rows, an array (K, LANES): `block[K]` loads, `block[K] = x` stores where live.
- `Rows`: one row of an array for each lane, wherever it stands: `rows[K]` gathers, `rows[K] = x` scatters.

Many columns at once: envs.kernel.lane_columns. Whole numbers and entries of one row: envs.kernel.lane_entries.

Whole numbers become float64 in a lane, which holds those below 2**53. With NUMBA_BOUNDSCHECK, indices are checked here
too: those of blocks and of rows, and that a column lies in its row.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

from envs.kernel.lanes import (
    LANES,
    NUMBERS,
    TRUTHS,
    VECTOR,
    WORD,
    is_number,
    place,
    select,
    single_bits,
    vector,
)

_BYTES = ir.IntType(8).as_pointer()


class Block(types.Type):
    """Columns of LANES neighbouring rows."""

    def __init__(self, dtype: types.Type) -> None:
        self.dtype = dtype
        super().__init__(name=f"Block({dtype})")


@register_model(Block)
class _BlockModel(models.StructModel):
    def __init__(self, manager: Any, kind: Block) -> None:
        super().__init__(manager, kind, [("data", types.voidptr), ("count", types.intp), ("live", TRUTHS)])


class Rows(types.Type):
    """One row of an array for each lane."""

    def __init__(self, dtype: types.Type) -> None:
        self.dtype = dtype
        super().__init__(name=f"Rows({dtype})")


@register_model(Rows)
class _RowsModel(models.StructModel):
    def __init__(self, manager: Any, kind: Rows) -> None:
        super().__init__(
            manager, kind, [("starts", types.UniTuple(types.intp, LANES)), ("count", types.intp)]
        )


@infer_global(operator.getitem)
class _GetItem(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        if isinstance(args[0], Block | Rows) and isinstance(args[1], types.Integer):
            return signature(NUMBERS, *args)
        return None


@infer_global(operator.setitem)
class _SetItem(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        if isinstance(args[0], Block | Rows) and isinstance(args[1], types.Integer) and is_number(args[2]):
            return signature(types.none, *args)
        return None


def entry_bytes(kind: Any) -> int:
    """Bytes of one entry of a block or of rows."""
    return kind.dtype.bitwidth // 8


def _lane_type(context: Any, kind: Any) -> Any:
    return ir.VectorType(context.get_data_type(kind.dtype), LANES)


def check_index(context: Any, builder: Any, index: Any, count: Any) -> None:
    """With NUMBA_BOUNDSCHECK, raise where an index leaves an array of `count`."""
    if context.enable_boundscheck:
        cgutils.do_boundscheck(context, builder, index, count)


def _read(builder: Any, kind: Any, value: Any) -> Any:
    """Entries of an array as float64."""
    if kind.dtype == types.float64:
        return value
    if kind.dtype == types.float32:
        return builder.fpext(value, VECTOR)
    return (builder.sitofp if kind.dtype.signed else builder.uitofp)(value, VECTOR)


def _written(context: Any, builder: Any, kind: Any, value_kind: Any, value: Any) -> Any:
    """Lanes or a number as entries of an array."""
    lanes = vector(context, builder, value_kind, value)
    if kind.dtype == types.float64:
        return lanes
    if kind.dtype == types.float32:
        return builder.fptrunc(lanes, _lane_type(context, kind))
    return (builder.fptosi if kind.dtype.signed else builder.fptoui)(lanes, _lane_type(context, kind))


def length_of(builder: Any, view: Any) -> Any:
    """Entries of an array along its first axis."""
    return cgutils.unpack_tuple(builder, view.shape)[0]


# --- blocks: neighbouring rows ---------------------------------------------------------------------------------------


@intrinsic
def block(typingctx: Any, array: Any, live: Any) -> Any:
    """The columns of an array (K, LANES), contiguous; stores reach the lanes that are `live` only."""
    kind = Block(array.dtype)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        view = context.make_array(sig.args[0])(context, builder, args[0])
        data = builder.bitcast(view.data, _BYTES)
        return cgutils.pack_struct(builder, (data, length_of(builder, view), args[1]))

    return signature(kind, array, live), generate


@intrinsic
def from_column(typingctx: Any, columns: Any, first: Any) -> Any:
    """The block's columns from column `first` on."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        proxy = cgutils.create_struct_proxy(sig.args[0])(context, builder, value=args[0])
        data, live = column_pointer(context, builder, sig, args)
        count = builder.sub(proxy.count, context.cast(builder, args[1], sig.args[1], types.int64))
        return cgutils.pack_struct(builder, (data, count, live))

    return signature(columns, columns, first), generate


def column_pointer(context: Any, builder: Any, sig: Any, args: Any) -> tuple[Any, Any]:
    """Pointer to a block's column, and its lanes that are live."""
    proxy = cgutils.create_struct_proxy(sig.args[0])(context, builder, value=args[0])
    index = context.cast(builder, args[1], sig.args[1], types.int64)
    check_index(context, builder, index, proxy.count)
    width = ir.Constant(WORD, LANES * entry_bytes(sig.args[0]))
    return builder.gep(proxy.data, [builder.mul(index, width)]), proxy.live


@lower_builtin(operator.getitem, Block, types.Integer)
def _load(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    kind = sig.args[0]
    pointer, _ = column_pointer(context, builder, sig, args)
    pointer = builder.bitcast(pointer, _lane_type(context, kind).as_pointer())
    return _read(builder, kind, builder.load(pointer, align=entry_bytes(kind)))


@lower_builtin(operator.setitem, Block, types.Integer, types.Any)
def _store(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    kind, size = sig.args[0], entry_bytes(sig.args[0])
    pointer, live = column_pointer(context, builder, sig, args)
    pointer = builder.bitcast(pointer, _lane_type(context, kind).as_pointer())
    value = _written(context, builder, kind, sig.args[2], args[2])
    # Without `freeze` LLVM makes one masked store of this, which takes AMD's processors a dozen cycles or more.
    before = _freeze(builder, builder.load(pointer, align=size))
    builder.store(select(builder, live, value, before), pointer, align=size)
    return context.get_dummy_value()


def _freeze(builder: Any, value: Any) -> Any:
    """The same value, an instruction, behind LLVM's `freeze`, for which llvmlite has no name."""
    instruction = ir.Instruction(builder.block, value.type, "freeze", [value])
    instructions = builder.block.instructions
    instructions.insert(instructions.index(value) + 1, instruction)
    builder.position_after(instruction)
    return instruction


# --- rows: one for each lane -----------------------------------------------------------------------------------------


def _address(builder: Any, pointer: Any) -> Any:
    return builder.ptrtoint(pointer, WORD)


def number_at(context: Any, builder: Any, array: Any, value: Any, lane: int) -> Any:
    """Entry `lane` of a contiguous array of int64."""
    view = context.make_array(array)(context, builder, value)
    return builder.load(builder.gep(view.data, [ir.Constant(WORD, lane)]))


def _rows(builder: Any, starts: list[Any], count: Any) -> Any:
    """A value of type `Rows`."""
    return cgutils.pack_struct(builder, (cgutils.pack_array(builder, starts), count))


def _row_length(builder: Any, shape: Any) -> Any:
    length = ir.Constant(WORD, 1)
    for extent in cgutils.unpack_tuple(builder, shape)[1:]:
        length = builder.mul(length, extent)
    return length


@intrinsic
def rows_at(typingctx: Any, array: Any, index: Any) -> Any:
    """For lane i, row index[i] of an array (N, ...) whose rows are contiguous. index (LANES,) int64."""
    kind = Rows(array.dtype)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        view = context.make_array(sig.args[0])(context, builder, args[0])
        base, stride = _address(builder, view.data), cgutils.unpack_tuple(builder, view.strides)[0]
        starts = []
        for lane in range(LANES):
            number = number_at(context, builder, sig.args[1], args[1], lane)
            check_index(context, builder, number, length_of(builder, view))
            starts.append(builder.add(base, builder.mul(number, stride)))
        return _rows(builder, starts, _row_length(builder, view.shape))

    return signature(kind, array, index), generate


@intrinsic
def neighbours(typingctx: Any, array: Any, first: Any, live: Any, spare: Any) -> Any:
    """For lane i, row first + i of an array (E, ...), or `spare` (1, ...), which is as long, where it is not live."""
    kind = Rows(array.dtype)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        view, other = (context.make_array(sig.args[k])(context, builder, args[k]) for k in (0, 3))
        base, stride = _address(builder, view.data), cgutils.unpack_tuple(builder, view.strides)[0]
        start, bits = context.cast(builder, args[1], sig.args[1], types.int64), single_bits(builder, args[2])
        starts = []
        for lane in range(LANES):
            alive = builder.extract_element(bits, place(lane))
            row = builder.add(start, ir.Constant(WORD, lane))
            check_index(
                context, builder, builder.select(alive, row, ir.Constant(WORD, 0)), length_of(builder, view)
            )
            address = builder.add(base, builder.mul(row, stride))
            starts.append(builder.select(alive, address, _address(builder, other.data)))
        return _rows(builder, starts, _row_length(builder, view.shape))

    return signature(kind, array, first, live, spare), generate


@intrinsic
def beside(typingctx: Any, rows: Any, shift: Any) -> Any:
    """`rows`, for lane i shift[i] entries further on. shift (LANES,) int64."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        proxy = cgutils.create_struct_proxy(sig.args[0])(context, builder, value=args[0])
        size, starts = ir.Constant(WORD, entry_bytes(sig.args[0])), []
        for lane, start in enumerate(cgutils.unpack_tuple(builder, proxy.starts)):
            number = number_at(context, builder, sig.args[1], args[1], lane)
            check_index(context, builder, number, proxy.count)
            starts.append(builder.add(start, builder.mul(number, size)))
        return _rows(builder, starts, proxy.count)

    return signature(rows, rows, shift), generate


def entry_pointers(context: Any, builder: Any, sig: Any, args: Any) -> list[Any]:
    """Pointers to one column of each lane's row."""
    proxy = cgutils.create_struct_proxy(sig.args[0])(context, builder, value=args[0])
    kind = context.get_data_type(sig.args[0].dtype).as_pointer()
    index = context.cast(builder, args[1], sig.args[1], types.int64)
    check_index(context, builder, index, proxy.count)
    shift = builder.mul(index, ir.Constant(WORD, entry_bytes(sig.args[0])))
    starts = cgutils.unpack_tuple(builder, proxy.starts)
    return [builder.bitcast(builder.gep(builder.inttoptr(start, _BYTES), [shift]), kind) for start in starts]


@lower_builtin(operator.getitem, Rows, types.Integer)
def _gather(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    result = ir.Constant(_lane_type(context, sig.args[0]), ir.Undefined)
    for lane, pointer in enumerate(entry_pointers(context, builder, sig, args)):
        result = builder.insert_element(result, builder.load(pointer), place(lane))
    return _read(builder, sig.args[0], result)


@lower_builtin(operator.setitem, Rows, types.Integer, types.Any)
def _scatter(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    value = _written(context, builder, sig.args[0], sig.args[2], args[2])
    for lane, pointer in enumerate(entry_pointers(context, builder, sig, args)):
        builder.store(builder.extract_element(value, place(lane)), pointer)
    return context.get_dummy_value()
