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
def _sum_rows(rows, out):  # type: ignore[no-untyped-def]
    """Add to out (A, N) the rows (R, N) that take each of them in turn."""
    for r in range(rows.shape[0]):
        add_row(rows[r], out[r % out.shape[0]])


@compiled
def _sum_outer(grad, inputs, room, out):  # type: ignore[no-untyped-def]
    """Add to out (N, 16 P) the product of the transpose of grad (R, N) and inputs (R, K), filled up with zeros.

    room (DEPTH * 16 P,) is where inputs are packed.
    """
    width = out.shape[1]
    for first in range(0, grad.shape[0], DEPTH):
        depth = min(DEPTH, grad.shape[0] - first)
        packed = room[: depth * width].reshape(width // COLUMNS, depth, COLUMNS)
        for k in range(depth):
            pack_row(inputs[first + k], np.float32(1.0), k, packed)
        add_turned_product(grad[first : first + depth], packed, out)


def _weight_gradient(grad: Tensor, inputs: Tensor) -> Tensor:
    """(N, K) of a weight that took inputs (..., K) to what has the gradient grad (R, N)."""
    num_inputs = inputs.shape[-1]
    width = -(-num_inputs // COLUMNS) * COLUMNS
    out = grad.new_zeros(grad.shape[1], width)
    rows = inputs.detach().flatten(0, -2).numpy()
    _sum_outer(grad.numpy(), rows, on_a_line(DEPTH * width), out.numpy())
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
        tensors, grad = list(ctx.saved_tensors), grad.contiguous()
        if ctx.with_tanh:
            out, before = tensors.pop(), torch.empty_like(grad)
            tanh_slope(*(part.detach().view(-1).numpy() for part in (out, grad, before)))
            grad = before
        parts, weights = tensors[: len(tensors) // 2], tensors[len(tensors) // 2 :]
        grad = grad.flatten(0, -2)
        grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_bias = grad.new_zeros(ctx.num_biases, grad.shape[1])
            _sum_rows(grad.numpy(), grad_bias.numpy())
        grad_parts: list[Tensor | None] = [None] * len(parts)
        for index, (part, weight) in enumerate(zip(parts, weights, strict=True)):
            if ctx.needs_input_grad[2 + index]:
                grad_parts[index] = grad_part = torch.empty_like(part)
                _multiply(grad, weight, weight.new_zeros(1, weight.shape[1]), grad_part)
        grad_weights = [_weight_gradient(grad, part) for part in parts]
        return grad_bias, None, *grad_parts, *grad_weights


def compiled_dense(parts: Sequence[Tensor], weights: Sequence[Tensor], bias: Tensor, *, tanh: bool) -> Tensor:
    """`policies.arithmetic.TorchArithmetic.dense` of contiguous parts, with a bias (N,) or (A, N)."""
    return _CompiledDense.apply(bias if bias.dim() == 2 else bias.unsqueeze(0), tanh, *parts, *weights)
