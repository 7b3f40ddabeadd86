"""The policy network: one encoder shared by all assets, a memory core, a head per asset, a value.

Where actors have weights of their own (``policy.actors``), each is such a network: `policies.actor_network`.

Shapes: L time, B sequences or envs, A assets, M encoder units, H core units, S scores per asset, G pooled
scores. Weights are shared over assets, so parameters do not grow with A and the policy is equivariant to the
order of assets (unless ``symbol_embedding`` tells them apart).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, NamedTuple, Self

import torch
from torch import Tensor, nn

from data.errors import nearest_name
from envs.observations import ObservationLayout
from policies.actor_groups import SHARED, ActorGroups, check_groups
from policies.arithmetic import CoreInputs, HeadInputs, HeadLayers, TorchArithmetic, pooled
from policies.compiled.arithmetic import CompiledArithmetic
from policies.cores import CORES
from policies.memory_cores import State
from policies.window_attention import AttentionConfig

WEIGHTS_DISTRIBUTIONS: tuple[str, ...] = ("squashed_gaussian", "dirichlet")
COMPILED: tuple[str, ...] = ("auto", "off")


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """The policy network and what its scores mean.

    Parameters
    ----------
    core : what carries memory, a key of `policies.cores.CORES`.
    encoder_units : M, units of the encoder shared by all assets.
    core_units : H, units of the core, per asset.
    value_units : units of the hidden layer of the value head.
    initial_memory_bars : N; before training the units of ``lstm`` and ``gru`` forget after 1 to N bars (see
        `policies.memory_cores.forget_biases`); ignored by the others; at least 2.
    symbol_embedding : add a learnt vector per asset, so that assets may be treated differently.
    attention : what the core ``attention`` looks back on; None for the other cores.
    weights_distribution : distribution of continuous actions (scheme ``weights``): ``squashed_gaussian``, or
        ``dirichlet`` for long-only weights that sum to at most one, the rest being cash.
    action_masks : give no probability to choices that a limit would change (``env.action_masks()``).
    compiled : ``auto`` computes with kernels where there are any (on a CPU, in single precision), ``off`` with plain
        torch everywhere; numbers differ by rounding.
    actors : who acts, see `policies.actor_groups`; one policy that all symbols share in configurations that are older
        than it.
    """

    core: str
    encoder_units: int
    core_units: int
    value_units: int
    initial_memory_bars: int
    symbol_embedding: bool
    attention: AttentionConfig | None
    weights_distribution: Literal["squashed_gaussian", "dirichlet"]
    action_masks: bool
    compiled: Literal["auto", "off"]
    actors: ActorGroups = SHARED

    def __post_init__(self) -> None:
        choices = (
            ("core", tuple(CORES)),
            ("weights_distribution", WEIGHTS_DISTRIBUTIONS),
            ("compiled", COMPILED),
        )
        for name, known in choices:
            value = getattr(self, name)
            if value not in known:
                hint = nearest_name(str(value), known)
                raise ValueError(f"policy.{name} is {value!r}{hint}; choose {', '.join(known)}")
        for name in ("encoder_units", "core_units", "value_units"):
            if getattr(self, name) < 1:
                raise ValueError(f"policy.{name} is {getattr(self, name)}; it must be at least 1")
        if self.initial_memory_bars < 2:
            raise ValueError(
                f"policy.initial_memory_bars is {self.initial_memory_bars}; it must be at least 2"
            )
        check_groups(self.actors)
        if self.actors != SHARED and self.weights_distribution == "dirichlet":
            raise ValueError(
                "policy.actors gives symbols policies of their own, and a Dirichlet divides one budget among all "
                "symbols; set policy.weights_distribution=squashed_gaussian, or policy.actors=shared"
            )
        self._check_settings_of_core()

    def _check_settings_of_core(self) -> None:
        settings = CORES[self.core].settings
        if settings is None:
            return
        own = getattr(self, self.core)
        if own is None:
            names = " and ".join(field.name for field in fields(settings))
            raise ValueError(f"policy.core is {self.core} but policy.{self.core} is null; give {names}")
        own.check_fits(self.core_units)

    def to_json(self) -> dict[str, Any]:
        """The fields; nothing is said of actors where there are none, as in older contracts."""
        facts = asdict(self)
        if self.actors == SHARED:
            del facts["actors"]
        return facts

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Self:
        """Of the mapping that `to_json` makes of a config."""
        own = {
            name: facts[name] and core.settings(**facts[name])
            for name, core in CORES.items()
            if core.settings is not None
        }
        if isinstance(facts.get("actors"), Mapping):
            own["actors"] = {name: tuple(symbols) for name, symbols in facts["actors"].items()}
        return cls(**{**facts, **own})


class NetworkOutput(NamedTuple):
    """``scores`` (..., A * S + G) parametrise the action distribution; ``values`` (...) estimate the return."""

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
    pooled_scores : G, numbers for the portfolio as a whole (such as cash); they come last.
    """

    actor_slots: tuple[tuple[int, ...], ...] = ()
    """The assets of each actor (`policies.actor_network`): none, one policy decides for all."""

    def __init__(
        self,
        layout: ObservationLayout,
        scores_per_asset: int,
        config: NetworkConfig,
        pooled_scores: int = 0,
    ) -> None:
        super().__init__()
        self.config = config
        self._arithmetic = CompiledArithmetic() if config.compiled == "auto" else TorchArithmetic()
        self.num_assets = max(layout.num_assets, 1)
        structured = layout.num_assets > 0
        slices = layout.slices
        self.asset_slices = [slices["market"], slices["position"]] if structured else [slice(0, layout.size)]
        self.context_slice = slice(slices["account"].start if structured else layout.size, layout.size)
        inputs = sum(part.stop - part.start for part in self.asset_slices) // self.num_assets
        encoder, core = config.encoder_units, config.core_units
        self.encode_asset = nn.Linear(inputs, encoder)
        account = self.context_slice.stop - self.context_slice.start
        # A flat observation is seen whole by its one "asset": there is nothing to add from a context.
        self.encode_context = nn.Linear(encoder + account, encoder) if structured else None
        self.symbols = (
            nn.Parameter(torch.zeros(self.num_assets, encoder)) if config.symbol_embedding else None
        )
        memory = CORES[config.core].build(config, self._arithmetic)
        self.core_from_asset = nn.Linear(encoder, memory.input_units)
        self.core_from_context = nn.Linear(encoder, memory.input_units, bias=False) if structured else None
        self.memory = memory
        self.score_from_core = nn.Linear(core, scores_per_asset)
        self.score_from_asset = nn.Linear(encoder, scores_per_asset, bias=False)
        portfolio = core + (2 if structured else 1) * encoder
        self.value_hidden = nn.Linear(portfolio, config.value_units)
        self.value = nn.Linear(config.value_units, 1)
        self.score_from_pool = nn.Linear(portfolio, pooled_scores) if pooled_scores else None
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
        with torch.no_grad():
            self.memory.initialise(self.core_from_asset.bias)

    @property
    def is_stateful(self) -> bool:
        """Whether anything is carried from bar to bar."""
        return bool(self.memory.state_units)

    def initial_state(self, num_rows: int) -> State:
        """State before the first bar, all zeros: name -> (num_rows, A, width); empty without memory."""
        return {
            name: torch.zeros(num_rows, self.num_assets, width)
            for name, width in self.memory.state_units.items()
        }

    def step(self, observation: Tensor, state: Mapping[str, Tensor]) -> NetworkOutput:
        """Advance by one decision: ``observation`` (B, D) and ``state`` (B, A, width)."""
        asset, context = self._encode(observation)
        rows = self._arithmetic.core_inputs(
            self._core_inputs(asset.unsqueeze(0), context.unsqueeze(0))
        ).squeeze(0)
        flat = {name: value.reshape(rows.shape[0], -1) for name, value in state.items()}
        outputs, after = self.memory.step(rows, flat)
        scores, values = self._heads(asset, context, outputs.unflatten(0, asset.shape[:2]))
        return NetworkOutput(scores, values, {n: v.unflatten(0, asset.shape[:2]) for n, v in after.items()})

    def sequence(self, observation: Tensor, state: Mapping[str, Tensor], keep: Tensor) -> NetworkOutput:
        """Run over sequences.

        Parameters
        ----------
        observation : (L, B, D).
        state : (B, A, width) before the first step.
        keep : (L, B), 0.0 where an episode starts at that step, else 1.0.
        """
        asset, context = self._encode(observation)
        length, num_rows = len(asset), asset.shape[1] * asset.shape[2]
        keep_rows = keep.unsqueeze(-1).expand(asset.shape[:-1]).reshape(length, num_rows, 1)
        flat = {name: value.reshape(num_rows, -1) for name, value in state.items()}
        outputs, after = self.memory.sequence(self._core_inputs(asset, context), flat, keep_rows)
        scores, values = self._heads(asset, context, outputs.unflatten(1, asset.shape[1:3]))
        return NetworkOutput(scores, values, {n: v.unflatten(0, asset.shape[1:3]) for n, v in after.items()})

    def _encode(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """Embed each asset (..., A, M) and the account (..., M); the latter has width 0 for a flat observation."""
        parts = [observation[..., part].unflatten(-1, (self.num_assets, -1)) for part in self.asset_slices]
        encoder, bias = self.encode_asset, self.encode_asset.bias
        bias = bias if self.symbols is None else bias + self.symbols
        asset = self._arithmetic.dense(
            [torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]], [encoder.weight], bias, tanh=True
        )
        if self.encode_context is None:
            return asset, observation[..., :0]
        context = self._arithmetic.layer(
            [pooled(asset), observation[..., self.context_slice]], self.encode_context, tanh=True
        )
        return asset, context

    def _core_inputs(self, asset: Tensor, context: Tensor) -> CoreInputs:
        common = None
        if self.core_from_context is not None:
            common = self._arithmetic.layer([context], self.core_from_context)
        return CoreInputs(asset, self.core_from_asset, common)

    def _heads(self, asset: Tensor, context: Tensor, core: Tensor) -> tuple[Tensor, Tensor]:
        inputs = HeadInputs(core, asset, context)
        layers = HeadLayers(self.score_from_core, self.score_from_asset, self.value_hidden, self.value)
        scores, values = self._arithmetic.heads(inputs, layers)
        if self.score_from_pool is not None:
            scores = torch.cat(
                [scores, self._arithmetic.layer(inputs.pooled(), self.score_from_pool)], dim=-1
            )
        return scores, values
