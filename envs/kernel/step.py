"""The step of many env rows: observe(close t) -> act -> fill(open t + 1) -> bar -> mark(close t + 1) -> reward.

Entry points: `reset_rows` and `step_rows`. A block of LANES rows is treated at once, each in a lane of its own
(envs.kernel.lanes): rows are independent, and any split of the blocks over threads gives the same bits. Functions take
the parts of a block (envs.kernel.parts) and the rows they are about: `live`, `wanted` or `who`. Axes as there, and W
window.
"""

from __future__ import annotations

import numpy as np

from envs.kernel.bar import charge_holding, trade
from envs.kernel.branches import rarely
from envs.kernel.columns import (
    BAR,
    BAR_IN_SESSION,
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
    FILL,
    FILL_UNITS,
    FLAT_RULE,
    HALT,
    HALTED_SESSION,
    HERE,
    INITIAL_EQUITY,
    LAST_CLOSE,
    LATENCY,
    LIQUIDATE,
    LOG_UNITS,
    MARGIN_ON,
    MAX_VAR,
    NET_RETURN,
    NOT_HALTED,
    NUM_DECISION_COLUMNS,
    NUM_FILLS,
    NUM_INSTRUMENT_COLUMNS,
    PENDING_RESET,
    RUIN,
    SESSION_EQUITY,
    SLOT_ENTRIES,
    SOME_END,
    START,
    STEPS,
    STOP,
    SYMBOL,
    TURNOVER,
    UNITS,
)
from envs.kernel.episode import reset_row, write_statistics
from envs.kernel.exits import call_margin, close_all, close_ended
from envs.kernel.jit import compiled, hot
from envs.kernel.lane_arrays import beside, block, rows_at
from envs.kernel.lane_columns import take_columns
from envs.kernel.lane_entries import put_numbers
from envs.kernel.lanes import LANES, everywhere, first_lanes, lane_bits, where
from envs.kernel.observe import observe
from envs.kernel.orders import decide
from envs.kernel.parts import (
    Ahead,
    MarketArrays,
    Outputs,
    RowArrays,
    Scratch,
    bar_of,
    block_of,
    decisions,
    instrument_of,
    is_logged,
    is_mapped,
)
from envs.kernel.prefetch import is_far, prefetch_quarter
from envs.kernel.reward import reward_of
from envs.kernel.valuation import booked_costs, mark, remember_return, update_limits, var_exceeded

# Autoreset modes of `step_rows`, as gymnasium names them.
SAME_STEP, NEXT_STEP, DISABLED = range(3)


@hot
def find_instruments(market, state, scratch):
    """Write which symbols the rows' slots hold by now, where these lie in a bar, and their instruments."""
    width = market.bars.shape[2]
    for a in range(state.slot.shape[0]):
        for i in range(LANES):
            scratch.symbols[a, i] = state.slot[a, SYMBOL, i]
            scratch.shifts[a, i] = scratch.symbols[a, i] * width
        source = rows_at(market.instrument, scratch.symbols[a])
        take_columns(instrument_of(scratch, a), source, NUM_INSTRUMENT_COLUMNS)


@hot
def look_up(market, scratch):
    """Write the bars that the rows are at into the facts."""
    bars = rows_at(market.bars, scratch.places[HERE])
    for a in range(scratch.facts.shape[0]):
        take_columns(bar_of(scratch, a), beside(bars, scratch.shifts[a]), market.bars.shape[2])


@hot
def look_up_known(market, state, scratch, wanted):
    """Put the wanted rows at the bar t that they know and look it up."""
    put_numbers(scratch.places[HERE], where(wanted, block(state.counter, wanted)[BAR], 0.0))
    look_up(market, scratch)


@hot
def clear_block(state, stop):
    """Zero what the block's rows, those before row `stop`, write anew in each bar."""
    flow = block(state.flow, first_lanes(LANES))
    for k in range(state.flow.shape[0]):
        flow[k] = 0.0
    if is_logged(state):
        for e in range(state.first, min(state.first + LANES, stop)):
            state.decision_log[e] = 0.0
            state.fill_log[e, :, :, FILL_UNITS] = 0.0


@hot
def roll_session(state, account, counter, rolls):
    """Start a new session's counters where the session rolls, of live rows."""
    if rarely(state.slot.shape[1] > SLOT_ENTRIES):
        for a in range(state.slot.shape[0]):
            slot = block(state.slot[a], rolls)
            slot[SLOT_ENTRIES] = 0.0
    account[SESSION_EQUITY] = where(rolls, account[EQUITY], account[SESSION_EQUITY])
    counter[ENTRIES] = where(rolls, 0.0, counter[ENTRIES])
    counter[HALT] = where(rolls & (counter[HALT] == HALTED_SESSION), NOT_HALTED, counter[HALT])


