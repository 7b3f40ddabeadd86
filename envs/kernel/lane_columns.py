"""Many columns at once between rows of arrays and blocks: four entries of four rows are read and turned together."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core.typing.templates import signature
from numba.extending import intrinsic

from envs.kernel.jit import hot
from envs.kernel.lane_arrays import column_pointer, entry_bytes, entry_pointers
from envs.kernel.lanes import LANES, WORD


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
    """What `find`, one for columns or rows, says of entry `first`, after entry first + 3 was looked for too."""
    sig = signature(types.none, *kinds)
    find(context, builder, sig, (holder, builder.add(first, ir.Constant(first.type, 3))))
    return find(context, builder, sig, (holder, first))


@intrinsic
def _take_quartet(typingctx: Any, columns: Any, rows: Any, first: Any) -> Any:
    if columns.dtype != rows.dtype:
        return None

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        column, _ = _four(column_pointer, context, builder, (columns, first), args[0], args[2])
        entries = _four(entry_pointers, context, builder, (rows, first), args[1], args[2])
        for lane in range(0, LANES, 4):
            targets = _quarter_columns(builder, column, entry_bytes(columns), lane)
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
        column, _ = _four(column_pointer, context, builder, (columns, start), args[2], args[3])
        entries = _four(entry_pointers, context, builder, (rows, first), args[0], args[1])
        for lane in range(0, LANES, 4):
            # Four lanes of a column, as they were stored: a load of more would have to wait for the stores.
            sources = _quarter_columns(builder, column, entry_bytes(columns), lane)
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
