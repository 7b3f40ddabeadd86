"""The CPU's kernels compute what torch's operations do, value by value and gradient by gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from policies.activations import has_kernels, tanh_
from policies.recurrent_cells import Projection, _FusedLstmSequence, _LstmSequence, lstm_sequence

L, B, A, M, H = 9, 5, 3, 7, 13  # no multiple of what a vector register holds
R = B * A


def test_tanh_is_right_to_3e_7_everywhere():
    values = np.concatenate([np.linspace(-12.0, 12.0, 100_001), [1e-8, -1e-8, 1e30, -np.inf]])
    found = tanh_(torch.tensor(values, dtype=torch.float32)).numpy()
    np.testing.assert_allclose(found, np.tanh(values), atol=3e-7, rtol=0)


def test_what_is_not_a_number_stays_one():
    # A clamp written with max and min would turn nan into a bound, and a diverged network would go unnoticed.
    assert torch.isnan(tanh_(torch.tensor([torch.nan, 0.0]))).tolist() == [True, False]
    bias = torch.zeros(4 * H)
    bias[3 * H] = torch.nan
    gates = Projection(torch.zeros(1, 1, M), torch.zeros(4 * H, M), bias, None)
    outputs, *_ = lstm_sequence(
        gates, torch.zeros(4 * H, H), torch.zeros(1, H), torch.zeros(1, H), torch.ones(1, 1, 1)
    )
    assert torch.isnan(outputs[0, 0]).tolist() == [True] + [False] * (H - 1)


def test_the_gradient_of_tanh_is_one_less_its_square():
    values = torch.tensor([[0.0, 0.5], [-1.0, 3.0]], requires_grad=True)
    tanh_(values * 1.0).backward(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    expected = torch.tensor([[1.0, 2.0], [3.0, 4.0]]) * (1.0 - torch.tanh(values.detach()).square())
    torch.testing.assert_close(values.grad, expected, rtol=0, atol=1e-6)


def test_arrays_with_gaps_and_double_precision_are_left_to_torch():
    gaps = torch.randn(4, 6)[:, ::2]
    assert not has_kernels(gaps)
    torch.testing.assert_close(tanh_(gaps), torch.tanh(gaps), rtol=0, atol=0)
    double = torch.randn(5, dtype=torch.float64)
    torch.testing.assert_close(tanh_(double.clone()), torch.tanh(double), rtol=0, atol=0)


def plain_lstm(inputs, input_weight, bias, common, *rest):
    return _LstmSequence.apply(Projection(inputs, input_weight, bias, common).multiplied_out(), *rest)


def lstm_and_gradients(sequence, with_common: bool):
    random = torch.Generator().manual_seed(4)
    draw = lambda *shape: torch.randn(shape, generator=random)  # noqa: E731
    common = draw(L, B, 4 * H) if with_common else None
    arguments = [draw(L, R, M), draw(4 * H, M), draw(4 * H), common, 0.3 * draw(4 * H, H), draw(R, H), draw(R, H)]
    keep = (torch.rand((L, R, 1), generator=random) > 0.2).float()
    assert 0.0 < keep.mean() < 1.0
    weights = [draw(L, R, H), draw(R, H), draw(R, H)]
    leaves = [argument.requires_grad_() for argument in arguments if argument is not None]
    results = sequence(*arguments, keep)
    loss = sum((part * weight).sum() for part, weight in zip(results, weights, strict=True))
    return [*results, *torch.autograd.grad(loss, leaves)]


@pytest.mark.parametrize("with_common", [False, True])
def test_the_fused_lstm_is_the_plain_one_with_its_resets_and_all_gradients(with_common):
    fused = lstm_and_gradients(_FusedLstmSequence.apply, with_common)
    plain = lstm_and_gradients(plain_lstm, with_common)
    for ours, theirs in zip(fused, plain, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=3e-5)


def test_a_second_backward_pass_over_overwritten_gates_is_refused():
    inputs = torch.randn(L, R, M, requires_grad=True)
    state, keep = torch.zeros(R, H), torch.ones(L, R, 1)
    gates = Projection(inputs, torch.randn(4 * H, M), torch.randn(4 * H), None)
    outputs, *_ = lstm_sequence(gates, torch.randn(4 * H, H), state, state, keep)
    outputs.sum().backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="run the sequence again"):
        outputs.sum().backward()
