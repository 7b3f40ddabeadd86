"""A dense layer is torch's: values and gradients, whatever the widths, the parts and the number of rows."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import linear

from policies.compiled.arithmetic import CompiledArithmetic

dense = CompiledArithmetic().dense


def draws(*shapes):
    random = torch.Generator().manual_seed(2)
    return [torch.randn(shape, generator=random).requires_grad_() for shape in shapes]


def gradients(result, given):
    weights = torch.randn(result.shape, generator=torch.Generator().manual_seed(3))
    return torch.autograd.grad((result * weights).sum(), given)


def assert_alike(ours, theirs, given):
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    for found, expected in zip(gradients(ours, given), gradients(theirs, given), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=3e-6 * expected.abs().max().item())


@pytest.mark.parametrize("tanh", [False, True])
@pytest.mark.parametrize("outputs", [1, 3, 16, 40])
@pytest.mark.parametrize("rows", [1, 65, 66, 200])
def test_one_part_is_a_linear_layer(rows, outputs, tanh):
    given = draws((rows, 7), (outputs, 7), (outputs,))
    part, weight, bias = given
    expected = linear(part, weight, bias)
    found = dense([part], [weight], bias, tanh=tanh)
    assert_alike(found, torch.tanh(expected) if tanh else expected, given)


@pytest.mark.parametrize("tanh", [False, True])
def test_several_parts_are_as_if_they_were_joined(tanh):
    given = draws((5, 31, 16), (5, 31, 2), (5, 31, 9), (20, 27), (20,))
    *parts, weight, bias = given
    expected = linear(torch.cat(parts, dim=-1), weight, bias)
    found = dense(parts, weight.split([16, 2, 9], dim=1), bias, tanh=tanh)
    assert_alike(found, torch.tanh(expected) if tanh else expected, given)


def test_a_bias_for_each_asset_goes_to_its_rows():
    given = draws((6, 30, 3, 8), (16, 8), (3, 16))
    part, weight, bias = given
    assert_alike(dense([part], [weight], bias), linear(part, weight) + bias, given)


def test_without_a_bias_there_is_none():
    given = draws((10, 8), (5, 8))
    assert_alike(dense(given[:1], given[1:], None), linear(*given), given)


def test_parts_with_gaps_and_double_precision_give_the_same():
    part, weight, bias = draws((40, 8), (5, 4), (5,))
    assert_alike(
        dense([part[:, ::2]], [weight], bias), linear(part[:, ::2], weight, bias), [part, weight, bias]
    )
    double = [tensor.detach().double().requires_grad_() for tensor in (part[:, :4], weight, bias)]
    assert torch.autograd.gradcheck(lambda p, w, b: dense([p], [w], b, tanh=True), double)


def test_what_goes_in_without_a_gradient_gets_none():
    part, weight = torch.randn(4, 8), torch.randn(3, 8, requires_grad=True)
    dense([part], [weight], None).sum().backward()
    assert part.grad is None
    torch.testing.assert_close(weight.grad, part.sum(0).expand(3, 8))
