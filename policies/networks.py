"""The policy network: one encoder shared by all assets, a recurrent core, a head per asset, a value.

Shapes: L time, B sequences or envs, A assets, K inputs per asset, C context inputs, M encoder units, H core
units, S scores per asset. Weights are shared over assets, so parameters do not grow with A and the policy
is equivariant to the order of assets (unless ``symbol_embedding`` tells them apart).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from envs.observations import ObservationLayout
from policies.recurrent_cells import gru_sequence, gru_step, lstm_sequence, lstm_step

Core = Literal["mlp", "lstm", "gru"]
State = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Sizes of the policy network.

    Parameters
    ----------
    core : what carries memory: ``lstm``, ``gru`` or ``mlp`` (none).
    encoder_units : M, units of the encoder shared by all assets.
    core_units : H, units of the core, per asset.
    value_units : units of the hidden layer of the value head.
    symbol_embedding : add a learnt vector per asset, so that assets may be treated differently.
    """

    core: Core
    encoder_units: int
    core_units: int
    value_units: int
    symbol_embedding: bool

    def __post_init__(self) -> None:
        if self.core not in ("mlp", "lstm", "gru"):
            raise ValueError(f"policy.core is {self.core!r}; choose mlp, lstm or gru")
        for name in ("encoder_units", "core_units", "value_units"):
            if getattr(self, name) < 1:
                raise ValueError(f"policy.{name} is {getattr(self, name)}; it must be at least 1")


class NetworkOutput(NamedTuple):
    """``scores`` (..., A * S) parametrise the action distribution; ``values`` (...) estimate the return."""

    scores: Tensor
    values: Tensor
    state: State


