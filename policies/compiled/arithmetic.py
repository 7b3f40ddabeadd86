"""The network's arithmetic by compiled kernels, where they can work: on a CPU, in single precision, without gaps.

Everything else (a GPU, double precision, widths that fill no block) goes to plain torch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from policies.arithmetic import CoreInputs, HeadInputs, HeadLayers, TorchArithmetic
from policies.compiled.activations import has_kernels, tanh_
from policies.compiled.dense import compiled_dense
from policies.compiled.heads import compiled_heads
from policies.compiled.pointwise_kernels import lstm_advance
from policies.compiled.sequence import compiled_lstm
from policies.compiled.small_products import COLUMNS


class CompiledArithmetic(TorchArithmetic):
    """`TorchArithmetic`, faster where there are kernels."""

    def dense(
        self, parts: Sequence[Tensor], weights: Sequence[Tensor], bias: Tensor | None, *, tanh: bool = False
    ) -> Tensor:
        # For acting, a few rows at a time, packing the weights would take longer than the products.
        if torch.is_grad_enabled():
            bias = weights[0].new_zeros(weights[0].shape[0]) if bias is None else bias
            parts = [part.contiguous() for part in parts]
            if has_kernels(*parts, bias):
                return compiled_dense(parts, weights, bias, tanh=tanh)
        return super().dense(parts, weights, bias, tanh=tanh)

    def heads(self, inputs: HeadInputs, layers: HeadLayers) -> tuple[Tensor, Tensor]:
        core, asset, context = (part.contiguous() for part in inputs)
        whole = all(part.shape[-1] % COLUMNS == 0 for part in inputs)
        weights = (
            layers.score_from_core.weight,
            layers.score_from_asset.weight,
            layers.score_from_core.bias,
            layers.value_hidden.weight,
            layers.value_hidden.bias,
            layers.value.weight,
            layers.value.bias,
        )
        if not (torch.is_grad_enabled() and whole and has_kernels(core, asset, context, *weights)):
            return super().heads(inputs, layers)
        rows = (part.flatten(0, -2) for part in (core, asset, context))
        scores, values = compiled_heads(*rows, *weights)
        before = core.shape[:-2]
        return scores.view(*before, -1), values.view(before)

    def tanh_(self, values: Tensor) -> Tensor:
        return tanh_(values) if has_kernels(values) else super().tanh_(values)

    def lstm_sequence(
        self, inputs: CoreInputs, weight: Tensor, hidden: Tensor, cell: Tensor, keep: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        asset = inputs.asset.flatten(1, 2)
        whole = asset.shape[-1] % COLUMNS == 0 and weight.shape[1] % COLUMNS == 0
        if not (whole and has_kernels(asset, weight, hidden, cell, keep)):
            return super().lstm_sequence(inputs, weight, hidden, cell, keep)
        common = asset.new_empty(len(asset), 0, len(weight)) if inputs.common is None else inputs.common
        layer = inputs.layer
        return compiled_lstm(
            asset, common.contiguous(), layer.weight, layer.bias, weight, hidden, cell, keep.squeeze(-1)
        )

    def lstm_step(
        self, gates_in: Tensor, weight: Tensor, hidden: Tensor, cell: Tensor
    ) -> tuple[Tensor, Tensor]:
        if not has_kernels(gates_in, cell):
            return super().lstm_step(gates_in, weight, hidden, cell)
        gates = gates_in.addmm_(hidden, weight.t())
        cell_after, outputs = torch.empty_like(cell), torch.empty_like(cell)
        lstm_advance(*(part.detach().numpy() for part in (gates, cell, cell_after, outputs)))
        return outputs, cell_after