@hot
def set_places(market, state, scratch, live):
    """Put the live rows at bar t + 1, and note in which their orders fill; others at bar 1."""
    counter, last = block(state.counter, live), market.calendar.shape[0] - 1.0
    t = where(live, counter[BAR], 0.0)
    put_numbers(scratch.places[HERE], t + 1.0)
    put_numbers(scratch.places[FILL], where(live, min(t + 1.0 + counter[LATENCY], last), 0.0))


@hot
def advance(rule, market, state, scratch, live, actions, reward, ahead):
    """Carry the live rows from the close of bar t to the close of bar t + 1. Returns which are ruined, which truncated.

    actions (E, A, columns), reward (1, L).
    """
    account, counter, flow = block(state.account, live), block(state.counter, live), block(state.flow, live)
    day = rows_at(market.calendar, scratch.places[HERE])
    before = account[EQUITY]
    look_up(market, scratch)
    prefetch_quarter(market, ahead, 0)
    rolls = day[BAR_IN_SESSION] == 0.0
    if lane_bits(rolls) != 0:
        roll_session(state, account, counter, rolls & live)
    var_breached = var_exceeded(rule, counter, state.below.shape[1])
    flow[BREACHES] = where(var_breached, 1.0, 0.0)
    decide(rule, market, state, scratch, live, actions, var_breached)
    charge_holding(rule, market, state, scratch, live)
    prefetch_quarter(market, ahead, 1)
    trade(rule, market, state, scratch, live)
    if rule[MARGIN_ON] > 0.0:
        call_margin(rule, market, state, scratch, live)
    prefetch_quarter(market, ahead, 2)
    ruined, truncated = close_bar(rule, market, state, scratch, live, day)
    counter[BAR] = counter[BAR] + 1.0
    prefetch_quarter(market, ahead, 3)
    drawdown = settle(rule, state, scratch, live, before)
    block(reward, live)[0] = reward_of(rule, account, counter, day, flow, before, drawdown)
    return ruined, truncated


@hot
def rows_over(rule, account, counter, live):
    """Which of the live rows, marked at bar t + 1, are ruined, and which have reached their window's end."""
    ruined = live & (account[EQUITY] <= max(rule[RUIN] * rule[INITIAL_EQUITY], 0.0))
    truncated = live & ~ruined & (counter[BAR] + 1.0 >= counter[STOP] - 1.0)
    return ruined, truncated


@hot
def note_close(state, scratch, live):
    """Write the equity and the units of the live rows after bar t + 1 for whoever reads the flow and the logs."""
    block(state.flow, live)[EQUITY_AFTER] = block(state.account, live)[EQUITY]
    if is_logged(state):
        log = decisions(state, scratch, live)
        for a in range(state.position.shape[0]):
            log[NUM_DECISION_COLUMNS * a + LOG_UNITS] = block(state.position[a], live)[UNITS]


@hot
def close_bar(rule, market, state, scratch, live, day):
    """Mark the live rows at the close of bar t + 1, of calendar columns `day`, and close what must not be held on.

    Returns which rows are ruined, which truncated.
    """
    account, counter = block(state.account, live), block(state.counter, live)
    if rule[SOME_END] > 0.0:
        close_ended(rule, market, state, scratch, live)
    mark(state, scratch, live)
    if rule[FLAT_RULE] == LAST_CLOSE:
        leaves = live & (day[BARS_LEFT] == 0.0)
        if lane_bits(leaves) != 0:
            close_all(rule, market, state, scratch, leaves, everywhere(BY_SESSION_END))
            mark(state, scratch, live)
    ruined, truncated = rows_over(rule, account, counter, live)
    leaves = ruined | (truncated & (rule[LIQUIDATE] > 0.0))
    if lane_bits(leaves) != 0:
        close_all(rule, market, state, scratch, leaves, where(ruined, BY_RUIN, BY_WINDOW_END))
        mark(state, scratch, live)
    note_close(state, scratch, live)
    return ruined, truncated


@hot
def settle(rule, state, scratch, live, before):
    """Update limits, episode sums and the return window after the mark. Returns the drawdown."""
    account, counter, flow = block(state.account, live), block(state.counter, live), block(state.flow, live)
    per_before = 1.0 / before
    net_return = (account[EQUITY] - before) * per_before
    flow[NET_RETURN] = net_return
    earns = live & (counter[BAR] >= counter[START])
    counter[STEPS] = counter[STEPS] + where(earns, 1.0, 0.0)
    if state.below.shape[1] > 0:
        remember_return(state, scratch, earns, net_return < -rule[MAX_VAR])
    drawdown = update_limits(rule, account, counter, flow)
    account[EPISODE_TURNOVER] = account[EPISODE_TURNOVER] + flow[TURNOVER] * per_before
    account[EPISODE_COST] = account[EPISODE_COST] + booked_costs(flow)
    counter[EPISODE_BREACHES] = counter[EPISODE_BREACHES] + flow[BREACHES]
    counter[EPISODE_FILLS] = counter[EPISODE_FILLS] + flow[NUM_FILLS]
    return drawdown


