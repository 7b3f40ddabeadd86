"""Size of an entry in units, by size rule (formulas: envs.sizing). Before rounding to the lot step."""

from __future__ import annotations

import math

from envs.kernel.columns import (
    ATR_MULTIPLES,
    ATR_RISK,
    BARRIER_UNIT,
    CVAR_TARGET,
    EQUITY_SCHEDULE,
    FIXED_FRACTION,
    FIXED_UNITS,
    FRACTIONAL_KELLY,
    INITIAL_EQUITY,
    LOSS_SUM,
    LOSSES,
    MONEY_BUDGET,
    MULTIPLIER,
    PERCENT,
    SCHEDULE,
    SIZE_BUDGET,
    SIZE_FRACTION,
    SIZE_KELLY,
    SIZE_KELLY_MIN,
    SIZE_MAX_FRACTION,
    SIZE_MAX_UNITS,
    SIZE_MONEY,
    SIZE_RISK,
    SIZE_RULE,
    SIZE_TAIL,
    SIZE_UNITS,
    SIZE_VOLATILITY,
    STOP_DISTANCE,
    STOP_LOSS,
    TICK_SIZE,
    TRAILING_STOP,
    VAR_TARGET,
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
def stop_distance(rule, mark, tick, atr):
    """Price from a new position's entry at `mark` to the nearer of its fixed and its trailing stop."""
    multiple = rule[STOP_LOSS]
    if multiple <= 0.0 or 0.0 < rule[TRAILING_STOP] < multiple:
        multiple = rule[TRAILING_STOP]
    if rule[BARRIER_UNIT] == PERCENT:
        return mark * (0.01 * multiple)
    if rule[BARRIER_UNIT] == ATR_MULTIPLES:
        return atr * multiple
    return tick * multiple


@inner
def entry_units(rule, account, counter, equity, unit_notional, instrument, atr, volatility, tail):
    """Units (>= 0) that the size rule gives an entry at mark with notional `unit_notional` per unit, and its cap."""
    units = sized_units(rule, account, counter, equity, unit_notional, instrument, atr, volatility, tail)
    if rule[SIZE_MAX_UNITS] > 0.0:
        units = min(units, rule[SIZE_MAX_UNITS])
    return units


@inner
def sized_units(rule, account, counter, equity, unit_notional, instrument, atr, volatility, tail):
    """Units (>= 0) by the size rule alone."""
    point = instrument[MULTIPLIER]
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
    if kind in (VAR_TARGET, CVAR_TARGET):
        return where(tail > 0.0, min(rule[SIZE_TAIL] / tail * affordable, cap), 0.0)
    if kind == MONEY_BUDGET:
        return rule[SIZE_MONEY] / unit_notional
    if kind in (ATR_RISK, STOP_DISTANCE):
        risk = atr * point
        if kind == STOP_DISTANCE:
            risk = stop_distance(rule, unit_notional / point, instrument[TICK_SIZE], atr) * point
        budget = rule[SIZE_RISK] * wealth
        if rule[SIZE_BUDGET] > 0.0:
            budget = everywhere(rule[SIZE_BUDGET])
        return where(risk > 0.0, min(budget / risk, cap), 0.0)
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
