"""One decision of a policy as one compiled call, for acting and sampling; with an LSTM, a GRU or no memory.

At the few rows of a backtest torch spends nine tenths of its time between the operations; at the hundreds of a sampler
what lies between the products does not stay in the cache. Each env row is computed by itself, so that its bits do not
depend on how many rows stand beside it.

Shapes: E env rows, A assets, K inputs, M encoder units, H hidden units, S scores per asset, P panels. Widths are
filled up with zeros to what `policies.compiled.small_products` takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from policies.actor_network import ActorsNetwork
from policies.compiled.pointwise_kernels import (
    copy_row,
    fill_rows,
    gru_advance,
    lstm_advance,
    mean_of_rows,
    tanh_inplace,
)
from policies.compiled.small_products import BLOCK_ROWS, COLUMNS, add_product, compiled, panels
from policies.memory_cores import GruMemory, LstmMemory, NoMemory
from policies.networks import NetworkOutput, PortfolioNetwork

Float32Array = NDArray[np.float32]

LSTM, GRU, NO_MEMORY = range(3)
_CORES: dict[type[nn.Module], int] = {LstmMemory: LSTM, GruMemory: GRU, NoMemory: NO_MEMORY}


@compiled
def _step(
    memory, observation, hidden, cell, weights, account, parts, room, scores, values, hidden_after, cell_after
):  # type: ignore[no-untyped-def]
    """Write scores (E, A, S), values (E or 0,), and the state after.

    memory is LSTM, GRU or NO_MEMORY. observation (E, D); hidden, cell (E * A, H), those of them that the memory has;
    weights and room are `_Weights` and `_Room`. As many env rows as there is room for go through a product together.
    """
    assets, with_context = scores.shape[1], weights.context_bias.shape[0] > 0
    block = room.inputs.shape[0] // assets
    for first in range(0, observation.shape[0], block):
        rows = min(block, observation.shape[0] - first)
        many, begin = rows * assets, first * assets
        end = begin + many
        asset, gates = room.asset[:many], room.gates[:many]
        pooled, context = room.pooled[:rows], room.context[:rows]
        for r in range(rows):
            row, offset = observation[first + r], 0
            for part in range(parts.shape[0]):
                start, width = parts[part, 0], parts[part, 1]
                for a in range(assets):
                    one = row[start + a * width : start + (a + 1) * width]
                    copy_row(one, room.inputs[r * assets + a, offset : offset + width])
                offset += width
            for a in range(assets):
                copy_row(weights.asset_bias[a], asset[r * assets + a])
        add_product(room.inputs[:many], weights.encoder, asset)
        tanh_inplace(asset.reshape(-1))
        for r in range(rows):
            mean_of_rows(asset[r * assets : (r + 1) * assets], pooled[r])

        if with_context:
            common = room.common[:rows]
            fill_rows(weights.gates_bias, common)
            for r in range(rows):
                copy_row(observation[first + r, account[0] : account[1]], room.account[r])
            fill_rows(weights.context_bias, context)
            add_product(pooled, weights.context_from_asset, context)
            add_product(room.account[:rows], weights.context_from_account, context)
            tanh_inplace(context.reshape(-1))
            add_product(context, weights.gates_from_context, common)
            for r in range(many):
                copy_row(common[r // assets], gates[r])
        else:
            fill_rows(weights.gates_bias, gates)
        add_product(asset, weights.gates_from_asset, gates)
        if memory == LSTM:
            core = hidden_after[begin:end]
            add_product(hidden[begin:end], weights.recurrent, gates)
            lstm_advance(gates, cell[begin:end], cell_after[begin:end], core)
        elif memory == GRU:
            core, recurrent = hidden_after[begin:end], room.recurrent[:many]
            fill_rows(weights.recurrent_bias, recurrent)
            add_product(hidden[begin:end], weights.recurrent, recurrent)
            gru_advance(gates, recurrent, hidden[begin:end], core)
        else:
            core = gates
            tanh_inplace(core.reshape(-1))

        padded = room.scores[:many]
        fill_rows(weights.score_bias, padded)
        add_product(core, weights.score_from_core, padded)
        add_product(asset, weights.score_from_asset, padded)
        for r in range(many):
            copy_row(padded[r], scores[first + r // assets, r % assets])
        if values.shape[0] == 0:
            continue
        for r in range(rows):
            mean_of_rows(core[r * assets : (r + 1) * assets], room.core[r])
        value_hidden = room.value_hidden[:rows]
        fill_rows(weights.value_hidden_bias, value_hidden)
        add_product(room.core[:rows], weights.value_from_core, value_hidden)
        add_product(pooled, weights.value_from_asset, value_hidden)
        if with_context:
            add_product(context, weights.value_from_context, value_hidden)
        tanh_inplace(value_hidden.reshape(-1))
        for r in range(rows):
            total = weights.value[0]
            for u in range(value_hidden.shape[1]):
                total += value_hidden[r, u] * weights.value[1 + u]
            values[first + r] = total


def _width(units: int) -> int:
    return -(-units // COLUMNS) * COLUMNS


def _padded(values: Tensor, *shape: int) -> Float32Array:
    """The values, with zeros behind them up to the shape."""
    found = values.detach().numpy()
    return np.pad(found, [(0, size - had) for size, had in zip(shape, found.shape, strict=True)])


class _Weights(NamedTuple):
    """Of the network; matrices as `policies.compiled.small_products.panels`, all widths filled up."""

    encoder: Float32Array
    asset_bias: Float32Array
    context_from_asset: Float32Array
    context_from_account: Float32Array
    context_bias: Float32Array
    """Empty for an observation without assets."""
    gates_from_asset: Float32Array
    gates_from_context: Float32Array
    gates_bias: Float32Array
    recurrent: Float32Array
    recurrent_bias: Float32Array
    """Empty where the core's input bias is all there is."""
    score_from_core: Float32Array
    score_from_asset: Float32Array
    score_bias: Float32Array
    value_from_core: Float32Array
    value_from_asset: Float32Array
    value_from_context: Float32Array
    value_hidden_bias: Float32Array
    value: Float32Array
    """(1 + units,): the bias, then the weights."""

    @classmethod
    def of(cls, network: PortfolioNetwork) -> _Weights:
        """Repack those of a network."""
        encoded, width = network.encode_asset.out_features, _width(network.encode_asset.out_features)

        def matrix(weight: Tensor | None, *, from_encoder: bool = True) -> Float32Array:
            if weight is None:
                return np.zeros((0, width, COLUMNS), np.float32)
            outputs, inputs = weight.shape
            return panels(_padded(weight, outputs, width if from_encoder else inputs).T)

        def bias(layer: nn.Linear) -> Float32Array:
            return _padded(layer.bias, _width(layer.out_features))

        asset_bias = network.encode_asset.bias.expand(network.num_assets, -1)
        asset_bias = asset_bias if network.symbols is None else asset_bias + network.symbols
        context, from_context = network.encode_context, network.core_from_context
        seen = (None, None) if context is None else context.weight.tensor_split([encoded], dim=1)
        core = network.score_from_core.in_features
        back: nn.Linear | None = getattr(network.memory, "recurrent", None)
        sizes = [core, encoded, *([] if context is None else [encoded])]
        from_core, from_asset, *rest = network.value_hidden.weight.split(sizes, dim=1)
        value_units = _width(network.value_hidden.out_features)
        return cls(
            encoder=matrix(network.encode_asset.weight, from_encoder=False),
            asset_bias=_padded(asset_bias, network.num_assets, width),
            context_from_asset=matrix(seen[0]),
            context_from_account=matrix(seen[1], from_encoder=False),
            context_bias=np.zeros(0, np.float32) if context is None else bias(context),
            gates_from_asset=matrix(network.core_from_asset.weight),
            gates_from_context=matrix(None if from_context is None else from_context.weight),
            gates_bias=bias(network.core_from_asset),
            recurrent=matrix(None if back is None else back.weight, from_encoder=False),
            recurrent_bias=np.zeros(0, np.float32) if back is None or back.bias is None else bias(back),
            score_from_core=matrix(network.score_from_core.weight, from_encoder=False),
            score_from_asset=matrix(network.score_from_asset.weight),
            score_bias=bias(network.score_from_core),
            value_from_core=matrix(from_core, from_encoder=False),
            value_from_asset=matrix(from_asset),
            value_from_context=matrix(rest[0] if rest else None),
            value_hidden_bias=bias(network.value_hidden),
            value=np.concatenate(
                [network.value.bias.detach().numpy(), _padded(network.value.weight[0], value_units)]
            ),
        )


