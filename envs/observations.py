"""The observation: one flat float32 vector per env, with named slices.

Order: market (A, F) | position (A, P) | account | clock. Market and clock columns are bounded by FEATURE_CLIP, all
others lie in [-1, 1]; soft(x) = x / (1 + |x|). Every entry is finite and known at the close of bar t.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import gymnasium
import numpy as np

from envs.validation import require_positive

FEATURE_CLIP = 10.0

POSITION_NAMES: tuple[str, ...] = (
    "direction",  # sign of the units held
    "exposure",  # notional over equity, over max_gross_exposure, clipped to [-1, 1]
    "working_order",  # (target - held) notional over equity, over max_gross_exposure, clipped
    "unrealised_return",  # soft(return since average entry / return_scale)
    "bars_held",  # n / (n + holding_scale_bars)
    "tradable",  # 1 if bar t could be traded
)
ACCOUNT_NAMES: tuple[str, ...] = (
    "gross_exposure",  # over max_gross_exposure, clipped to [0, 1]
    "net_exposure",  # over max_gross_exposure, clipped to [-1, 1]
    "drawdown",  # 1 - equity / peak, clipped to [0, 1]
    "session_return",  # soft(return since the session's start / return_scale)
    "halted",  # 1 while a limit has halted trading
    "session_left",  # 1 / (1 + bars left in the session)
)


CAPITAL_NAMES: tuple[str, ...] = (
    "equity_ratio",  # equity over assets (what is held long, and cash that is not owed), clipped to [0, 1]
    "initial_capital_ratio",  # q / (1 + q), q = equity over initial equity: 0.5 as at the start
    "utilisation",  # initial margin of what is held over equity, clipped to [0, 1]
)
"""What may follow the account block, where the configuration asks for it, in this order."""


@dataclass(frozen=True, kw_only=True)
class ObservationConfig:
    """Scales of the position and account blocks, and what is shown of the account's capital.

    Attributes
    ----------
    return_scale : return that maps to 0.5, fraction.
    holding_scale_bars : bars held that map to 0.5.
    equity_ratio, initial_capital_ratio, utilisation : whether the account block goes on with this column of
        `CAPITAL_NAMES`; none in configurations that are older than they are, so that their policies stay valid.
    """

    return_scale: float
    holding_scale_bars: float
    equity_ratio: bool = False
    initial_capital_ratio: bool = False
    utilisation: bool = False

    def __post_init__(self) -> None:
        require_positive("observation", "return_scale", self.return_scale)
        require_positive("observation", "holding_scale_bars", self.holding_scale_bars)

    @property
    def account_names(self) -> tuple[str, ...]:
        """Columns of the account block, in order."""
        return (*ACCOUNT_NAMES, *(name for name in CAPITAL_NAMES if getattr(self, name)))


@dataclass(frozen=True, kw_only=True)
class ObservationLayout:
    """Names and places of everything in the flat observation vector.

    Attributes
    ----------
    num_assets : A. market_per_asset : F. position_per_asset : P. account, clock : lengths of the last two blocks.
    names : name of each entry, "close_return@0" for asset-wise columns (asset slot after the at sign).
    slices : block name -> slice over the flat (D,) vector; empty for a foreign env's layout except "flat".
    """

    num_assets: int
    market_per_asset: int
    position_per_asset: int
    account: int
    clock: int
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.names) != self.size:
            raise ValueError(
                f"layout has {len(self.names)} names for {self.size} entries; give one per entry"
            )

    @property
    def size(self) -> int:
        """D, length of the flat vector."""
        return self.num_assets * (self.market_per_asset + self.position_per_asset) + self.account + self.clock

    @property
    def slices(self) -> dict[str, slice]:
        """Block name -> slice, in the order market, position, account, clock."""
        market = self.num_assets * self.market_per_asset
        position = market + self.num_assets * self.position_per_asset
        account = position + self.account
        return {
            "market": slice(0, market),
            "position": slice(market, position),
            "account": slice(position, account),
            "clock": slice(account, account + self.clock),
        }

    @property
    def schema_hash(self) -> str:
        """sha256 over block sizes and names: a checkpoint made for another layout is refused by it."""
        facts = [
            self.num_assets,
            self.market_per_asset,
            self.position_per_asset,
            self.account,
            self.clock,
            list(self.names),
        ]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    @classmethod
    def flat(cls, size: int) -> ObservationLayout:
        """Layout of a foreign env: one unstructured vector of length `size`, kept as the account block."""
        return cls(
            num_assets=0,
            market_per_asset=0,
            position_per_asset=0,
            account=size,
            clock=0,
            names=tuple(f"x{index}" for index in range(size)),
        )

    @classmethod
    def portfolio(
        cls,
        num_assets: int,
        asset_names: tuple[str, ...],
        clock_names: tuple[str, ...],
        account_names: tuple[str, ...] = ACCOUNT_NAMES,
    ) -> ObservationLayout:
        """Layout of the portfolio env for A assets with the given columns (`ObservationConfig.account_names`)."""
        market = [f"{name}@{slot}" for slot in range(num_assets) for name in asset_names]
        position = [f"{name}@{slot}" for slot in range(num_assets) for name in POSITION_NAMES]
        return cls(
            num_assets=num_assets,
            market_per_asset=len(asset_names),
            position_per_asset=len(POSITION_NAMES),
            account=len(account_names),
            clock=len(clock_names),
            names=(*market, *position, *account_names, *clock_names),
        )

    def space(self) -> gymnasium.spaces.Box:
        """Bounded Box (D,) float32."""
        high = np.ones(self.size, dtype=np.float32)
        high[self.slices["market"]] = FEATURE_CLIP
        high[self.slices["clock"]] = FEATURE_CLIP
        return gymnasium.spaces.Box(-high, high, dtype=np.float32)
