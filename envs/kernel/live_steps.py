"""A step in its parts, for rows at a venue: decide at the close of bar t, fill in bar t + 1, mark at its close.

`step_rows` is `decide_rows`, `trade_rows` and `close_rows` in a row, to the bit: all are made of the same functions. A
venue puts its own fills in the place of `trade_rows`, by `book_rows`. Rows never start anew by themselves here.
Axes as in envs.kernel.parts.
"""

from __future__ import annotations

from envs.kernel.bar import charge_holding, trade
from envs.kernel.columns import (
    BAR,
    BAR_IN_SESSION,
    BREACHES,
    CARRY,
    HERE,
    MARGIN_ON,
    PENDING_RESET,
    TARGET,
    TRADABLE,
    UNITS,
)
from envs.kernel.exits import call_margin
from envs.kernel.fills import book_at_costs
from envs.kernel.jit import compiled, hot
from envs.kernel.lane_arrays import block, rows_at
from envs.kernel.lanes import LANES, everywhere, first_lanes, lane_bits, where
from envs.kernel.observe import observe
from envs.kernel.orders import decide
from envs.kernel.parts import (
    MarketArrays,
    Outputs,
    RowArrays,
    Scratch,
    bar_of,
    block_of,
    is_mapped,
)
from envs.kernel.reward import reward_of
from envs.kernel.step import (
    clear_block,
    close_bar,
    end_rows,
    find_instruments,
    look_up,
    note_close,
    roll_session,
    rows_over,
    set_places,
    settle,
)
from envs.kernel.valuation import mark, var_exceeded


@hot
def live_rows(state, stop):
    """Rows of the block, before row `stop`, whose episode goes on."""
    present = first_lanes(stop - state.first)
    return present & (block(state.counter, present)[PENDING_RESET] == 0.0)


@hot
def at_next_bar(market, state, scratch, live):
    """Put the live rows at bar t + 1 and look it up."""
    if is_mapped(state):
        find_instruments(market, state, scratch)
    set_places(market, state, scratch, live)
    look_up(market, scratch)


@compiled
def decide_rows(market, rule, rows, scratch, actions, num_rows):
    """Turn actions (E, A, columns) at the close of bar t into working targets.

    Of bar t + 1 only the calendar and the columns from LAST_MARK on are read. Arguments as in `step_rows`.
    """
    market, rows, scratch = MarketArrays(*market), RowArrays(*rows), Scratch(*scratch)
    for first in range(0, num_rows, LANES):
        state = block_of(rows, first // LANES)
        live = live_rows(state, num_rows)
        clear_block(state, num_rows)
        at_next_bar(market, state, scratch, live)
        account, counter, flow = (
            block(state.account, live),
            block(state.counter, live),
            block(state.flow, live),
        )
        rolls = rows_at(market.calendar, scratch.places[HERE])[BAR_IN_SESSION] == 0.0
        if lane_bits(rolls) != 0:
            roll_session(state, account, counter, rolls & live)
        var_breached = var_exceeded(rule, counter, state.below.shape[1])
        flow[BREACHES] = where(var_breached, 1.0, 0.0)
        decide(rule, market, state, scratch, live, actions, var_breached)


@compiled
def trade_rows(market, rule, rows, scratch, num_rows):
    """Fill what is working in bar t + 1 as the simulator does: financing, fills at the open, barriers, margin calls."""
    market, rows, scratch = MarketArrays(*market), RowArrays(*rows), Scratch(*scratch)
    for first in range(0, num_rows, LANES):
        state = block_of(rows, first // LANES)
        live = live_rows(state, num_rows)
        at_next_bar(market, state, scratch, live)
        charge_holding(rule, market, state, scratch, live)
        trade(rule, market, state, scratch, live)
        if rule[MARGIN_ON] > 0.0:
            call_margin(rule, market, state, scratch, live)


@compiled
def book_rows(market, rule, rows, scratch, row, fill, place, reason):
    """Book a fill that a venue reported in one row, bar t + 1 at hand.

    fill : (asset slot, units, price, commission, spread, slippage, impact); units signed, costs positive are paid.
    place, reason : columns of the fill log and the exit reason. What was to be traded of the slot shrinks with it.
    """
    market, rows, scratch = MarketArrays(*market), RowArrays(*rows), Scratch(*scratch)
    state = block_of(rows, row // LANES)
    lane = row % LANES
    who = first_lanes(lane + 1) & ~first_lanes(lane)
    at_next_bar(market, state, scratch, who)
    a, quantity, price = int(fill[0]), everywhere(fill[1]), everywhere(fill[2])
    commission, spread = everywhere(fill[3]), everywhere(fill[4])
    slippage, impact = everywhere(fill[5]), everywhere(fill[6])
    book_at_costs(
        rule,
        market,
        state,
        scratch,
        who,
        a,
        quantity,
        price,
        commission,
        spread,
        slippage,
        impact,
        place,
        reason,
    )


@hot
def mark_only(rule, state, scratch, live):
    """Mark the rows at the close of bar t + 1; what must not be held on is the venue's to close.

    Returns which rows are ruined, which truncated.
    """
    account, counter = block(state.account, live), block(state.counter, live)
    if rule[CARRY] <= 0.0:  # what a bar in which one could trade has left unfilled is dropped
        for a in range(state.position.shape[0]):
            position = block(state.position[a], live)
            traded = bar_of(scratch, a)[TRADABLE] > 0.0
            position[TARGET] = where(traded, position[UNITS], position[TARGET])
    mark(state, scratch, live)
    ruined, truncated = rows_over(rule, account, counter, live)
    note_close(state, scratch, live)
    return ruined, truncated


@compiled
def close_rows(market, rule, rows, scratch, outputs, before, num_rows, simulated):
    """Mark bar t + 1 at its close, settle it and write the observation. Returns whether any episode ended.

    before : (B, 1, L) equity before the bar. simulated : session ends, ended names and the window's end are closed by
    the simulator's own fills; else the venue's reports say what is held.
    """
    market, rows = MarketArrays(*market), RowArrays(*rows)
    scratch, outputs = Scratch(*scratch), Outputs(*outputs)
    any_ended = False
    outputs.flags[:, :num_rows] = False
    for first in range(0, num_rows, LANES):
        state, reward = block_of(rows, first // LANES), outputs.reward[first // LANES]
        live = live_rows(state, num_rows)
        block(reward, first_lanes(LANES))[0] = 0.0
        at_next_bar(market, state, scratch, live)
        account, counter, flow = (
            block(state.account, live),
            block(state.counter, live),
            block(state.flow, live),
        )
        day = rows_at(market.calendar, scratch.places[HERE])
        earlier = block(before[first // LANES], live)[0]
        if simulated:
            ruined, truncated = close_bar(rule, market, state, scratch, live, day)
        else:
            ruined, truncated = mark_only(rule, state, scratch, live)
        counter[BAR] = counter[BAR] + 1.0
        drawdown = settle(rule, state, scratch, live, earlier)
        block(reward, live)[0] = reward_of(rule, account, counter, day, flow, earlier, drawdown)
        over = lane_bits(ruined | truncated)
        if over != 0:
            any_ended = True
            end_rows(rule, state, over, lane_bits(ruined), outputs, True)
        observe(outputs.out, first_lanes(num_rows - first), rule, market, state, scratch)
    return any_ended
