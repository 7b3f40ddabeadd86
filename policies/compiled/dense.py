"""Dense layers of the policy network: a sum of products, a bias and maybe a tanh, without joining what goes in.

A block of rows goes through all of it in the cache (`policies.compiled.small_products`), where torch would copy the
bias, join the inputs and pass over the result again.

Shapes: R rows (whatever stands before the last axis), K inputs of a part, N outputs, A biases that rows take in turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from policies.compiled.pointwise_kernels import add_row, copy_row, tanh_inplace, tanh_slope
from policies.compiled.small_products import (
    BLOCK_ROWS,
    COLUMNS,
    DEPTH,
    add_product,
    add_turned_product,
    compiled,
    on_a_line,
    pack_row,
    panels,
)


@compiled
def _run_layer(inputs, weights, bias, out, room, with_tanh):  # type: ignore[no-untyped-def]
    """Add the product of inputs (R, K) and weights (P, K, 16) to out (R, N), where a bias (A > 0, N) is written first.

    room (block, 16 P) is where a block's widths are filled up.
    """
    block, outputs = room.shape[0], out.shape[1]
    whole = room.shape[1] == outputs
    for first in range(0, out.shape[0], block):
        last = min(first + block, out.shape[0])
        rows = out[first:last] if whole else room[: last - first]
        for r in range(first, last):
            if bias.shape[0]:
                copy_row(bias[r % bias.shape[0]], rows[r - first, :outputs])
            elif not whole:
                copy_row(out[r], rows[r - first, :outputs])
        add_product(inputs[first:last], weights, rows)
        if not whole:
            for r in range(first, last):
                copy_row(rows[r - first, :outputs], out[r])
        if with_tanh:
            tanh_inplace(out[first:last].reshape(-1))


@compiled
def _sum_outer(grad, outputs, inputs, slopes, room, grad_bias, out):  # type: ignore[no-untyped-def]
    """Add to out (N, 16 P) the product of the transpose of grad (R, N) and inputs (R, K), filled up with zeros.

    Where there are outputs (R, N) of a tanh, grad is first taken through it, to slopes: (R, N), or room for `DEPTH`
    rows of it. To grad_bias (A or none, N) are added the rows that take each in turn. room (DEPTH * 16 P,) is where
    inputs are packed.
    """
    width = out.shape[1]
    for first in range(0, grad.shape[0], DEPTH):
        last = min(first + DEPTH, grad.shape[0])
        rows = grad[first:last]
        if outputs.shape[0]:
            begin = first if slopes.shape[0] == grad.shape[0] else 0
            rows = slopes[begin : begin + last - first]
            tanh_slope(outputs[first:last].reshape(-1), grad[first:last].reshape(-1), rows.reshape(-1))
        if grad_bias.shape[0]:
            for r in range(last - first):
                add_row(rows[r], grad_bias[(first + r) % grad_bias.shape[0]])
        packed = room[: (last - first) * width].reshape(width // COLUMNS, last - first, COLUMNS)
        for r in range(last - first):
            pack_row(inputs[first + r], np.float32(1.0), r, packed)
        add_turned_product(rows, packed, out)


def _weight_gradient(
    grad: Tensor, outputs: Tensor, inputs: Tensor, slopes: Tensor, grad_bias: Tensor
) -> Tensor:
    """(N, K) of a weight that took inputs (..., K) to what has the gradient grad (R, N); others as in `_sum_outer`."""
    num_inputs = inputs.shape[-1]
    width = -(-num_inputs // COLUMNS) * COLUMNS
    out = grad.new_zeros(grad.shape[1], width)
    rows = [tensor.detach().numpy() for tensor in (grad, outputs, inputs.flatten(0, -2), slopes)]
    _sum_outer(*rows, on_a_line(DEPTH * width), grad_bias.numpy(), out.numpy())
    return out[:, :num_inputs].contiguous()


def _multiply(inputs: Tensor, weights: Tensor, bias: Tensor, out: Tensor, with_tanh: bool = False) -> None:
    """`_run_layer` of inputs (..., K) and weights (K, N) to out (..., N)."""
    packed = panels(weights.detach().numpy())
    room = np.zeros((BLOCK_ROWS, packed.shape[0] * COLUMNS), np.float32)
    rows, start, sums = (tensor.detach().flatten(0, -2).numpy() for tensor in (inputs, bias, out))
    _run_layer(rows, packed, start, sums, room, with_tanh)


class _CompiledDense(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, bias: Tensor, with_tanh: bool, *tensors: Tensor) -> Tensor:  # type: ignore[override]
        parts, weights = tensors[: len(tensors) // 2], tensors[len(tensors) // 2 :]
        out = parts[0].new_empty(*parts[0].shape[:-1], weights[0].shape[0])
        start = bias
        for index, (part, weight) in enumerate(zip(parts, weights, strict=True)):
            _multiply(part, weight.t(), start, out, with_tanh and index == len(parts) - 1)
            start = bias[:0]
        ctx.save_for_backward(*tensors, *([out] if with_tanh else []))
        ctx.num_biases, ctx.with_tanh = bias.shape[0], with_tanh
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        tensors, grad = list(ctx.saved_tensors), grad.contiguous().flatten(0, -2)
        outputs = tensors.pop().flatten(0, -2) if ctx.with_tanh else grad[:0]
        parts, weights = tensors[: len(tensors) // 2], tensors[len(tensors) // 2 :]
        num_biases = ctx.num_biases if ctx.needs_input_grad[0] else 0
        grad_bias = grad.new_zeros(num_biases, grad.shape[1])
        wanted = ctx.needs_input_grad[2 : 2 + len(parts)]
        again = len(parts) > 1 or any(wanted)
        slopes = torch.empty_like(grad if again else grad[:DEPTH]) if ctx.with_tanh else grad[:0]
        grad_weights = [_weight_gradient(grad, outputs, parts[0], slopes, grad_bias)]
        if ctx.with_tanh and again:
            grad = slopes
        none = grad[:0]
        grad_weights += [_weight_gradient(grad, none, part, none, none) for part in parts[1:]]
        grad_parts: list[Tensor | None] = [None] * len(parts)
        for index, (part, weight) in enumerate(zip(parts, weights, strict=True)):
            if wanted[index]:
                grad_parts[index] = grad_part = torch.empty_like(part)
                _multiply(grad, weight, weight.new_zeros(1, weight.shape[1]), grad_part)
        return grad_bias if num_biases else None, None, *grad_parts, *grad_weights


def compiled_dense(parts: Sequence[Tensor], weights: Sequence[Tensor], bias: Tensor, *, tanh: bool) -> Tensor:
    """`policies.arithmetic.TorchArithmetic.dense` of contiguous parts, with a bias (N,) or (A, N)."""
    return _CompiledDense.apply(bias if bias.dim() == 2 else bias.unsqueeze(0), tanh, *parts, *weights)
