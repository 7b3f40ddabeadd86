"""From an action to working orders: the wish of the policy, then every limit, then the order queue.

Everything here is known at the close of bar t: of the bar at hand, t + 1, only the columns from LAST_MARK on. `wish` is
a target in units, or KEEP; `day` the calendar columns of the bar that orders fill in.
"""

from __future__ import annotations

import math

from envs.kernel.branches import rarely
from envs.kernel.columns import (
    ALLOW_SHORT,
    ASKED,
    ATR,
    BAR,
    BAR_IN_SESSION,
    BARS_LEFT,
    BORROW_LIMITS,
    BY_DAILY_LOSS,
    BY_DRAWDOWN,
    BY_SESSION_END,
    BY_SIGNAL,
    BY_TIME,
    BY_UNIVERSE,
    DIRECTION_SIZE,
    DUST,
    ENTRIES,
    ENTRY_BAR,
    EQUITY,
    FILL,
    FLAT_RULE,
    HALT,
    HALTED_SESSION,
    HERE,
    INITIAL_FRACTION,
    INITIAL_PER_UNIT,
    INTENT,
    INTENT_REASON,
    JOINT_LIMITS,
    KEEP,
    LAST_MARK,
    LAST_OPEN,
    LAST_TRADABLE,
    LATENCY,
    LOG_TARGET,
    LOT_STEP,
    MARGIN_ON,
    MAX_ENTRIES,
    MAX_GROSS,
    MAX_GROSS_NOTIONAL,
    MAX_POSITION,
    MAX_SLOT_ENTRIES,
    MEMBER,
    MIN_HOLDING,
    MULTIPLIER,
    NO_TRADE_CLOSE,
    NO_TRADE_OPEN,
    NOT_HALTED,
    NUM_DECISION_COLUMNS,
    ORDER_ENTRY,
    ORDERS,
    REBALANCE_BAND,
    SCHEME,
    SLOT_ENTRIES,
    SLOT_LIMITS,
    START,
    TAIL,
    TIME_LIMIT,
    UNITS,
    VOLATILITY,
    WEIGHTS,
    WISH,
    WISH_REASON,
)
from envs.kernel.jit import hot, inner
from envs.kernel.joint_limits import fit_jointly
from envs.kernel.lane_arrays import block, neighbours, rows_at
from envs.kernel.lane_entries import lane_numbers
from envs.kernel.lanes import everywhere, first_lanes, is_finite, lane_bits, sign, where
from envs.kernel.order_queue import (
    decided_column,
    decided_target,
    has_atr_levels,
    push_intent,
    queue_length,
    reduce_only,
)
from envs.kernel.parts import (
    bar_of,
    decisions,
    facts_of,
    has_context,
    has_members,
    instrument_of,
    is_logged,
    is_unknown,
)
from envs.kernel.resting import cancel_late, closed_entry, entry_side, note_entry, standing_target
from envs.kernel.sizes import entry_units, round_to_lot
from envs.kernel.slot_limits import borrowed, borrowed_side, within_slot_limits


@hot
def wished_side(rule, first, second, held_side, instrument, asked):
    """Side and share of an entry's size that a discrete action asks for."""
    size = everywhere(1.0)
    code = math.floor(first + 0.5)
    if rule[SCHEME] == ORDERS or (asked and rule[SCHEME] == ORDER_ENTRY):
        side = where(code == 1.0, 1.0, where(code == 2.0, -1.0, 0.0))
        side = where((code <= 0.0) | (code > 3.0), held_side, side)
        if asked and rule[SCHEME] == ORDER_ENTRY:
            side = entry_side(rule, code, side)
    else:
        side = min(max(code, 0.0), 2.0) - 1.0
        if rule[SCHEME] == DIRECTION_SIZE:
            size = where(is_finite(second), min(max(second, 0.0), 1.0), 0.0)
            side = where(size > 0.0, side, 0.0)
    if rule[ALLOW_SHORT] <= 0.0:
        side = max(side, 0.0)
    if asked and rule[BORROW_LIMITS] > 0.0:
        side = borrowed_side(side, instrument)
    return side, size


