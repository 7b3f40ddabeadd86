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
from envs.kernel.lanes import everywhere, where


@inner
def kelly_fraction(rule, account, counter):
    """Fraction of equity by Kelly's p - (1 - p) / b from the episode's closed trades."""
    wins, losses = counter[WINS], counter[LOSSES]
    closed = wins + losses
    p = wins / closed
    b = (account[WIN_SUM] / wins) / (account[LOSS_SUM] / losses)
    never_lost = (losses == 0.0) | (account[LOSS_SUM] <= 0.0)
    edge = where(wins == 0.0, 0.0, where(never_lost, 1.0, p - (1.0 - p) / b))
    fraction = rule[SIZE_KELLY] * min(max(edge, 0.0), rule[SIZE_MAX_FRACTION])
    return where(closed < rule[SIZE_KELLY_MIN], rule[SIZE_FRACTION], fraction)


@inner
def schedule_notional(rule, equity):
    """Notional of the step of the equity schedule that is in force at `equity`."""
    multiple = equity / rule[INITIAL_EQUITY]
    fraction, cap = everywhere(rule[SCHEDULE + 2]), everywhere(rule[SCHEDULE + 3])
    for i in range(1, int(rule[SCHEDULE])):
        base = SCHEDULE + 1 + 3 * i
        reached = multiple >= rule[base]
        fraction = where(reached, rule[base + 1], fraction)
        cap = where(reached, rule[base + 2], cap)
    return min(fraction * equity, cap)


@inner
def entry_units(rule, account, counter, equity, unit_notional, point_value, atr, volatility):
    """Units (>= 0) that the size rule gives an entry at mark with notional `unit_notional` per unit."""
    kind = rule[SIZE_RULE]
    if kind == FIXED_UNITS:
        return everywhere(rule[SIZE_UNITS])
    wealth = max(equity, 0.0)
    affordable = wealth / unit_notional
    if kind == FIXED_FRACTION:
        return rule[SIZE_FRACTION] * affordable
    if kind == FRACTIONAL_KELLY:
        return kelly_fraction(rule, account, counter) * affordable
    if kind == EQUITY_SCHEDULE:
        return schedule_notional(rule, wealth) / unit_notional
    cap = rule[SIZE_MAX_FRACTION] * affordable
    if kind == ATR_RISK:
        risk = atr * point_value
        return where(risk > 0.0, min(rule[SIZE_RISK] * wealth / risk, cap), 0.0)
    if kind == VOLATILITY_TARGET:
        annual = volatility * rule[YEAR_ROOT]
        units = min(rule[SIZE_VOLATILITY] / annual * affordable, cap)
        return where(annual > 0.0, units, 0.0)
    return everywhere(0.0)


@hot
def round_to_lot(units, lot_step):
    """Round toward zero to a multiple of the lot step (0 = any size); 1e-9 of a lot is forgiven."""
    lots = math.floor(abs(units) / lot_step + 1e-9)
    return where(lot_step <= 0.0, units, math.copysign(lots * lot_step, units))
