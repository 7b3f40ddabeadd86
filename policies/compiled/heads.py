"""The heads of the policy network, scores and value, over many steps on a CPU in single precision: one call a pass.

A block of rows goes through all of it in the cache. Going back, both heads add to the gradients of what they take in
there, where torch would write each apart, spread means over assets, and add them up in memory.

Shapes: R rows (steps x sequences), A assets, H core units, M encoder units, C context (M or none), S scores per asset,
V hidden units of the value; P panels.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from policies.compiled.pointwise_kernels import (
    add_row,
    clear_rows,
    copy_row,
    fill_rows,
    inner,
    mean_of_groups,
    scale_row,
    tanh_inplace,
)
from policies.compiled.small_products import (
    BLOCK_ROWS,
    COLUMNS,
    DEPTH,
    add_product,
    add_turned_product,
    compiled,
    on_a_line,
    pack_row,
    panels,
)

Float32Array = NDArray[np.float32]


class _Layers(NamedTuple):
    """Weights as `panels`, from inputs to outputs; biases filled up with zeros."""

    score_from_core: Float32Array
    score_from_asset: Float32Array
    score_bias: Float32Array
    hidden_from_core: Float32Array
    hidden_from_asset: Float32Array
    hidden_from_context: Float32Array
    hidden_bias: Float32Array
    value: Float32Array
    value_bias: Float32Array


class _BackLayers(NamedTuple):
    """Weights as `panels`, from outputs to inputs; value (V,)."""

    score_to_core: Float32Array
    score_to_asset: Float32Array
    hidden_to_core: Float32Array
    hidden_to_asset: Float32Array
    hidden_to_context: Float32Array
    value: Float32Array


class _Gradients(NamedTuple):
    """Those of what goes in are written, those of weights (outputs, inputs) and biases added to."""

    core: Float32Array
    asset: Float32Array
    context: Float32Array
    score_from_core: Float32Array
    score_from_asset: Float32Array
    score_bias: Float32Array
    hidden_from_core: Float32Array
    hidden_from_asset: Float32Array
    hidden_from_context: Float32Array
    hidden_bias: Float32Array
    value: Float32Array
    value_bias: Float32Array


class _Room(NamedTuple):
    """For what lies between, of one block of rows."""

    scores: Float32Array
    hidden: Float32Array
    core: Float32Array
    asset: Float32Array
    value: Float32Array
    packed: Float32Array


@compiled
def _forward(core, asset, context, layers, room, scores, hidden, values):  # type: ignore[no-untyped-def]
    """Write scores (R A, S), hidden (R, V) and values (R,); core (R A, H), asset (R A, M), context (R, C)."""
    assets, block = core.shape[0] // hidden.shape[0], room.hidden.shape[0]
    for first in range(0, hidden.shape[0], block):
        last = min(first + block, hidden.shape[0])
        rows, begin, end = last - first, first * assets, last * assets
        core_rows, asset_rows = core[begin:end], asset[begin:end]
        padded = room.scores[: end - begin]
        fill_rows(layers.score_bias, padded)
        add_product(core_rows, layers.score_from_core, padded)
        add_product(asset_rows, layers.score_from_asset, padded)
        for r in range(begin, end):
            copy_row(padded[r - begin], scores[r])
        if assets > 1:
            mean_of_groups(core_rows, room.core[:rows])
            mean_of_groups(asset_rows, room.asset[:rows])
            core_rows, asset_rows = room.core[:rows], room.asset[:rows]
        padded = room.hidden[:rows]
        fill_rows(layers.hidden_bias, padded)
        add_product(core_rows, layers.hidden_from_core, padded)
        add_product(asset_rows, layers.hidden_from_asset, padded)
        add_product(context[first:last], layers.hidden_from_context, padded)
        tanh_inplace(padded.reshape(-1))
        fill_rows(layers.value_bias, room.value[:rows])
        add_product(padded, layers.value, room.value[:rows])
        for r in range(first, last):
            copy_row(padded[r - first], hidden[r])
            values[r] = room.value[r - first, 0]


@inner
def _value_slopes(hidden, weight, grad, slopes, grad_weight):  # type: ignore[no-untyped-def]
    """Write to slopes (V,) the gradient before the tanh of hidden (V,), and add to that of the value's weight (V,)."""
    for u in range(hidden.shape[0]):
        slopes[u] = grad * weight[u] * (np.float32(1.0) - hidden[u] * hidden[u])
    for u in range(hidden.shape[0]):
        grad_weight[u] += grad * hidden[u]


