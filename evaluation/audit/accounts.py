"""Costs: does the equity follow from fills, prices and booked costs, and were the configured costs charged.

Axes: N scored bars of a fold, A asset.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.dividends import DIVIDEND, dividends_of
from data.schema import Panel
from data.split_factors import split_factors
from data.traded_prices import as_traded
from envs.config import PortfolioEnvConfig
from envs.instruments import Instrument
from evaluation.artefacts.tables import COST_COLUMNS
from evaluation.audit.findings import Check, Section
from evaluation.audit.recorded_run import RecordedRun, bars_of

COSTS = Section(name="costs")
TRADING = ("commission", "spread_cost", "slippage_cost", "impact_cost")
"""Costs that are booked fill by fill; the others are booked bar by bar."""
UNUSUAL = ("profit_target", "liquidation", "ruin", "limit_entry")
"""Reasons of fills that pay another fee than the taker's."""
RETURN_TOLERANCE = 1e-9
MONEY_TOLERANCE = 1e-6


def check_costs(
    run: RecordedRun,
    panel: Panel,
    config: PortfolioEnvConfig,
    instruments: Mapping[str, Instrument],
    cost_factor: float,
) -> list[Check]:
    """All checks of this section; `config` is the run's env, `cost_factor` the multiple of costs that was scored."""
    panel = as_traded(panel)
    point = np.array([instruments[symbol].multiplier for symbol in panel.symbols])
    return [
        _equity(run, panel, point, config),
        _booked(run),
        _dividends(run, panel, point),
        _charged(run, panel, instruments, config, cost_factor),
        _trades(run, config.initial_equity),
    ]


def _equity(run: RecordedRun, panel: Panel, point: NDArray[np.float64], config: PortfolioEnvConfig) -> Check:
    """Rebuild every bar's return from fills, marks and costs."""
    scored = bars_of(run.history["bar_utc"], panel.bar_utc)
    recorded = run.history["net_return"].to_numpy()
    if (scored < 1).any():
        return COSTS.fails("equity", "portfolio_history.csv holds bars that the data do not have")
    worst, where = 0.0, 0
    for fold in run.history["fold"].unique():
        rows = np.flatnonzero(run.history["fold"] == fold)
        own = run.fills[run.fills["fold"] == fold]
        costs = run.history.iloc[rows][list(COST_COLUMNS.values())].sum(axis=1).to_numpy()
        again = _fold_returns(own, panel, point, scored[rows], costs, config)
        error = np.abs(again - recorded[rows])
        if error.max() > worst:
            worst, where = float(error.max()), int(rows[error.argmax()])
    return COSTS.judges(
        "equity",
        worst <= RETURN_TOLERANCE,
        f"the returns of all {len(recorded):,} bars follow from fills, prices and costs to {worst:.1e}",
        f"the return of fold {run.history['fold'].iloc[where]} at {run.history['bar_utc'].iloc[where]} is recorded as "
        f"{recorded[where]:.8f}, but fills, prices and booked costs differ from that by {worst:.2e}",
    )


def _dividends(run: RecordedRun, panel: Panel, point: NDArray[np.float64]) -> Check:
    """The dividends of every bar, from the units that the fills leave and the column of the data."""
    paid = dividends_of(panel) if DIVIDEND in panel.exogenous else np.zeros(panel.close.shape)
    worst, where = 0.0, 0
    for fold in run.history["fold"].unique():
        rows = np.flatnonzero(run.history["fold"] == fold)
        bars = bars_of(run.history["bar_utc"].iloc[rows], panel.bar_utc)
        own = _Traded.of(run.fills[run.fills["fold"] == fold], panel, bars)
        due = -(own.held * paid[bars] * point).sum(axis=1)
        booked = run.history["dividend_cost"].to_numpy()[rows]
        error = np.abs(booked - due) / np.maximum(np.abs(due), 1.0)
        if error.max() > worst:
            worst, where = float(error.max()), int(rows[error.argmax()])
    return COSTS.judges(
        "dividends",
        worst <= MONEY_TOLERANCE,
        f"the dividends of all bars are those of the data on what was held, {run.history['dividend_cost'].sum():,.2f}",
        f"dividend_cost of {run.history['bar_utc'].iloc[where]} is recorded as "
        f"{run.history['dividend_cost'].iloc[where]:,.6f}, which is not what the data pay on what was held then",
    )


@dataclass(frozen=True, kw_only=True)
class _Traded:
    """What the fills of one fold say of its N bars.

    Attributes
    ----------
    step, asset, units, price : (R,) of each fill inside. held : (N, A) units before the fills of each bar.
    """

    step: NDArray[np.int64]
    asset: NDArray[np.int64]
    units: NDArray[np.float64]
    price: NDArray[np.float64]
    held: NDArray[np.float64]

    @classmethod
    def of(cls, fills: pd.DataFrame, panel: Panel, bars: NDArray[np.int64]) -> _Traded:
        step = bars_of(fills["filled_utc"], panel.bar_utc) - int(bars[0])
        names = {name: column for column, name in enumerate(panel.symbols)}
        asset = np.array([names[str(symbol)] for symbol in fills["symbol"]], dtype=np.int64)
        inside = (step >= 0) & (step < len(bars))
        units, price = (fills[name].to_numpy()[inside] for name in ("units", "price"))
        bought = np.zeros((len(bars), panel.num_assets))
        np.add.at(bought, (step[inside], asset[inside]), units)
        held = np.vstack([np.zeros(panel.num_assets), np.cumsum(bought, axis=0)[:-1]])
        return cls(step=step[inside], asset=asset[inside], units=units, price=price, held=held)