@hot
def wished_units(rule, market, scratch, a, account, counter, mark, instrument, first, second, decided, asked):
    """Target units that the action alone asks for, or KEEP. Nothing is opened that reads an unknown context.

    At a mark of zero or below there is no notional to size by: a position may be closed, and none opened.
    """
    point = instrument[MULTIPLIER]
    unit_notional = mark * point
    heard, priced = is_finite(first), unit_notional > 0.0
    equity = account[EQUITY]
    if rule[SCHEME] == WEIGHTS:
        weight = min(max(first, where(rule[ALLOW_SHORT] > 0.0, -1.0, 0.0)), 1.0)
        if asked and rule[BORROW_LIMITS] > 0.0:
            weight = borrowed(weight, instrument)
        wish = weight * equity / unit_notional
        wish = where(priced, wish, 0.0)
        inside = abs(wish - decided) * unit_notional < rule[REBALANCE_BAND] * equity
        inside = (priced & inside) | (~priced & (weight * decided > 0.0))
        if has_context(market):
            wish = where(is_unknown(rule, bar_of(scratch, a)), reduce_only(wish, decided), wish)
        wish = where(equity <= 0.0, 0.0, where(inside, KEEP, wish))
    else:
        held_side = sign(decided)
        side, size = wished_side(rule, first, second, held_side, instrument, asked)
        enters = heard & (side != held_side) & (side != 0.0)
        wish = where(side == held_side, KEEP, 0.0)
        if lane_bits(enters) != 0:
            bar, context = bar_of(scratch, a), has_context(market)
            atr = bar[ATR] if context else everywhere(0.0)
            volatility = bar[VOLATILITY] if context else everywhere(0.0)
            tail = bar[TAIL] if context else everywhere(0.0)
            units = entry_units(
                rule, account, counter, equity, unit_notional, instrument, atr, volatility, tail
            )
            known = priced & ~is_unknown(rule, bar) if context else priced
            units = side * size * units
            if asked and rule[BORROW_LIMITS] > 0.0:
                units = borrowed(units, instrument)
            wish = where(enters, where(known, units, 0.0), wish)
    return where(heard, wish, KEEP)


@hot
def row_exit(rule, halt, day):
    """Reason why every asset must be flat by the open of the bar of `day`, or -1."""
    at_end = (rule[FLAT_RULE] == LAST_OPEN) & (day[BARS_LEFT] == 0)
    reason = where(halt == HALTED_SESSION, BY_DAILY_LOSS, BY_DRAWDOWN)
    return where(halt != NOT_HALTED, reason, where(at_end, BY_SESSION_END, -1))


@hot
def aged_entry(rule, fill_bar):
    """Last entry bar that reaches the time limit by `fill_bar`; before every bar without such a limit."""
    return where(rule[TIME_LIMIT] > 0.0, fill_bar - rule[TIME_LIMIT], -(2.0**31))


@hot
def forced_exit(position, slot, row_reason, aged):
    """Reason why an asset must be flat by the bar that orders fill in, or -1.

    row_reason, aged : from `row_exit` and `aged_entry` for that bar.
    """
    too_old = (slot[ENTRY_BAR] <= aged) & (position[UNITS] != 0.0)
    return where(row_reason >= 0, row_reason, where(too_old, BY_TIME, -1))


@hot
def entries_closed(rule, day, var_breached):
    """True when orders for the bar of `day` may only reduce."""
    near_open = day[BAR_IN_SESSION] < rule[NO_TRADE_OPEN]
    return var_breached | near_open | (day[BARS_LEFT] < rule[NO_TRADE_CLOSE])


@hot
def exposure_factor(rule, state, scratch, live, queued):
    """Factor in [0, 1] that fits the new targets under the gross cap and the initial margin; 0 where that is dust."""
    kept = wished = kept_margin = wished_margin = everywhere(0.0)
    for a in range(state.position.shape[0]):
        instrument = instrument_of(scratch, a)
        wish = facts_of(scratch, a)[WISH]
        new = wish != KEEP
        units = abs(where(new, wish, decided_target(block(state.position[a], live), queued)))
        notional = units * abs(bar_of(scratch, a)[LAST_MARK]) * instrument[MULTIPLIER]
        margin = units * instrument[INITIAL_PER_UNIT] + notional * instrument[INITIAL_FRACTION]
        wished += where(new, notional, 0.0)
        wished_margin += where(new, margin, 0.0)
        kept += where(new, 0.0, notional)
        kept_margin += where(new, 0.0, margin)
    equity = max(block(state.account, live)[EQUITY], 0.0)
    most = rule[MAX_GROSS] * equity
    if rule[MAX_GROSS_NOTIONAL] > 0.0:
        most = min(most, rule[MAX_GROSS_NOTIONAL])
    over = (kept + wished > most) & (wished > 0.0)
    factor = where(over, max(most - kept, 0.0) / wished, 1.0)
    if rule[MARGIN_ON] > 0.0:
        over = (kept_margin + wished_margin > equity) & (wished_margin > 0.0)
        factor = where(over, min(factor, max(equity - kept_margin, 0.0) / wished_margin), factor)
    return where(factor > DUST, factor, 0.0)