class _Room(NamedTuple):
    """For what lies between observation and scores, of one block of env rows."""

    inputs: Float32Array
    asset: Float32Array
    pooled: Float32Array
    account: Float32Array
    context: Float32Array
    common: Float32Array
    gates: Float32Array
    recurrent: Float32Array
    scores: Float32Array
    core: Float32Array
    value_hidden: Float32Array


def acting_form(network: nn.Module, *, with_values: bool) -> Any:
    """What decides fastest with a network's weights as they are now: its compiled form, or itself without one.

    Parameters
    ----------
    network : a `PortfolioNetwork`, or any module with its ``step``.
    with_values : give the values too; without, those of a compiled form are empty.
    """
    if isinstance(network, ActorsNetwork):
        return CompiledActors(network, with_values=with_values)
    if isinstance(network, PortfolioNetwork) and network.config.compiled == "off":
        return network
    return CompiledNetwork.of(network, with_values=with_values) or network


class CompiledActors:
    """What `ActorsNetwork.step` gives, each actor in the form that decides fastest."""

    def __init__(self, network: ActorsNetwork, *, with_values: bool) -> None:
        self._network = network
        self._forms = [acting_form(one, with_values=with_values) for one in network.networks]

    def step(self, observation: Tensor, state: Mapping[str, Tensor]) -> NetworkOutput:
        """Advance by one decision: ``observation`` (E, D) and ``state`` (E, A, H)."""
        return self._network.step_by(self._forms, observation, state)


