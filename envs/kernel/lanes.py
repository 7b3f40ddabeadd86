"""LANES env rows side by side: one number of each row in one vector register, so that one instruction treats them all.

Types for Numba, used inside compiled functions only. Operators and `min`, `max`, `abs`, `math.sqrt`, `floor`, `log`
and `copysign` treat each lane as they treat a float, to the bit. What would be `if` is `where`; `and`, `or` and `not`
are `&`, `|` and `~`. `where`, `sign` and `is_finite` take plain numbers too, so that functions serve one row as well as
many. How lanes get from and to arrays: envs.kernel.lane_arrays.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable
from functools import cache
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

from envs.kernel.jit import hot

LANES = 8

DOUBLE, WORD = ir.DoubleType(), ir.IntType(64)
# A truth value is 64 bits, all ones or none, as compare instructions leave it.
VECTOR, MASK = ir.VectorType(DOUBLE, LANES), ir.VectorType(WORD, LANES)
_QUARTET = ir.VectorType(DOUBLE, 4)


class Lanes(types.Type):
    """LANES float64 numbers or truth values."""

    def __init__(self, element: str) -> None:
        self.element = element
        super().__init__(name=f"Lanes({element})")


NUMBERS, TRUTHS = Lanes("float64"), Lanes("bool")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Lanes) -> None:
        super().__init__(manager, kind, VECTOR if kind == NUMBERS else MASK)


def is_number(kind: Any) -> bool:
    """True for the type of lanes of numbers, or of one number."""
    return kind == NUMBERS or isinstance(kind, types.Number | types.Boolean)


def _is_truth(kind: Any) -> bool:
    return kind == TRUTHS or isinstance(kind, types.Boolean)


def place(number: int) -> ir.Constant:
    """A lane's place in a vector, as LLVM takes it."""
    return ir.Constant(ir.IntType(32), number)


def splat(builder: Any, value: Any, kind: Any) -> Any:
    """`value` in each lane."""
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), value, place(0))
    places = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), places)