class PortfolioNetwork(nn.Module):
    """Encoder, core and heads; knows neither RLlib nor distributions.

    Parameters
    ----------
    layout : where the blocks of the flat observation lie. One without assets (``ObservationLayout.flat``)
        is treated as a single asset that sees everything.
    scores_per_asset : S, numbers per asset that the action distribution needs.
    config : sizes.
    """

    def __init__(self, layout: ObservationLayout, scores_per_asset: int, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.num_assets = max(layout.num_assets, 1)
        structured = layout.num_assets > 0
        slices = layout.slices
        self._per_asset = [slices["market"], slices["position"]] if structured else [slice(0, layout.size)]
        self._context = slice(slices["account"].start if structured else layout.size, layout.size)
        inputs = sum(part.stop - part.start for part in self._per_asset) // self.num_assets
        encoder, core = config.encoder_units, config.core_units
        self.encode_asset = nn.Linear(inputs, encoder)
        self.encode_context = nn.Linear(encoder + self._context.stop - self._context.start, encoder)
        self.symbols = (
            nn.Parameter(torch.zeros(self.num_assets, encoder)) if config.symbol_embedding else None
        )
        gates = {"mlp": 1, "lstm": 4, "gru": 3}[config.core]
        self.core_from_asset = nn.Linear(encoder, gates * core)
        self.core_from_context = nn.Linear(encoder, gates * core, bias=False)
        if config.core != "mlp":
            self.core_recurrent = nn.Linear(core, gates * core, bias=config.core == "gru")
        self.score_from_core = nn.Linear(core, scores_per_asset)
        self.score_from_asset = nn.Linear(encoder, scores_per_asset, bias=False)
        self.value_hidden = nn.Linear(core + 2 * encoder, config.value_units)
        self.value = nn.Linear(config.value_units, 1)
        self._initialise()

    def _initialise(self) -> None:
        """Orthogonal weights; small scores, so that the first policy is nearly uniform (Andrychowicz et al.
        2021).
        """
        for name, parameter in self.named_parameters():
            if name == "symbols":
                nn.init.normal_(parameter, std=0.1)
            elif parameter.dim() == 1:
                nn.init.zeros_(parameter)
            else:
                nn.init.orthogonal_(parameter, gain=0.01 if name.startswith("score_") else 1.0)
        if self.config.core == "lstm":  # forget gate open at first (Jozefowicz et al. 2015)
            units = self.config.core_units
            nn.init.ones_(self.core_from_asset.bias[units : 2 * units])

    def initial_state(self, num_rows: int) -> State:
        """State before the first bar: ``hidden`` (and ``cell``) of shape (num_rows, A, H); empty for
        ``mlp``.
        """
        names = {"mlp": (), "lstm": ("hidden", "cell"), "gru": ("hidden",)}[self.config.core]
        shape = (num_rows, self.num_assets, self.config.core_units)
        return {name: torch.zeros(shape) for name in names}

    def step(self, observation: Tensor, state: Mapping[str, Tensor]) -> NetworkOutput:
        """Advance by one decision: ``observation`` (B, D) and ``state`` rows (B, A, H)."""
        asset, context = self._encode(observation)
        gates_in = self._core_inputs(asset, context)
        rows = gates_in.flatten(0, 1)
        flat = {name: value.reshape(rows.shape[0], -1) for name, value in state.items()}
        if self.config.core == "lstm":
            hidden, cell = lstm_step(rows, self.core_recurrent.weight, flat["hidden"], flat["cell"])
            after = {"hidden": hidden, "cell": cell}
        elif self.config.core == "gru":
            hidden = gru_step(rows, self.core_recurrent.weight, self.core_recurrent.bias, flat["hidden"])
            after = {"hidden": hidden}
        else:
            hidden, after = torch.tanh(rows), {}
        core = hidden.view(*asset.shape[:-1], -1)
        after = {name: value.view(*asset.shape[:-1], -1) for name, value in after.items()}
        return NetworkOutput(*self._heads(asset, context, core), after)

    def sequence(self, observation: Tensor, state: Mapping[str, Tensor], keep: Tensor) -> NetworkOutput:
        """Run over sequences.

        Parameters
        ----------
        observation : (L, B, D).
        state : (B, A, H) before the first step.
        keep : (L, B), 0.0 where an episode starts at that step, else 1.0.
        """
        asset, context = self._encode(observation)
        gates_in = self._core_inputs(asset, context)
        if self.config.core == "mlp":
            return NetworkOutput(*self._heads(asset, context, torch.tanh(gates_in)), {})
        rows = gates_in.flatten(1, 2)
        keep_rows = keep.unsqueeze(-1).expand(*asset.shape[:-1]).reshape(*rows.shape[:2], 1)
        flat = {name: value.reshape(rows.shape[1], -1) for name, value in state.items()}
        weight = self.core_recurrent.weight
        if self.config.core == "lstm":
            outputs, hidden, cell = lstm_sequence(rows, weight, flat["hidden"], flat["cell"], keep_rows)
            after = {"hidden": hidden, "cell": cell}
        else:
            bias = self.core_recurrent.bias
            outputs, hidden = gru_sequence(rows, weight, bias, flat["hidden"], keep_rows)
            after = {"hidden": hidden}
        core = outputs.view(*asset.shape[:-1], -1)
        after = {name: value.view(*asset.shape[1:-1], -1) for name, value in after.items()}
        return NetworkOutput(*self._heads(asset, context, core), after)

    def _encode(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """Embed each asset (..., A, M) and the account (..., M)."""
        parts = [observation[..., part].unflatten(-1, (self.num_assets, -1)) for part in self._per_asset]
        asset = self.encode_asset(torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0])
        if self.symbols is not None:
            asset = asset + self.symbols
        asset = torch.tanh(asset)
        account = observation[..., self._context]
        context = torch.tanh(self.encode_context(torch.cat([asset.mean(dim=-2), account], dim=-1)))
        return asset, context

    def _core_inputs(self, asset: Tensor, context: Tensor) -> Tensor:
        return self.core_from_asset(asset) + self.core_from_context(context).unsqueeze(-2)

    def _heads(self, asset: Tensor, context: Tensor, core: Tensor) -> tuple[Tensor, Tensor]:
        scores = self.score_from_core(core) + self.score_from_asset(asset)
        pooled = torch.cat([core.mean(dim=-2), asset.mean(dim=-2), context], dim=-1)
        values = self.value(torch.tanh(self.value_hidden(pooled))).squeeze(-1)
        return scores.flatten(-2), values
