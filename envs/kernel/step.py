"""The step of many env rows: observe(close t) -> act -> fill(open t + 1) -> bar -> mark(close t + 1) -> reward.

Entry points: `reset_rows` and `step_rows`. Rows are independent, so any split of rows over threads gives the
same bits. Axes: T time, S symbol, E env, A asset slot, K column, W window, N bars of the VaR window.

The entry points take arrays of all rows and bars. Below them, functions take the parts of one row and one bar (but
for the two that look bars up, `decide_row` in the calendar and `observe_row`), and those that treat one asset slot take
its parts. A part is taken once: an index with three numbers costs more than what most expressions compute with it.
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
from envs.kernel.jit import compiled, hot, inner, non_negative
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
def row_symbols(slots, symbols):
    """Fill `symbols` (A,) with the market's symbol index of each asset slot of a row."""
    mapped = slots.shape[1] > SYMBOL
    for a in range(symbols.shape[0]):
        symbols[a] = slots[a, SYMBOL] if mapped else a


@hot
def clear_bar(flow, fill_log, decision_log):
    """Zero what a row writes anew in each bar."""
    for k in range(flow.shape[0]):
        flow[k] = 0.0
    for a in range(decision_log.shape[0]):
        for k in range(decision_log.shape[1]):
            decision_log[a, k] = 0.0
        for place in range(fill_log.shape[1]):
            fill_log[a, place, FILL_UNITS] = 0.0


@hot
def roll_session(account, counter):
    """Start a new session's counters."""
    account[SESSION_EQUITY] = account[EQUITY]
    counter[ENTRIES] = 0
    if counter[HALT] == HALTED_SESSION:
        counter[HALT] = NOT_HALTED


@inner
def close_all(
    rule, instruments, last_bars, bars, account, counter, positions, slots, flow, fill_log, symbols, t, reason
):  # fmt: skip
    """Close every position at its last known price and mark again. `session_end` leaves untradable ones alone."""
    for a in range(positions.shape[0]):
        s = symbols[a]
        if reason == BY_SESSION_END and bars[s, TRADABLE] <= 0.0:
            continue
        close_position(
            rule, instruments[s], last_bars[s], bars[s], account, counter, positions[a], slots[a], flow, fill_log[a],
            t, reason,
        )  # fmt: skip
    mark_row(account, positions, instruments, bars, flow, symbols)


@hot
def advance_row(
    rule, market_bars, calendar, years, instruments, account, counter, positions, slots, below,
    flow, fill_log, decision_log, actions, wishes, reasons, symbols,
):  # fmt: skip
    """Carry a row from the close of bar t to the close of bar t + 1. Returns (reward, terminated, truncated)."""
    t = non_negative(counter[BAR])
    last_bars, bars = market_bars[t], market_bars[t + 1]
    day = calendar[t + 1]
    before = account[EQUITY]
    clear_bar(flow, fill_log, decision_log)
    if day[SESSION] != calendar[t, SESSION]:
        roll_session(account, counter)
    var_breached = var_exceeded(rule, counter, below)
    if var_breached:
        flow[BREACHES] += 1.0
    decide_row(
        rule, last_bars, calendar, instruments, account, counter, positions, slots, decision_log,
        actions, wishes, reasons, symbols, t, var_breached,
    )  # fmt: skip
    charge_financing(
        rule, instruments, last_bars, bars, years[t + 1], account, positions, flow, decision_log,
        symbols,
    )  # fmt: skip
    trade_bar(
        rule, instruments, last_bars, bars, account, counter, positions, slots, flow, fill_log, symbols, t
    )
    if rule[MARGIN_ON] > 0.0:
        path = liquidation_path(instruments, bars, account, positions, symbols)
        if path <= 1.0:
            flow[BREACHES] += 1.0
            liquidate(
                rule, instruments, last_bars, bars, account, counter, positions, slots, flow, fill_log,
                symbols, t, path,
            )  # fmt: skip
    mark_row(account, positions, instruments, bars, flow, symbols)
    if rule[FLAT_RULE] == LAST_CLOSE and day[BARS_LEFT] == 0:
        close_all(
            rule, instruments, last_bars, bars, account, counter, positions, slots, flow, fill_log,
            symbols, t, np.int64(BY_SESSION_END),
        )  # fmt: skip
    ruined = account[EQUITY] <= max(rule[RUIN] * rule[INITIAL_EQUITY], 0.0)
    ends = t + 1 >= counter[STOP] - 1
    if ruined or (ends and rule[LIQUIDATE] > 0.0):
        close_all(
            rule, instruments, last_bars, bars, account, counter, positions, slots, flow, fill_log,
            symbols, t, np.int64(BY_RUIN if ruined else BY_WINDOW_END),
        )  # fmt: skip
    flow[EQUITY_AFTER] = account[EQUITY]
    for a in range(decision_log.shape[0]):
        decision_log[a, LOG_UNITS] = positions[a, UNITS]
    counter[BAR] = t + 1
    reward = settle_row(rule, account, counter, day, below, flow, before)
    return reward, ruined, ends and not ruined


