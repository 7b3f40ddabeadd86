"""Recurrent cells over whole sequences, with state resets inside a sequence.

Shapes: L sequence length, R rows (sequences x assets), H hidden units. Sequences are time-major.

``torch.nn.LSTM`` cannot reset its state in the middle of a sequence, which is where episodes end. The usual
ways out (one call per step, or sequences cut at each episode end and padded) cost speed or waste work. Here
the backward pass is written out by hand: the recurrent matrix products are the only work inside the loop over
time, and the weight gradients are one large product after it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _LstmSequence(torch.autograd.Function):
    """LSTM (Hochreiter and Schmidhuber 1997, with forget gate) whose gates lie in the order i, f, o, g."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, gates_in: Tensor, weight: Tensor, hidden: Tensor, cell: Tensor, keep: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        length, rows, four_hidden = gates_in.shape
        units = four_hidden // 4
        weight_t = weight.t()
        gates = torch.empty_like(gates_in)
        hidden_before = gates_in.new_empty(length, rows, units)
        cell_before = torch.empty_like(hidden_before)
        cell_tanh = torch.empty_like(hidden_before)
        outputs = torch.empty_like(hidden_before)
        for t in range(length):
            hidden_before_t = torch.mul(hidden, keep[t], out=hidden_before[t])
            cell_before_t = torch.mul(cell, keep[t], out=cell_before[t])
            gates_t = torch.addmm(gates_in[t], hidden_before_t, weight_t, out=gates[t])
            gates_t[:, : 3 * units].sigmoid_()
            gates_t[:, 3 * units :].tanh_()
            i, f, o, g = gates_t.chunk(4, dim=1)
            cell = torch.mul(f, cell_before_t).addcmul_(i, g)
            cell_tanh_t = torch.tanh(cell, out=cell_tanh[t])
            hidden = torch.mul(o, cell_tanh_t, out=outputs[t])
        ctx.save_for_backward(gates, weight, hidden_before, cell_before, cell_tanh, keep)
        return outputs, hidden.clone(), cell

    @staticmethod
    def backward(  # type: ignore[override]
        ctx: Any, grad_outputs: Tensor, grad_hidden: Tensor, grad_cell: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, None]:
        gates, weight, hidden_before, cell_before, cell_tanh, keep = ctx.saved_tensors
        length, _, four_hidden = gates.shape
        units = four_hidden // 4
        # Derivatives of the activations for all steps at once: s' = s (1 - s), tanh' = 1 - tanh^2.
        sigmoids, tanhs = gates[..., : 3 * units], gates[..., 3 * units :]
        slopes = torch.empty_like(gates)
        torch.addcmul(sigmoids, sigmoids, sigmoids, value=-1.0, out=slopes[..., : 3 * units])
        torch.mul(tanhs, tanhs, out=slopes[..., 3 * units :]).neg_().add_(1.0)
        through_output = sigmoids[..., 2 * units :] * (1.0 - cell_tanh * cell_tanh)
        grad_gates = torch.empty_like(gates)
        for t in range(length - 1, -1, -1):
            grad_hidden = grad_outputs[t] + grad_hidden
            grad_cell = torch.addcmul(grad_cell, grad_hidden, through_output[t])
            gates_t, grad_t = gates[t], grad_gates[t]
            torch.mul(grad_cell, gates_t[:, 3 * units :], out=grad_t[:, :units])
            torch.mul(grad_cell, cell_before[t], out=grad_t[:, units : 2 * units])
            torch.mul(grad_hidden, cell_tanh[t], out=grad_t[:, 2 * units : 3 * units])
            torch.mul(grad_cell, gates_t[:, :units], out=grad_t[:, 3 * units :])
            grad_t.mul_(slopes[t])
            grad_hidden = torch.mm(grad_t, weight).mul_(keep[t])
            grad_cell = torch.mul(grad_cell, gates_t[:, units : 2 * units]).mul_(keep[t])
        grad_weight = grad_gates.reshape(-1, four_hidden).t() @ hidden_before.reshape(-1, units)
        return grad_gates, grad_weight, grad_hidden, grad_cell, None


def lstm_sequence(
    gates_in: Tensor, weight: Tensor, hidden: Tensor, cell: Tensor, keep: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Run an LSTM over time-major sequences.

    Parameters
    ----------
    gates_in : (L, R, 4H), input projections plus bias, gates in the order input, forget, output, candidate.
    weight : (4H, H), recurrent weights in the same gate order.
    hidden, cell : (R, H), state before the first step.
    keep : (L, R, 1), 0.0 where an episode starts at that step (the state is cleared before it), else 1.0.

    Returns
    -------
    outputs : (L, R, H), hidden state after each step.
    hidden, cell : (R, H), state after the last step.
    """
    return _LstmSequence.apply(gates_in, weight, hidden, cell, keep)


def lstm_step(gates_in: Tensor, weight: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """Advance an LSTM by one step; shapes as in :func:`lstm_sequence` without the time axis."""
    units = hidden.shape[1]
    gates = torch.addmm(gates_in, hidden, weight.t())
    gates[:, : 3 * units].sigmoid_()
    gates[:, 3 * units :].tanh_()
    i, f, o, g = gates.chunk(4, dim=1)
    cell = torch.mul(f, cell).addcmul_(i, g)
    return o * torch.tanh(cell), cell


def gru_step(gates_in: Tensor, weight: Tensor, bias: Tensor, hidden: Tensor) -> Tensor:
    """Advance a GRU (Cho et al. 2014, with the reset gate after the product as in cuDNN) by one step.

    Parameters
    ----------
    gates_in : (R, 3H), input projections plus bias, order reset, update, candidate.
    weight : (3H, H) and bias : (3H,), recurrent weights in the same order.
    hidden : (R, H).
    """
    reset_in, update_in, candidate_in = gates_in.chunk(3, dim=1)
    reset_h, update_h, candidate_h = torch.addmm(bias, hidden, weight.t()).chunk(3, dim=1)
    reset = torch.sigmoid(reset_in + reset_h)
    update = torch.sigmoid(update_in + update_h)
    candidate = torch.tanh(candidate_in + reset * candidate_h)
    return torch.lerp(candidate, hidden, update)


def gru_sequence(
    gates_in: Tensor, weight: Tensor, bias: Tensor, hidden: Tensor, keep: Tensor
) -> tuple[Tensor, Tensor]:
    """Run a GRU over time-major sequences; arguments and resets as in :func:`lstm_sequence`."""
    outputs = []
    for gates_t, keep_t in zip(gates_in.unbind(0), keep.unbind(0), strict=True):
        hidden = gru_step(gates_t, weight, bias, hidden * keep_t)
        outputs.append(hidden)
    return torch.stack(outputs), hidden
