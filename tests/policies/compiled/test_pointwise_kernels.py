"""The CPU's kernels compute what torch's operations do, value by value and gradient by gradient."""

from __future__ import annotations

import numpy as np
import torch

from policies.compiled.activations import has_kernels, tanh_
from policies.compiled.arithmetic import CompiledArithmetic

H = 13  # no multiple of what a vector register holds


def test_tanh_is_right_to_3e_7_everywhere():
    values = np.concatenate([np.linspace(-12.0, 12.0, 100_001), [1e-8, -1e-8, 1e30, -np.inf]])
    found = tanh_(torch.tensor(values, dtype=torch.float32)).numpy()
    np.testing.assert_allclose(found, np.tanh(values), atol=3e-7, rtol=0)


def test_what_is_not_a_number_stays_one():
    # A clamp written with max and min would turn nan into a bound, and a diverged network would go unnoticed.
    assert torch.isnan(tanh_(torch.tensor([torch.nan, 0.0]))).tolist() == [True, False]
    gates = torch.zeros(1, 4 * H)
    gates[0, 3 * H] = torch.nan
    outputs, _ = CompiledArithmetic().lstm_step(
        gates, torch.zeros(4 * H, H), torch.zeros(1, H), torch.zeros(1, H)
    )
    assert torch.isnan(outputs[0]).tolist() == [True] + [False] * (H - 1)


def test_the_gradient_of_tanh_is_one_less_its_square():
    values = torch.tensor([[0.0, 0.5], [-1.0, 3.0]], requires_grad=True)
    tanh_(values * 1.0).backward(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    expected = torch.tensor([[1.0, 2.0], [3.0, 4.0]]) * (1.0 - torch.tanh(values.detach()).square())
    torch.testing.assert_close(values.grad, expected, rtol=0, atol=1e-6)


def test_arrays_with_gaps_and_double_precision_are_left_to_torch():
    gaps = torch.randn(4, 6)[:, ::2]
    assert not has_kernels(gaps)
    tanh = CompiledArithmetic().tanh_
    torch.testing.assert_close(tanh(gaps), torch.tanh(gaps), rtol=0, atol=0)
    double = torch.randn(5, dtype=torch.float64)
    torch.testing.assert_close(tanh(double.clone()), torch.tanh(double), rtol=0, atol=0)
