"""Marking at the close of bar t + 1: equity, halts, historical VaR, reward. Arrays are those of one env row."""

from __future__ import annotations

import math

import numpy as np

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
    VAR_RANK,
)
from envs.kernel.jit import hot, inner

# Floor of the variance in the differential Sharpe ratio (a standard deviation of 1e-6 a bar), and its clip.
DSR_VARIANCE_FLOOR = 1e-12
DSR_CLIP = 10.0


@hot
def mark_row(account, positions, instruments, bars, flow, symbols):
    """Set EQUITY = cash + sum of marks, GROSS = sum of |marks|, at the close of `bars` (S, K)."""
    equity = account[CASH]
    gross = 0.0
    for a in range(positions.shape[0]):
        s = symbols[a]
        notional = positions[a, UNITS] * bars[s, MARK] * instruments[s, MULTIPLIER]
        equity += notional
        gross += abs(notional)
    account[EQUITY] = equity
    flow[GROSS] = gross


@hot
def booked_costs(flow):
    """Sum of the six cost parts of the bar."""
    total = 0.0
    for column in range(COMMISSION, BORROW_PAID + 1):
        total += flow[column]
    return total


@hot
def update_limits(rule, account, counter, flow):
    """Track peak and drawdown; raise the halts that bind from the next decision on."""
    equity = account[EQUITY]
    account[PEAK] = max(account[PEAK], equity)
    drawdown = 1.0 - equity / account[PEAK]
    account[DEEPEST] = max(account[DEEPEST], drawdown)
    if rule[MAX_DRAWDOWN] > 0.0 and drawdown >= rule[MAX_DRAWDOWN] and counter[HALT] != HALTED_EPISODE:
        counter[HALT] = HALTED_EPISODE
        flow[BREACHES] += 1.0
    lost = equity <= account[SESSION_EQUITY] * (1.0 - rule[MAX_DAILY_LOSS])
    if rule[MAX_DAILY_LOSS] > 0.0 and counter[HALT] == NOT_HALTED and lost:
        counter[HALT] = HALTED_SESSION
        flow[BREACHES] += 1.0


@hot
def remember_return(rule, counter, below, net_return):
    """Keep, for each bar of the VaR window, whether its net return was below minus the limit, and their count."""
    counter[STEPS] += 1
    if below.shape[0] == 0:
        return
    place = (counter[STEPS] - 1) % below.shape[0]
    now = np.uint8(net_return < -rule[MAX_VAR])
    counter[BELOW_VAR] += int(now) - int(below[place])
    below[place] = now


@hot
def var_exceeded(rule, counter, below):
    """True when the historical VaR of the last `var_bars` net returns is above the limit.

    VaR is minus the (k + 1)-th smallest return, k = floor((1 - level) * n); it exceeds m when more than k
    returns lie below -m. Not evaluated before n returns are known.
    """
    if rule[MAX_VAR] <= 0.0 or counter[STEPS] < below.shape[0]:
        return False
    return counter[BELOW_VAR] > rule[VAR_RANK]


@inner
def differential_sharpe(rule, account, counter, net_return):
    """Differential Sharpe ratio of Moody and Saffell (1998), eq. 8; 0 on the episode's first bar, clipped to +-10."""
    first, second = account[MOMENT_1], account[MOMENT_2]
    step_1 = net_return - first
    step_2 = net_return * net_return - second
    rate = rule[REWARD_DSR_RATE]
    account[MOMENT_1] = first + rate * step_1
    account[MOMENT_2] = second + rate * step_2
    if counter[STEPS] <= 1:
        return 0.0
    variance = max(second - first * first, DSR_VARIANCE_FLOOR)
    value = (second * step_1 - 0.5 * first * step_2) / (variance * math.sqrt(variance))
    return min(max(value, -DSR_CLIP), DSR_CLIP)


@hot
def reward_row(rule, account, counter, day, flow, before):
    """Reward of the bar whose calendar columns are `day`; `before` is equity one close earlier."""
    initial = rule[INITIAL_EQUITY]
    after = account[EQUITY]
    floor = 1e-12 * initial
    net_return = flow[NET_RETURN]
    total = rule[REWARD_NET] * net_return + rule[REWARD_PNL] * (after - before) / initial
    if rule[REWARD_LOG] > 0.0:
        total += rule[REWARD_LOG] * math.log(max(after, floor) / before)
    if rule[REWARD_DSR] > 0.0:
        total += rule[REWARD_DSR] * differential_sharpe(rule, account, counter, net_return)
    if rule[REWARD_REALISED] > 0.0:
        total += rule[REWARD_REALISED] * (flow[REALISED] - booked_costs(flow)) / initial
    total -= rule[REWARD_DRAWDOWN] * (1.0 - after / account[PEAK])
    total -= rule[REWARD_DOWNSIDE] * min(net_return, 0.0) ** 2
    total -= rule[REWARD_TURNOVER] * flow[TURNOVER] / before
    total -= rule[REWARD_HOLDING] * flow[GROSS] / max(after, floor)
    if rule[REWARD_MICRO] > 0.0:
        edge = day[BAR_IN_SESSION] < rule[EDGE_BARS] or day[BARS_LEFT] < rule[EDGE_BARS]
        total -= rule[REWARD_MICRO] * flow[NUM_FILLS] * (rule[EDGE_FACTOR] if edge else 1.0)
    total -= rule[REWARD_BREACH] * flow[BREACHES]
    return rule[REWARD_SCALE] * total
