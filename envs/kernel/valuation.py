"""Marking at the close of bar t + 1: equity, halts, historical VaR. Of LANES rows at a time."""

from __future__ import annotations

from envs.kernel.columns import (
    BELOW_VAR,
    BREACHES,
    CASH,
    COMMISSION,
    DEEPEST,
    DIVIDEND_PAID,
    EQUITY,
    FILL,
    GROSS,
    HALT,
    HALTED_EPISODE,
    HALTED_SESSION,
    MARK,
    MAX_DAILY_LOSS,
    MAX_DAILY_LOSS_AMOUNT,
    MAX_DRAWDOWN,
    MAX_DRAWDOWN_AMOUNT,
    MAX_VAR,
    MULTIPLIER,
    NOT_HALTED,
    PEAK,
    SESSION_EQUITY,
    STEPS,
    UNITS,
    VAR_PLACE,
    VAR_RANK,
)
from envs.kernel.jit import hot
from envs.kernel.lane_arrays import beside, block, neighbours
from envs.kernel.lane_entries import put_numbers
from envs.kernel.lanes import everywhere, where
from envs.kernel.parts import bar_of, instrument_of


@hot
def mark(state, scratch, live):
    """Set EQUITY = cash + sum of marks, GROSS = sum of |marks|, at the close of bar t + 1."""
    account = block(state.account, live)
    equity, gross = account[CASH], everywhere(0.0)
    for a in range(state.position.shape[0]):
        units = block(state.position[a], live)[UNITS]
        notional = units * bar_of(scratch, a)[MARK] * instrument_of(scratch, a)[MULTIPLIER]
        equity += notional
        gross += abs(notional)
    account[EQUITY] = equity
    block(state.flow, live)[GROSS] = gross


@hot
def booked_costs(flow):
    """Sum of the seven cost parts of the bar."""
    total = flow[COMMISSION]
    for column in range(COMMISSION + 1, DIVIDEND_PAID + 1):
        total += flow[column]
    return total


@hot
def update_limits(rule, account, counter, flow):
    """Track peak and drawdown, which is returned; raise the halts that bind from the next decision on."""
    equity = account[EQUITY]
    peak = max(account[PEAK], equity)
    drawdown = 1.0 - equity / peak
    account[PEAK] = peak
    account[DEEPEST] = max(account[DEEPEST], drawdown)
    halt, breaches = counter[HALT], flow[BREACHES]
    fell = (rule[MAX_DRAWDOWN] > 0.0) & (drawdown >= rule[MAX_DRAWDOWN])
    if rule[MAX_DRAWDOWN_AMOUNT] > 0.0:
        fell = fell | (peak - equity >= rule[MAX_DRAWDOWN_AMOUNT])
    fell = fell & (halt != HALTED_EPISODE)
    halt = where(fell, HALTED_EPISODE, halt)
    lost = equity <= account[SESSION_EQUITY] * (1.0 - rule[MAX_DAILY_LOSS])
    lost = (rule[MAX_DAILY_LOSS] > 0.0) & lost
    if rule[MAX_DAILY_LOSS_AMOUNT] > 0.0:
        lost = lost | (account[SESSION_EQUITY] - equity >= rule[MAX_DAILY_LOSS_AMOUNT])
    lost = lost & (halt == NOT_HALTED)
    counter[HALT] = where(lost, HALTED_SESSION, halt)
    flow[BREACHES] = breaches + where(fell | lost, 1.0, 0.0)
    return drawdown


@hot
def remember_return(state, scratch, earns, is_below):
    """Keep whether the net return was below minus the limit, for each bar of the VaR window, and their count."""
    counter, bars = block(state.counter, earns), state.below.shape[1]
    at = counter[VAR_PLACE]
    put_numbers(scratch.places[FILL], at)
    counter[VAR_PLACE] = where(at + 1.0 == bars, 0.0, at + 1.0)
    oldest = beside(neighbours(state.below, state.first, earns, scratch.waste_8), scratch.places[FILL])
    now = where(is_below, 1.0, 0.0)
    counter[BELOW_VAR] = counter[BELOW_VAR] + (now - oldest[0])
    oldest[0] = now


@hot
def var_exceeded(rule, counter, bars):
    """True when the historical VaR of the last `bars` net returns is above the limit.

    VaR is minus the (k + 1)-th smallest return, k = floor((1 - level) * n); it exceeds m when more than k
    returns lie below -m. Not evaluated before n returns are known.
    """
    return (rule[MAX_VAR] > 0.0) & (counter[STEPS] >= bars) & (counter[BELOW_VAR] > rule[VAR_RANK])
