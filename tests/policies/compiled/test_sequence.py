"""The compiled LSTM over sequences is the plain one: values, states and all gradients, with resets."""

from __future__ import annotations

import pytest
import torch

from policies.compiled.sequence import compiled_lstm
from policies.recurrent_cells import lstm_sequence

L, M, H = 9, 32, 16


def leaves(num_sequences, num_assets, with_common):
    random = torch.Generator().manual_seed(num_sequences)
    draw = lambda *shape: torch.randn(shape, generator=random)  # noqa: E731
    rows = num_sequences * num_assets
    keep = (torch.rand((L, rows), generator=random) > 0.2).float()
    keep[0, rows // 2] = keep[4, 0] = 0.0
    assert keep.mean() > 0.5
    found = {
        "inputs": draw(L, rows, M),
        "common": draw(L, num_sequences if with_common else 0, 4 * H),
        "input_weight": 0.3 * draw(4 * H, M),
        "bias": draw(4 * H),
        "weight": 0.3 * draw(4 * H, H),
        "hidden": draw(rows, H),
        "cell": draw(rows, H),
    }
    return {name: value.requires_grad_() for name, value in found.items()}, keep


def plain(inputs, common, input_weight, bias, weight, hidden, cell, keep):
    gates = torch.nn.functional.linear(inputs, input_weight, bias)
    if common.shape[1]:
        gates = gates + common.repeat_interleave(inputs.shape[1] // common.shape[1], dim=1)
    return lstm_sequence(gates, weight, hidden, cell, keep.unsqueeze(-1))


def results_and_gradients(lstm, given, keep):
    random = torch.Generator().manual_seed(1)
    results = lstm(**given, keep=keep)
    loss = sum((part * torch.randn(part.shape, generator=random)).sum() for part in results)
    used = [value for value in given.values() if value.numel()]
    return [*results, *torch.autograd.grad(loss, used)]


@pytest.mark.parametrize(
    ("num_sequences", "num_assets", "with_common"),
    [(1, 1, False), (7, 1, False), (140, 1, False), (1, 5, True), (53, 5, True), (3, 150, True)],
)
def test_values_states_and_gradients_are_those_of_the_plain_one(num_sequences, num_assets, with_common):
    given, keep = leaves(num_sequences, num_assets, with_common)
    ours, theirs = (results_and_gradients(lstm, given, keep) for lstm in (compiled_lstm, plain))
    assert len(ours) == (10 if with_common else 9)
    for found, expected in zip(ours, theirs, strict=True):
        scale = expected.abs().max().clamp(min=1.0)
        torch.testing.assert_close(found / scale, expected / scale, rtol=0, atol=3e-6)


def test_a_rows_bits_do_not_depend_on_the_rows_beside_it():
    given, keep = leaves(140, 1, False)
    together = compiled_lstm(**given, keep=keep)[0]
    for row in (0, 5, 131, 139):
        own = {name: given[name][row : row + 1] for name in ("hidden", "cell")}
        inputs = given["inputs"][:, row : row + 1].contiguous()
        alone = compiled_lstm(**{**given, **own, "inputs": inputs}, keep=keep[:, row : row + 1].contiguous())[
            0
        ]
        assert torch.equal(alone[:, 0], together[:, row])


def test_what_is_not_a_number_stays_in_its_row():
    given, keep = leaves(3, 1, False)
    with torch.no_grad():
        given["inputs"][2, 1, 0] = torch.nan
    outputs = compiled_lstm(**given, keep=torch.ones_like(keep))[0]
    assert torch.isnan(outputs).any(dim=2).nonzero().tolist() == [[t, 1] for t in range(2, L)]


def test_a_second_backward_pass_over_overwritten_gates_is_refused():
    given, keep = leaves(2, 1, False)
    outputs, *_ = compiled_lstm(**given, keep=keep)
    outputs.sum().backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="run the sequence again"):
        outputs.sum().backward()
