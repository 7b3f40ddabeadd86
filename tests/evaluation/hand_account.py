"""An account kept by hand: plain loops over raw bars, floats and instruments, nothing of the simulator."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from plain_env import plain_env

from data.features.compute import FeatureSet
from data.schema import Panel
from envs.context import ContextConfig
from envs.instruments import CATALOGUE, CRYPTO_PERPETUAL, CRYPTO_SPOT, US_STOCK
from envs.market import Market

BARS_A_DAY = 48
FRACTION = replace(
    CATALOGUE["ES"], currency="EUR", multiplier=12.5, lot_step=0.25, tick_size=0.05, taker_fee_bps=1.5
)
KINDS = {
    "coins": [(CRYPTO_SPOT, 40_000.0), (CRYPTO_SPOT, 2_500.0), (CRYPTO_SPOT, 0.6)],
    "futures": [(CATALOGUE["ES"], 5_000.0), (CATALOGUE["MES"], 5_000.0), (CATALOGUE["MNQ"], 18_000.0)],
    "stocks": [(US_STOCK, 470.0), (US_STOCK, 12.0), (US_STOCK, 180.0)],
    "perpetuals": [(CRYPTO_PERPETUAL, 40_000.0), (CRYPTO_PERPETUAL, 2_500.0), (CRYPTO_PERPETUAL, 140.0)],
    "quarter lots in EUR": [(FRACTION, 300.0), (FRACTION, 80.0), (FRACTION, 1_100.0)],
}
"""Instruments and first prices: multipliers, lots, ticks, fees a unit and of notional, funding, another currency."""


def random_panel(kind: str, num_bars: int = 1_200, seed: int = 3, volatility: float = 0.004) -> Panel:
    """Three assets of a kind in 30-minute bars, all of them known."""
    random = np.random.default_rng(seed)
    prices = np.array([price for _, price in KINDS[kind]])
    close = prices * np.exp(np.cumsum(random.normal(2e-4, volatility, size=(num_bars, 3)), axis=0))
    opened = np.vstack([close[:1], close[:-1]]) * np.exp(random.normal(0, 5e-4, size=close.shape))
    times = np.datetime64("2024-01-01", "ns") + np.arange(num_bars) * np.timedelta64(1800, "s")
    return Panel(
        symbols=("AAA", "BBB", "CCC"),
        bar_utc=times,
        open=opened,
        high=np.maximum(opened, close) * 1.001,
        low=np.minimum(opened, close) * 0.999,
        close=close,
        volume=np.full(close.shape, 1e7),
        tradable=np.ones(close.shape, dtype=bool),
        session=times.astype("datetime64[D]").astype(np.int32),
        calendar="24/7",
        bar_seconds=1800,
    )


def without(panel: Panel, asset: int, bars: slice) -> Panel:
    """The panel with some bars of an asset missing."""
    columns = {}
    for name in ("open", "high", "low", "close", "volume", "tradable"):
        values = getattr(panel, name).copy()
        values[bars, asset] = {"volume": 0.0, "tradable": False}.get(name, np.nan)
        columns[name] = values
    return replace(panel, **columns)


def instruments_of(panel: Panel, kind: str) -> dict:
    return dict(zip(panel.symbols, (instrument for instrument, _ in KINDS[kind])))


def empty_features(panel: Panel) -> FeatureSet:
    return FeatureSet(
        asset=np.zeros((panel.num_bars, panel.num_assets, 1), dtype=np.float32),
        clock=np.zeros((panel.num_bars, 1), dtype=np.float32),
        asset_names=("none",),
        clock_names=("none",),
        lookback_bars=0,
        feature_hash="test",
    )


def market_of(panel: Panel, kind: str) -> Market:
    windows = ContextConfig(atr_bars=5, volatility_bars=5, adv_bars=5, until_full="no_entry")
    context = windows if kind == "perpetuals" else None
    return Market.build(panel, empty_features(panel), instruments_of(panel, kind), context)


def venue_env(scheme: str, **changes):
    """The plain env of the tests with each instrument's own fees and spread, slippage and funding."""
    env = plain_env()
    costs = replace(
        env.costs, half_spread_bps=None, fee_bps=None, slippage="fixed_bps", slippage_value=0.7, funding=True
    )
    return replace(
        env, action=replace(env.action, scheme=scheme), costs=costs, initial_equity=20_000_000.0, **changes
    )


def fee(instrument, units: float, price: float, cost_factor: float) -> float:
    """Everything that a fill costs at the instrument's own fees and 0.7 bps of slippage."""
    size, m = abs(units), instrument.multiplier
    notional = size * price * m
    commission = size * instrument.commission_per_unit + notional * instrument.taker_fee_bps / 1e4
    spread = size * m * instrument.half_spread_ticks * instrument.tick_size
    spread += notional * instrument.half_spread_bps / 1e4
    return cost_factor * (commission + spread + notional * 0.7 / 1e4)


def in_lots(units: float, instrument) -> float:
    step = instrument.lot_step
    return units if step == 0.0 else math.copysign(math.floor(abs(units) / step + 1e-9) * step, units)


def by_hand(panel: Panel, instruments: dict, equity: float, start: int, stop: int, decide, cost_factor=1.0):
    """Per-bar returns and turnover, the units held after each bar, of an account that decides at each close.

    decide : (t, equity, units held) -> for each asset the units wanted, or None to keep. An order for a bar that is
    missing waits for the next one.
    """
    terms = [instruments[symbol] for symbol in panel.symbols]
    count = len(terms)
    held, working, cash, marks = [0.0] * count, [None] * count, equity, panel.last_close()
    returns, turnovers, history, wealth = [], [], [], equity
    for t in range(start - 1, stop - 1):
        wanted, before, traded = decide(t, wealth, list(held)), wealth, 0.0
        working = [new if new is not None else old for new, old in zip(wanted, working)]
        for a, term in enumerate(terms):
            seconds = int(panel.bar_utc[t + 1].astype("datetime64[s]").astype(np.int64))
            if term.funding_hours and seconds % (3600 * int(term.funding_hours)) == 0:
                cash -= cost_factor * term.funding_rate * held[a] * marks[t, a] * term.multiplier
            if working[a] is not None and panel.tradable[t + 1, a] and working[a] != held[a]:
                units, price = working[a] - held[a], panel.open[t + 1, a]
                cash -= units * price * term.multiplier + fee(term, units, price, cost_factor)
                traded += abs(units) * price * term.multiplier
                held[a] = working[a]
        if t + 1 == stop - 1:  # the window's end: everything is sold at the close
            for a, term in enumerate(terms):
                price = marks[t + 1, a]
                if held[a] != 0.0:
                    cash += held[a] * price * term.multiplier - fee(term, held[a], price, cost_factor)
                    traded += abs(held[a]) * price * term.multiplier
                    held[a] = 0.0
        wealth = cash + sum(
            held[a] * marks[t + 1, a] * term.multiplier for a, term in enumerate(terms) if held[a]
        )
        returns.append(wealth / before - 1.0)
        turnovers.append(traded / before)
        history.append(list(held))
    return np.array(returns), np.array(turnovers), np.array(history)


def units_worth(panel: Panel, instruments: dict, asset: int, t: int, money: float) -> float:
    """Whole lots of an asset that `money` pays for at the close of bar t."""
    instrument = instruments[panel.symbols[asset]]
    if money == 0.0:
        return 0.0  # whatever the price, which may not be known
    return in_lots(money / (panel.last_close()[t, asset] * instrument.multiplier), instrument)
