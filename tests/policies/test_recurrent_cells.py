"""Our cells are torch's own, plus resets inside a sequence."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from policies.recurrent_cells import gru_sequence, gru_step, lstm_sequence, lstm_step

L, R, K, H = 7, 5, 3, 4


def torch_lstm_order(parameter: Tensor) -> Tensor:
    """Rows from torch's gate order i, f, g, o to ours, i, f, o, g."""
    i, f, g, o = parameter.chunk(4)
    return torch.cat([i, f, o, g])


def ones() -> Tensor:
    return torch.ones(L, R, 1, dtype=torch.float64)


@pytest.fixture
def inputs() -> Tensor:
    torch.manual_seed(0)
    return torch.randn(L, R, K, dtype=torch.float64, requires_grad=True)


def run_ours(cell: torch.nn.Module, inputs: Tensor, state: tuple[Tensor, ...], keep: Tensor):
    if isinstance(cell, torch.nn.LSTM):
        gates = inputs @ torch_lstm_order(cell.weight_ih_l0).t()
        gates = gates + torch_lstm_order(cell.bias_ih_l0 + cell.bias_hh_l0)
        return lstm_sequence(gates, torch_lstm_order(cell.weight_hh_l0), *state, keep)
    gates = inputs @ cell.weight_ih_l0.t() + cell.bias_ih_l0
    return gru_sequence(gates, cell.weight_hh_l0, cell.bias_hh_l0, *state, keep)


def run_torch(cell: torch.nn.Module, inputs: Tensor, state: tuple[Tensor, ...]):
    batched = tuple(part.unsqueeze(0) for part in state)
    outputs, after = cell(inputs, batched if len(batched) > 1 else batched[0])
    parts = after if isinstance(after, tuple) else (after,)
    return outputs, *(part.squeeze(0) for part in parts)


def start(kind: type[torch.nn.Module]) -> tuple[torch.nn.Module, tuple[Tensor, ...]]:
    torch.manual_seed(1)
    cell = kind(K, H).double()
    parts = 2 if kind is torch.nn.LSTM else 1
    return cell, tuple(torch.randn(R, H, dtype=torch.float64, requires_grad=True) for _ in range(parts))


@pytest.mark.parametrize("kind", [torch.nn.LSTM, torch.nn.GRU])
def test_values_and_gradients_without_resets_are_those_of_torch(kind, inputs):
    cell, state = start(kind)
    leaves = [inputs, *state, *cell.parameters()]

    def gradients(results: tuple[Tensor, ...]) -> list[Tensor]:
        # Another weight for every number, so that no two errors cancel.
        loss = sum((part * torch.arange(1.0, part.numel() + 1).view_as(part).sin()).sum() for part in results)
        return list(torch.autograd.grad(loss, leaves))

    ours, theirs = run_ours(cell, inputs, state, ones()), run_torch(cell, inputs, state)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    torch.testing.assert_close(gradients(ours), gradients(theirs), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [torch.nn.LSTM, torch.nn.GRU])
def test_a_reset_starts_as_if_the_sequence_began_there(kind, inputs):
    cell, state = start(kind)
    keep = ones()
    keep[4, 2] = 0.0  # row 2 starts a new episode at step 4
    outputs, *after = run_ours(cell, inputs, state, keep)
    fresh = tuple(torch.zeros_like(part) for part in state)
    whole = run_torch(cell, inputs, state)
    restarted = run_torch(cell, inputs[4:], fresh)
    torch.testing.assert_close(outputs[:4], whole[0][:4], rtol=0, atol=1e-12)
    torch.testing.assert_close(outputs[4:, 2], restarted[0][:, 2], rtol=0, atol=1e-12)
    torch.testing.assert_close(outputs[4:, 3], whole[0][4:, 3], rtol=0, atol=1e-12)
    for part, expected in zip(after, restarted[1:], strict=True):
        torch.testing.assert_close(part[2], expected[2], rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [torch.nn.LSTM, torch.nn.GRU])
def test_no_gradient_crosses_a_reset(kind, inputs):
    cell, state = start(kind)
    keep = ones()
    keep[4] = 0.0
    outputs = run_ours(cell, inputs, state, keep)[0]
    gradient = torch.autograd.grad(outputs[4:].square().sum(), [inputs, *state], allow_unused=True)
    assert gradient[0][:4].abs().max() == 0.0
    assert gradient[0][4:].abs().min() > 0.0
    assert all(part.abs().max() == 0.0 for part in gradient[1:])


def test_the_written_out_backward_pass_of_the_lstm_is_its_derivative():
    torch.manual_seed(2)
    gates, weight = torch.randn(4, 3, 4 * H, dtype=torch.float64), torch.randn(4 * H, H, dtype=torch.float64)
    hidden, cell = torch.randn(2, 3, H, dtype=torch.float64).unbind(0)
    keep = torch.ones(4, 3, 1, dtype=torch.float64)
    keep[2, 1] = 0.0
    leaves = [part.requires_grad_() for part in (gates, weight, hidden.clone(), cell.clone())]
    assert torch.autograd.gradcheck(lambda *args: lstm_sequence(*args, keep), leaves)


def test_steps_are_the_sequence_one_by_one():
    torch.manual_seed(3)
    gates, weight = torch.randn(L, R, 4 * H), 0.3 * torch.randn(4 * H, H)
    hidden, cell = torch.zeros(R, H), torch.zeros(R, H)
    outputs, *_ = lstm_sequence(gates, weight, hidden, cell, torch.ones(L, R, 1))
    for t in range(L):
        hidden, cell = lstm_step(gates[t], weight, hidden, cell)
        torch.testing.assert_close(hidden, outputs[t], rtol=0, atol=1e-6)
    bias, hidden = torch.randn(3 * H), torch.zeros(R, H)
    outputs, _ = gru_sequence(gates[..., : 3 * H], weight[: 3 * H], bias, hidden, torch.ones(L, R, 1))
    for t in range(L):
        hidden = gru_step(gates[t, :, : 3 * H], weight[: 3 * H], bias, hidden)
        torch.testing.assert_close(hidden, outputs[t], rtol=0, atol=1e-6)
