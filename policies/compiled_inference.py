"""The scores of an LSTM policy from a few compiled calls, for acting: there torch's cost per operation dominates.

At the few rows of a backtest or of live trading a network of this size spends nine tenths of its time between the
operations. Each env row is computed by itself, so that its bits do not depend on how many rows stand beside it.

Shapes: E env rows, A assets, K inputs, N outputs, H hidden units, S scores per asset.
"""

from __future__ import annotations

from functools import partial

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from policies.memory_cores import LstmMemory
from policies.networks import PortfolioNetwork
from policies.pointwise_kernels import lstm_advance, tanh_inplace

Float32Array = NDArray[np.float32]
_compiled = partial(numba.njit, nogil=True, error_model="numpy", fastmath={"contract"}, _nrt=False)


@_compiled
def _add_four(x0, x1, x2, x3, w0, w1, w2, w3, out):  # type: ignore[no-untyped-def]
    for n in range(out.shape[0]):
        out[n] += x0 * w0[n] + x1 * w1[n] + x2 * w2[n] + x3 * w3[n]


@_compiled
def _add_four_to_two(x0, x1, x2, x3, y0, y1, y2, y3, w0, w1, w2, w3, out, more):  # type: ignore[no-untyped-def]
    for n in range(out.shape[0]):
        v0, v1, v2, v3 = w0[n], w1[n], w2[n], w3[n]
        out[n] += x0 * v0 + x1 * v1 + x2 * v2 + x3 * v3
        more[n] += y0 * v0 + y1 * v1 + y2 * v2 + y3 * v3


@_compiled
def _add_one(x, w, out):  # type: ignore[no-untyped-def]
    for n in range(out.shape[0]):
        out[n] += x * w[n]


@partial(_compiled, cache=True)
def add_product(rows: Float32Array, weights: Float32Array, out: Float32Array) -> None:
    """Add to out (E, A, N) the product of rows (E, A, K) and weights (K, N), four inputs and two assets at a time."""
    inputs, assets = weights.shape[0], rows.shape[1]
    fours, pairs = inputs - inputs % 4, assets - assets % 2
    for e in range(rows.shape[0]):
        for k in range(0, fours, 4):
            w0, w1, w2, w3 = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
            for a in range(0, pairs, 2):
                _add_four_to_two(
                    rows[e, a, k], rows[e, a, k + 1], rows[e, a, k + 2], rows[e, a, k + 3],
                    rows[e, a + 1, k], rows[e, a + 1, k + 1], rows[e, a + 1, k + 2], rows[e, a + 1, k + 3],
                    w0, w1, w2, w3, out[e, a], out[e, a + 1],
                )  # fmt: skip
            for a in range(pairs, assets):
                _add_four(
                    rows[e, a, k], rows[e, a, k + 1], rows[e, a, k + 2], rows[e, a, k + 3],
                    w0, w1, w2, w3, out[e, a],
                )  # fmt: skip
        for k in range(fours, inputs):
            for a in range(rows.shape[1]):
                _add_one(rows[e, a, k], weights[k], out[e, a])


@partial(_compiled, cache=True)
def write_mean(rows: Float32Array, out: Float32Array) -> None:
    """Write to the first N entries of out (E, 1, K) the mean of rows (E, A, N) over A."""
    share = np.float32(1.0) / np.float32(rows.shape[1])
    for e in range(rows.shape[0]):
        for n in range(rows.shape[2]):
            total = np.float32(0.0)
            for a in range(rows.shape[1]):
                total += rows[e, a, n]
            out[e, 0, n] = total * share


def _packed(weight: Tensor) -> Float32Array:
    """A linear layer's weight (N, K) as (K, N)."""
    return np.ascontiguousarray(weight.detach().numpy().T)


