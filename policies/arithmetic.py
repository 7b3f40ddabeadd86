"""The network's arithmetic between its parameters: dense layers, tanh, an LSTM, as one interface with two makes.

`TorchArithmetic` is plain torch, for every device and precision. The other make, `policies.compiled.arithmetic`, does
the same on a CPU in single precision with compiled kernels. ``policy.compiled`` chooses; numbers differ by rounding.

Shapes: L time, B sequences, A assets, R rows (B x A), K inputs of a part, M inputs, N outputs, H hidden units.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from policies.recurrent_cells import lstm_sequence, lstm_step


class CoreInputs(NamedTuple):
    """What goes into a core over a sequence, not yet multiplied: a compiled core multiplies step by step, in the cache.

    Attributes
    ----------
    asset : (L, B, A, M), embedded assets.
    layer : from M to the core's ``input_units``.
    common : (L, B, input_units), added to all assets of a sequence; None for nothing.
    """

    asset: Tensor
    layer: nn.Linear
    common: Tensor | None


class HeadInputs(NamedTuple):
    """What the heads take in.

    Attributes
    ----------
    core : (..., A, H), outputs of the core.
    asset : (..., A, M), embedded assets.
    context : (..., C), embedded account; C = 0 for none.
    """

    core: Tensor
    asset: Tensor
    context: Tensor

    def pooled(self) -> list[Tensor]:
        """What is seen of the portfolio as a whole: means over assets, and the context."""
        means = [pooled(self.core), pooled(self.asset)]
        return [*means, self.context] if self.context.shape[-1] else means


class HeadLayers(NamedTuple):
    """Layers of the heads: scores of each asset from its core and itself, a value from the portfolio as a whole."""

    score_from_core: nn.Linear
    score_from_asset: nn.Linear
    value_hidden: nn.Linear
    value: nn.Linear


def pooled(asset: Tensor) -> Tensor:
    """Mean over assets (..., A, M) -> (..., M), with no more passes over memory than it needs.

    That of one asset is the asset; and the gradient of torch's ``mean`` would be divided where it is A times as large.
    """
    return asset.squeeze(-2) if asset.shape[-2] == 1 else asset.sum(dim=-2) / asset.shape[-2]


class TorchArithmetic:
    """Plain torch."""

    def dense(
        self, parts: Sequence[Tensor], weights: Sequence[Tensor], bias: Tensor | None, *, tanh: bool = False
    ) -> Tensor:
        """The sum of ``part @ weight.T`` over the parts, plus the bias; its tanh if asked for.

        Parameters
        ----------
        parts : each (..., K), alike but for K.
        weights : each (N, K).
        bias : (N,), or (A, N) where the axis before the last has A entries, one each; None for none.

        Returns
        -------
        (..., N).
        """
        bias = weights[0].new_zeros(weights[0].shape[0]) if bias is None else bias
        joined, weight = parts[0].contiguous(), weights[0]
        if len(parts) > 1:
            joined, weight = torch.cat(list(parts), dim=-1), torch.cat(list(weights), dim=1)
        total = torch.nn.functional.linear(joined, weight, bias if bias.dim() == 1 else None)
        total = total if bias.dim() == 1 else total + bias
        return self.tanh_(total) if tanh else total

    def layer(self, parts: Sequence[Tensor], layer: nn.Linear, *, tanh: bool = False) -> Tensor:
        """A layer on parts as if they were joined."""
        weights = layer.weight.split([part.shape[-1] for part in parts], dim=1)
        return self.dense(parts, weights, layer.bias, tanh=tanh)

    def tanh_(self, values: Tensor) -> Tensor:
        """Hyperbolic tangent, perhaps in place: ``values`` must not be needed again."""
        return torch.tanh(values)

    def heads(self, inputs: HeadInputs, layers: HeadLayers) -> tuple[Tensor, Tensor]:
        """Scores (..., A * S) and values (...)."""
        weights = [layers.score_from_core.weight, layers.score_from_asset.weight]
        scores = self.dense([inputs.core, inputs.asset], weights, layers.score_from_core.bias).flatten(-2)
        hidden = self.layer(inputs.pooled(), layers.value_hidden, tanh=True)
        return scores, self.layer([hidden], layers.value).squeeze(-1)

    def core_inputs(self, inputs: CoreInputs) -> Tensor:
        """What a core takes in over a sequence, multiplied: (L, R, input_units)."""
        total = self.dense([inputs.asset], [inputs.layer.weight], inputs.layer.bias)
        if inputs.common is not None:
            total = total.add_(inputs.common.unsqueeze(-2))  # in place: it is the largest array
        return total.flatten(1, 2)

    def lstm_sequence(
        self, inputs: CoreInputs, weight: Tensor, hidden: Tensor, cell: Tensor, keep: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`policies.recurrent_cells.lstm_sequence`, with the layer before it."""
        return lstm_sequence(self.core_inputs(inputs), weight, hidden, cell, keep)

    def lstm_step(
        self, gates_in: Tensor, weight: Tensor, hidden: Tensor, cell: Tensor
    ) -> tuple[Tensor, Tensor]:
        """`policies.recurrent_cells.lstm_step`: for acting only, in place."""
        return lstm_step(gates_in, weight, hidden, cell)
