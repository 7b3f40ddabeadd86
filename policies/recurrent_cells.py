"""Recurrent cells over whole sequences, with state resets inside a sequence.

Shapes: L sequence length, R rows (sequences x assets), H hidden units. Sequences are time-major.

``torch.nn.LSTM`` cannot reset its state in the middle of a sequence, which is where episodes end. The usual
ways out (one call per step, or sequences cut at each episode end and padded) cost speed or waste work. Here
the backward pass is written out by hand: the recurrent matrix products are the only work inside the loop over
time, and the weight gradients are one large product after it. These are torch's operations, for every device and
precision.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _LstmSequence(torch.autograd.Function):
    """LSTM (Hochreiter and Schmidhuber 1997, with forget gate) whose gates lie in the order i, f, o, g.

    Under autocast on a GPU it stays at single precision: rounding would add up over the steps.
    """

    @staticmethod
    @torch.amp.custom_fwd(device_type="cuda", cast_inputs=torch.float32)
    def forward(  # type: ignore[override]
        ctx: Any,
        gates_in: Tensor,
        weight: Tensor,
        hidden: Tensor,
        cell: Tensor,
        keep: Tensor,
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
            i, f, o, g = _activate(torch.addmm(gates_in[t], hidden_before_t, weight_t, out=gates[t]))
            cell = torch.mul(f, cell_before_t).addcmul_(i, g)
            cell_tanh_t = _tanh(cell, out=cell_tanh[t])
            hidden = torch.mul(o, cell_tanh_t, out=outputs[t])
        ctx.save_for_backward(gates, weight, hidden_before, cell_before, cell_tanh, keep)
        return outputs, hidden.clone(), cell

    @staticmethod
    @torch.amp.custom_bwd(device_type="cuda")
    def backward(  # type: ignore[override]
        ctx: Any, grad_outputs: Tensor, grad_hidden: Tensor, grad_cell: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, None]:
        gates, weight, hidden_before, cell_before, cell_tanh, keep = ctx.saved_tensors
        length, _, four_hidden = gates.shape
        units = four_hidden // 4
        grad_gates = torch.empty_like(gates)
        slopes, spare = torch.empty_like(gates[0, :, : 3 * units]), torch.empty_like(hidden_before[0])
        # One step's work stays in the processor's cache, so everything but the weights' gradient is in the loop.
        for t in range(length - 1, -1, -1):
            sigmoids, grad_t = gates[t, :, : 3 * units], grad_gates[t]
            i, f, o, g = gates[t].chunk(4, dim=1)
            grad_i, grad_f, grad_o, grad_g = grad_t.chunk(4, dim=1)
            grad_hidden = grad_outputs[t] + grad_hidden
            torch.mul(grad_hidden, cell_tanh[t], out=grad_o)
            grad_cell = torch.addcmul(grad_cell, grad_hidden, o)  # h = o tanh(c), and tanh' = 1 - tanh^2
            grad_cell.addcmul_(torch.mul(grad_o, o, out=spare), cell_tanh[t], value=-1.0)
            torch.mul(grad_cell, g, out=grad_i)
            torch.mul(grad_cell, cell_before[t], out=grad_f)
            # Through the sigmoids, s' = s (1 - s), and the candidate's tanh.
            grad_t[:, : 3 * units].mul_(torch.addcmul(sigmoids, sigmoids, sigmoids, value=-1.0, out=slopes))
            torch.mul(grad_cell, i, out=grad_g)
            grad_g.addcmul_(torch.mul(grad_g, g, out=spare), g, value=-1.0)
            grad_hidden = torch.mm(grad_t, weight).mul_(keep[t])
            grad_cell = torch.mul(grad_cell, f).mul_(keep[t])
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
    """Advance an LSTM by one step; shapes as in :func:`lstm_sequence` without the time axis.

    For acting only: it works in place, ``gates_in`` included, so no gradient can be taken through it.
    """
    gates = gates_in.addmm_(hidden, weight.t())
    i, f, o, g = _activate(gates)
    cell = torch.mul(f, cell).addcmul_(i, g)
    return o * _tanh(cell), cell


def _activate(gates: Tensor) -> tuple[Tensor, ...]:
    """Gates i, f, o, g (R, H) from their inputs (R, 4H), in place: tanh(x) = 2 sigmoid(2x) - 1 needs one pass."""
    candidate = gates[:, 3 * (gates.shape[1] // 4) :]
    candidate.mul_(2.0)
    gates.sigmoid_()
    candidate.mul_(2.0).sub_(1.0)
    return gates.chunk(4, dim=1)


def _tanh(values: Tensor, out: Tensor | None = None) -> Tensor:
    """Half the time of torch's own on a CPU, and equal to 2e-7 in single precision."""
    return torch.mul(values, 2.0, out=out).sigmoid_().mul_(2.0).sub_(1.0)


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