@inner
def _sum_outer(grad, part, room, out):  # type: ignore[no-untyped-def]
    """Add to out (N, K) the product of the transpose of grad (R, N) and part (R, K)."""
    depth, width = part.shape
    packed = room[: depth * width].reshape(width // COLUMNS, depth, COLUMNS)
    for k in range(depth):
        pack_row(part[k], np.float32(1.0), k, packed)
    add_turned_product(grad, packed, out)


@inner
def _back_to_part(  # type: ignore[no-untyped-def]
    part,
    slopes,
    grad_scores,
    score_to,
    hidden_to,
    mean,
    packed,
    grad_part,
    grad_score_weight,
    grad_hidden_weight,
):
    """Of one block: the gradient of core or asset (R A, K), which scores see one by one and the value as a mean."""
    rows = slopes.shape[0]
    assets = part.shape[0] // rows
    _sum_outer(grad_scores, part, packed, grad_score_weight)
    if assets == 1:
        _sum_outer(slopes, part, packed, grad_hidden_weight)
        clear_rows(grad_part)
        add_product(slopes, hidden_to, grad_part)
    else:
        mean_of_groups(part, mean)
        _sum_outer(slopes, mean, packed, grad_hidden_weight)
        clear_rows(mean)
        add_product(slopes, hidden_to, mean)
        share = np.float32(1.0) / np.float32(assets)
        for r in range(part.shape[0]):
            scale_row(mean[r // assets], share, grad_part[r])
    add_product(grad_scores, score_to, grad_part)


@compiled
def _backward(core, asset, context, hidden, grad_scores, grad_values, layers, room, gradients):  # type: ignore[no-untyped-def]
    """Arrays as in `_forward`; grad_scores (R A, S), grad_values (R,)."""
    assets, block = core.shape[0] // hidden.shape[0], room.hidden.shape[0]
    for first in range(0, hidden.shape[0], block):
        last = min(first + block, hidden.shape[0])
        begin, end = first * assets, last * assets
        slopes, total = room.hidden[: last - first], np.float32(0.0)
        for r in range(first, last):
            _value_slopes(hidden[r], layers.value, grad_values[r], slopes[r - first], gradients.value)
            add_row(slopes[r - first], gradients.hidden_bias)
            total += grad_values[r]
        gradients.value_bias[0] += total
        for r in range(begin, end):
            add_row(grad_scores[r], gradients.score_bias)
        clear_rows(gradients.context[first:last])
        add_product(slopes, layers.hidden_to_context, gradients.context[first:last])
        _sum_outer(slopes, context[first:last], room.packed, gradients.hidden_from_context)
        _back_to_part(
            core[begin:end],
            slopes,
            grad_scores[begin:end],
            layers.score_to_core,
            layers.hidden_to_core,
            room.core[: last - first],
            room.packed,
            gradients.core[begin:end],
            gradients.score_from_core,
            gradients.hidden_from_core,
        )
        _back_to_part(
            asset[begin:end],
            slopes,
            grad_scores[begin:end],
            layers.score_to_asset,
            layers.hidden_to_asset,
            room.asset[: last - first],
            room.packed,
            gradients.asset[begin:end],
            gradients.score_from_asset,
            gradients.hidden_from_asset,
        )


def _padded(values: Tensor) -> Float32Array:
    """(N,) or (N, K) with zeros behind the last axis, up to whole panels."""
    found = values.detach().numpy()
    room = -found.shape[-1] % COLUMNS
    return np.pad(found, [(0, 0)] * (found.ndim - 1) + [(0, room)])


def _room_for(core: Tensor, asset: Tensor, num_rows: int, block_rows: int, hidden: int, scores: int) -> _Room:
    assets = len(core) // num_rows
    block = max(1, block_rows // assets)
    many = block * assets
    return _Room(
        scores=on_a_line(many, scores),
        hidden=on_a_line(block, hidden),
        core=on_a_line(block, core.shape[1]),
        asset=on_a_line(block, asset.shape[1]),
        value=on_a_line(block, COLUMNS),
        packed=on_a_line(many * max(core.shape[1], asset.shape[1])),
    )


class _CompiledHeads(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        core: Tensor,
        asset: Tensor,
        context: Tensor,
        score_from_core: Tensor,
        score_from_asset: Tensor,
        score_bias: Tensor,
        hidden_weight: Tensor,
        hidden_bias: Tensor,
        value_weight: Tensor,
        value_bias: Tensor,
    ) -> tuple[Tensor, Tensor]:
        num_rows = len(context)
        parts = hidden_weight.split([core.shape[1], asset.shape[1], context.shape[1]], dim=1)
        scores = core.new_empty(len(core), len(score_bias))
        hidden, values = core.new_empty(num_rows, len(hidden_bias)), core.new_empty(num_rows)
        layers = _Layers(
            *(panels(weight.detach().numpy().T) for weight in (score_from_core, score_from_asset)),
            _padded(score_bias),
            *(panels(part.detach().numpy().T) for part in parts),
            _padded(hidden_bias),
            panels(_padded(value_weight).T),
            _padded(value_bias),
        )
        room = _room_for(core, asset, num_rows, BLOCK_ROWS, len(layers.hidden_bias), len(layers.score_bias))
        _forward(*_arrays(core, asset, context), layers, room, *_arrays(scores, hidden, values))
        weights = (score_from_core, score_from_asset, hidden_weight, value_weight)
        ctx.save_for_backward(core, asset, context, hidden, *weights)
        return scores, values

    @staticmethod
    def backward(ctx: Any, grad_scores: Tensor, grad_values: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        core, asset, context, hidden, score_from_core, score_from_asset, hidden_weight, value_weight = (
            ctx.saved_tensors
        )
        parts = hidden_weight.split([core.shape[1], asset.shape[1], context.shape[1]], dim=1)
        num_scores, num_hidden = len(score_from_core), len(hidden_weight)
        layers = _BackLayers(
            *(panels(weight.detach().numpy()) for weight in (score_from_core, score_from_asset, *parts)),
            value_weight.detach().numpy().reshape(-1),
        )
        room = _room_for(core, asset, len(context), DEPTH, num_hidden, num_scores)
        to_inputs = [torch.empty_like(part) for part in (core, asset, context)]
        to_scores = [core.new_zeros(weight.shape) for weight in (score_from_core, score_from_asset)]
        to_hidden = [core.new_zeros(part.shape) for part in parts]
        score_bias, hidden_bias = core.new_zeros(num_scores), core.new_zeros(num_hidden)
        value, value_bias = core.new_zeros(num_hidden), core.new_zeros(1)
        gradients = _Gradients(
            *_arrays(*to_inputs, *to_scores, score_bias, *to_hidden, hidden_bias, value, value_bias)
        )
        _backward(
            *_arrays(core, asset, context, hidden, grad_scores.contiguous(), grad_values.contiguous()),
            layers,
            room,
            gradients,
        )
        return (
            *to_inputs,
            *to_scores,
            score_bias,
            torch.cat(to_hidden, dim=1),
            hidden_bias,
            value.unsqueeze(0),
            value_bias,
        )


def _arrays(*tensors: Tensor) -> list[Float32Array]:
    return [tensor.detach().numpy() for tensor in tensors]


def compiled_heads(
    core: Tensor,
    asset: Tensor,
    context: Tensor,
    score_from_core: Tensor,
    score_from_asset: Tensor,
    score_bias: Tensor,
    hidden_weight: Tensor,
    hidden_bias: Tensor,
    value_weight: Tensor,
    value_bias: Tensor,
) -> tuple[Tensor, Tensor]:
    """Scores and values as `policies.arithmetic.TorchArithmetic.heads` computes them.

    All arrays are contiguous, on a CPU and in single precision; H, M and C are multiples of `COLUMNS`.

    Parameters
    ----------
    core, asset : (R A, H) and (R A, M).
    context : (R, C), with C = 0 for none.
    score_from_core, score_from_asset, score_bias : (S, H), (S, M), (S,).
    hidden_weight, hidden_bias : (V, H + M + C), (V,); of the means of core and asset over assets, and the context.
    value_weight, value_bias : (1, V), (1,).

    Returns
    -------
    scores : (R A, S). values : (R,).
    """
    return _CompiledHeads.apply(
        core,
        asset,
        context,
        score_from_core,
        score_from_asset,
        score_bias,
        hidden_weight,
        hidden_bias,
        value_weight,
        value_bias,
    )
