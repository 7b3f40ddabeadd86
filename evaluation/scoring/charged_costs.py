"""What was charged: trading costs per unit of turnover, symbol by symbol, against the least that its market charges.

Trading costs are commission, spread, slippage and impact; funding and borrow are financing, which is owed for holding
and not for trading, and counts neither way. Turnover is notional traded, account currency, both sides of a round trip.
A maker rebate lowers what was charged like any other discount. Axes: A asset, R fills.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from envs.config import PortfolioEnvConfig
from envs.costs import COST_NAMES
from envs.kernel import columns as c
from envs.market import Market
from envs.recording import Recording
from envs.rules import instrument_matrix

FloatArray = NDArray[np.float64]
TRADING_COSTS = tuple(COST_NAMES.index(name) for name in ("commission", "spread", "slippage", "impact"))


@dataclass(frozen=True, kw_only=True)
class ChargedCost:
    """What one symbol's trades were charged.

    Attributes
    ----------
    symbol : its name. notional : traded, account currency, >= 0. cost : charged for it, account currency.
    minimum_bps : least charge per unit of turnover that counts as a cost, basis points.
    """

    symbol: str
    notional: float
    cost: float
    minimum_bps: float

    @property
    def bps(self) -> float:
        """Basis points charged per unit of turnover; nan where nothing was traded."""
        return 1e4 * self.cost / self.notional if self.notional > 0.0 else np.nan

    @property
    def share(self) -> float:
        """Multiple of the minimum that was charged; inf where nothing was traded or nothing is asked."""
        if not self.notional > 0.0 or not self.minimum_bps > 0.0:
            return np.inf
        # A fee at the minimum itself is enough, whatever its last bit.
        return round(self.bps / self.minimum_bps, 9)


def charged_costs(
    recordings: Iterable[Recording],
    symbols: Sequence[str],
    multipliers: Mapping[str, float],
    minimum_bps: Mapping[str, float],
) -> tuple[ChargedCost, ...]:
    """What the fills of several recordings were charged, all together.

    Parameters
    ----------
    symbols : of the market, in its order.
    multipliers : symbol -> account currency per unit and price point.
    minimum_bps : symbol -> basis points of turnover.
    """
    notional, cost = np.zeros(len(symbols)), np.zeros(len(symbols))
    point = np.array([multipliers[symbol] for symbol in symbols])
    for recording in recordings:
        fills = recording.fills
        asset_R = np.asarray(recording.symbols)[fills.asset]
        np.add.at(notional, asset_R, np.abs(fills.units) * fills.price * point[asset_R])
        np.add.at(cost, asset_R, np.asarray(fills.costs)[:, TRADING_COSTS].sum(axis=1))
    return tuple(
        ChargedCost(
            symbol=symbol, notional=float(notional[a]), cost=float(cost[a]), minimum_bps=minimum_bps[symbol]
        )
        for a, symbol in enumerate(symbols)
    )


def in_total(charged: Sequence[ChargedCost]) -> ChargedCost:
    """All symbols together; the minimum is weighted by the notional traded in each."""
    notional = sum(one.notional for one in charged)
    owed = sum(one.notional * one.minimum_bps for one in charged)
    return ChargedCost(
        symbol="all",
        notional=notional,
        cost=sum(one.cost for one in charged),
        minimum_bps=owed / notional if notional > 0.0 else 0.0,
    )


def dearer(
    market: Market,
    config: PortfolioEnvConfig,
    recording: Recording,
    minimum_bps: Mapping[str, float],
    *,
    cost_factor: float,
) -> tuple[Market, PortfolioEnvConfig] | None:
    """The market and env in which every symbol is charged its minimum at least; None where it is already.

    What a symbol lacks is added to its fees. It is what the policy's own fills were charged too little; where the
    policy did not trade a symbol, what a market order of one unit would be.

    Parameters
    ----------
    recording : of the policy under `config`, at `cost_factor` times all costs.
    minimum_bps : symbol -> basis points of turnover.
    """
    if cost_factor <= 0.0 or not minimum_bps:
        return None  # no fee makes up for a factor of zero; the gate refuses it by name
    matrix = instrument_matrix(config, market)
    multipliers = dict(zip(market.symbols, matrix[:, c.MULTIPLIER].tolist()))
    charged = charged_costs([recording], market.symbols, multipliers, minimum_bps)
    bars = np.asarray(recording.bar)
    usual_A = cost_factor * _market_order_bps(market, matrix, config, bars)
    lacks = np.zeros(len(charged))
    for a, one in enumerate(charged):
        found = one.bps if one.notional > 0.0 else usual_A[a]
        if round(found - one.minimum_bps, 9) < 0.0:
            lacks[a] = (one.minimum_bps - found) / cost_factor
    if not lacks.any():
        return None
    matrix[:, c.TAKER_BPS] += lacks
    matrix[:, c.MAKER_BPS] += lacks
    # The overrides of the config are in the matrix already; left in force they would replace what was added.
    costs = replace(config.costs, half_spread_bps=None, fee_bps=None)
    return replace(market, instrument=matrix), replace(config, costs=costs)


def _market_order_bps(
    market: Market, matrix: FloatArray, config: PortfolioEnvConfig, bars: NDArray[np.int64]
) -> FloatArray:
    """(A,) commission, spread and fixed slippage of a market order at the mean mark of these bars, bps."""
    mark = market.mark[bars]
    price = np.array([np.mean(m[m > 0.0]) if (m > 0.0).any() else np.inf for m in mark.T])
    ticks = matrix[:, c.HALF_SPREAD_TICKS].copy()
    bps = matrix[:, c.TAKER_BPS] + matrix[:, c.HALF_SPREAD_BPS]
    if config.costs.slippage == "fixed_ticks":
        ticks += config.costs.slippage_value
    if config.costs.slippage == "fixed_bps":
        bps = bps + config.costs.slippage_value
    in_price = ticks * matrix[:, c.TICK_SIZE] + matrix[:, c.COMMISSION_PER_UNIT] / matrix[:, c.MULTIPLIER]
    return bps + 1e4 * in_price / price