@hot
def limited_wish(rule, account, mark, instrument, position, slot, fill_bar, decided, wish, closed, asked):
    """Apply the per-asset limits to a wish: minimum holding, closed entries, caps."""
    shrinks = (wish * decided <= 0.0) | (abs(wish) < abs(decided))
    too_young = (position[UNITS] != 0.0) & shrinks & (fill_bar - slot[ENTRY_BAR] < rule[MIN_HOLDING])
    limited = where(closed, reduce_only(wish, decided), wish)
    if rule[MAX_POSITION] > 0.0:
        unit_notional = abs(mark) * instrument[MULTIPLIER]
        room = rule[MAX_POSITION] * max(account[EQUITY], 0.0)
        over = (wish != KEEP) & (abs(limited) * unit_notional > room)
        if lane_bits(over) != 0:
            limited = where(over, math.copysign(room / unit_notional, limited), limited)
    if asked and rule[SLOT_LIMITS] > 0.0:
        limited = within_slot_limits(limited, mark * instrument[MULTIPLIER], instrument)
    return where((wish == KEEP) | too_young, KEEP, limited)


@hot
def slot_wish(rule, market, state, scratch, live, a, first, second, fill_bar, closed, queued, asked):
    """What an action wishes of one asset, after the asset's own limits.

    asked : whether rules that most configurations leave off are looked at; a constant wherever this is compiled into,
        so that the others do not pay for them.
    """
    account, counter = block(state.account, live), block(state.counter, live)
    instrument, position, slot = (
        instrument_of(scratch, a),
        block(state.position[a], live),
        block(state.slot[a], live),
    )
    mark, may_rest = bar_of(scratch, a)[LAST_MARK], asked and rule[SCHEME] == ORDER_ENTRY
    if may_rest:
        cancel_late(rule, state, scratch, live, a, closed)
    decided = decided_target(position, queued)
    basis = decided
    if may_rest:
        basis = standing_target(rule, position, state.position.shape[1], decided)
    wish = wished_units(
        rule, market, scratch, a, account, counter, mark, instrument, first, second, basis, asked
    )
    if may_rest:
        wish = closed_entry(rule, position, state.position.shape[1], first, wish)
    return limited_wish(
        rule, account, mark, instrument, position, slot, fill_bar, decided, wish, closed, asked
    )


@inner
def asked_wish(rule, market, state, scratch, live, a, first, second, fill_bar, closed, queued):
    """`slot_wish` with every rule that may be asked for, as a call."""
    return slot_wish(rule, market, state, scratch, live, a, first, second, fill_bar, closed, queued, True)


