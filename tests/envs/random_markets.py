"""Small random markets and configurations for the tests of the simulator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from data.features.compute import FeatureSet
from data.schema import Panel
from envs.actions import ActionConfig
from envs.barriers import BarrierConfig
from envs.config import PortfolioEnvConfig
from envs.context import ContextConfig
from envs.costs import CostConfig
from envs.episodes import EpisodeConfig
from envs.instruments import CATALOGUE
from envs.market import Market
from envs.observations import ObservationConfig
from envs.rewards import REWARD_TERMS, RewardConfig
from envs.risk import RiskConfig
from envs.sizing import ScheduleStep, SizingConfig

CONTEXT = ContextConfig(
    atr_bars=5,
    volatility_bars=6,
    adv_bars=7,
    until_full="no_entry",
    tail_bars=7,
    tail_level=0.8,
    tail="var",
)
NO_REWARD = dict.fromkeys(REWARD_TERMS, 0.0)


def random_panel(
    seed: int,
    *,
    num_bars: int = 80,
    num_assets: int = 2,
    bars_per_session: int = 12,
    holes: float = 0.05,
    volatility: float = 0.01,
    exogenous: bool = True,
) -> Panel:
    """Random walk with gaps, missing bars, untradable bars and sessions of 30-minute bars."""
    rng = np.random.default_rng(seed)
    shape = (num_bars, num_assets)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0, volatility, shape), axis=0))
    open_ = np.vstack([close[:1], close[:-1]]) * np.exp(rng.normal(0, volatility / 2, shape))
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0, volatility / 2, shape)))
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0, volatility / 2, shape)))
    volume = rng.uniform(50.0, 5_000.0, shape)
    missing = rng.uniform(size=shape) < holes
    frozen = rng.uniform(size=shape) < holes
    missing[0] = False
    for array in (open_, high, low, close):
        array[missing] = np.nan
    volume[missing | frozen] = 0.0
    day, slot = np.divmod(np.arange(num_bars), bars_per_session)
    minutes = day * 1440 + slot * 30
    start = np.datetime64("2021-03-01T14:00", "ns")
    columns = {}
    if exogenous:
        columns["funding_rate"] = np.where(rng.uniform(size=shape) < 0.5, rng.normal(0, 1e-3, shape), np.nan)
        columns["split_factor"] = np.where(np.arange(num_bars)[:, None] < num_bars // 2, 0.5, 1.0) * np.ones(
            shape
        )
        paid = np.where(rng.uniform(size=shape) < 0.1, rng.uniform(0.1, 3.0, shape), 0.0)
        columns["dividend"] = np.where(missing & (rng.uniform(size=shape) < 0.5), np.nan, paid)
    return Panel(
        symbols=tuple(f"S{a}" for a in range(num_assets)),
        bar_utc=start + minutes.astype("timedelta64[m]").astype("timedelta64[ns]"),
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=volume,
        tradable=~(missing | frozen),
        session=(18_687 + day).astype(np.int32),
        calendar="24/7",
        bar_seconds=1800,
        exogenous=columns,
    )


def with_life(
    panel: Panel, asset: int, *, listed: int = 0, ended: int | None = None, halts: bool = False
) -> Panel:
    """`panel` with one asset that has bars [listed, ended) only; halts: written down as copies of the last close."""
    changed = {
        name: getattr(panel, name).copy() for name in ("open", "high", "low", "close", "volume", "tradable")
    }
    bar = np.arange(panel.num_bars)
    if halts:
        last = panel.last_close()[:, asset]
        halted = ~panel.tradable[:, asset] & np.isfinite(last) & (bar % 2 == 0)
        for name in ("open", "high", "low", "close"):
            changed[name][halted, asset] = np.append(np.nan, last[:-1])[halted]
    gone = (bar < listed) | (bar >= (panel.num_bars if ended is None else ended))
    for name, values in changed.items():
        values[gone, asset] = {"volume": 0.0, "tradable": False}.get(name, np.nan)
    columns = dict(panel.exogenous)
    if halts and "dividend" in columns:  # prices are known in bars that were missing
        columns["dividend"] = np.nan_to_num(columns["dividend"])
    return replace(panel, **changed, exogenous=columns)


def with_rolls(panel: Panel, asset: int, seed: int, *, ratio: bool) -> Panel:
    """`panel` with one asset as a series of contracts, its prices adjusted by difference, or by ratio."""
    rng = np.random.default_rng(seed)
    traded = np.flatnonzero(panel.tradable[1:, asset]) + 1
    at = np.sort(rng.choice(traded, size=min(6, len(traded)), replace=False))
    shape = panel.close.shape
    terms, left_at = np.full(shape, 1.0 if ratio else 0.0), np.full(shape, np.nan)
    for bar in at:
        before, opened = terms[bar, asset], panel.open[bar, asset]
        left_at[bar, asset] = opened * before if ratio else opened + before
        terms[bar:, asset] = before * rng.uniform(0.97, 1.03) if ratio else before + rng.uniform(-3.0, 3.0)
    columns = {"price_scale" if ratio else "price_offset": terms, "roll_close": left_at}
    return replace(panel, exogenous={**panel.exogenous, **columns}).with_ends(panel.end_bar)


def with_universe(panel: Panel, seed: int) -> Panel:
    """`panel` of which each asset leaves the universe and comes back, some bars at a time."""
    rng = np.random.default_rng(seed)
    spans = rng.random((panel.num_bars // 8 + 1, panel.num_assets)) < 0.7
    member = np.repeat(spans, 8, axis=0)[: panel.num_bars].astype(float)
    return replace(panel, exogenous={**panel.exogenous, "in_universe": member}).with_ends(panel.end_bar)


def without_column(panel: Panel, name: str) -> Panel:
    """`panel` without one of its columns."""
    columns = {key: values for key, values in panel.exogenous.items() if key != name}
    return replace(panel, exogenous=columns).with_ends(panel.end_bar)


def around_zero(panel: Panel, asset: int) -> Panel:
    """`panel` with the prices of one asset so low that they cross zero."""
    middle = float(np.nanmedian(panel.close[:, asset]))
    lowered = {name: getattr(panel, name).copy() for name in ("open", "high", "low", "close")}
    for prices in lowered.values():
        prices[:, asset] -= middle
    return replace(panel, **lowered, nonpositive=(panel.symbols[asset],)).with_ends(panel.end_bar)


def random_features(panel: Panel, seed: int = 0, num_features: int = 3) -> FeatureSet:
    """Features that are noise: enough where a test is about money."""
    rng = np.random.default_rng(seed)
    return FeatureSet(
        asset=rng.normal(size=(panel.num_bars, panel.num_assets, num_features)).astype(np.float32),
        clock=rng.normal(size=(panel.num_bars, 2)).astype(np.float32),
        asset_names=tuple(f"noise_{k}" for k in range(num_features)),
        clock_names=("sin", "cos"),
        lookback_bars=2,
        feature_hash="noise",
    )


def mixed_instruments(panel: Panel) -> dict:
    """Kinds in turn: perpetual, stock, spot; lots and ticks small enough to trade."""
    kinds = ("crypto_perpetual", "us_stock", "crypto_spot")
    ticks = (0.02, 0.01, 0.25)
    sectors = ("metal", "oil")
    return {
        symbol: replace(CATALOGUE[kinds[a % 3]], tick_size=ticks[a % 3], sector=sectors[a % 2])
        for a, symbol in enumerate(panel.symbols)
    }


def free_instruments(panel: Panel) -> dict:
    """Spot without spread, fees, borrow or margin: every cost then comes from `costs`."""
    free = replace(
        CATALOGUE["crypto_spot"],
        taker_fee_bps=0.0,
        maker_fee_bps=0.0,
        half_spread_bps=0.0,
        borrow_rate=0.0,
        liquidation_fee_bps=0.0,
    )
    return dict.fromkeys(panel.symbols, free)


def build_market(panel: Panel, instruments: dict | None = None) -> Market:
    """Market of a panel with noise features and full context."""
    return Market.build(panel, random_features(panel), instruments or mixed_instruments(panel), CONTEXT)


SIZING = SizingConfig(
    rule="fixed_fraction",
    units=3.0,
    fraction=0.3,
    risk_fraction=0.01,
    target_volatility=0.4,
    kelly_fraction=0.5,
    kelly_min_trades=4,
    max_fraction=0.6,
    money_budget=1_500.0,
    target_loss=0.004,
    schedule=(
        ScheduleStep(equity_multiple=1.0, fraction=0.02, notional_cap=2_000.0),
        ScheduleStep(equity_multiple=2.0, fraction=0.015, notional_cap=5_000.0),
        ScheduleStep(equity_multiple=5.0, fraction=0.01, notional_cap=10_000.0),
        ScheduleStep(equity_multiple=10.0, fraction=0.005, notional_cap=15_000.0),
    ),
)
COSTS = CostConfig(
    half_spread_bps=None,
    fee_bps=None,
    slippage="none",
    slippage_value=0.0,
    impact_coefficient=0.0,
    max_participation=None,
    remainder="carry",
    latency_bars=0,
    borrow=False,
    funding=False,
    delisting_recovery=1.0,
)
RISK = RiskConfig(
    max_gross_exposure=1.0,
    max_position_exposure=None,
    margin=False,
    max_daily_loss=None,
    max_drawdown=None,
    max_var=None,
    var_bars=10,
    var_level=0.9,
    max_entries_per_session=None,
    min_holding_bars=0,
    no_trade_open_bars=0,
    no_trade_close_bars=0,
    flat_at_session_end="never",
    ruin_equity=0.1,
)
PLAIN = PortfolioEnvConfig(
    initial_equity=10_000.0,
    action=ActionConfig(scheme="direction", allow_short=True, rebalance_band=0.0),
    sizing=SIZING,
    costs=COSTS,
    barriers=None,
    risk=RISK,
    reward=RewardConfig(
        scale=1.0,
        differential_sharpe_rate=0.05,
        edge_minutes=60.0,
        edge_factor=2.0,
        function=None,
        **{**NO_REWARD, "net_return": 1.0},
    ),
    episode=EpisodeConfig(
        kind="whole", bars=16, warmup_bars=0, liquidate_at_end=True, num_assets=None, randomisation=None
    ),
    observation=ObservationConfig(return_scale=0.02, holding_scale_bars=16.0),
    factory=None,
)
BARRIERS = BarrierConfig(
    unit="percent", profit_target=2.0, stop_loss=1.0, trailing_stop=None, time_limit_bars=None
)


def with_parts(config: PortfolioEnvConfig, **parts) -> PortfolioEnvConfig:
    """Replace fields of sections: with_parts(config, costs={"fee_bps": 5.0}, barriers=BARRIERS)."""
    changes = {
        name: replace(getattr(config, name), **value) if isinstance(value, dict) else value
        for name, value in parts.items()
    }
    return replace(config, **changes)
