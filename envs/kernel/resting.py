"""Entries that rest: limit and stop orders of the scheme `order_entry`, from the decision to the fill inside a bar.

Of one asset slot, in the rows of a block. The target of a resting order is the working target; beside it stand the
order's kind (0: none rests), its price level, and the last bar that it may be filled in.
"""

from __future__ import annotations

import math

from envs.kernel.columns import (
    AT_LEVEL,
    AT_OPEN,
    ATR,
    BY_LIMIT_ENTRY,
    BY_SIGNAL,
    BY_STOP_ENTRY,
    CARRY,
    ENTRY_IN_ATR,
    HERE,
    HIGH,
    IN_FORCE_BARS,
    KEEP,
    LAST_MARK,
    LOW,
    MAKER_BPS,
    NO_ROLL,
    NUM_OFFSETS,
    OPEN,
    RESTING_KIND,
    RESTING_LEVEL,
    RESTING_UNTIL,
    ROLL,
    SCHEDULE,
    SPLIT,
    TAKER_BPS,
    TARGET,
    TICK_SIZE,
    UNITS,
    VOLUME,
)
from envs.kernel.fills import book_fill
from envs.kernel.jit import inner
from envs.kernel.lane_arrays import block
from envs.kernel.lane_entries import lane_numbers
from envs.kernel.lanes import everywhere, first_lanes, lane_bits, sign, where
from envs.kernel.open_fills import capped_quantity, fill_at_open, working_quantity
from envs.kernel.order_queue import resting_column
from envs.kernel.parts import bar_of, has_context, instrument_of

# Kinds of a resting order.
NONE, LIMIT, STOP = range(3)


@inner
def cancel_late(rule, state, scratch, live, a, closed):
    """Cancel an order that may not be filled in bar t + 1: its time is over, or entries are `closed` there."""
    position = block(state.position[a], live)
    k = resting_column(rule, state.position.shape[1])
    rests = position[k + RESTING_KIND] != NONE
    ends = rests & (closed | (lane_numbers(scratch.places[HERE]) > position[k + RESTING_UNTIL]))
    position[TARGET] = where(ends, position[UNITS], position[TARGET])
    position[k + RESTING_KIND] = where(ends, NONE, position[k + RESTING_KIND])


@inner
def cancel_rolled(rule, state, scratch, live, a):
    """Cancel an order that rests where bar t + 1 is the first of another contract: it names the one that is left."""
    position = block(state.position[a], live)
    k = resting_column(rule, state.position.shape[1])
    ends = (position[k + RESTING_KIND] != NONE) & (bar_of(scratch, a)[ROLL] != NO_ROLL)
    position[TARGET] = where(ends, position[UNITS], position[TARGET])
    position[k + RESTING_KIND] = where(ends, NONE, position[k + RESTING_KIND])


@inner
def entry_side(rule, code, side):
    """Side that a code asks for: of resting entries even ones buy and odd ones sell, `side` is that of the others."""
    rests = (code > 3.0) & (code < 4.0 + 4.0 * rule[NUM_OFFSETS])
    return where(rests, where(code == 2.0 * math.floor(0.5 * code), 1.0, -1.0), side)


@inner
def standing_target(rule, position, num_columns, decided):
    """Target that an action is held against: what is held while an order rests, else the decided one."""
    rests = position[resting_column(rule, num_columns) + RESTING_KIND] != NONE
    return where(rests, position[UNITS], decided)


@inner
def closed_entry(rule, position, num_columns, first, wish):
    """The wish, where the action is to close and an order rests: to be flat, which cancels it."""
    rests = position[resting_column(rule, num_columns) + RESTING_KIND] != NONE
    return where(rests & (math.floor(first + 0.5) == 3.0), 0.0, wish)