def _fold_returns(
    fills: pd.DataFrame,
    panel: Panel,
    point: NDArray[np.float64],
    bars: NDArray[np.int64],
    costs: NDArray[np.float64],
    config: PortfolioEnvConfig,
) -> NDArray[np.float64]:
    """(N,) returns of one fold: price gain of what is held and of what was filled, less costs, over equity."""
    first, size = int(bars[0]), len(bars)
    mark = np.nan_to_num(panel.last_close()[first - 1 : first + size])
    own = _Traded.of(fills, panel, bars)
    gain = (own.held * np.diff(mark, axis=0) * point).sum(axis=1)
    earned = own.units * (mark[own.step + 1, own.asset] - own.price) * point[own.asset]
    np.add.at(gain, own.step, earned)
    equity = config.initial_equity + np.concatenate([[0.0], np.cumsum(gain - costs)])
    ruined = np.flatnonzero(equity[1:] <= config.risk.ruin_equity * config.initial_equity)
    returns = np.diff(equity) / equity[:-1]
    if len(ruined):  # the account ended there; what follows earns nothing
        returns[ruined[0] + 1 :] = 0.0
    return returns


def _booked(run: RecordedRun) -> Check:
    for column in TRADING:
        per_fill, per_bar = float(run.fills[column].sum()), float(run.history[column].sum())
        if abs(per_fill - per_bar) > MONEY_TOLERANCE * max(1.0, abs(per_bar)):
            return COSTS.fails(
                "booked costs", f"{column} sums to {per_fill:,.6f} over fills but to {per_bar:,.6f} over bars"
            )
    total = float(run.history[list(COST_COLUMNS.values())].to_numpy().sum())
    return COSTS.passes("booked costs", f"fills and bars book the same; {total:,.2f} in all")


def _charged(
    run: RecordedRun,
    panel: Panel,
    instruments: Mapping[str, Instrument],
    config: PortfolioEnvConfig,
    cost_factor: float,
) -> Check:
    """Commission and spread of every ordinary fill, from the configuration.

    What is charged per share is charged per share that was traded, and half a spread in ticks is one of its ticks.
    """
    costs = config.costs
    fills = run.fills[~run.fills["reason"].isin(UNUSUAL)]
    if cost_factor != 1.0:
        return COSTS.warns("configured costs", f"all costs were multiplied by {cost_factor:g}")
    size = fills["units"].abs().to_numpy()
    shares = size / _split_factor(fills, panel)
    facts = pd.DataFrame([instruments[str(s)].__dict__ for s in fills["symbol"]], index=fills.index)
    if facts.empty:
        return COSTS.skips("configured costs", "nothing was filled")
    notional = size * fills["price"].abs().to_numpy() * facts["multiplier"].to_numpy()
    if costs.fee_bps is None:
        fee = (
            shares * facts["commission_per_unit"].to_numpy()
            + 1e-4 * notional * facts["taker_fee_bps"].to_numpy()
        )
    else:
        fee = 1e-4 * notional * costs.fee_bps
    if costs.half_spread_bps is None:
        ticks = facts["half_spread_ticks"].to_numpy() * facts["tick_size"].to_numpy()
        spread = (
            shares * facts["multiplier"].to_numpy() * ticks
            + 1e-4 * notional * facts["half_spread_bps"].to_numpy()
        )
    else:
        spread = 1e-4 * notional * costs.half_spread_bps
    for column, expected in (("commission", fee), ("spread_cost", spread)):
        booked = fills[column].to_numpy()
        wrong = np.abs(booked - expected) > MONEY_TOLERANCE * np.maximum(expected, 1e-6)
        if wrong.any():
            first = int(np.argmax(wrong))
            return COSTS.fails(
                "configured costs",
                f"{int(wrong.sum())} of {len(fills):,} fills do not pay the configured {column}, first "
                f"{booked[first]:.6f} where {expected[first]:.6f} is due ({fills['symbol'].iloc[first]}, "
                f"{fills['filled_utc'].iloc[first]:%Y-%m-%d %H:%M})",
            )
    return COSTS.passes("configured costs", f"{len(fills):,} fills paid the configured commission and spread")


def _split_factor(fills: pd.DataFrame, panel: Panel) -> NDArray[np.float64]:
    """(R,) units of the panel per unit that was traded, of each fill: as known before its bar opens."""
    bar, columns = bars_of(fills["filled_utc"], panel.bar_utc), {s: a for a, s in enumerate(panel.symbols)}
    asset = np.array([columns[str(symbol)] for symbol in fills["symbol"]], dtype=np.int64)
    before: NDArray[np.float64] = split_factors(panel)[bar - 1, asset]
    return before


def _trades(run: RecordedRun, initial_equity: float) -> Check:
    """The closed trades of a fold add up to its change of equity."""
    for fold, rows in run.history.groupby("fold"):
        growth = float(np.prod(1.0 + rows["net_return"].to_numpy()) - 1.0)
        own = run.trades[run.trades["fold"] == fold]["pnl"]
        if abs(float(own.sum()) - initial_equity * growth) > MONEY_TOLERANCE * initial_equity * max(
            1.0, growth
        ):
            return COSTS.fails(
                "trades",
                f"the trades of fold {fold} gain {own.sum():,.2f}, its equity {initial_equity * growth:,.2f}",
            )
    return COSTS.passes(
        "trades", f"the {len(run.trades):,} closed trades add up to the change of equity of each fold"
    )
