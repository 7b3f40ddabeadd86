"""The least that each symbol of a study must be charged, from what the symbol is said to be and from when it trades."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data.schema import Panel
from data.sources import RecordedBars, StandInConfig
from envs.instruments import MINIMUM_COST_BPS
from rayjobs.study.config import TrainConfig

SYNTHETIC_BPS = min(MINIMUM_COST_BPS.values())
"""Of a market that is drawn from a law: no kind of instrument, so the least of any kind."""
SATURDAY_SHARE = 0.05
"""Share of tradable bars on Saturdays that tells around the clock (one seventh) from sessions (none)."""


def is_synthetic(config: TrainConfig) -> bool:
    """Whether the bars are drawn from a law (`data.synthetic`, `data.stand_in`); files never are."""
    return not isinstance(config.data, RecordedBars)


def is_stand_in(config: TrainConfig) -> bool:
    """Whether the bars are drawn in place of those of a real market: its costs are owed, and it is no evidence."""
    return isinstance(config.data, StandInConfig)


def least_costs(config: TrainConfig, panel: Panel) -> dict[str, float]:
    """Symbol -> least trading cost, basis points of the notional traded.

    `gate.min_cost_bps` where it is set, else that of the symbol's kind. A symbol that trades on Saturdays is crypto,
    whatever kind it is said to be.
    """
    asked = config.gate.min_cost_bps
    if asked is not None:
        return dict.fromkeys(panel.symbols, asked)
    if is_synthetic(config) and not is_stand_in(config):
        return dict.fromkeys(panel.symbols, SYNTHETIC_BPS)
    kinds = [config.instruments.kind_of(symbol) for symbol in panel.symbols]
    around_the_clock = saturday_share(panel) >= SATURDAY_SHARE
    crypto = MINIMUM_COST_BPS["crypto_spot"]
    return {
        symbol: max(MINIMUM_COST_BPS[kind], crypto if always else 0.0)
        for symbol, kind, always in zip(panel.symbols, kinds, around_the_clock.tolist())
    }


def saturday_share(panel: Panel) -> NDArray[np.float64]:
    """(A,) share of each symbol's tradable bars whose label is a Saturday, UTC."""
    # 1970-01-01 was a Thursday: two days later is a Saturday.
    saturday = (panel.bar_utc.astype("datetime64[D]").astype(np.int64) % 7) == 2
    return panel.tradable[saturday].sum(axis=0) / np.maximum(panel.tradable.sum(axis=0), 1)