@inner
def note_entry(rule, market, state, scratch, live, a, first, wish, forced):
    """Note level and time in force of an order that is to rest; any other order takes the place of one that does.

    first : the action. wish : units, or KEEP. forced : the wish is a limit's and not the policy's.
    """
    position, instrument, bar = block(state.position[a], live), instrument_of(scratch, a), bar_of(scratch, a)
    k, code = resting_column(rule, state.position.shape[1]), math.floor(first + 0.5)
    sets = live & (wish != KEEP)
    rests = sets & (wish != 0.0) & ~forced & (code > 3.0)
    choice = math.floor(0.25 * (code - 4.0))
    within = code - 4.0 - 4.0 * choice  # 0 buy limit, 1 sell limit, 2 buy stop, 3 sell stop
    offset, base = everywhere(0.0), SCHEDULE + 1 + 3 * int(rule[SCHEDULE])
    for i in range(int(rule[NUM_OFFSETS])):
        offset = where(choice == i, rule[base + i], offset)
    tick = instrument[TICK_SIZE]
    if has_context(market):
        tick = tick / bar[SPLIT]
    distance = offset * tick
    if rule[ENTRY_IN_ATR] > 0.0:
        distance = offset * bar[ATR]
    below = (within == 0.0) | (within == 3.0)
    level = where(below, bar[LAST_MARK] - distance, bar[LAST_MARK] + distance) / tick
    # On the tick at or beyond the level, away from the mark.
    level = where(below, math.floor(level + 1e-6), -math.floor(1e-6 - level)) * tick
    kind = where(within < 2.0, LIMIT, STOP)
    until = lane_numbers(scratch.places[HERE]) + (rule[IN_FORCE_BARS] - 1.0)
    position[k + RESTING_KIND] = where(sets, where(rests, kind, NONE), position[k + RESTING_KIND])
    position[k + RESTING_LEVEL] = where(rests, level, position[k + RESTING_LEVEL])
    position[k + RESTING_UNTIL] = where(rests, until, position[k + RESTING_UNTIL])


@inner
def fill_entries(rule, market, state, scratch, live, a):
    """Fill what works of one asset in bar t + 1: what rests by the bar's range, anything else at the open.

    A limit needs the tick beyond its level to trade, and pays the maker's fee at its level; what the open has already
    passed fills at the open and takes. A stop fills at its level once that is touched, and takes. Both are cut by the
    bar's volume: of a limit the rest goes on resting, of a stop it becomes a market order, unless remainders are
    dropped. Returns where a fill happened at a level inside the bar.
    """
    position, instrument, bar = block(state.position[a], live), instrument_of(scratch, a), bar_of(scratch, a)
    k = resting_column(rule, state.position.shape[1])
    rests = live & (position[k + RESTING_KIND] != NONE)
    market_orders = live & ~rests
    if lane_bits(market_orders) != 0:
        fill_at_open(rule, market, state, scratch, market_orders, a)
    inside = first_lanes(0)
    if lane_bits(rests) == 0:
        return inside
    quantity, level = working_quantity(position), position[k + RESTING_LEVEL]
    limit, side = position[k + RESTING_KIND] == LIMIT, sign(quantity)
    tick = instrument[TICK_SIZE]
    if has_context(market):
        tick = tick / bar[SPLIT]
    slack = 1e-6 * tick
    past = side * (bar[OPEN] - level)
    better, worse = where(side > 0.0, bar[LOW], bar[HIGH]), where(side > 0.0, bar[HIGH], bar[LOW])
    at_open = (limit & (past <= slack)) | (~limit & (past >= -slack))
    through = limit & (side * (better - level) <= slack - tick)
    through = through | (~limit & (side * (worse - level) >= -slack))
    wanted = rests & (quantity != 0.0) & (at_open | through)
    if lane_bits(wanted) == 0:
        return inside
    part = capped_quantity(rule, instrument, bar[VOLUME], quantity)
    opens, inside = wanted & at_open & (part != 0.0), wanted & ~at_open & (part != 0.0)
    taker = instrument[TAKER_BPS]
    if lane_bits(opens) != 0:
        book_fill(rule, market, state, scratch, opens, a, part, bar[OPEN], taker, AT_OPEN, BY_SIGNAL)
    if lane_bits(inside) != 0:
        fee_bps = where(limit, instrument[MAKER_BPS], taker)
        reason = where(limit, BY_LIMIT_ENTRY, BY_STOP_ENTRY)
        book_fill(rule, market, state, scratch, inside, a, part, level, fee_bps, AT_LEVEL, reason)
    over = wanted & (~limit | (working_quantity(position) == 0.0))
    if rule[CARRY] <= 0.0:
        over = wanted
        position[TARGET] = where(wanted, position[UNITS], position[TARGET])
    position[k + RESTING_KIND] = where(over, NONE, position[k + RESTING_KIND])
    return inside
