"""Marking at the close of bar t + 1: equity, halts, historical VaR, reward. Of LANES rows at a time."""

from __future__ import annotations

import math

from envs.kernel.columns import (
    BAR_IN_SESSION,
    BARS_LEFT,
    BELOW_VAR,
    BORROW_PAID,
    BREACHES,
    CASH,
    COMMISSION,
    DEEPEST,
    EDGE_BARS,
    EDGE_FACTOR,
    EQUITY,
    FILL,
    GROSS,
    HALT,
    HALTED_EPISODE,
    HALTED_SESSION,
    INITIAL_EQUITY,
    MARK,
    MAX_DAILY_LOSS,
    MAX_DRAWDOWN,
    MAX_VAR,
    MOMENT_1,
    MOMENT_2,
    MULTIPLIER,
    NET_RETURN,
    NOT_HALTED,
    NUM_FILLS,
    PEAK,
    REALISED,
    REWARD_BREACH,
    REWARD_DOWNSIDE,
    REWARD_DRAWDOWN,
    REWARD_DSR,
    REWARD_DSR_RATE,
    REWARD_HOLDING,
    REWARD_LOG,
    REWARD_MICRO,
    REWARD_NET,
    REWARD_PNL,
    REWARD_REALISED,
    REWARD_SCALE,
    REWARD_TURNOVER,
    SESSION_EQUITY,
    STEPS,
    TURNOVER,
    UNITS,
    VAR_PLACE,
    VAR_RANK,
)
from envs.kernel.jit import hot, inner
from envs.kernel.lane_arrays import beside, block, neighbours
from envs.kernel.lane_entries import put_numbers
from envs.kernel.lanes import everywhere, lane_bits, where
from envs.kernel.parts import bar_of, instrument_of

# Floor of the variance in the differential Sharpe ratio (a standard deviation of 1e-6 a bar), and its clip.
DSR_VARIANCE_FLOOR = 1e-12
DSR_CLIP = 10.0


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
    """Sum of the six cost parts of the bar."""
    total = flow[COMMISSION]
    for column in range(COMMISSION + 1, BORROW_PAID + 1):
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
    fell = (rule[MAX_DRAWDOWN] > 0.0) & (drawdown >= rule[MAX_DRAWDOWN]) & (halt != HALTED_EPISODE)
    halt = where(fell, HALTED_EPISODE, halt)
    lost = equity <= account[SESSION_EQUITY] * (1.0 - rule[MAX_DAILY_LOSS])
    lost = (rule[MAX_DAILY_LOSS] > 0.0) & (halt == NOT_HALTED) & lost
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


@inner
def differential_sharpe(rule, account, counter, net_return):
    """Differential Sharpe ratio of Moody and Saffell (1998), eq. 8; 0 on the episode's first bar, clipped to +-10."""
    first, second = account[MOMENT_1], account[MOMENT_2]
    step_1 = net_return - first
    step_2 = net_return * net_return - second
    rate = rule[REWARD_DSR_RATE]
    account[MOMENT_1] = first + rate * step_1
    account[MOMENT_2] = second + rate * step_2
    variance = max(second - first * first, DSR_VARIANCE_FLOOR)
    value = (second * step_1 - 0.5 * first * step_2) / (variance * math.sqrt(variance))
    return where(counter[STEPS] <= 1.0, 0.0, min(max(value, -DSR_CLIP), DSR_CLIP))


@hot
def log_growth(growth, least):
    """log(max(1 + growth, least)), 0 < least.

    Of small growth by 2 artanh(s) = 2 (s + s^3 / 3 + ...), s = growth / (2 + growth): exact to 1e-16, without a call.
    """
    s = growth / (2.0 + growth)
    q = s * s
    result = 2.0 * s * (1.0 + q * (1 / 3 + q * (1 / 5 + q * (1 / 7 + q * (1 / 9 + q * (1 / 11))))))
    small = (abs(growth) <= 1 / 16) & (least <= 15 / 16)
    if lane_bits(~small) != 0:
        result = where(small, result, math.log(max(1.0 + growth, least)))
    return result


@hot
def reward_of(rule, account, counter, day, flow, before, drawdown):
    """Reward of the bar whose calendar columns are `day`; `before` is equity one close earlier."""
    per_initial, per_before = 1.0 / rule[INITIAL_EQUITY], 1.0 / before
    after = account[EQUITY]
    floor = 1e-12 * rule[INITIAL_EQUITY]
    net_return = flow[NET_RETURN]
    total = rule[REWARD_NET] * net_return + rule[REWARD_PNL] * (after - before) * per_initial
    if rule[REWARD_LOG] > 0.0:
        total += rule[REWARD_LOG] * log_growth(net_return, floor * per_before)
    if rule[REWARD_DSR] > 0.0:
        total += rule[REWARD_DSR] * differential_sharpe(rule, account, counter, net_return)
    if rule[REWARD_REALISED] > 0.0:
        total += rule[REWARD_REALISED] * (flow[REALISED] - booked_costs(flow)) * per_initial
    total -= rule[REWARD_DRAWDOWN] * drawdown
    loss = min(net_return, 0.0)
    total -= rule[REWARD_DOWNSIDE] * (loss * loss)
    total -= rule[REWARD_TURNOVER] * flow[TURNOVER] * per_before
    total -= rule[REWARD_HOLDING] * flow[GROSS] / max(after, floor)
    if rule[REWARD_MICRO] > 0.0:
        edge = (day[BAR_IN_SESSION] < rule[EDGE_BARS]) | (day[BARS_LEFT] < rule[EDGE_BARS])
        total -= rule[REWARD_MICRO] * flow[NUM_FILLS] * where(edge, rule[EDGE_FACTOR], 1.0)
    total -= rule[REWARD_BREACH] * flow[BREACHES]
    return rule[REWARD_SCALE] * total
