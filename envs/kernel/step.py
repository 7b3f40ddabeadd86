"""The step of many env rows: observe(close t) -> act -> fill(open t + 1) -> bar -> mark(close t + 1) -> reward.

Entry points: `reset_rows` and `step_rows`. A block of LANES rows is treated at once, each in a lane of its own
(envs.kernel.lanes): rows are independent, and any split of the blocks over threads gives the same bits. Functions take
the parts of a block (envs.kernel.parts) and the rows they are about: `live`, `wanted` or `who`. Axes as there, and W
window.
"""

from __future__ import annotations

import numpy as np

from envs.kernel.bar import charge_financing, close_all, close_ended, liquidate, liquidation_path, trade
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
    SOME_END,
    START,
    STEPS,
    STOP,
    SYMBOL,
    TURNOVER,
    UNITS,
)
from envs.kernel.episode import reset_row, write_statistics
from envs.kernel.jit import compiled, hot
from envs.kernel.lane_arrays import beside, block, put_numbers, rows_at, take_columns
from envs.kernel.lanes import LANES, everywhere, first_lanes, lane_bits, where
from envs.kernel.observe import observe
from envs.kernel.orders import decide
from envs.kernel.parts import (
    Ahead,
    Book,
    Desk,
    MarketArrays,
    bar_of,
    decisions,
    instrument_of,
    is_logged,
    is_mapped,
)
from envs.kernel.prefetch import is_far, prefetch_quarter
from envs.kernel.valuation import booked_costs, mark, remember_return, reward_of, update_limits, var_exceeded

# Autoreset modes of `step_rows`, as gymnasium names them.
SAME_STEP, NEXT_STEP, DISABLED = range(3)


@hot
def find_instruments(market, book, desk):
    """Write which symbols the rows' slots hold by now, where these lie in a bar, and their instruments."""
    width = market.bars.shape[2]
    for a in range(book.slot.shape[0]):
        for i in range(LANES):
            desk.symbols[a, i] = book.slot[a, SYMBOL, i]
            desk.shifts[a, i] = desk.symbols[a, i] * width
        source = rows_at(market.instrument, desk.symbols[a])
        take_columns(instrument_of(desk, a), source, NUM_INSTRUMENT_COLUMNS)


@hot
def look_up(market, desk):
    """Write the bars that the rows are at into the facts."""
    bars = rows_at(market.bars, desk.places[HERE])
    for a in range(desk.facts.shape[0]):
        take_columns(bar_of(desk, a), beside(bars, desk.shifts[a]), market.bars.shape[2])


@hot
def look_up_known(market, book, desk, wanted):
    """Put the wanted rows at the bar t that they know and look it up."""
    put_numbers(desk.places[HERE], where(wanted, block(book.counter, wanted)[BAR], 0.0))
    look_up(market, desk)


@hot
def clear_block(book, stop):
    """Zero what the block's rows, those before row `stop`, write anew in each bar."""
    flow = block(book.flow, first_lanes(LANES))
    for k in range(book.flow.shape[0]):
        flow[k] = 0.0
    if is_logged(book):
        for e in range(book.first, min(book.first + LANES, stop)):
            book.decision_log[e] = 0.0
            book.fill_log[e, :, :, FILL_UNITS] = 0.0


@hot
def roll_session(account, counter, rolls):
    """Start a new session's counters where the session rolls."""
    account[SESSION_EQUITY] = where(rolls, account[EQUITY], account[SESSION_EQUITY])
    counter[ENTRIES] = where(rolls, 0.0, counter[ENTRIES])
    counter[HALT] = where(rolls & (counter[HALT] == HALTED_SESSION), NOT_HALTED, counter[HALT])


@hot
def set_places(market, book, desk, live):
    """Put the live rows at bar t + 1, and note in which their orders fill; others at bar 1."""
    counter, last = block(book.counter, live), market.calendar.shape[0] - 1.0
    t = where(live, counter[BAR], 0.0)
    put_numbers(desk.places[HERE], t + 1.0)
    put_numbers(desk.places[FILL], where(live, min(t + 1.0 + counter[LATENCY], last), 0.0))