@hot
def start_rows(rule, market, state, scratch, windows, starting, seed):
    """Start the next episode of the rows named by the bits of `starting`."""
    for i in range(LANES):
        if (starting >> i) & 1:
            reset_row(
                rule,
                windows,
                state.account[:, i],
                state.counter[:, i],
                state.position[:, :, i],
                state.slot[:, :, i],
                state.below[state.first + i],
                market.bars.shape[1],
                seed,
            )
    if is_mapped(state):
        find_instruments(market, state, scratch)


@hot
def end_rows(rule, state, over, terminated, outputs, waits):
    """Flag the rows named by the bits of `over` and write their statistics; `waits`: they wait for a reset."""
    for i in range(LANES):
        if (over >> i) & 1:
            e, dead = state.first + i, (terminated >> i) & 1
            outputs.flags[0, e], outputs.flags[1, e] = dead, 1 - dead
            write_statistics(rule, state.account[:, i], state.counter[:, i], outputs.ended[e])
            if waits:
                state.counter[PENDING_RESET, i] = 1


@compiled
def reset_rows(market, rule, windows, rows, scratch, mask, out, seed):
    """Start a new episode in every row where mask (E,) is non-zero and write its first observation into out (E, D).

    Arguments as in `step_rows`.
    """
    market, rows, scratch = MarketArrays(*market), RowArrays(*rows), Scratch(*scratch)
    for first in range(0, mask.shape[0], LANES):
        state, starting, wanted = block_of(rows, first // LANES), np.int64(0), first_lanes(0)
        for i in range(min(LANES, mask.shape[0] - first)):
            if mask[first + i] != 0:
                starting |= 1 << i
                wanted = wanted | (first_lanes(i + 1) & ~first_lanes(i))
        start_rows(rule, market, state, scratch, windows, starting, seed)
        look_up_known(market, state, scratch, wanted)
        observe(out, wanted, rule, market, state, scratch)


@compiled
def step_rows(market, rule, windows, rows, scratch, outputs, actions, seed, mode, start, stop):
    """Step rows start .. stop - 1, start a multiple of LANES. Returns whether any episode ended.

    Parameters
    ----------
    market, rows, scratch, outputs : fields of `MarketArrays`, `RowArrays`, `Scratch` and `Outputs`, as plain tuples:
        Numba needs 0.1 us a call to find the type of one, and 2 us for that of a named tuple.
    rule (K,), windows (W, 3), actions (E, A, columns). mode : of autoreset.
    """
    market, rows = MarketArrays(*market), RowArrays(*rows)
    scratch, outputs = Scratch(*scratch), Outputs(*outputs)
    any_ended = False
    far = is_far(stop - start, rows)
    outputs.flags[:, start:stop] = False
    for first in range(start, stop, LANES):
        state, reward = block_of(rows, first // LANES), outputs.reward[first // LANES]
        if is_mapped(state):
            find_instruments(market, state, scratch)
        present = first_lanes(stop - first)
        pending = present & (block(state.counter, present)[PENDING_RESET] != 0.0)
        live = present & ~pending
        clear_block(state, stop)
        block(reward, first_lanes(LANES))[0] = 0.0
        set_places(market, state, scratch, live)
        over = np.int64(0)
        if lane_bits(live) != 0:
            following, after = min(first + LANES, stop), min(first + 2 * LANES, stop)
            ahead = Ahead(rows, following, after, scratch.places, far)
            ruined, truncated = advance(rule, market, state, scratch, live, actions, reward, ahead)
            over = lane_bits(ruined | truncated)
            if over != 0:
                any_ended = True
                end_rows(rule, state, over, lane_bits(ruined), outputs, mode != SAME_STEP)
                if mode == SAME_STEP:
                    observe(outputs.final_out, ruined | truncated, rule, market, state, scratch)
        starting = over if mode == SAME_STEP else (lane_bits(pending) if mode == NEXT_STEP else np.int64(0))
        if starting != 0:
            start_rows(rule, market, state, scratch, windows, starting, seed)
        if starting != 0 or lane_bits(pending) != 0:
            look_up_known(market, state, scratch, present)
        observe(outputs.out, present, rule, market, state, scratch)
    return any_ended
