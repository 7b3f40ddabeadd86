"""How lanes get from and to arrays.

- `Block`: columns of LANES neighbouring rows, an array (K, LANES): `block[K]` loads, `block[K] = x` stores where live.
- `Rows`: one row of an array for each lane, wherever it stands: `rows[K]` gathers, `rows[K] = x` scatters.
- `take_columns` and `put_columns` move many columns between the two at once.

Whole numbers become float64 in a lane, which holds those below 2**53. With NUMBA_BOUNDSCHECK, indices are checked here
too: those of blocks and of rows, and that a column lies in its row.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.core.datamodel.registry import register_default
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic

from envs.kernel.jit import hot
from envs.kernel.lanes import (
    DOUBLE,
    LANES,
    MASK,
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


@register_default(Block)
class _BlockModel(models.StructModel):
    def __init__(self, manager: Any, kind: Block) -> None:
        super().__init__(manager, kind, [("data", types.voidptr), ("count", types.intp), ("live", TRUTHS)])


class Rows(types.Type):
    """One row of an array for each lane."""

    def __init__(self, dtype: types.Type) -> None:
        self.dtype = dtype
        super().__init__(name=f"Rows({dtype})")


@register_default(Rows)
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


def _size(kind: Any) -> int:
    return kind.dtype.bitwidth // 8


def _lane_type(context: Any, kind: Any) -> Any:
    return ir.VectorType(context.get_data_type(kind.dtype), LANES)


def _check(context: Any, builder: Any, index: Any, count: Any) -> None:
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


def _length(builder: Any, view: Any) -> Any:
    return cgutils.unpack_tuple(builder, view.shape)[0]


# --- blocks: neighbouring rows ---------------------------------------------------------------------------------------


@intrinsic
def block(typingctx: Any, array: Any, live: Any) -> Any:
    """The columns of an array (K, LANES), contiguous; stores reach the lanes that are `live` only."""
    kind = Block(array.dtype)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        view = context.make_array(sig.args[0])(context, builder, args[0])
        result = cgutils.create_struct_proxy(kind)(context, builder)
        result.data, result.live = builder.bitcast(view.data, _BYTES), args[1]
        result.count = _length(builder, view)
        return result._getvalue()

    return signature(kind, array, live), generate


@intrinsic
def from_column(typingctx: Any, columns: Any, first: Any) -> Any:
    """The block's columns from column `first` on."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        result = cgutils.create_struct_proxy(sig.args[0])(context, builder, value=args[0])
        result.data, _ = _column(context, builder, sig, args)
        result.count = builder.sub(result.count, context.cast(builder, args[1], sig.args[1], types.int64))
        return result._getvalue()

    return signature(columns, columns, first), generate


def _column(context: Any, builder: Any, sig: Any, args: Any) -> tuple[Any, Any]:
    """Pointer to a block's column, and its lanes that are live."""
    proxy = cgutils.create_struct_proxy(sig.args[0])(context, builder, value=args[0])
    index = context.cast(builder, args[1], sig.args[1], types.int64)
    _check(context, builder, index, proxy.count)
    width = ir.Constant(WORD, LANES * _size(sig.args[0]))
    return builder.gep(proxy.data, [builder.mul(index, width)]), proxy.live