@hot
def advance(rule, market, book, desk, live, actions, reward, ahead):
    """Carry the live rows from the close of bar t to the close of bar t + 1. Returns which are ruined, which truncated.

    actions (E, A, columns), reward (1, L).
    """
    account, counter, flow = block(book.account, live), block(book.counter, live), block(book.flow, live)
    day = rows_at(market.calendar, desk.places[HERE])
    before = account[EQUITY]
    look_up(market, desk)
    prefetch_quarter(market, ahead, 0)
    rolls = day[BAR_IN_SESSION] == 0.0
    if lane_bits(rolls) != 0:
        roll_session(account, counter, rolls)
    var_breached = var_exceeded(rule, counter, book.below.shape[1])
    flow[BREACHES] = where(var_breached, 1.0, 0.0)
    decide(rule, market, book, desk, live, actions, var_breached)
    charge_financing(rule, market, book, desk, live)
    prefetch_quarter(market, ahead, 1)
    trade(rule, market, book, desk, live)
    if rule[MARGIN_ON] > 0.0:
        path = liquidation_path(book, desk, live)
        called = live & (path <= 1.0)
        if lane_bits(called) != 0:
            flow[BREACHES] = flow[BREACHES] + where(called, 1.0, 0.0)
            liquidate(rule, market, book, desk, called, path)
    prefetch_quarter(market, ahead, 2)
    if rule[SOME_END] > 0.0:
        close_ended(rule, market, book, desk, live)
    mark(book, desk, live)
    if rule[FLAT_RULE] == LAST_CLOSE:
        leaves = live & (day[BARS_LEFT] == 0.0)
        if lane_bits(leaves) != 0:
            close_all(rule, market, book, desk, leaves, everywhere(BY_SESSION_END))
            mark(book, desk, live)
    ruined = live & (account[EQUITY] <= max(rule[RUIN] * rule[INITIAL_EQUITY], 0.0))
    truncated = live & ~ruined & (counter[BAR] + 1.0 >= counter[STOP] - 1.0)
    leaves = ruined | (truncated & (rule[LIQUIDATE] > 0.0))
    if lane_bits(leaves) != 0:
        close_all(rule, market, book, desk, leaves, where(ruined, BY_RUIN, BY_WINDOW_END))
        mark(book, desk, live)
    flow[EQUITY_AFTER] = account[EQUITY]
    if is_logged(book):
        log = decisions(book, desk, live)
        for a in range(book.position.shape[0]):
            log[NUM_DECISION_COLUMNS * a + LOG_UNITS] = block(book.position[a], live)[UNITS]
    counter[BAR] = counter[BAR] + 1.0
    prefetch_quarter(market, ahead, 3)
    drawdown = settle(rule, book, desk, live, before)
    block(reward, live)[0] = reward_of(rule, account, counter, day, flow, before, drawdown)
    return ruined, truncated


@hot
def settle(rule, book, desk, live, before):
    """Update limits, episode sums and the return window after the mark. Returns the drawdown."""
    account, counter, flow = block(book.account, live), block(book.counter, live), block(book.flow, live)
    per_before = 1.0 / before
    net_return = (account[EQUITY] - before) * per_before
    flow[NET_RETURN] = net_return
    earns = live & (counter[BAR] >= counter[START])
    counter[STEPS] = counter[STEPS] + where(earns, 1.0, 0.0)
    if book.below.shape[1] > 0:
        remember_return(book, desk, earns, net_return < -rule[MAX_VAR])
    drawdown = update_limits(rule, account, counter, flow)
    account[EPISODE_TURNOVER] = account[EPISODE_TURNOVER] + flow[TURNOVER] * per_before
    account[EPISODE_COST] = account[EPISODE_COST] + booked_costs(flow)
    counter[EPISODE_BREACHES] = counter[EPISODE_BREACHES] + flow[BREACHES]
    counter[EPISODE_FILLS] = counter[EPISODE_FILLS] + flow[NUM_FILLS]
    return drawdown


@hot
def start_rows(rule, market, book, desk, windows, starting, seed):
    """Start the next episode of the rows named by the bits of `starting`."""
    for i in range(LANES):
        if (starting >> i) & 1:
            reset_row(
                rule,
                windows,
                book.account[:, i],
                book.counter[:, i],
                book.position[:, :, i],
                book.slot[:, :, i],
                book.below[book.first + i],
                market.bars.shape[1],
                seed,
            )
    if is_mapped(book):
        find_instruments(market, book, desk)


