"""Whether an order of the configured size reaches one lot of an instrument, at the equity that a run begins with."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from data.array_types import FloatArray
from data.schema import Panel
from data.traded_prices import traded_prices
from envs.config import PortfolioEnvConfig
from envs.instruments import Instrument


class LotFact(NamedTuple):
    """What is told, and the share of tradable bars at which the largest order is below one lot."""

    text: str
    share: float


def largest_units(close: FloatArray, env: PortfolioEnvConfig, multiplier: float) -> FloatArray:
    """Return (N,) the most units that one order may ask for at each close, before rounding to lots.

    An upper bound at the initial equity: the size rule, the cap on its fraction, and the limits on exposure.

    Parameters
    ----------
    close : (N,) prices. multiplier : account currency per unit and price point.
    """
    sizing, risk = env.sizing, env.risk
    limit = risk.max_gross_exposure
    if risk.max_position_exposure is not None:
        limit = min(limit, risk.max_position_exposure)
    affordable = limit * env.initial_equity / (close * multiplier)
    if risk.max_gross_notional is not None:
        affordable = np.minimum(affordable, risk.max_gross_notional / (close * multiplier))
    if env.action.scheme == "weights":  # a weight is 1 at most
        return affordable * min(1.0, 1.0 / limit)
    if sizing.max_units is not None:
        affordable = np.minimum(affordable, sizing.max_units)
    if sizing.rule == "fixed_units":
        return np.minimum(sizing.units, affordable)
    if sizing.rule == "money_budget" and sizing.money_budget is not None:
        return np.minimum(sizing.money_budget / (close * multiplier), affordable)
    fraction = {
        "fixed_fraction": sizing.fraction,
        "fractional_kelly": max(sizing.fraction, sizing.kelly_fraction * sizing.max_fraction),
        "equity_schedule": _scheduled(env),
    }.get(sizing.rule, sizing.max_fraction)
    return np.minimum(fraction * env.initial_equity / (close * multiplier), affordable)


def _scheduled(env: PortfolioEnvConfig) -> float:
    """Return the fraction of equity that the equity schedule trades at the initial equity."""
    steps = env.sizing.schedule
    if not steps:
        return 0.0
    reached = [step for step in steps if step.equity_multiple <= 1.0]
    step = reached[-1] if reached else steps[0]
    return min(step.fraction, step.notional_cap / env.initial_equity)


def fill_fact(panel: Panel, a: int, env: PortfolioEnvConfig, instrument: Instrument) -> LotFact | None:
    """Return what to tell if what a fill may take of a bar's volume is below one lot at some tradable bars."""
    if instrument.lot_step <= 0.0 or env.costs.max_participation is None:
        return None
    volume = panel.volume[panel.tradable[:, a], a]
    below = env.costs.max_participation * volume / instrument.lot_step + 1e-9 < 1.0
    if not below.any():
        return None
    share = float(below.mean())
    when = (
        "no order can ever be filled"
        if share == 1.0
        else f"at {share:.2g} of its bars no order can be filled"
    )
    return LotFact(
        f"{when}: costs.max_participation={env.costs.max_participation:g} of the bar's volume (at most "
        f"{float(volume.max()):,.6g}) is below one lot of {instrument.lot_step:g}; correct the volume's unit, or "
        "leave the symbol out",
        share,
    )


def lot_fact(panel: Panel, a: int, env: PortfolioEnvConfig, instrument: Instrument) -> LotFact | None:
    """Return what to tell if orders for symbol `a` are below one lot at some tradable bars; None if none is."""
    if instrument.lot_step <= 0.0:
        return None
    close = traded_prices(panel)["close"][panel.tradable[:, a], a]
    close = close[close > 0.0]  # at zero and below nothing is opened
    units = largest_units(close, env, instrument.multiplier)
    below = units / instrument.lot_step + 1e-9 < 1.0
    if not below.any():
        return None
    cheapest = float(close.min())
    share = float(below.mean())
    when = "no order ever reaches" if share == 1.0 else f"at {share:.2g} of its bars no order reaches"
    how = "a weight" if env.action.scheme == "weights" else f"env.sizing.rule={env.sizing.rule}"
    worth = instrument.lot_step * instrument.multiplier * cheapest
    return LotFact(
        f"{when} one lot: {how} with env.initial_equity={env.initial_equity:,.0f} buys at most "
        f"{float(units.max()):.3g} units, a lot is {instrument.lot_step:g}, worth {worth:,.0f} at its lowest close: "
        f"raise env.initial_equity or the size, or set instruments.symbols.{panel.symbols[a]}.lot_step",
        share,
    )
