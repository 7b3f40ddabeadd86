"""Matrix products of a few rows on a CPU, in single precision, faster than BLAS is with many.

A block of rows and columns stays in vector registers while the inputs pass by: 6 rows by 16 columns in the 16 registers
of AVX2, 8 by 32 in the 32 of AVX-512, where six sums would wait for each other. Every entry is summed over the
inputs in their order, by itself: its bits depend neither on how many rows there are nor on its place among them, nor on
the size of a block.
Numba has no vector type, so the block is written in LLVM's language, which knows the vectors of every processor.

Shapes: R rows, K inputs, N outputs, P panels of 16 outputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array
from numpy.typing import NDArray

from envs.kernel.jit import cached
from policies.compiled import pointwise_kernels
from policies.compiled.pointwise_kernels import entry, inner

Float32Array = NDArray[np.float32]
COLUMNS = 16
"""Outputs of a panel; the width of `out` in `add_product` is a multiple of it."""
NARROW, WIDE = (6, 1), (8, 2)
"""Rows and panels of a block: twelve sums where a register holds half a panel, sixteen where it holds a whole one."""
BLOCK = WIDE if binding.get_host_cpu_features().get("avx512f") else NARROW
BLOCK_ROWS = 9 * 8 if BLOCK is WIDE else 11 * 6
"""Rows that best go through a product together: few enough to stay in the cache, and a multiple of a block's."""
DEPTH = 128
"""Rows over which a turned product best sums at once: many, as its sums lie in memory, but few enough for the cache."""
_LINE_BYTES = 64


def compiled(function: Callable[..., Any]) -> Any:
    """Compile an entry point that calls products and pointwise kernels; its cache on disk is of these very sources."""
    return cached(function, entry, (Path(__file__), Path(str(pointwise_kernels.__file__))))


_VECTOR = ir.VectorType(ir.FloatType(), COLUMNS)


def _pointer(builder: Any, array: Any, place: Any) -> Any:
    return builder.bitcast(builder.gep(array.data, [place]), _VECTOR.as_pointer())


def _load(builder: Any, array: Any, place: Any) -> Any:
    """16 numbers of an array, from the place on."""
    value = builder.load(_pointer(builder, array, place))
    value.align = 4
    return value


def _store(builder: Any, value: Any, array: Any, place: Any) -> None:
    builder.store(value, _pointer(builder, array, place)).align = 4


def _everywhere(builder: Any, number: Any) -> Any:
    """A vector of one number."""
    lane = ir.IntType(32)
    blank = ir.Constant(_VECTOR, ir.Undefined)
    one = builder.insert_element(blank, number, ir.Constant(lane, 0))
    return builder.shuffle_vector(one, blank, ir.Constant(ir.VectorType(lane, COLUMNS), [0] * COLUMNS))


@intrinsic
def _pack_whole(typing_context, row, factor, panel, k, out):  # type: ignore[no-untyped-def]
    """Write 16 numbers of row (N,), from 16 * panel on, times the factor to out[panel, k].

    As one vector: LLVM finds those by itself only in longer loops.
    """
    signature = types.void(row, factor, types.intp, types.intp, out)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        word = context.get_value_type(types.intp)
        source, target = (make_array(signature.args[n])(context, builder, arguments[n]) for n in (0, 4))
        factor, panel, k = arguments[1:4]
        width = ir.Constant(word, COLUMNS)
        depth = cgutils.unpack_tuple(builder, target.shape)[1]
        place = builder.mul(builder.add(builder.mul(panel, depth), k), width)
        scaled = builder.fmul(_load(builder, source, builder.mul(panel, width)), _everywhere(builder, factor))
        _store(builder, scaled, target, place)
        return context.get_dummy_value()

    return signature, generate


@inner
def pack_row(row, factor, k, out):  # type: ignore[no-untyped-def]
    """Write row (N,) times the factor to out (P, any, 16) as its input k, filled up with zeros."""
    whole = row.shape[0] // COLUMNS
    for panel in range(whole):
        _pack_whole(row, factor, panel, k, out)
    if whole < out.shape[0]:
        for n in range(COLUMNS):
            column = whole * COLUMNS + n
            out[whole, k, n] = row[column] * factor if column < row.shape[0] else np.float32(0.0)


@entry
def _pack(weights, first, out):  # type: ignore[no-untyped-def]
    """Write weights (K, N) to out (P, any, 16) from its input `first` on."""
    for panel in range(out.shape[0]):
        width = min(out.shape[2], weights.shape[1] - panel * out.shape[2])
        for k in range(weights.shape[0]):
            for n in range(width):
                out[panel, first + k, n] = weights[k, panel * out.shape[2] + n]