@hot
def end_rows(rule, book, over, terminated, flags, ended, waits):
    """Flag the rows named by the bits of `over` and write their statistics; `waits`: they wait for a reset."""
    for i in range(LANES):
        if (over >> i) & 1:
            e, dead = book.first + i, (terminated >> i) & 1
            flags[0, e], flags[1, e] = dead, 1 - dead
            write_statistics(rule, book.account[:, i], book.counter[:, i], ended[e])
            if waits:
                book.counter[PENDING_RESET, i] = 1


@compiled
def reset_rows(
    bars,
    features,
    clock,
    calendar,
    years,
    instrument,
    rule,
    windows,
    account,
    counter,
    position,
    slot,
    below,
    flow,
    fill_log,
    decision_log,
    mask,
    out,
    seed,
    facts,
    symbols,
    shifts,
    places,
    seen,
    waste,
    waste_32,
    waste_8,
):
    """Start a new episode in every row where mask (E,) is non-zero and write its first observation."""
    market = MarketArrays(bars, features, clock, calendar, years, instrument)
    desk = Desk(facts, symbols, shifts, places, seen, waste, waste_32, waste_8)
    for first in range(0, mask.shape[0], LANES):
        b, starting, wanted = first // LANES, np.int64(0), first_lanes(0)
        book = Book(
            account[b], counter[b], position[b], slot[b], flow[b], first, below, fill_log, decision_log
        )
        for i in range(min(LANES, mask.shape[0] - first)):
            if mask[first + i] != 0:
                starting |= 1 << i
                wanted = wanted | (first_lanes(i + 1) & ~first_lanes(i))
        start_rows(rule, market, book, desk, windows, starting, seed)
        look_up_known(market, book, desk, wanted)
        observe(out, wanted, rule, market, book, desk)


@compiled
def step_rows(
    bars,
    features,
    clock,
    calendar,
    years,
    instrument,
    rule,
    windows,
    account,
    counter,
    position,
    slot,
    below,
    flow,
    fill_log,
    decision_log,
    actions,
    out,
    final_out,
    reward,
    flags,
    ended,
    seed,
    mode,
    facts,
    symbols,
    shifts,
    places,
    seen,
    waste,
    waste_32,
    waste_8,
    start,
    stop,
):
    """Step rows start .. stop - 1, start a multiple of LANES. Returns whether any episode ended.

    State is in blocks, see `envs.rows.RowState`, and so is reward (B, 1, L). Writes out and final_out (E, D), reward,
    flags (2, E) terminated and truncated, ended (E, K). Logs and scratch: `envs.kernel.parts`.
    """
    market = MarketArrays(bars, features, clock, calendar, years, instrument)
    desk = Desk(facts, symbols, shifts, places, seen, waste, waste_32, waste_8)
    any_ended = False
    far = is_far(stop - start, account, position, flow)
    flags[:, start:stop] = False
    for first in range(start, stop, LANES):
        b = first // LANES
        book = Book(
            account[b], counter[b], position[b], slot[b], flow[b], first, below, fill_log, decision_log
        )
        if is_mapped(book):
            find_instruments(market, book, desk)
        present = first_lanes(stop - first)
        pending = present & (block(book.counter, present)[PENDING_RESET] != 0.0)
        live = present & ~pending
        clear_block(book, stop)
        block(reward[b], first_lanes(LANES))[0] = 0.0
        set_places(market, book, desk, live)
        over = np.int64(0)
        if lane_bits(live) != 0:
            following, after = min(first + LANES, stop), min(first + 2 * LANES, stop)
            ahead = Ahead(account, counter, position, slot, flow, following, after, places, far)
            ruined, truncated = advance(rule, market, book, desk, live, actions, reward[b], ahead)
            over = lane_bits(ruined | truncated)
            if over != 0:
                any_ended = True
                end_rows(rule, book, over, lane_bits(ruined), flags, ended, mode != SAME_STEP)
                if mode == SAME_STEP:
                    observe(final_out, ruined | truncated, rule, market, book, desk)
        starting = over if mode == SAME_STEP else (lane_bits(pending) if mode == NEXT_STEP else np.int64(0))
        if starting != 0:
            start_rows(rule, market, book, desk, windows, starting, seed)
        if starting != 0 or lane_bits(pending) != 0:
            look_up_known(market, book, desk, present)
        observe(out, present, rule, market, book, desk)
    return any_ended