@hot
def collect_wishes(rule, market, state, scratch, live, actions, var_breached, queued):
    """Write WISH, after its asset's own limits, and WISH_REASON. Returns which rows wish a new target.

    actions (E, A, columns).
    """
    counter = block(state.counter, live)
    day, fill_bar = rows_at(market.calendar, scratch.places[FILL]), lane_numbers(scratch.places[FILL])
    closed = entries_closed(rule, day, var_breached)
    row_reason, aged = row_exit(rule, counter[HALT], day), aged_entry(rule, fill_bar)
    listens = counter[BAR] + 1.0 >= counter[START]
    action, width = neighbours(actions, state.first, live, scratch.waste_32), actions.shape[2]
    any_new, asked = first_lanes(0), rule[ASKED] > 0.0
    for a in range(state.position.shape[0]):
        facts = facts_of(scratch, a)
        position, slot = block(state.position[a], live), block(state.slot[a], live)
        first = action[width * a]
        second = action[width * a + 1] if rule[SCHEME] == DIRECTION_SIZE else first
        if rarely(asked):
            wish = asked_wish(rule, market, state, scratch, live, a, first, second, fill_bar, closed, queued)
        else:
            wish = slot_wish(
                rule, market, state, scratch, live, a, first, second, fill_bar, closed, queued, False
            )
        wish = where(listens & (bar_of(scratch, a)[LAST_TRADABLE] > 0.0), wish, KEEP)
        reason = forced_exit(position, slot, row_reason, aged)
        if has_members(market):
            outside = bar_of(scratch, a)[MEMBER] <= 0.0
            reason = where((reason < 0.0) & outside, BY_UNIVERSE, reason)
        wish = where(reason >= 0.0, 0.0, wish)
        facts[WISH], facts[WISH_REASON] = wish, reason
        any_new = any_new | (wish != KEEP)
    return any_new & live


@hot
def decide(rule, market, state, scratch, live, actions, var_breached):
    """Turn the actions (E, A, columns) of the live rows at the close of bar t into working targets."""
    queued = queue_length(rule, state.position.shape[1])
    any_new = (
        lane_bits(collect_wishes(rule, market, state, scratch, live, actions, var_breached, queued)) != 0
    )
    if not any_new and queued == 0 and not is_logged(state):
        return
    if rarely(any_new and rule[JOINT_LIMITS] > 0.0):
        fit_jointly(rule, market, state, scratch, live, queued)
    factor = exposure_factor(rule, state, scratch, live, queued) if any_new else everywhere(1.0)
    counter, may_rest = block(state.counter, live), rule[SCHEME] == ORDER_ENTRY
    for a in range(state.position.shape[0]):
        position, facts = block(state.position[a], live), facts_of(scratch, a)
        wish = facts[WISH]
        orders = live & (wish != KEEP) & (wish != 0.0)
        if lane_bits(orders) != 0:
            fitted = round_to_lot(wish * factor, instrument_of(scratch, a)[LOT_STEP])
            counted = count_entry(rule, counter, position, queued, fitted, orders, state, scratch, live, a)
            wish = where(orders, counted, wish)
        if rarely(may_rest):
            first = neighbours(actions, state.first, live, scratch.waste_32)[a]
            note_entry(rule, market, state, scratch, live, a, first, wish, facts[WISH_REASON] >= 0.0)
        leaving = push_intent(position, counter[LATENCY], queued, wish)
        if has_atr_levels(rule):
            # What was known then sets the levels of a position that the order opens; others have theirs already.
            opens = live & (leaving != KEEP) & (leaving * position[UNITS] <= 0.0)
            if lane_bits(opens) != 0:
                column = decided_column(rule, state.position.shape[1])
                known = lane_numbers(scratch.places[HERE]) - counter[LATENCY]
                position[column] = where(opens, known, position[column])
        if is_logged(state):
            log, k = decisions(state, scratch, live), NUM_DECISION_COLUMNS * a
            log[k + INTENT] = wish
            log[k + INTENT_REASON] = where(facts[WISH_REASON] >= 0.0, facts[WISH_REASON], BY_SIGNAL)
            log[k + LOG_TARGET] = decided_target(position, queued)


@hot
def count_entry(rule, counter, position, queued, wish, orders, state, scratch, live, a):
    """Count orders that open or flip a position; beyond the maximum of session or symbol they may only reduce."""
    opens = orders & (wish != 0.0) & (wish * decided_target(position, queued) <= 0.0)
    entries = counter[ENTRIES]
    spent = opens & ((rule[MAX_ENTRIES] >= 0.0) & (entries >= rule[MAX_ENTRIES]))
    if rarely(state.slot.shape[1] > SLOT_ENTRIES):
        slot = block(state.slot[a], live)
        spent = spent | (opens & (slot[SLOT_ENTRIES] >= instrument_of(scratch, a)[MAX_SLOT_ENTRIES]))
        slot[SLOT_ENTRIES] = slot[SLOT_ENTRIES] + where(opens & ~spent, 1.0, 0.0)
    counter[ENTRIES] = entries + where(opens & ~spent, 1.0, 0.0)
    return where(spent, 0.0, wish)
