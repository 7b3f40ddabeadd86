"""An LSTM and the layer before it over whole sequences on a CPU, in single precision: one compiled call a pass.

The gates of a step are computed and used while they are in the cache; torch would write the inputs of all gates to
memory, the largest array of the network, and read them back twice. Going back, the gradient of a step's gates takes the
place of the gates, and meets both weights and what went in while it is in the cache.

Shapes: L time, B sequences, A assets, R rows (B x A), M inputs, H hidden units; gates lie in the order i, f, o, g.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from policies.compiled.pointwise_kernels import (
    add_row,
    clear_rows,
    copy_row,
    inner,
    lstm_backward,
    lstm_forward,
    scale_inplace,
    scale_row,
)
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


@inner
def _sum_of(first, second, out):  # type: ignore[no-untyped-def]
    for n in range(out.shape[0]):
        out[n] = first[n] + second[n]


@compiled
def _forward(
    inputs, common, bias, hidden, cell, keep, from_inputs, from_hidden, before, gates, cells, outputs
):  # type: ignore[no-untyped-def]
    """Write the activated gates (L, R, 4H), the cells and outputs (L, R, H) after each step.

    common (L, B, 4H), with B = 0 where there is none; before (block, H) is room for the state that a step begins with.
    """
    length, rows, _ = inputs.shape
    assets = rows // common.shape[1] if common.shape[1] else 0
    for t in range(length):
        hidden_t, cell_t = (outputs[t - 1], cells[t - 1]) if t else (hidden, cell)
        for first in range(0, rows, before.shape[0]):
            last = min(first + before.shape[0], rows)
            for r in range(first, last):
                if assets:
                    _sum_of(bias, common[t, r // assets], gates[t, r])
                else:
                    copy_row(bias, gates[t, r])
                scale_row(hidden_t[r], keep[t, r], before[r - first])
            some = gates[t, first:last]
            add_product(inputs[t, first:last], from_inputs, some)
            add_product(before[: last - first], from_hidden, some)
            lstm_forward(
                some, cell_t[first:last], keep[t, first:last], cells[t, first:last], outputs[t, first:last]
            )


@compiled
def _backward(
    inputs,
    hidden,
    cell,
    keep,
    to_inputs,
    to_hidden,
    gates,
    cells,
    outputs,
    grad_outputs,
    grad_hidden,
    grad_cell,
    grad_inputs,
    grad_common,
    grad_bias,
    grad_input_weight,
    grad_weight,
    squashed,
    room,
):  # type: ignore[no-untyped-def]
    """Replace gates by their gradients, and write those of what went in.

    grad_hidden and grad_cell come as those of the state after the last step and become those of the state before the
    first; grad_bias, grad_input_weight and grad_weight are added to. squashed (H,) and room (DEPTH * max(M, H),) are
    for what lies between.
    """
    length, rows, num_inputs = inputs.shape
    units = hidden.shape[1]
    assets = rows // grad_common.shape[1] if grad_common.shape[1] else 0
    steps = max(1, DEPTH // rows)  # that the gradients of the weights are summed over at once
    all_gates, all_inputs = gates.reshape(-1, 4 * units), inputs.reshape(-1, num_inputs)
    for t in range(length - 1, -1, -1):
        lstm_backward(
            gates[t],
            cells[t - 1] if t else cell,
            keep[t],
            cells[t],
            grad_outputs[t],
            grad_hidden,
            grad_cell,
            squashed,
        )
        clear_rows(grad_hidden)
        add_product(gates[t], to_hidden, grad_hidden)
        for r in range(rows):
            scale_inplace(grad_hidden[r], keep[t, r])
        clear_rows(grad_inputs[t])
        add_product(gates[t], to_inputs, grad_inputs[t])
        for r in range(rows):
            add_row(gates[t, r], grad_bias)
            if assets and r % assets == 0:
                copy_row(gates[t, r], grad_common[t, r // assets])
            elif assets:
                add_row(gates[t, r], grad_common[t, r // assets])
        if t % steps:
            continue
        end = min(t + steps, length) * rows
        for first in range(t * rows, end, DEPTH):
            depth = min(DEPTH, end - first)
            packed = room[: depth * num_inputs].reshape(num_inputs // COLUMNS, depth, COLUMNS)
            for k in range(depth):
                pack_row(all_inputs[first + k], np.float32(1.0), k, packed)
            add_turned_product(all_gates[first : first + depth], packed, grad_input_weight)
            packed = room[: depth * units].reshape(units // COLUMNS, depth, COLUMNS)
            for k in range(depth):
                step, r = divmod(first + k, rows)
                pack_row(outputs[step - 1, r] if step else hidden[r], keep[step, r], k, packed)
            add_turned_product(all_gates[first : first + depth], packed, grad_weight)


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
        length, rows, _ = inputs.shape
        units = weight.shape[1]
        gates = inputs.new_empty(length, rows, 4 * units)
        cells, outputs = (inputs.new_empty(length, rows, units) for _ in range(2))
        _forward(
            *_arrays(inputs, common, bias, hidden, cell, keep),
            *(panels(part.detach().numpy().T) for part in (input_weight, weight)),
            on_a_line(BLOCK_ROWS, units),
            *_arrays(gates, cells, outputs),
        )
        ctx.save_for_backward(inputs, common, input_weight, weight, hidden, cell, keep, gates, cells, outputs)
        ctx.spent = False
        return outputs, outputs[-1].clone(), cells[-1].clone()

    @staticmethod
    def backward(  # type: ignore[override]
        ctx: Any, grad_outputs: Tensor, grad_hidden: Tensor, grad_cell: Tensor
    ) -> tuple[Tensor | None, ...]:
        if ctx.spent:
            raise RuntimeError(
                "the gates were overwritten by the first backward pass; run the sequence again"
            )
        ctx.spent = True
        inputs, common, input_weight, weight, hidden, cell, keep, gates, cells, outputs = ctx.saved_tensors
        units, num_inputs = weight.shape[1], input_weight.shape[1]
        grad_hidden, grad_cell = (
            part.clone(memory_format=torch.contiguous_format) for part in (grad_hidden, grad_cell)
        )
        grad_inputs, grad_common = torch.empty_like(inputs), torch.empty_like(common)
        grad_bias = gates.new_zeros(4 * units)
        grad_input_weight, grad_weight = (gates.new_zeros(part.shape) for part in (input_weight, weight))
        _backward(
            *_arrays(inputs, hidden, cell, keep),
            *(panels(part.detach().numpy()) for part in (input_weight, weight)),
            *_arrays(gates, cells, outputs, grad_outputs.contiguous(), grad_hidden, grad_cell),
            *_arrays(grad_inputs, grad_common, grad_bias, grad_input_weight, grad_weight),
            on_a_line(units),
            on_a_line(DEPTH * max(num_inputs, units)),
        )
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