@hot
def settle_row(rule, account, counter, day, below, flow, before):
    """Update limits, episode sums and the return window after the mark; returns the reward."""
    flow[NET_RETURN] = account[EQUITY] / before - 1.0
    if counter[BAR] >= counter[START]:
        remember_return(rule, counter, below, flow[NET_RETURN])
    update_limits(rule, account, counter, flow)
    account[EPISODE_TURNOVER] += flow[TURNOVER] / before
    account[EPISODE_COST] += booked_costs(flow)
    counter[EPISODE_BREACHES] += int(flow[BREACHES])
    counter[EPISODE_FILLS] += int(flow[NUM_FILLS])
    return reward_row(rule, account, counter, day, flow, before)


@compiled
def reset_rows(
    bars, features, clock, calendar, instrument, rule, windows, account, counter, position, slot, below,
    mask, out, seed, symbols,
):  # fmt: skip
    """Start a new episode in every row where mask (E,) is non-zero and write its first observation."""
    num_features = features.shape[1] // bars.shape[1]
    for e in range(position.shape[0]):
        if mask[e] == 0:
            continue
        reset_row(rule, windows, account[e], counter[e], position[e], slot[e], below[e], bars.shape[1], seed)
        row_symbols(slot[e], symbols)
        observe_row(
            out[e], features, clock, calendar, bars, instrument, rule, account[e], counter[e], position[e], slot[e],
            symbols, num_features,
        )  # fmt: skip


@compiled
def step_rows(
    bars, features, clock, calendar, years, instrument, rule, windows, account, counter, position,
    slot, below, flow, fill_log, decision_log, actions, out, final_out, reward, flags, ended, seed, mode,
    wishes, symbols, reasons, first, stop,
):  # fmt: skip
    """Step rows first .. stop - 1. Writes out (E, D), reward (E,), flags (E, 2) terminated and truncated, ended.

    features (T, S * F). wishes (A,), symbols (A,), reasons (A,) are scratch, one set per thread. Returns how many
    episodes ended.
    """
    num_symbols = bars.shape[1]
    num_features = features.shape[1] // num_symbols
    num_ended = 0
    for e in range(first, stop):
        if e + PREFETCH_ROWS < stop:
            prefetch_row(bars, features, clock, calendar, years, counter, e + PREFETCH_ROWS)
        row = non_negative(e)
        row_account, row_counter, row_flow = account[row], counter[row], flow[row]
        positions, slots = position[row], slot[row]
        reward[row] = 0.0
        flags[row, 0] = flags[row, 1] = 0
        row_symbols(slots, symbols)
        if row_counter[PENDING_RESET] != 0:
            clear_bar(row_flow, fill_log[row], decision_log[row])
            if mode == NEXT_STEP:
                reset_row(
                    rule, windows, row_account, row_counter, positions, slots, below[row], num_symbols, seed
                )
                row_symbols(slots, symbols)
        else:
            reward[row], terminated, truncated = advance_row(
                rule, bars, calendar, years, instrument, row_account, row_counter, positions, slots,
                below[row], row_flow, fill_log[row], decision_log[row], actions[row], wishes, reasons, symbols,
            )  # fmt: skip
            if terminated or truncated:
                num_ended += 1
                flags[row, 0] = terminated
                flags[row, 1] = truncated
                write_statistics(rule, row_account, row_counter, ended[row])
                if mode == SAME_STEP:
                    observe_row(
                        final_out[row], features, clock, calendar, bars, instrument, rule, row_account, row_counter,
                        positions, slots, symbols, num_features,
                    )  # fmt: skip
                    reset_row(
                        rule, windows, row_account, row_counter, positions, slots, below[row], num_symbols, seed
                    )  # fmt: skip
                    row_symbols(slots, symbols)
                else:
                    row_counter[PENDING_RESET] = 1
        observe_row(
            out[row], features, clock, calendar, bars, instrument, rule, row_account, row_counter, positions, slots,
            symbols, num_features,
        )  # fmt: skip
    return num_ended
