"""The step of many env rows: observe(close t) -> act -> fill(open t + 1) -> bar -> mark(close t + 1) -> reward.

Entry points: `reset_rows` and `step_rows`. Rows are independent, so any split of rows over threads gives the
same bits. Axes: T time, S symbol, E env, A asset slot, K column, W window, N bars of the VaR window.
"""

from __future__ import annotations

import numpy as np

from envs.kernel.bar import charge_financing, close_position, liquidate, liquidation_path, trade_bar
from envs.kernel.columns import (
    BAR,
    BARS_LEFT,
    BREACHES,
    BY_RUIN,
    BY_SESSION_END,
    BY_WINDOW_END,
    ENTRIES,
    EPISODE_BREACHES,
    EPISODE_COST,
    EPISODE_FILLS,
    EPISODE_TURNOVER,
    EQUITY,
    EQUITY_AFTER,
    FILL_UNITS,
    FLAT_RULE,
    HALT,
    HALTED_SESSION,
    INITIAL_EQUITY,
    LAST_CLOSE,
    LIQUIDATE,
    LOG_UNITS,
    MARGIN_ON,
    NET_RETURN,
    NOT_HALTED,
    NUM_FILLS,
    PENDING_RESET,
    RUIN,
    SESSION,
    SESSION_EQUITY,
    START,
    STOP,
    SYMBOL,
    TRADABLE,
    TURNOVER,
    UNITS,
)
from envs.kernel.episode import reset_row, write_statistics
from envs.kernel.jit import compiled, hot, inner
from envs.kernel.observe import observe_row
from envs.kernel.orders import decide_row
from envs.kernel.prefetch import prefetch_row
from envs.kernel.valuation import (
    booked_costs,
    mark_row,
    remember_return,
    reward_row,
    update_limits,
    var_exceeded,
)

# Autoreset modes of `step_rows`, as gymnasium names them.
SAME_STEP, NEXT_STEP, DISABLED = range(3)
# How many rows ahead market data is asked for.
PREFETCH_ROWS = 2


@hot
def row_symbols(slot, symbols, e):
    """Fill `symbols` with the market's symbol index of each asset slot of row e."""
    mapped = slot.shape[2] > SYMBOL
    for a in range(symbols.shape[0]):
        symbols[a] = slot[e, a, SYMBOL] if mapped else a


@hot
def clear_bar(flow, fill_log, decision_log, e):
    """Zero what row e writes anew in each bar."""
    for k in range(flow.shape[1]):
        flow[e, k] = 0.0
    for a in range(decision_log.shape[1]):
        for k in range(decision_log.shape[2]):
            decision_log[e, a, k] = 0.0
        for place in range(fill_log.shape[2]):
            fill_log[e, a, place, FILL_UNITS] = 0.0


@hot
def roll_session(account, counter, calendar, e, t):
    """Start a new session's counters when bar t + 1 belongs to another session than bar t."""
    if calendar[t + 1, SESSION] != calendar[t, SESSION]:
        account[e, SESSION_EQUITY] = account[e, EQUITY]
        counter[e, ENTRIES] = 0
        if counter[e, HALT] == HALTED_SESSION:
            counter[e, HALT] = NOT_HALTED


@inner
def close_all(
    rule, instrument, context, bars, account, counter, position, slot, flow, fill_log, symbols, e, t, reason
):  # fmt: skip
    """Close every position at its last known price and mark again. `session_end` leaves untradable ones alone."""
    for a in range(position.shape[1]):
        s = symbols[a]
        if reason == BY_SESSION_END and bars[t + 1, s, TRADABLE] <= 0.0:
            continue
        close_position(
            rule, instrument, context, bars, account, counter, position, slot, flow, fill_log,
            e, a, s, t, reason,
        )  # fmt: skip
    mark_row(account, position, instrument, bars, flow, symbols, e, t + 1)


