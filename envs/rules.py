"""The config as numbers: one float64 vector that the kernel reads, columns named in envs.kernel.columns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from data.dividends import DIVIDEND
from data.schema import Panel
from data.split_factors import SPLIT_FACTOR
from data.traded_prices import ROLL, traded_prices
from data.universe import MEMBER
from envs.actions import ACTION_SCHEMES
from envs.barriers import BARRIER_UNITS, BarrierConfig
from envs.config import PortfolioEnvConfig
from envs.context import ContextConfig
from envs.costs import SLIPPAGE_KINDS, CostConfig
from envs.episodes import EpisodeConfig
from envs.instruments import Instrument
from envs.kernel import columns as c
from envs.kernel.reward import NUM_TERMS, TERMS
from envs.market import Market
from envs.observations import ObservationConfig
from envs.rewards import RewardConfig
from envs.risk import RiskConfig, by_symbol
from envs.sizing import SIZE_RULES, SizingConfig

OFF = -1.0
WINDOWS = {c.ATR: "atr_bars", c.VOLATILITY: "volatility_bars", c.ADV: "adv_bars", c.TAIL: "tail_bars"}
"""Context columns and the keys of their windows."""
WINDOW_RULES = {
    c.ATR: c.READS_ATR,
    c.VOLATILITY: c.READS_VOLATILITY,
    c.ADV: c.READS_ADV,
    c.TAIL: c.READS_TAIL,
}
SIZE_WINDOWS = {
    "atr_risk": "atr_bars",
    "volatility_target": "volatility_bars",
    "var_target": "tail_bars",
    "cvar_target": "tail_bars",
}
"""Size rules and the windows that they read."""
COARSE_TICK = 0.02
"""Largest tick over price at which barriers make sense."""
_FLAT_RULES = ("never", "last_open", "last_close")
_EPISODE_KINDS = ("random", "whole", "session")


def _number(value: float | None) -> float:
    return OFF if value is None else float(value)


def _put_sizing(rule: NDArray[np.float64], sizing: SizingConfig) -> None:
    rule[c.SIZE_RULE] = SIZE_RULES.index(sizing.rule)
    rule[c.SIZE_UNITS] = sizing.units
    rule[c.SIZE_FRACTION] = sizing.fraction
    rule[c.SIZE_RISK] = sizing.risk_fraction
    rule[c.SIZE_VOLATILITY] = sizing.target_volatility
    rule[c.SIZE_KELLY] = sizing.kelly_fraction
    rule[c.SIZE_KELLY_MIN] = sizing.kelly_min_trades
    rule[c.SIZE_MAX_FRACTION] = sizing.max_fraction
    rule[c.SIZE_TAIL] = _number(sizing.target_loss)
    rule[c.SIZE_BUDGET] = _number(sizing.risk_budget)
    rule[c.SIZE_MONEY] = _number(sizing.money_budget)
    rule[c.SIZE_MAX_UNITS] = _number(sizing.max_units)
    rule[c.TRADE_STATS] = float(sizing.rule == "fractional_kelly")
    rule[c.SCHEDULE] = len(sizing.schedule)
    for index, step in enumerate(sizing.schedule):
        base = c.SCHEDULE + 1 + 3 * index
        rule[base : base + 3] = step.equity_multiple, step.fraction, step.notional_cap


def _put_costs(rule: NDArray[np.float64], costs: CostConfig) -> None:
    rule[c.SLIPPAGE_KIND] = SLIPPAGE_KINDS.index(costs.slippage)
    rule[c.SLIPPAGE_VALUE] = costs.slippage_value
    rule[c.IMPACT_COEFFICIENT] = costs.impact_coefficient
    rule[c.LINEAR_IMPACT] = costs.linear_impact_bps * 1e-4 / 1_000.0
    rule[c.PARTICIPATION] = _number(costs.max_participation)
    rule[c.CARRY] = float(costs.remainder == "carry")
    rule[c.LATENCY_BARS] = costs.latency_bars
    rule[c.FUNDING_ON] = float(costs.funding)
    rule[c.RECOVERY] = costs.delisting_recovery


def _has_levels(barriers: BarrierConfig | None) -> bool:
    return barriers is not None and barriers.has_levels


def _put_barriers(rule: NDArray[np.float64], barriers: BarrierConfig | None) -> None:
    names = (c.PROFIT_TARGET, c.STOP_LOSS, c.TRAILING_STOP, c.TIME_LIMIT)
    rule[list(names)] = OFF
    if barriers is None:
        return
    levels = (barriers.profit_target, barriers.stop_loss, barriers.trailing_stop)
    rule[list(names)] = [_number(value) for value in (*levels, barriers.time_limit_bars)]
    rule[c.BARRIERS_ON] = float(_has_levels(barriers))
    rule[c.BARRIER_UNIT] = BARRIER_UNITS.index(barriers.unit)


def _put_risk(rule: NDArray[np.float64], risk: RiskConfig) -> None:
    rule[c.MAX_GROSS] = risk.max_gross_exposure
    rule[c.MAX_POSITION] = _number(risk.max_position_exposure)
    rule[c.MAX_GROSS_NOTIONAL] = _number(risk.max_gross_notional)
    rule[c.MAX_DAILY_LOSS_AMOUNT] = _number(risk.max_daily_loss_amount)
    rule[c.MAX_DRAWDOWN_AMOUNT] = _number(risk.max_drawdown_amount)
    rule[c.SLOT_LIMITS] = float(not (risk.max_position_units is None and risk.max_position_notional is None))
    rule[c.MAX_SECTOR] = _number(risk.max_sector_exposure)
    rule[c.MAX_SECTOR_NET] = _number(risk.max_sector_net_exposure)
    rule[c.MAX_CONCENTRATION] = _number(risk.max_concentration)
    rule[c.PORTFOLIO_VOLATILITY] = _number(risk.target_volatility)
    rule[c.COVARIANCE_BARS] = risk.volatility_bars or 0
    rule[c.JOINT_LIMITS] = float(risk.limits_jointly)
    rule[c.MARGIN_ON] = float(risk.margin)
    rule[c.MAX_DAILY_LOSS] = _number(risk.max_daily_loss)
    rule[c.MAX_DRAWDOWN] = _number(risk.max_drawdown)
    rule[c.MAX_VAR] = _number(risk.max_var)
    rule[c.VAR_RANK] = math.floor((1.0 - risk.var_level) * risk.var_bars + 1e-9)
    rule[c.MAX_ENTRIES] = _number(risk.max_entries_per_session)
    rule[c.MIN_HOLDING] = risk.min_holding_bars
    rule[c.NO_TRADE_OPEN] = risk.no_trade_open_bars
    rule[c.NO_TRADE_CLOSE] = risk.no_trade_close_bars
    rule[c.FLAT_RULE] = _FLAT_RULES.index(risk.flat_at_session_end)
    rule[c.RUIN] = risk.ruin_equity


def _put_reward(rule: NDArray[np.float64], reward: RewardConfig, bar_seconds: int) -> None:
    rule[c.REWARD_SCALE] = reward.scale
    rule[-NUM_TERMS:] = [getattr(reward, term) for term in TERMS]
    rule[c.REWARD_DSR_RATE] = reward.differential_sharpe_rate
    rule[c.EDGE_BARS] = math.ceil(reward.edge_minutes * 60.0 / bar_seconds)
    rule[c.EDGE_FACTOR] = reward.edge_factor


def _put_episode(rule: NDArray[np.float64], episode: EpisodeConfig) -> None:
    rule[c.EPISODE_KIND] = _EPISODE_KINDS.index(episode.kind)
    rule[c.EPISODE_BARS] = episode.bars
    rule[c.WARMUP_BARS] = episode.warmup_bars
    rule[c.LIQUIDATE] = float(episode.liquidate_at_end)
    random = episode.randomisation
    rule[c.COST_LOW] = rule[c.COST_HIGH] = OFF
    if random is not None:
        rule[c.RANDOM_TICKERS] = float(random.tickers)
        rule[c.COST_LOW], rule[c.COST_HIGH] = random.cost_low, random.cost_high
        rule[c.EXTRA_LATENCY] = random.max_extra_latency_bars


def _put_shown(rule: NDArray[np.float64], observation: ObservationConfig) -> None:
    rule[c.SHOWS_EQUITY_RATIO] = float(observation.equity_ratio)
    rule[c.SHOWS_INITIAL_CAPITAL] = float(observation.initial_capital_ratio)
    rule[c.SHOWS_UTILISATION] = float(observation.utilisation)


def rule_vector(config: PortfolioEnvConfig, market: Market) -> NDArray[np.float64]:
    """Write `config` into the kernel's rule vector; a limit that is off becomes -1."""
    offsets = config.action.entry_offsets
    rule = np.zeros(c.SCHEDULE + 1 + 3 * len(config.sizing.schedule) + len(offsets) + NUM_TERMS)
    rule[len(rule) - NUM_TERMS - len(offsets) : len(rule) - NUM_TERMS] = offsets
    rule[c.NUM_OFFSETS] = len(offsets)
    rule[c.ENTRY_IN_ATR] = float(config.action.entry_unit == "atr")
    rule[c.IN_FORCE_BARS] = config.action.time_in_force_bars
    rule[c.INITIAL_EQUITY] = config.initial_equity
    rule[c.SCHEME] = ACTION_SCHEMES[config.action.scheme].code
    rule[c.ALLOW_SHORT] = float(config.action.allow_short)
    rule[c.REBALANCE_BAND] = config.action.rebalance_band
    _put_sizing(rule, config.sizing)
    _put_costs(rule, config.costs)
    _put_barriers(rule, config.barriers)
    _put_risk(rule, config.risk)
    _put_reward(rule, config.reward, market.bar_seconds)
    _put_episode(rule, config.episode)
    for column, name in WINDOWS.items():
        rule[WINDOW_RULES[column]] = float(name in windows_read(config))
    rule[c.SOME_END] = float(np.isfinite(market.instrument[:, c.LAST_BAR]).any())
    if config.risk.caps_sectors:
        rule[c.NUM_SECTORS] = market.instrument[:, c.SECTOR].max() + 1.0
    rule[c.BORROW_LIMITS] = float((market.instrument[:, c.SHORT_SHARE] != 1.0).any())
    asked = (c.SLOT_LIMITS, c.BORROW_LIMITS)
    rule[c.ASKED] = float(rule[list(asked)].any() or config.action.scheme == "order_entry")
    rule[c.BORROW_ON] = float(config.costs.borrow and market.instrument[:, c.BORROW_RATE].any())
    rule[c.RETURN_SCALE] = config.observation.return_scale
    rule[c.HOLDING_SCALE] = config.observation.holding_scale_bars
    _put_shown(rule, config.observation)
    rule[c.YEAR_ROOT] = math.sqrt(market.periods_per_year)
    rule[c.DAY_ROOT] = math.sqrt(market.bars_per_session)
    rule[c.BARS_PER_SESSION] = market.bars_per_session
    return rule


