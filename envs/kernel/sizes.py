"""Size of an entry in units, by size rule (formulas: envs.sizing). Before rounding to the lot step."""

from __future__ import annotations

import math

from envs.kernel.columns import (
    ATR_RISK,
    EQUITY_SCHEDULE,
    FIXED_FRACTION,
    FIXED_UNITS,
    FRACTIONAL_KELLY,
    INITIAL_EQUITY,
    LOSS_SUM,
    LOSSES,
    SCHEDULE,
    SIZE_FRACTION,
    SIZE_KELLY,
    SIZE_KELLY_MIN,
    SIZE_MAX_FRACTION,
    SIZE_RISK,
    SIZE_RULE,
    SIZE_UNITS,
    SIZE_VOLATILITY,
    VOLATILITY_TARGET,
    WIN_SUM,
    WINS,
    YEAR_ROOT,
)
from envs.kernel.jit import hot, inner


@inner
def kelly_fraction(rule, account, counter):
    """Fraction of equity by Kelly's p - (1 - p) / b from the episode's closed trades."""
    wins = counter[WINS]
    losses = counter[LOSSES]
    closed = wins + losses
    if closed < rule[SIZE_KELLY_MIN]:
        return rule[SIZE_FRACTION]
    p = wins / closed
    if wins == 0:
        edge = 0.0
    elif losses == 0 or account[LOSS_SUM] <= 0.0:
        edge = 1.0
    else:
        b = (account[WIN_SUM] / wins) / (account[LOSS_SUM] / losses)
        edge = p - (1.0 - p) / b
    return rule[SIZE_KELLY] * min(max(edge, 0.0), rule[SIZE_MAX_FRACTION])


@inner
def schedule_notional(rule, equity):
    """Notional of the step of the equity schedule that is in force at `equity`."""
    steps = int(rule[SCHEDULE])
    multiple = equity / rule[INITIAL_EQUITY]
    chosen = 0
    for i in range(1, steps):
        if multiple >= rule[SCHEDULE + 1 + 3 * i]:
            chosen = i
    base = SCHEDULE + 1 + 3 * chosen
    return min(rule[base + 1] * equity, rule[base + 2])


@inner
def entry_units(rule, account, counter, equity, unit_notional, point_value, atr, volatility):
    """Units (>= 0) that the size rule gives an entry at mark with notional `unit_notional` per unit."""
    kind = rule[SIZE_RULE]
    wealth = max(equity, 0.0)
    if kind == FIXED_UNITS:
        return rule[SIZE_UNITS]
    if kind == FIXED_FRACTION:
        return rule[SIZE_FRACTION] * wealth / unit_notional
    if kind == FRACTIONAL_KELLY:
        return kelly_fraction(rule, account, counter) * wealth / unit_notional
    if kind == EQUITY_SCHEDULE:
        return schedule_notional(rule, wealth) / unit_notional
    cap = rule[SIZE_MAX_FRACTION] * wealth / unit_notional
    if kind == ATR_RISK:
        risk = atr * point_value
        return min(rule[SIZE_RISK] * wealth / risk, cap) if risk > 0.0 else 0.0
    if kind == VOLATILITY_TARGET:
        annual = volatility * rule[YEAR_ROOT]
        return min(rule[SIZE_VOLATILITY] / annual * wealth / unit_notional, cap) if annual > 0.0 else 0.0
    return 0.0


@hot
def round_to_lot(units, lot_step):
    """Round toward zero to a multiple of the lot step (0 = any size); 1e-9 of a lot is forgiven."""
    if lot_step <= 0.0:
        return units
    lots = math.floor(abs(units) / lot_step + 1e-9)
    return math.copysign(lots * lot_step, units)
