"""Telling the compiler which branch is rarely taken, so that its code lies apart from what every step runs through."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import signature
from numba.extending import intrinsic

_BIT = ir.IntType(1)


@intrinsic
def rarely(typingctx: Any, condition: Any) -> Any:
    """`condition`, expected to be false: a hint that changes no result."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = ir.FunctionType(_BIT, [_BIT, _BIT])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.expect.i1")
        bit = context.cast(builder, args[0], sig.args[0], types.boolean)
        return builder.call(function, [bit, ir.Constant(_BIT, 0)])

    return signature(types.boolean, condition), generate