def vector(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """`value` as a vector: lanes as they are, a number in each lane."""
    if isinstance(kind, Lanes):
        return value
    if isinstance(kind, types.Boolean):
        bit = ir.IntType(1)
        return splat(
            builder, builder.sext(value if value.type == bit else builder.trunc(value, bit), WORD), MASK
        )
    return splat(builder, context.cast(builder, value, kind, types.float64), VECTOR)


# --- comparing and choosing ------------------------------------------------------------------------------------------

# Predicates of AVX's compare instruction; none of them traps, and only != holds for NaN.
_AVX_PREDICATE = {"<": 0x11, "<=": 0x12, ">": 0x1E, ">=": 0x1D, "==": 0x00, "!=": 0x04}


@cache
def _has_avx() -> bool:
    """Compile for AVX, whose compare leaves a mask just as its blend takes it.

    Through LLVM's own compare and select, masks that meet in `&` or `|` are packed to 16 bits and unpacked again.
    """
    _, _, features = (
        cpu_target.target_context.codegen().magic_tuple()
    )  # triple, name and features of the processor
    return "+avx" in features.split(",")


def _by_quartets(builder: Any, emit: Callable[..., Any], *vectors: Any) -> Any:
    """Apply `emit` to four lanes at a time, which is what one register of AVX holds."""
    parts = []
    for first in range(0, LANES, 4):
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), 4), list(range(first, first + 4)))
        parts.append(
            emit(*(builder.shuffle_vector(v, ir.Constant(v.type, ir.Undefined), lanes) for v in vectors))
        )
    while len(parts) > 1:
        width = 2 * parts[0].type.count
        every = ir.Constant(ir.VectorType(ir.IntType(32), width), list(range(width)))
        parts = [builder.shuffle_vector(x, y, every) for x, y in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


def _compare(symbol: str) -> Callable[..., Any]:
    def emit(builder: Any, x: Any, y: Any) -> Any:
        if _has_avx():
            number = ir.IntType(8)
            kind = ir.FunctionType(_QUARTET, [_QUARTET, _QUARTET, number])
            function = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx.cmp.pd.256")
            predicate = ir.Constant(number, _AVX_PREDICATE[symbol])
            result = _by_quartets(builder, lambda a, b: builder.call(function, [a, b, predicate]), x, y)
            return builder.bitcast(result, MASK)
        compare = builder.fcmp_unordered if symbol == "!=" else builder.fcmp_ordered
        return builder.sext(compare(symbol, x, y), MASK)

    return emit


def single_bits(builder: Any, mask: Any) -> Any:
    """A mask as LANES single bits."""
    return builder.icmp_signed("<", mask, ir.Constant(MASK, [0] * LANES))


def select(builder: Any, mask: Any, yes: Any, no: Any) -> Any:
    """`yes` where the mask holds, else `no`."""
    if _has_avx() and yes.type == VECTOR:
        kind = ir.FunctionType(_QUARTET, [_QUARTET] * 3)
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx.blendv.pd.256")

        def blend(m: Any, y: Any, n: Any) -> Any:
            return builder.call(function, [n, y, m])

        return _by_quartets(builder, blend, builder.bitcast(mask, VECTOR), yes, no)
    return builder.select(single_bits(builder, mask), yes, no)


# --- operators and functions of one or two lanes ---------------------------------------------------------------------


def _define(
    function: Any, result: Lanes, takes: Callable[[Any], bool], emit: Callable[..., Any], count: int
) -> None:
    """Let `function` take lanes: `emit(builder, *vectors)` writes its instructions."""

    @infer_global(function)
    class _Template(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            if len(args) == count and any(isinstance(a, Lanes) for a in args) and all(takes(a) for a in args):
                return signature(result, *args)
            return None

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return emit(
            builder, *(vector(context, builder, kind, x) for kind, x in zip(sig.args, args, strict=True))
        )

    for pattern in itertools.product((Lanes, types.Number, types.Boolean), repeat=count):
        if Lanes in pattern:
            lower_builtin(function, *pattern)(lower)


def _instruction(name: str) -> Callable[..., Any]:
    return lambda builder, *vectors: getattr(builder, name)(*vectors)


def _intrinsic(name: str, count: int = 1) -> Callable[..., Any]:
    kind = ir.FunctionType(VECTOR, [VECTOR] * count)

    def emit(builder: Any, *vectors: Any) -> Any:
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{LANES}f64")
        return builder.call(function, vectors)

    return emit


def _each_lane(name: str) -> Callable[..., Any]:
    """Call a scalar intrinsic lane by lane: the very function that a single number would meet."""
    kind = ir.FunctionType(DOUBLE, [DOUBLE])

    def emit(builder: Any, values: Any) -> Any:
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.f64")
        result = ir.Constant(VECTOR, ir.Undefined)
        for number in range(LANES):
            value = builder.call(function, [builder.extract_element(values, place(number))])
            result = builder.insert_element(result, value, place(number))
        return result

    return emit


def _first_or_second(symbol: str) -> Callable[..., Any]:
    """Python's `min` and `max`, which keep the first of two that compare equal."""
    return lambda builder, x, y: builder.select(builder.fcmp_ordered(symbol, y, x), y, x)


_ONES = ir.Constant(MASK, [-1] * LANES)
for _function, _in_place, _name in (
    (operator.add, operator.iadd, "fadd"),
    (operator.sub, operator.isub, "fsub"),
    (operator.mul, operator.imul, "fmul"),
    (operator.truediv, operator.itruediv, "fdiv"),
):
    _define(_function, NUMBERS, is_number, _instruction(_name), 2)
    _define(_in_place, NUMBERS, is_number, _instruction(_name), 2)
for _function, _symbol in (
    (operator.lt, "<"),
    (operator.le, "<="),
    (operator.gt, ">"),
    (operator.ge, ">="),
    (operator.eq, "=="),
    (operator.ne, "!="),
):
    _define(_function, TRUTHS, is_number, _compare(_symbol), 2)
_define(operator.and_, TRUTHS, _is_truth, _instruction("and_"), 2)
_define(operator.or_, TRUTHS, _is_truth, _instruction("or_"), 2)
_define(operator.invert, TRUTHS, _is_truth, lambda builder, x: builder.xor(x, _ONES), 1)
_define(operator.neg, NUMBERS, is_number, _instruction("fneg"), 1)
_define(abs, NUMBERS, is_number, _intrinsic("fabs"), 1)
_define(math.sqrt, NUMBERS, is_number, _intrinsic("sqrt"), 1)
_define(math.floor, NUMBERS, is_number, _intrinsic("floor"), 1)
_define(math.copysign, NUMBERS, is_number, _intrinsic("copysign", 2), 2)
_define(math.log, NUMBERS, is_number, _each_lane("log"), 1)
_define(min, NUMBERS, is_number, _first_or_second("<"), 2)
_define(max, NUMBERS, is_number, _first_or_second(">"), 2)


# --- between lanes and plain numbers ---------------------------------------------------------------------------------


@intrinsic
def where(typingctx: Any, mask: Any, yes: Any, no: Any) -> Any:
    """`yes` where the mask holds, else `no`; both are computed. Of plain numbers a plain number."""
    lanes = any(isinstance(kind, Lanes) for kind in (mask, yes, no))
    result = NUMBERS if lanes else typingctx.unify_types(yes, no)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if lanes:
            return select(
                builder, *(vector(context, builder, kind, x) for kind, x in zip(sig.args, args, strict=True))
            )
        values = [
            context.cast(builder, x, kind, result) for x, kind in zip(args[1:], sig.args[1:], strict=True)
        ]
        return builder.select(context.cast(builder, args[0], sig.args[0], types.boolean), *values)

    return signature(result, mask, yes, no), generate


@intrinsic
def everywhere(typingctx: Any, number: Any) -> Any:
    """The same number in each lane."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return vector(context, builder, sig.args[0], args[0])

    return signature(NUMBERS, number), generate


@intrinsic
def first_lanes(typingctx: Any, count: Any) -> Any:
    """Mask of the lanes below `count`."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        number = splat(builder, context.cast(builder, args[0], sig.args[0], types.int64), MASK)
        return builder.sext(builder.icmp_signed("<", ir.Constant(MASK, list(range(LANES))), number), MASK)

    return signature(TRUTHS, count), generate


@intrinsic
def lane_bits(typingctx: Any, mask: Any) -> Any:
    """The mask as an integer, bit i for lane i: 0 where no lane holds."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.zext(builder.bitcast(single_bits(builder, args[0]), ir.IntType(LANES)), WORD)

    return signature(types.int64, TRUTHS), generate


@hot
def sign(x):
    """-1, 0 or 1, of what is not NaN."""
    return where(x == 0.0, 0.0, math.copysign(1.0, x))


@hot
def is_finite(x):
    """Neither infinite nor NaN."""
    return x - x == 0.0