class CompiledNetwork:
    """What `PortfolioNetwork.step` gives; holds a copy of the network's weights.

    Numbers differ from torch's by rounding (1e-6): sums are taken in another order.
    """

    def __init__(self, network: PortfolioNetwork, *, with_values: bool) -> None:
        self._num_assets = assets = network.num_assets
        self._num_scores = network.score_from_core.out_features
        self._memory = _CORES[type(network.memory)]
        self._state_units = dict(network.memory.state_units)
        self._with_values = with_values
        self._weights = _Weights.of(network)
        account = network.context_slice
        self._account = np.array([account.start, account.stop])
        self._parts = np.array(
            [(part.start, (part.stop - part.start) // assets) for part in network.asset_slices]
        )
        block = max(1, BLOCK_ROWS // assets)
        encoder, gates = self._weights.asset_bias.shape[1], len(self._weights.gates_bias)
        self._room_shapes = _Room(
            inputs=(block * assets, network.encode_asset.in_features),
            asset=(block * assets, encoder),
            pooled=(block, encoder),
            account=(block, account.stop - account.start),
            context=(block, encoder),
            common=(block, gates),
            gates=(block * assets, gates),
            recurrent=(block * assets, len(self._weights.recurrent_bias)),
            scores=(block * assets, len(self._weights.score_bias)),
            core=(block, network.score_from_core.in_features),
            value_hidden=(block, len(self._weights.value_hidden_bias)),
        )

    @classmethod
    def of(cls, network: nn.Module, *, with_values: bool) -> CompiledNetwork | None:
        """The compiled form of a network, or None where there is none: attention, pooled scores, not float32 on a CPU,
        or a core whose inputs are not a multiple of `policies.compiled.small_products.COLUMNS`.

        Parameters
        ----------
        with_values : give the values too; without, they are empty.
        """
        if not isinstance(network, PortfolioNetwork) or type(network.memory) not in _CORES:
            return None
        floats = all(p.dtype == torch.float32 and p.device.type == "cpu" for p in network.parameters())
        whole = network.core_from_asset.out_features % COLUMNS == 0
        fits = floats and whole and network.score_from_pool is None
        return cls(network, with_values=with_values) if fits else None

    def step(self, observation: Tensor, state: Mapping[str, Tensor]) -> NetworkOutput:
        """Advance by one decision: ``observation`` (E, D) and ``state`` (E, A, H)."""
        seen = observation.contiguous().numpy()
        before, after = {}, {}
        for name, units in self._state_units.items():
            before[name] = state[name].contiguous().numpy().reshape(-1, units)
            after[name] = np.empty_like(before[name])
        nothing = np.empty((0, 0), np.float32)
        room = _Room(*(np.empty(shape, np.float32) for shape in self._room_shapes))
        scores = np.empty((len(seen), self._num_assets, self._num_scores), np.float32)
        values = np.empty(len(seen) if self._with_values else 0, np.float32)
        _step(
            self._memory,
            seen,
            before.get("hidden", nothing),
            before.get("cell", nothing),
            self._weights,
            self._account,
            self._parts,
            room,
            scores,
            values,
            after.get("hidden", nothing),
            after.get("cell", nothing),
        )
        return NetworkOutput(
            torch.from_numpy(scores.reshape(len(seen), -1)),
            torch.from_numpy(values),
            {
                name: torch.from_numpy(value.reshape(len(seen), -1, self._state_units[name]))
                for name, value in after.items()
            },
        )