@lower_builtin(operator.getitem, Block, types.Integer)
def _load(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    kind = sig.args[0]
    pointer, _ = _column(context, builder, sig, args)
    pointer = builder.bitcast(pointer, _lane_type(context, kind).as_pointer())
    return _read(builder, kind, builder.load(pointer, align=_size(kind)))


@lower_builtin(operator.setitem, Block, types.Integer, types.Any)
def _store(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    kind, size = sig.args[0], _size(sig.args[0])
    pointer, live = _column(context, builder, sig, args)
    pointer = builder.bitcast(pointer, _lane_type(context, kind).as_pointer())
    value = _written(context, builder, kind, sig.args[2], args[2])
    # Without `freeze` LLVM makes one masked store of this, which takes AMD's processors a dozen cycles or more.
    before = _freeze(builder, builder.load(pointer, align=size))
    builder.store(select(builder, live, value, before), pointer, align=size)
    return context.get_dummy_value()


def _freeze(builder: Any, value: Any) -> Any:
    """The same value, behind LLVM's `freeze`, for which llvmlite has no name."""
    instruction = ir.Instruction(builder.block, value.type, "freeze", [value])
    builder._insert(instruction)
    return instruction


# --- rows: one for each lane -----------------------------------------------------------------------------------------


def _address(builder: Any, pointer: Any) -> Any:
    return builder.ptrtoint(pointer, WORD)


def _entry(context: Any, builder: Any, array: Any, value: Any, lane: int) -> Any:
    """Entry `lane` of a contiguous array of int64."""
    view = context.make_array(array)(context, builder, value)
    return builder.load(builder.gep(view.data, [ir.Constant(WORD, lane)]))


def _rows(context: Any, builder: Any, kind: Rows, starts: list[Any], count: Any) -> Any:
    result = cgutils.create_struct_proxy(kind)(context, builder)
    result.starts, result.count = cgutils.pack_array(builder, starts), count
    return result._getvalue()


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
            number = _entry(context, builder, sig.args[1], args[1], lane)
            _check(context, builder, number, _length(builder, view))
            starts.append(builder.add(base, builder.mul(number, stride)))
        return _rows(context, builder, kind, starts, _row_length(builder, view.shape))

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
            _check(context, builder, builder.select(alive, row, ir.Constant(WORD, 0)), _length(builder, view))
            address = builder.add(base, builder.mul(row, stride))
            starts.append(builder.select(alive, address, _address(builder, other.data)))
        return _rows(context, builder, kind, starts, _row_length(builder, view.shape))

    return signature(kind, array, first, live, spare), generate


@intrinsic
def beside(typingctx: Any, rows: Any, shift: Any) -> Any:
    """`rows`, for lane i shift[i] entries further on. shift (LANES,) int64."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        proxy = cgutils.create_struct_proxy(sig.args[0])(context, builder, value=args[0])
        size, starts = ir.Constant(WORD, _size(sig.args[0])), []
        for lane, start in enumerate(cgutils.unpack_tuple(builder, proxy.starts)):
            number = _entry(context, builder, sig.args[1], args[1], lane)
            _check(context, builder, number, proxy.count)
            starts.append(builder.add(start, builder.mul(number, size)))
        return _rows(context, builder, sig.args[0], starts, proxy.count)

    return signature(rows, rows, shift), generate


def _pointers(context: Any, builder: Any, sig: Any, args: Any) -> list[Any]:
    """Pointers to one column of each lane's row."""
    proxy = cgutils.create_struct_proxy(sig.args[0])(context, builder, value=args[0])
    kind = context.get_data_type(sig.args[0].dtype).as_pointer()
    index = context.cast(builder, args[1], sig.args[1], types.int64)
    _check(context, builder, index, proxy.count)
    shift = builder.mul(index, ir.Constant(WORD, _size(sig.args[0])))
    starts = cgutils.unpack_tuple(builder, proxy.starts)
    return [builder.bitcast(builder.gep(builder.inttoptr(start, _BYTES), [shift]), kind) for start in starts]


@lower_builtin(operator.getitem, Rows, types.Integer)
def _gather(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    result = ir.Constant(_lane_type(context, sig.args[0]), ir.Undefined)
    for lane, pointer in enumerate(_pointers(context, builder, sig, args)):
        result = builder.insert_element(result, builder.load(pointer), place(lane))
    return _read(builder, sig.args[0], result)


@lower_builtin(operator.setitem, Rows, types.Integer, types.Any)
def _scatter(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    value = _written(context, builder, sig.args[0], sig.args[2], args[2])
    for lane, pointer in enumerate(_pointers(context, builder, sig, args)):
        builder.store(builder.extract_element(value, place(lane)), pointer)
    return context.get_dummy_value()


# --- many columns at once --------------------------------------------------------------------------------------------


def _turned(builder: Any, vectors: list[Any]) -> list[Any]:
    """Vectors turned by 90 degrees: entry i of vector k, of as many entries, becomes entry k of vector i."""
    count, width = len(vectors), 1
    while width < count:
        stays = [k & width == 0 for k in range(count)]
        low = [k if stays[k] else count + k - width for k in range(count)]
        high = [k + width if stays[k] else count + k for k in range(count)]
        masks = [ir.Constant(ir.VectorType(ir.IntType(32), count), order) for order in (low, high)]
        for k in range(count):
            if stays[k]:
                pair = vectors[k], vectors[k + width]
                vectors[k], vectors[k + width] = (builder.shuffle_vector(*pair, mask) for mask in masks)
        width *= 2
    return vectors


def _move_quartet(context: Any, builder: Any, dtype: Any, sources: list[Any], targets: list[Any]) -> None:
    """Read four vectors of four entries each, turn them and write them to four places."""
    kind, size = ir.VectorType(context.get_data_type(dtype), 4).as_pointer(), dtype.bitwidth // 8
    vectors = [builder.load(builder.bitcast(pointer, kind), align=size) for pointer in sources]
    for vector_, pointer in zip(_turned(builder, vectors), targets, strict=True):
        builder.store(vector_, builder.bitcast(pointer, kind), align=size)


def _quarter_columns(builder: Any, column: Any, size: int, lane: int) -> list[Any]:
    """Pointers to lanes lane .. lane + 3 of the four columns from the one at pointer `column` on."""
    shifts = [size * (k * LANES + lane) for k in range(4)]
    return [builder.gep(column, [ir.Constant(WORD, shift)]) for shift in shifts]


def _four(find: Any, context: Any, builder: Any, kinds: tuple[Any, Any], holder: Any, first: Any) -> Any:
    """What `find`, `_column` or `_pointers`, says of entry `first`, after entry first + 3 was looked for too."""
    sig = signature(types.none, *kinds)
    find(context, builder, sig, (holder, builder.add(first, ir.Constant(first.type, 3))))
    return find(context, builder, sig, (holder, first))


@intrinsic
def _take_quartet(typingctx: Any, columns: Any, rows: Any, first: Any) -> Any:
    if columns.dtype != rows.dtype:
        return None

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        column, _ = _four(_column, context, builder, (columns, first), args[0], args[2])
        entries = _four(_pointers, context, builder, (rows, first), args[1], args[2])
        for lane in range(0, LANES, 4):
            targets = _quarter_columns(builder, column, _size(columns), lane)
            _move_quartet(context, builder, rows.dtype, entries[lane : lane + 4], targets)
        return context.get_dummy_value()

    return signature(types.none, columns, rows, first), generate


@hot
def take_columns(columns, rows, count):
    """Write the first `count` entries, at least 4, of the rows into the columns of a block of the same type."""
    for k in range(0, count - 3, 4):
        _take_quartet(columns, rows, k)
    if count % 4 != 0:
        _take_quartet(columns, rows, count - 4)


@intrinsic
def _put_quartet(typingctx: Any, rows: Any, first: Any, columns: Any, start: Any) -> Any:
    if columns.dtype != rows.dtype:
        return None

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        column, _ = _four(_column, context, builder, (columns, start), args[2], args[3])
        entries = _four(_pointers, context, builder, (rows, first), args[0], args[1])
        for lane in range(0, LANES, 4):
            # Four lanes of a column, as they were stored: a load of more would have to wait for the stores.
            sources = _quarter_columns(builder, column, _size(columns), lane)
            _move_quartet(context, builder, rows.dtype, sources, entries[lane : lane + 4])
        return context.get_dummy_value()

    return signature(types.none, rows, first, columns, start), generate


@hot
def put_columns(rows, first, columns, count):
    """Write the first `count` columns, at least 4, of a block as entries first .. of the rows, of the same type."""
    for k in range(0, count - 3, 4):
        _put_quartet(rows, first + k, columns, k)
    if count % 4 != 0:
        _put_quartet(rows, first + count - 4, columns, count - 4)


# --- whole numbers, and entries of one row ---------------------------------------------------------------------------


@intrinsic
def lane_numbers(typingctx: Any, numbers: Any) -> Any:
    """Entry i of a contiguous array (LANES,) of int64 in lane i."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        result = ir.Constant(VECTOR, ir.Undefined)
        for lane in range(LANES):
            number = builder.sitofp(_entry(context, builder, sig.args[0], args[0], lane), DOUBLE)
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
            _check(context, builder, last, _length(builder, view))
            pointers.append(builder.gep(view.data, [index]))
        cgutils.raw_memcpy(builder, *pointers, length, _size(sig.args[0]))
        return context.get_dummy_value()

    return signature(types.none, target, first, source, start, count), generate


@hot
def copy_entries(target, first, source, start, count):
    """target[first : first + count] = source[start : start + count], both contiguous and of one type."""
    if count > 0:
        _copy_entries(target, first, source, start, count)
