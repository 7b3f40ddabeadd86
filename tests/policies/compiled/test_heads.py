"""The compiled heads are torch's: scores, values and gradients, for any number of assets, with and without context."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from policies.arithmetic import HeadInputs, HeadLayers, TorchArithmetic
from policies.compiled import arithmetic
from policies.compiled.arithmetic import CompiledArithmetic

H, M = 32, 16


def heads(scores, value_units, with_context):
    torch.manual_seed(scores)
    layers = HeadLayers(
        nn.Linear(H, scores),
        nn.Linear(M, scores, bias=False),
        nn.Linear(H + M + (M if with_context else 0), value_units),
        nn.Linear(value_units, 1),
    )
    for layer in layers:
        for parameter in layer.parameters():
            nn.init.normal_(parameter, std=0.3)
    return layers


def inputs(length, sequences, assets, with_context):
    random = torch.Generator().manual_seed(sequences)
    shapes = (
        (length, sequences, assets, H),
        (length, sequences, assets, M),
        (length, sequences, M if with_context else 0),
    )
    return HeadInputs(*(torch.randn(shape, generator=random).requires_grad_() for shape in shapes))


def results_and_gradients(make, given, layers):
    scores, values = make.heads(given, layers)
    random = torch.Generator().manual_seed(3)
    loss = sum((part * torch.randn(part.shape, generator=random)).sum() for part in (scores, values))
    wanted = [part for part in given if part.numel()]
    wanted += [parameter for layer in layers for parameter in layer.parameters()]
    return [scores, values, *torch.autograd.grad(loss, wanted)]


@pytest.mark.parametrize(("scores", "value_units"), [(3, 8), (12, 64), (16, 20)])
@pytest.mark.parametrize("with_context", [False, True])
@pytest.mark.parametrize("assets", [1, 2, 5, 150])  # of the last one, a block holds no two rows
def test_scores_values_and_gradients_are_those_of_torch(assets, with_context, scores, value_units):
    given = inputs(3, 53 if assets < 100 else 2, assets, with_context)
    layers = heads(scores, value_units, with_context)
    ours, theirs = (
        results_and_gradients(make, given, layers) for make in (CompiledArithmetic(), TorchArithmetic())
    )
    assert len(ours) == (12 if with_context else 11)
    for found, expected in zip(ours, theirs, strict=True):
        scale = expected.abs().max().clamp(min=1.0)
        torch.testing.assert_close(found / scale, expected / scale, rtol=0, atol=3e-6)


def test_widths_that_fill_no_block_are_left_to_torch(monkeypatch):
    monkeypatch.setattr(arithmetic, "compiled_heads", None)
    layers = heads(3, 8, with_context=False)
    whole = inputs(2, 2, 1, with_context=False)
    with pytest.raises(TypeError):
        CompiledArithmetic().heads(whole, layers)
    layers = layers._replace(score_from_core=nn.Linear(5, 3), value_hidden=nn.Linear(5 + M, 8))
    narrow = whole._replace(core=whole.core[..., :5])
    scores, _ = CompiledArithmetic().heads(narrow, layers)
    torch.testing.assert_close(scores, TorchArithmetic().heads(narrow, layers)[0])


def test_a_rows_bits_do_not_depend_on_the_rows_beside_it():
    given, layers = inputs(1, 140, 2, with_context=True), heads(3, 8, with_context=True)
    together = CompiledArithmetic().heads(given, layers)
    for row in (0, 71, 139):
        alone = CompiledArithmetic().heads(HeadInputs(*(part[:, row : row + 1] for part in given)), layers)
        for found, expected in zip(alone, together, strict=True):
            assert torch.equal(found[:, 0], expected[:, row])


def test_what_is_not_a_number_stays_in_its_row():
    given, layers = inputs(1, 9, 2, with_context=False), heads(3, 8, with_context=False)
    with torch.no_grad():
        given.core[0, 4, 1, 0] = torch.nan
    scores, values = CompiledArithmetic().heads(given, layers)
    assert torch.isnan(scores).nonzero().tolist() == [[0, 4, k] for k in (3, 4, 5)]
    assert torch.isnan(values).nonzero().tolist() == [[0, 4]]


def test_heads_can_be_gone_back_through_twice():
    given, layers = inputs(2, 3, 2, with_context=True), heads(3, 8, with_context=True)
    scores, values = CompiledArithmetic().heads(given, layers)
    loss = scores.sum() + values.sum()
    once = torch.autograd.grad(loss, given, retain_graph=True)
    for first, second in zip(once, torch.autograd.grad(loss, given), strict=True):
        assert torch.equal(first, second)
