"""Equal actors: several policy networks with weights of their own that trade one account.

Each actor sees its own assets, the account and the clock, and decides for its own assets; what it needs to know of
another symbol must be a feature. The account's value is the sum of what the actors expect (Sunehag et al. 2018, "Value-
decomposition networks for cooperative multi-agent learning"): its return is, but for costs and limits that they share,
the sum of what each symbol earns.

Shapes: L time, B sequences or envs, A assets, K actors, A_k assets of an actor, S scores per asset, D observation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import torch
from torch import Tensor, nn

from envs.observations import ObservationLayout
from policies.actor_groups import SHARED, Actor, actors_of
from policies.memory_cores import State
from policies.networks import NetworkConfig, NetworkOutput, PortfolioNetwork


@dataclass(frozen=True, kw_only=True)
class ActorNetworkConfig(NetworkConfig):
    """A network whose actors know where their symbols stand; made by `for_symbols`, never written by hand.

    Parameters
    ----------
    symbols : of the assets, in the order of the observation.
    """

    symbols: tuple[str, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.placed:
            raise ValueError("policy.actors is shared, which takes symbols in any order; leave them out")

    @property
    def placed(self) -> tuple[Actor, ...]:
        """The actors and the slots of their assets, in the order of their weights."""
        return actors_of(self.actors, self.symbols)

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Self:
        """Of the mapping that `to_json` makes of a config."""
        return super().from_json({**facts, "symbols": tuple(facts["symbols"])})

    def of_one(self, actor: Actor) -> NetworkConfig:
        """The network of one actor, which tells its symbols apart only where it has several."""
        own = {field.name: getattr(self, field.name) for field in fields(NetworkConfig)}
        several = self.symbol_embedding and len(actor.slots) > 1
        return NetworkConfig(**own | {"actors": SHARED, "symbol_embedding": several})


def for_symbols(config: NetworkConfig, symbols: Sequence[str]) -> NetworkConfig:
    """The network on these symbols, in the order of the observation; as it is where all share one policy.

    Raises
    ------
    ValueError
        If a group of ``policy.actors`` names a symbol that is not there, or a symbol is in no group.
    """
    if config.actors == SHARED:
        return config
    own = {field.name: getattr(config, field.name) for field in fields(NetworkConfig)}
    return ActorNetworkConfig(**own, symbols=tuple(symbols))


def network_config_of(facts: Mapping[str, Any]) -> NetworkConfig:
    """A network's config from the JSON of a contract."""
    return (ActorNetworkConfig if "symbols" in facts else NetworkConfig).from_json(facts)