def instrument_matrix(config: PortfolioEnvConfig, market: Market) -> NDArray[np.float64]:
    """Instrument columns (S, K) with the overrides of `config.costs` and the limits by symbol applied; a new array."""
    matrix = market.instrument.copy()
    if config.costs.half_spread_bps is not None:
        matrix[:, c.HALF_SPREAD_TICKS] = 0.0
        matrix[:, c.HALF_SPREAD_BPS] = config.costs.half_spread_bps
    if config.costs.fee_bps is not None:
        matrix[:, c.COMMISSION_PER_UNIT] = 0.0
        matrix[:, c.TAKER_BPS] = matrix[:, c.MAKER_BPS] = config.costs.fee_bps
    risk = config.risk
    matrix[:, c.MAX_UNITS] = by_symbol(risk.max_position_units, market.symbols)
    matrix[:, c.MAX_NOTIONAL] = by_symbol(risk.max_position_notional, market.symbols)
    matrix[:, c.MAX_SLOT_ENTRIES] = by_symbol(risk.max_entries_per_symbol, market.symbols)
    unknown = np.isnan(matrix[:, c.SHORT_SHARE])
    matrix[unknown, c.SHORT_SHARE] = 1.0 - risk.unknown_borrow_haircut
    return matrix


def longest_latency_bars(config: PortfolioEnvConfig) -> int:
    """Longest possible latency in bars, randomisation included."""
    random = config.episode.randomisation
    return config.costs.latency_bars + (random.max_extra_latency_bars if random is not None else 0)


