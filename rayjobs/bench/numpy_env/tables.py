"""What a bar means for every env row, worked out once per market, so that a step only looks it up.

Row i of a table belongs to bar i and to the step that ends at its close, t = i - 1. Columns about sizes and costs
hold what was known at close t. Axes: T time, E env, A asset, K column, D observation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.config import PortfolioEnvConfig
from envs.kernel import columns as c
from envs.market import Market
from envs.observations import ObservationLayout
from rayjobs.bench.numpy_env.scope import Limits

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# Columns of `Tables.prices`, read for all assets in every bar.
HIGH, LOW, MARK, TRADABLE = range(4)
NUM_PRICES = 4
# Columns of `Tables.facts`, read where something is ordered or filled. SLIPPAGE and IMPACT are per unit of notional,
# IMPACT also per root of the units filled; UNITS_PER_EQUITY is an entry of the size rule under both caps on it.
OPEN, ROOM, SLIPPAGE, IMPACT, ENTRY_ATR, UNITS_PER_EQUITY = range(6)
NUM_FACTS = 6


@dataclass(frozen=True, kw_only=True)
class Tables:
    """Look-up tables of one market under one config.

    Attributes
    ----------
    prices : (T, 4 A) float64, column k A + a. A bar that cannot be traded repeats its mark.
    facts : (T A, 6) float64, row t A + a.
    funding : (T, A) float64, rate of the funding instants in the bar; funded : (T,) whether there is any.
    years : (T,) float64, time since the bar before.
    new_session : (T,) bar belongs to another session than the one before.
    flat, closed : (T,) bool, an order decided now fills where all must be flat, or may only reduce.
    edge : (T,) float64, factor of the penalty per fill. fill_bar : (T,) float64, bar that an order decided now meets.
    still : (T, D) float32, observation of an account without positions.
    frozen : whether any bar of the market cannot be traded.
    """

    prices: FloatArray
    facts: FloatArray
    funding: FloatArray
    funded: BoolArray
    years: FloatArray
    new_session: BoolArray
    flat: BoolArray
    closed: BoolArray
    edge: FloatArray
    fill_bar: FloatArray
    still: NDArray[np.float32]
    frozen: bool

    @classmethod
    def build(
        cls, market: Market, config: PortfolioEnvConfig, limits: Limits, layout: ObservationLayout
    ) -> Tables:
        """Look-up tables of `market` for orders that fill one bar late."""
        T, bars = market.num_bars, market.bars
        tradable = market.tradable
        seen = np.where(tradable[..., None], bars[..., [c.HIGH, c.LOW, c.MARK]], bars[..., c.MARK, None])
        prices = np.concatenate([seen, tradable[..., None]], axis=2).transpose(0, 2, 1).reshape(T, -1)
        session, since, left = market.calendar.T
        fill_bar = np.minimum(np.arange(T) + 1, T - 1)
        edge_bars = math.ceil(config.reward.edge_minutes * 60.0 / market.bar_seconds)
        risk = config.risk
        return cls(
            prices=np.ascontiguousarray(prices),
            facts=_facts(market, config, limits).reshape(T * market.num_symbols, NUM_FACTS),
            funding=bars[..., c.FUNDING].copy(),
            funded=(bars[..., c.FUNDING] != 0.0).any(axis=1),
            years=market.years.copy(),
            new_session=np.diff(session, prepend=session[0]) != 0,
            flat=left[fill_bar] == 0,
            closed=(since[fill_bar] < risk.no_trade_open_bars) | (left[fill_bar] < risk.no_trade_close_bars),
            edge=np.where((since < edge_bars) | (left < edge_bars), config.reward.edge_factor, 1.0),
            fill_bar=fill_bar.astype(float),
            still=_still_observation(market, layout),
            frozen=not tradable.all(),
        )


def _facts(market: Market, config: PortfolioEnvConfig, limits: Limits) -> FloatArray:
    """(T, A, 6)."""
    bars, costs = market.bars, config.costs
    volume, adv = bars[..., c.VOLUME], bars[..., c.ADV]
    sigma, mark = bars[..., c.VOLATILITY], bars[..., c.LAST_MARK]
    facts = np.zeros((market.num_bars, market.num_symbols, NUM_FACTS))
    with np.errstate(divide="ignore", invalid="ignore"):
        slippage = costs.slippage_value / np.sqrt(volume)
        impact = costs.impact_coefficient * sigma * math.sqrt(market.bars_per_session) / np.sqrt(adv)
        fraction = config.sizing.target_volatility / (sigma * math.sqrt(market.periods_per_year))
        fraction = np.minimum(fraction, min(config.sizing.max_fraction, limits.max_position_exposure))
        facts[..., UNITS_PER_EQUITY] = np.where((sigma > 0) & (mark > 0), fraction / mark, 0.0)
    facts[..., OPEN] = np.where(market.tradable, bars[..., c.OPEN], bars[..., c.MARK])
    facts[..., ROOM] = limits.max_participation * volume
    facts[..., SLIPPAGE] = np.where(volume > 0, slippage, 0.0)
    facts[..., IMPACT] = np.where(adv > 0, impact, 0.0)
    facts[..., ENTRY_ATR] = bars[..., c.ATR]
    return facts


def _still_observation(market: Market, layout: ObservationLayout) -> NDArray[np.float32]:
    """(T, D): everything of the observation that does not depend on the account."""
    still = np.zeros((market.num_bars, layout.size), dtype=np.float32)
    slices = layout.slices
    still[:, slices["market"]] = market.features.reshape(market.num_bars, -1)
    position = still[:, slices["position"]].reshape(market.num_bars, layout.num_assets, -1)
    position[..., -1] = market.tradable
    still[:, slices["position"]] = position.reshape(market.num_bars, -1)
    still[:, slices["account"].stop - 1] = 1.0 / (1.0 + market.calendar[:, c.BARS_LEFT])
    still[:, slices["clock"]] = market.clock
    return still