class CompiledLstm:
    """What `PortfolioNetwork.step` gives, without the value, for an LSTM core and an observation with assets.

    Scores differ from torch's by rounding (1e-6): sums are taken in another order.
    """

    def __init__(self, network: PortfolioNetwork) -> None:
        assert network.encode_context is not None
        assert network.core_from_context is not None
        assert isinstance(network.memory, LstmMemory)
        self._num_assets = network.num_assets
        self._parts = [(part.start, part.stop) for part in network._per_asset]
        widths = [(stop - start) // network.num_assets for start, stop in self._parts]
        encoder = _packed(network.encode_asset.weight)
        self._encoders = [np.ascontiguousarray(w) for w in np.split(encoder, np.cumsum(widths)[:-1])]
        bias = network.encode_asset.bias.detach() + (
            0.0 if network.symbols is None else network.symbols.detach()
        )
        self._asset_bias = np.broadcast_to(bias.numpy(), (network.num_assets, encoder.shape[1]))
        self._account = network._context
        self._context, self._context_bias = _layer(network.encode_context)
        self._gates, self._gates_bias = _layer(network.core_from_asset)
        self._gates_from_context = _packed(network.core_from_context.weight)
        self._recurrent = _packed(network.memory.recurrent.weight)
        self._scores, self._scores_bias = _layer(network.score_from_core)
        self._scores_from_asset = _packed(network.score_from_asset.weight)

    @classmethod
    def of(cls, network: PortfolioNetwork) -> CompiledLstm | None:
        """The compiled form of a network, or None where there is none."""
        floats = all(p.dtype == torch.float32 and p.device.type == "cpu" for p in network.parameters())
        fits = isinstance(network.memory, LstmMemory) and network.encode_context is not None
        return cls(network) if floats and fits and network.score_from_pool is None else None

    def step(self, observation: Float32Array, state: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Scores (E, A * S) of observation (E, D), and the state (E, A, H) after it."""
        rows, assets = len(observation), self._num_assets
        asset = np.empty((rows, assets, self._asset_bias.shape[1]), dtype=np.float32)
        asset[:] = self._asset_bias
        for (start, stop), encoder in zip(self._parts, self._encoders):
            add_product(observation[:, start:stop].reshape(rows, assets, -1), encoder, asset)
        tanh_inplace(asset.reshape(-1))
        gates = np.empty((rows, assets, len(self._gates_bias)), dtype=np.float32)
        gates[:] = self._from_context(observation, asset)
        add_product(asset, self._gates, gates)
        hidden, cell = (state[name].contiguous().numpy() for name in ("hidden", "cell"))
        add_product(hidden, self._recurrent, gates)
        units = hidden.shape[-1]
        hidden, cell_after = np.empty_like(hidden), np.empty_like(cell)
        flat = (gates.reshape(-1, 4 * units), cell.reshape(-1, units), cell_after.reshape(-1, units))
        lstm_advance(*flat, hidden.reshape(-1, units))
        scores = np.empty((rows, assets, len(self._scores_bias)), dtype=np.float32)
        scores[:] = self._scores_bias
        add_product(hidden, self._scores, scores)
        add_product(asset, self._scores_from_asset, scores)
        after = {"hidden": torch.from_numpy(hidden), "cell": torch.from_numpy(cell_after)}
        return torch.from_numpy(scores.reshape(rows, -1)), after

    def _from_context(self, observation: Float32Array, asset: Float32Array) -> Float32Array:
        """What all assets of a row have in common in their gates: (E, 1, 4H)."""
        rows, width = len(observation), asset.shape[2]
        account = observation[:, self._account]
        seen = np.empty((rows, 1, width + account.shape[1]), dtype=np.float32)
        write_mean(asset, seen)
        seen[:, 0, width:] = account
        context = np.empty((rows, 1, len(self._context_bias)), dtype=np.float32)
        context[:] = self._context_bias
        add_product(seen, self._context, context)
        tanh_inplace(context.reshape(-1))
        gates = np.empty((rows, 1, len(self._gates_bias)), dtype=np.float32)
        gates[:] = self._gates_bias
        add_product(context, self._gates_from_context, gates)
        return gates


def _layer(layer: nn.Linear) -> tuple[Float32Array, Float32Array]:
    return _packed(layer.weight), layer.bias.detach().numpy().copy()