def num_position_columns(config: PortfolioEnvConfig) -> int:
    """Columns of the position state: only what the config needs, so that a plain env stays small."""
    queued = longest_latency_bars(config)
    columns = c.QUEUE + queued if _has_levels(config.barriers) or queued > 0 else c.NUM_POSITION_COLUMNS_MIN
    columns += _has_atr_levels(config)
    columns += c.NUM_RESTING_COLUMNS * (config.action.scheme == "order_entry")
    return columns + (c.NUM_TRADE_COLUMNS if config.sizing.rule == "fractional_kelly" else 0)


def _has_atr_levels(config: PortfolioEnvConfig) -> bool:
    """True if a price level stands at a distance in ATR."""
    return config.barriers is not None and config.barriers.unit == "atr" and _has_levels(config.barriers)


def windows_read(config: PortfolioEnvConfig) -> dict[str, list[str]]:
    """Windows of the context that the config reads -> the keys that read them."""
    read: dict[str, list[str]] = {}
    if config.sizing.rule in SIZE_WINDOWS and config.action.scheme != "weights":
        read[SIZE_WINDOWS[config.sizing.rule]] = [f"sizing.rule={config.sizing.rule}"]
    if config.action.scheme == "order_entry" and config.action.entry_unit == "atr":
        read.setdefault("atr_bars", []).append("action.entry_unit=atr")
    if _has_atr_levels(config):
        read.setdefault("atr_bars", []).append("barriers.unit=atr")
    if config.costs.impact_coefficient > 0:
        for window in ("volatility_bars", "adv_bars"):
            read.setdefault(window, []).append("costs.impact_coefficient")
    return read


