"""Matrix products of a few rows on a CPU, in single precision, faster than BLAS is with many.

A block of 6 rows by 16 columns stays in vector registers while the inputs pass by. Every entry is summed over the
inputs in their order, by itself: its bits depend neither on how many rows there are nor on its place among them.
Numba has no vector type, so the block is written in LLVM's language, which knows the vectors of every processor.

Shapes: R rows, K inputs, N outputs, P panels of 16 outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array
from numpy.typing import NDArray

from envs.kernel.jit import cached, inner
from policies.compiled import pointwise_kernels
from policies.compiled.pointwise_kernels import entry

Float32Array = NDArray[np.float32]
COLUMNS = 16
"""Outputs of a panel; the width of `out` in `add_product` is a multiple of it."""
BLOCK_ROWS = 66
"""Rows that best go through a product together: few enough to stay in the cache, and a multiple of six."""


def compiled(function: Callable[..., Any]) -> Any:
    """Compile an entry point that calls products and pointwise kernels; its cache on disk is of these very sources."""
    return cached(function, entry, (Path(__file__), Path(str(pointwise_kernels.__file__))))


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
    packed = (np.zeros if outputs % COLUMNS else np.empty)(
        (-(-outputs // COLUMNS), depth, COLUMNS), np.float32
    )
    first = 0
    for part in weights:
        _pack(part, first, packed)
        first += len(part)
    return packed


def _block(num_rows: int) -> Any:
    """A compiled function that adds to `num_rows` rows of out, from row `first` on, one panel's part of the product."""

    @intrinsic
    def add_block(typing_context, rows, weights, out, first, panel):  # type: ignore[no-untyped-def]
        signature = types.void(rows, weights, out, types.intp, types.intp)

        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            word = context.get_value_type(types.intp)
            number, lane = ir.FloatType(), ir.IntType(32)
            vector = ir.VectorType(number, COLUMNS)
            blank = ir.Constant(vector, ir.Undefined)
            everywhere = ir.Constant(ir.VectorType(lane, COLUMNS), [0] * COLUMNS)
            multiply_add = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fmuladd.v{COLUMNS}f32"
            )
            arrays = [
                make_array(kind)(context, builder, value)
                for kind, value in zip(signature.args[:3], arguments[:3], strict=True)
            ]
            first, panel = arguments[3:]
            inputs = cgutils.unpack_tuple(builder, arrays[0].shape)[1]
            outputs = cgutils.unpack_tuple(builder, arrays[2].shape)[1]

            def at(array, *terms):  # type: ignore[no-untyped-def]
                """Pointer to the number that lies the sum of the terms behind the array's first."""
                offset = ir.Constant(word, 0)
                for term in terms:
                    offset = builder.add(offset, term)
                return builder.gep(array.data, [offset])

            def load(pointer):  # type: ignore[no-untyped-def]
                value = builder.load(builder.bitcast(pointer, vector.as_pointer()))
                value.align = 4
                return value

            column = builder.mul(panel, ir.Constant(word, COLUMNS))
            numbers = [builder.add(first, ir.Constant(word, row)) for row in range(num_rows)]
            places = [at(arrays[2], builder.mul(row, outputs), column) for row in numbers]
            sums = [cgutils.alloca_once_value(builder, load(place)) for place in places]
            with cgutils.for_range(builder, inputs, intp=word) as loop:
                weight = load(
                    at(
                        arrays[1],
                        builder.mul(
                            builder.add(builder.mul(panel, inputs), loop.index), ir.Constant(word, COLUMNS)
                        ),
                    )
                )
                for row, total in zip(numbers, sums, strict=True):
                    one = builder.load(at(arrays[0], builder.mul(row, inputs), loop.index))
                    one = builder.insert_element(blank, one, ir.Constant(lane, 0))
                    many = builder.shuffle_vector(one, blank, everywhere)
                    builder.store(builder.call(multiply_add, [many, weight, builder.load(total)]), total)
            for place, total in zip(places, sums, strict=True):
                stored = builder.store(builder.load(total), builder.bitcast(place, vector.as_pointer()))
                stored.align = 4
            return context.get_dummy_value()

        return signature, generate

    return add_block


_add_to_six, _add_to_two, _add_to_one = _block(6), _block(2), _block(1)


@inner
def add_product(rows, weights, out):  # type: ignore[no-untyped-def]
    """Add to out (R, 16 P) the product of rows (R, K) and weights (P, K, 16); all float32 and C-contiguous."""
    sixes = rows.shape[0] - rows.shape[0] % 6
    twos = rows.shape[0] - rows.shape[0] % 2
    for panel in range(weights.shape[0]):
        for first in range(0, sixes, 6):
            _add_to_six(rows, weights, out, first, panel)
        for first in range(sixes, twos, 2):
            _add_to_two(rows, weights, out, first, panel)
        for first in range(twos, rows.shape[0]):
            _add_to_one(rows, weights, out, first, panel)