def panels(*weights: Float32Array) -> Float32Array:
    """Weights (K, N), one above the other, as `add_product` takes them: (P, K, 16), filled up with zeros."""
    depth, outputs = sum(len(part) for part in weights), weights[0].shape[1]
    packed = on_a_line(-(-outputs // COLUMNS), depth, COLUMNS)
    if outputs % COLUMNS:
        packed[-1] = 0.0
    first = 0
    for part in weights:
        _pack(part, first, packed)
        first += len(part)
    return packed


def on_a_line(*shape: int) -> Float32Array:
    """A new array that begins with a line of the cache, so that no vector of it lies on two."""
    size = math.prod(shape)
    room = np.empty(size + _LINE_BYTES // 4, np.float32)
    first = -room.__array_interface__["data"][0] % _LINE_BYTES // 4
    return room[first : first + size].reshape(shape)


def _block(num_rows: int, num_panels: int, *, turned: bool = False) -> Any:
    """A compiled function that adds to `num_rows` rows of out, from `first` on, the part of the product of `num_panels`
    panels, from `panel` on.

    `turned` takes the transpose of the rows; its many inputs are summed by themselves before they are added, for less
    rounding.
    """

    @intrinsic
    def add_block(typing_context, rows, weights, out, first, panel):  # type: ignore[no-untyped-def]
        signature = types.void(rows, weights, out, types.intp, types.intp)

        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            word = context.get_value_type(types.intp)
            multiply_add = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(_VECTOR, [_VECTOR] * 3), f"llvm.fmuladd.v{COLUMNS}f32"
            )
            rows, weights, out = (
                make_array(kind)(context, builder, value)
                for kind, value in zip(signature.args[:3], arguments[:3], strict=True)
            )
            first, panel = arguments[3:]
            height, width = cgutils.unpack_tuple(builder, rows.shape)
            inputs = height if turned else width
            outputs = cgutils.unpack_tuple(builder, out.shape)[1]
            panel_width = ir.Constant(word, COLUMNS)
            numbers = [builder.add(first, ir.Constant(word, row)) for row in range(num_rows)]
            group = [builder.add(panel, ir.Constant(word, one)) for one in range(num_panels)]
            places = [
                [builder.add(builder.mul(row, outputs), builder.mul(one, panel_width)) for one in group]
                for row in numbers
            ]
            nothing = ir.Constant(_VECTOR, [0.0] * COLUMNS)
            sums = [
                [
                    cgutils.alloca_once_value(builder, nothing if turned else _load(builder, out, place))
                    for place in row
                ]
                for row in places
            ]
            with cgutils.for_range(builder, inputs, intp=word) as loop:
                weights_k = [
                    _load(
                        builder,
                        weights,
                        builder.mul(builder.add(builder.mul(one, inputs), loop.index), panel_width),
                    )
                    for one in group
                ]
                for row, totals in zip(numbers, sums, strict=True):
                    line, column = (loop.index, row) if turned else (row, loop.index)
                    place = builder.add(builder.mul(line, width), column)
                    many = _everywhere(builder, builder.load(builder.gep(rows.data, [place])))
                    for weight, total in zip(weights_k, totals, strict=True):
                        builder.store(builder.call(multiply_add, [many, weight, builder.load(total)]), total)
            for row_places, totals in zip(places, sums, strict=True):
                for place, total in zip(row_places, totals, strict=True):
                    value = builder.load(total)
                    value = builder.fadd(_load(builder, out, place), value) if turned else value
                    _store(builder, value, out, place)
            return context.get_dummy_value()

        return signature, generate

    return add_block


def product_by(block_rows: int, block_panels: int, *, turned: bool = False) -> Any:
    """`add_product`, or `add_turned_product`, by blocks of so many rows and panels; smaller ones for what is left."""
    add_to_many, add_to_two, add_to_one = (_block(n, block_panels, turned=turned) for n in (block_rows, 2, 1))
    # Of the panels that are left over.
    alone_to_many, alone_to_two, alone_to_one = (_block(n, 1, turned=turned) for n in (block_rows, 2, 1))
    axis = int(turned)

    @inner
    def add(rows, weights, out):  # type: ignore[no-untyped-def]
        num_rows = rows.shape[axis]
        many, twos = num_rows - num_rows % block_rows, num_rows - num_rows % 2
        grouped = weights.shape[0] - weights.shape[0] % block_panels
        for panel in range(0, grouped, block_panels):
            for first in range(0, many, block_rows):
                add_to_many(rows, weights, out, first, panel)
            for first in range(many, twos, 2):
                add_to_two(rows, weights, out, first, panel)
            for first in range(twos, num_rows):
                add_to_one(rows, weights, out, first, panel)
        for panel in range(grouped, weights.shape[0]):
            for first in range(0, many, block_rows):
                alone_to_many(rows, weights, out, first, panel)
            for first in range(many, twos, 2):
                alone_to_two(rows, weights, out, first, panel)
            for first in range(twos, num_rows):
                alone_to_one(rows, weights, out, first, panel)

    return add


add_product = product_by(*BLOCK)
"""Add to out (R, 16 P) the product of rows (R, K) and weights (P, K, 16); all float32 and C-contiguous."""
add_turned_product = product_by(*BLOCK, turned=True)
"""Add to out (N, 16 P) the product of the transpose of rows (R, N) and weights (P, R, 16), for gradients of weights."""