def context_in_use(
    context: ContextConfig, config: PortfolioEnvConfig, panel: Panel, instruments: Mapping[str, Instrument]
) -> ContextConfig | None:
    """`context` with the windows that a size, barrier or cost of the config reads; None if nothing of it is read.

    A market without context saves 40 bytes a bar and symbol. The first observation waits for windows that are read.
    """
    funded = config.costs.funding and any(instruments[s].funding_hours > 0.0 for s in panel.symbols)
    read = windows_read(config)
    targeted = config.risk.target_volatility is not None
    charged = {SPLIT_FACTOR, DIVIDEND, ROLL, MEMBER} & set(panel.exogenous)
    if not (read or funded or targeted or charged):
        return None
    return replace(
        context,
        atr_bars=context.atr_bars if "atr_bars" in read else None,
        volatility_bars=context.volatility_bars if "volatility_bars" in read else None,
        adv_bars=context.adv_bars if "adv_bars" in read else None,
        tail_bars=context.tail_bars if "tail_bars" in read else None,
        tail=("cvar" if config.sizing.rule == "cvar_target" else "var") if "tail_bars" in read else None,
        covariance_bars=config.risk.volatility_bars if targeted else None,
    )


def check_ticks(panel: Panel, config: PortfolioEnvConfig, instruments: Mapping[str, Instrument]) -> None:
    """Raise ValueError if barriers are to fill on a grid that is coarser than prices allow.

    A tick above `COARSE_TICK` of the median price would move every stop and target by per cents, and a stop of a
    symbol that is cheaper than its tick would rest at 0.
    """
    if not _has_levels(config.barriers):
        return
    close = traded_prices(panel)["close"]
    for s, symbol in enumerate(panel.symbols):
        known = close[np.isfinite(close[:, s]), s]
        tick = instruments[symbol].tick_size
        if len(known) and tick > COARSE_TICK * (price := float(np.median(np.abs(known)))):
            raise ValueError(
                f"the tick size of {symbol} is {tick:g}, {tick / price:.1%} of its median price {price:g}, and "
                f"barriers fill on ticks; set instruments.symbols.{symbol}.tick_size to the price step of its venue"
            )
