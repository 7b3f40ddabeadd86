"""An LSTM and the layer before it over whole sequences on a CPU, in single precision: one compiled call a pass.

The gates of a step are computed and used while they are in the cache; torch would write the inputs of all gates to
memory, the largest array of the network, and read them back twice. Going back, the gradient of a step's gates takes the
place of the gates and meets both weights while it is in the cache; only the gradients of the weights, sums over all
steps, are left to BLAS.

Shapes: L time, B sequences, A assets, R rows (B x A), M inputs, H hidden units; gates lie in the order i, f, o, g.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from policies.compiled.pointwise_kernels import add_row, copy_row, inner, lstm_backward, lstm_forward
from policies.compiled.small_products import add_product, compiled, panels


@inner
def _sum_of(first, second, out):  # type: ignore[no-untyped-def]
    for n in range(out.shape[0]):
        out[n] = first[n] + second[n]


@inner
def _clear(rows):  # type: ignore[no-untyped-def]
    for r in range(rows.shape[0]):
        row = rows[r]
        for n in range(row.shape[0]):
            row[n] = np.float32(0.0)


@compiled
def _forward(inputs, common, bias, weights, keep, gates, seen, cell_before, cell_tanh, outputs):  # type: ignore[no-untyped-def]
    """Write gates (L, R, 4H) and the rest as `lstm_forward` does; common (L, B, 4H), with B = 0 where there is none.

    seen (L + 1, R, M + H): inputs and state before each step, side by side for one product.
    """
    length, rows, num_inputs = inputs.shape
    assets = rows // common.shape[1] if common.shape[1] else 0
    for t in range(length):
        for r in range(rows):
            copy_row(inputs[t, r], seen[t, r, :num_inputs])
            if assets:
                _sum_of(bias, common[t, r // assets], gates[t, r])
            else:
                copy_row(bias, gates[t, r])
        add_product(seen[t], weights, gates[t])
        lstm_forward(t, gates, keep, seen, cell_before, cell_tanh, outputs)


@compiled
def _backward(
    to_inputs,
    to_hidden,
    keep,
    gates,
    cell_before,
    cell_tanh,
    grad_outputs,
    grad_hidden,
    grad_cell,
    grad_inputs,
    grad_common,
    grad_bias,
):  # type: ignore[no-untyped-def]
    """Replace gates by their gradients, and write those of what went in; grad_hidden and grad_cell are used up."""
    length, rows = keep.shape
    assets = rows // grad_common.shape[1] if grad_common.shape[1] else 0
    for t in range(length - 1, -1, -1):
        lstm_backward(t, gates, keep, cell_before, cell_tanh, grad_outputs, grad_hidden, grad_cell)
        _clear(grad_hidden)
        add_product(gates[t], to_hidden, grad_hidden)
        _clear(grad_inputs[t])
        add_product(gates[t], to_inputs, grad_inputs[t])
        for r in range(rows):
            add_row(gates[t, r], grad_bias)
            if assets and r % assets == 0:
                copy_row(gates[t, r], grad_common[t, r // assets])
            elif assets:
                add_row(gates[t, r], grad_common[t, r // assets])


class _CompiledLstm(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        inputs: Tensor,
        common: Tensor,
        input_weight: Tensor,
        bias: Tensor,
        weight: Tensor,
        hidden: Tensor,
        cell: Tensor,
        keep: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        length, rows, num_inputs = inputs.shape
        units = weight.shape[1]
        gates = inputs.new_empty(length, rows, 4 * units)
        seen = inputs.new_empty(length + 1, rows, num_inputs + units)
        cell_before = inputs.new_empty(length + 1, rows, units)
        torch.mul(hidden, keep[0].unsqueeze(1), out=seen[0, :, num_inputs:])
        torch.mul(cell, keep[0].unsqueeze(1), out=cell_before[0])
        cell_tanh = torch.empty_like(cell_before[:-1])
        outputs = torch.empty_like(cell_tanh)
        weights = panels(input_weight.detach().numpy().T, weight.detach().numpy().T)
        state = _arrays(keep, gates, seen, cell_before, cell_tanh, outputs)
        _forward(*_arrays(inputs, common, bias), weights, *state)
        ctx.save_for_backward(common, input_weight, weight, keep, gates, seen, cell_before, cell_tanh)
        ctx.spent = False
        return outputs, seen[-1, :, num_inputs:].clone(), cell_before[-1].clone()

    @staticmethod
    def backward(  # type: ignore[override]
        ctx: Any, grad_outputs: Tensor, grad_hidden: Tensor, grad_cell: Tensor
    ) -> tuple[Tensor | None, ...]:
        if ctx.spent:
            raise RuntimeError(
                "the gates were overwritten by the first backward pass; run the sequence again"
            )
        ctx.spent = True
        common, input_weight, weight, keep, gates, seen, cell_before, cell_tanh = ctx.saved_tensors
        (length, rows, units), num_inputs = cell_tanh.shape, input_weight.shape[1]
        grad_hidden, grad_cell = (
            part.clone(memory_format=torch.contiguous_format) for part in (grad_hidden, grad_cell)
        )
        grad_inputs, grad_common = gates.new_empty(length, rows, num_inputs), torch.empty_like(common)
        grad_bias = gates.new_zeros(4 * units)
        _backward(
            panels(input_weight.detach().numpy()),
            panels(weight.detach().numpy()),
            *_arrays(keep, gates, cell_before, cell_tanh, grad_outputs.contiguous()),
            *_arrays(grad_hidden, grad_cell, grad_inputs, grad_common, grad_bias),
        )
        grad_hidden.mul_(keep[0].unsqueeze(1))
        # BLAS is faster with the longer side last.
        grad_weights = (seen[:-1].flatten(0, 1).t() @ gates.flatten(0, 1)).t()
        grad_input_weight, grad_weight = grad_weights.split([num_inputs, units], dim=1)
        return (
            grad_inputs,
            grad_common,
            grad_input_weight,
            grad_bias,
            grad_weight,
            grad_hidden,
            grad_cell,
            None,
        )


def _arrays(*tensors: Tensor) -> list[np.ndarray]:
    return [tensor.detach().numpy() for tensor in tensors]


def compiled_lstm(
    inputs: Tensor,
    common: Tensor,
    input_weight: Tensor,
    bias: Tensor,
    weight: Tensor,
    hidden: Tensor,
    cell: Tensor,
    keep: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run an LSTM and the layer before it over time-major sequences, as `policies.recurrent_cells.lstm_sequence` does.

    All arrays are contiguous, on a CPU and in single precision. The gates give way to their gradients: no second
    backward pass.

    Parameters
    ----------
    inputs : (L, R, M).
    common : (L, B, 4H), added to the gates' inputs of all assets of a sequence; B = 0 for none.
    input_weight, bias : (4H, M) and (4H,), of the layer before.
    weight : (4H, H), recurrent. M and H are multiples of `COLUMNS`.
    hidden, cell : (R, H), state before the first step.
    keep : (L, R), 0.0 where an episode starts at that step, else 1.0.

    Returns
    -------
    outputs : (L, R, H). hidden, cell : (R, H), state after the last step.
    """
    return _CompiledLstm.apply(inputs, common, input_weight, bias, weight, hidden, cell, keep)