@hot
def advance_row(
    rule, bars, calendar, years, context, instrument, account, counter, position, slot, below, flow,
    fill_log, decision_log, actions, wishes, reasons, symbols, e,
):  # fmt: skip
    """Carry row e from the close of bar t to the close of bar t + 1. Returns (reward, terminated, truncated)."""
    t = np.int64(counter[e, BAR])
    before = account[e, EQUITY]
    clear_bar(flow, fill_log, decision_log, e)
    roll_session(account, counter, calendar, e, t)
    var_breached = var_exceeded(rule, counter, below, e)
    if var_breached:
        flow[e, BREACHES] += 1.0
    decide_row(
        rule, bars, calendar, context, instrument, account, counter, position, slot, decision_log,
        actions, wishes, reasons, symbols, e, t, var_breached,
    )  # fmt: skip
    charge_financing(
        rule, instrument, context, bars, years, account, position, flow, decision_log, symbols, e, t
    )
    trade_bar(
        rule, instrument, context, bars, account, counter, position, slot, flow, fill_log, symbols, e, t
    )
    if rule[MARGIN_ON] > 0.0:
        path = liquidation_path(instrument, bars, account, position, symbols, e, t)
        if path <= 1.0:
            flow[e, BREACHES] += 1.0
            liquidate(
                rule, instrument, context, bars, account, counter, position, slot, flow, fill_log,
                symbols, e, t, path,
            )  # fmt: skip
    mark_row(account, position, instrument, bars, flow, symbols, e, t + 1)
    if rule[FLAT_RULE] == LAST_CLOSE and calendar[t + 1, BARS_LEFT] == 0:
        close_all(
            rule, instrument, context, bars, account, counter, position, slot, flow, fill_log,
            symbols, e, t, np.int64(BY_SESSION_END),
        )  # fmt: skip
    ruined = account[e, EQUITY] <= max(rule[RUIN] * rule[INITIAL_EQUITY], 0.0)
    ends = t + 1 >= counter[e, STOP] - 1
    if ruined or (ends and rule[LIQUIDATE] > 0.0):
        close_all(
            rule, instrument, context, bars, account, counter, position, slot, flow, fill_log,
            symbols, e, t, np.int64(BY_RUIN if ruined else BY_WINDOW_END),
        )  # fmt: skip
    flow[e, EQUITY_AFTER] = account[e, EQUITY]
    for a in range(decision_log.shape[1]):
        decision_log[e, a, LOG_UNITS] = position[e, a, UNITS]
    reward = settle_row(rule, account, counter, calendar, below, flow, e, t + 1, before)
    return reward, ruined, ends and not ruined


@hot
def settle_row(rule, account, counter, calendar, below, flow, e, bar, before):
    """Update limits, episode sums and the return window after the mark; returns the reward."""
    counter[e, BAR] = bar
    flow[e, NET_RETURN] = account[e, EQUITY] / before - 1.0
    if bar >= counter[e, START]:
        remember_return(rule, counter, below, e, flow[e, NET_RETURN])
    update_limits(rule, account, counter, flow, e)
    account[e, EPISODE_TURNOVER] += flow[e, TURNOVER] / before
    account[e, EPISODE_COST] += booked_costs(flow, e)
    counter[e, EPISODE_BREACHES] += int(flow[e, BREACHES])
    counter[e, EPISODE_FILLS] += int(flow[e, NUM_FILLS])
    return reward_row(rule, account, counter, calendar, flow, e, bar, before)


@compiled
def reset_rows(
    bars, features, clock, calendar, instrument, rule, windows, account, counter, position, slot, below,
    mask, out, seed, symbols,
):  # fmt: skip
    """Start a new episode in every row where mask (E,) is non-zero and write its first observation."""
    for e in range(position.shape[0]):
        if mask[e] == 0:
            continue
        reset_row(rule, windows, account, counter, position, slot, below, bars.shape[1], seed, e)
        row_symbols(slot, symbols, e)
        observe_row(
            out, features, clock, calendar, bars, instrument, rule, account, counter, position, slot,
            symbols, e, counter[e, BAR],
        )  # fmt: skip


@compiled
def step_rows(
    bars, features, clock, calendar, years, context, instrument, rule, windows, account, counter, position,
    slot, below, flow, fill_log, decision_log, actions, out, final_out, reward, flags, ended, seed, mode,
    wishes, symbols, reasons, first, stop,
):  # fmt: skip
    """Step rows first .. stop - 1. Writes out (E, D), reward (E,), flags (E, 2) terminated and truncated, ended.

    wishes (A,), symbols (A,), reasons (A,) are scratch, one set per thread.
    """
    for e in range(first, stop):
        if e + PREFETCH_ROWS < stop:
            prefetch_row(bars, features, context, clock, calendar, counter, e + PREFETCH_ROWS)
        reward[e] = 0.0
        flags[e, 0] = flags[e, 1] = 0
        if counter[e, PENDING_RESET] != 0:
            clear_bar(flow, fill_log, decision_log, e)
            if mode == NEXT_STEP:
                reset_row(rule, windows, account, counter, position, slot, below, bars.shape[1], seed, e)
            row_symbols(slot, symbols, e)
        else:
            row_symbols(slot, symbols, e)
            reward[e], terminated, truncated = advance_row(
                rule, bars, calendar, years, context, instrument, account, counter, position, slot,
                below, flow, fill_log, decision_log, actions, wishes, reasons, symbols, e,
            )  # fmt: skip
            if terminated or truncated:
                flags[e, 0] = terminated
                flags[e, 1] = truncated
                write_statistics(rule, account, counter, ended, e)
                if mode == SAME_STEP:
                    observe_row(
                        final_out, features, clock, calendar, bars, instrument, rule, account, counter,
                        position, slot, symbols, e, counter[e, BAR],
                    )  # fmt: skip
                    reset_row(rule, windows, account, counter, position, slot, below, bars.shape[1], seed, e)
                    row_symbols(slot, symbols, e)
                else:
                    counter[e, PENDING_RESET] = 1
        observe_row(
            out, features, clock, calendar, bars, instrument, rule, account, counter, position, slot,
            symbols, e, counter[e, BAR],
        )  # fmt: skip