class ActorsNetwork(nn.Module):
    """A `PortfolioNetwork` for each actor, as one: the same methods, shapes and order of assets.

    A gradient of an actor's scores reaches its own weights only. With one actor that has every asset it is that actor's
    network, to the bit.

    Parameters
    ----------
    layout : of the whole observation; it has assets. scores_per_asset : S. config : sizes, actors, symbols.

    Raises
    ------
    ValueError
        If the observation has another number of assets than there are symbols.
    """

    def __init__(self, layout: ObservationLayout, scores_per_asset: int, config: ActorNetworkConfig) -> None:
        super().__init__()
        if layout.num_assets != len(config.symbols):
            raise ValueError(
                f"policy.actors is for the {len(config.symbols)} symbols {', '.join(config.symbols)}, but the "
                f"observation has {layout.num_assets} assets; give it all of them at once, or set policy.actors=shared"
            )
        self.config = config
        self.num_assets = layout.num_assets
        placed = config.placed
        self.actor_slots = tuple(actor.slots for actor in placed)
        layouts = [layout_of_slots(layout, slots) for slots in self.actor_slots]
        self.actors = nn.ModuleList(
            PortfolioNetwork(own, scores_per_asset, config.of_one(actor))
            for own, actor in zip(layouts, placed, strict=True)
        )
        for number, slots in enumerate(self.actor_slots):
            self._keep_index(f"columns_{number}", columns_of_slots(layout, slots))
            self._keep_index(f"slots_{number}", slots)
        joined = [slot for slots in self.actor_slots for slot in slots]
        self._keep_index("order", [joined.index(slot) for slot in range(self.num_assets)])

    def _keep_index(self, name: str, places: Sequence[int]) -> None:
        """On the device of the weights, but no weight: it follows from the config."""
        self.register_buffer(name, torch.tensor(places, dtype=torch.long), persistent=False)

    @property
    def networks(self) -> tuple[PortfolioNetwork, ...]:
        """The actors' own networks."""
        return tuple(self.actors)  # type: ignore[arg-type]

    @property
    def is_stateful(self) -> bool:
        """Whether anything is carried from bar to bar."""
        return self.networks[0].is_stateful

    def initial_state(self, num_rows: int) -> State:
        """State before the first bar, all zeros: name -> (num_rows, A, width); empty without memory."""
        return {
            name: value.new_zeros(num_rows, self.num_assets, value.shape[-1])
            for name, value in self.networks[0].initial_state(1).items()
        }

    def step(self, observation: Tensor, state: Mapping[str, Tensor]) -> NetworkOutput:
        """Advance by one decision: ``observation`` (B, D) and ``state`` (B, A, width)."""
        return self.step_by(self.networks, observation, state)

    def step_by(
        self, forms: Sequence[Any], observation: Tensor, state: Mapping[str, Tensor]
    ) -> NetworkOutput:
        """`step`, with each actor's part done by a form of its network that has its ``step``."""
        parts = [
            form.step(self._seen(number, observation), self._own(number, state))
            for number, form in enumerate(forms)
        ]
        return self._joined(parts)

    def sequence(self, observation: Tensor, state: Mapping[str, Tensor], keep: Tensor) -> NetworkOutput:
        """Run over sequences; arguments as in `PortfolioNetwork.sequence`."""
        parts = [
            network.sequence(self._seen(number, observation), self._own(number, state), keep)
            for number, network in enumerate(self.networks)
        ]
        return self._joined(parts)

    def _seen(self, number: int, observation: Tensor) -> Tensor:
        return observation.index_select(-1, self.get_buffer(f"columns_{number}"))

    def _own(self, number: int, state: Mapping[str, Tensor]) -> State:
        slots = self.get_buffer(f"slots_{number}")
        return {name: value.index_select(1, slots) for name, value in state.items()}

    def _joined(self, parts: Sequence[NetworkOutput]) -> NetworkOutput:
        order = self.order
        assert isinstance(order, Tensor)
        scores = torch.cat(
            [
                part.scores.unflatten(-1, (len(slots), -1))
                for part, slots in zip(parts, self.actor_slots, strict=True)
            ],
            dim=-2,
        )
        state = {
            name: torch.cat([part.state[name] for part in parts], dim=1).index_select(1, order)
            for name in parts[0].state
        }
        values = torch.stack([part.values for part in parts]).sum(dim=0)
        return NetworkOutput(scores.index_select(-2, order).flatten(-2), values, state)


def columns_of_slots(layout: ObservationLayout, slots: Sequence[int]) -> list[int]:
    """Places in the flat observation of what the assets in these slots show, then of account and clock."""
    columns = []
    for block, width in (("market", layout.market_per_asset), ("position", layout.position_per_asset)):
        start = layout.slices[block].start
        columns += [start + slot * width + column for slot in slots for column in range(width)]
    return [*columns, *range(layout.slices["account"].start, layout.size)]


def layout_of_slots(layout: ObservationLayout, slots: Sequence[int]) -> ObservationLayout:
    """The layout of an observation of these assets alone, with account and clock; names are kept."""
    return ObservationLayout(
        num_assets=len(slots),
        market_per_asset=layout.market_per_asset,
        position_per_asset=layout.position_per_asset,
        account=layout.account,
        clock=layout.clock,
        names=tuple(layout.names[column] for column in columns_of_slots(layout, slots)),
    )
