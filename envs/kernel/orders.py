"""From an action to working orders: the wish of the policy, then every limit, then the order queue.

Everything here is known at the close of bar t: of the bar at hand, t + 1, only the columns from LAST_MARK on. `wish` is
a target in units, or KEEP; `day` the calendar columns of the bar that orders fill in.
"""

from __future__ import annotations

import math

from envs.kernel.columns import (
    ALLOW_SHORT,
    ATR,
    ATR_MULTIPLES,
    BAR,
    BAR_IN_SESSION,
    BARRIER_UNIT,
    BARRIERS_ON,
    BARS_LEFT,
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
    MAX_POSITION,
    MEMBER,
    MIN_HOLDING,
    MULTIPLIER,
    NO_TRADE_CLOSE,
    NO_TRADE_OPEN,
    NOT_HALTED,
    NUM_DECISION_COLUMNS,
    NUM_TRADE_COLUMNS,
    ORDERS,
    QUEUE,
    REBALANCE_BAND,
    SCHEME,
    START,
    TARGET,
    TIME_LIMIT,
    TRADE_STATS,
    UNITS,
    VOLATILITY,
    WEIGHTS,
    WISH,
    WISH_REASON,
)
from envs.kernel.jit import hot
from envs.kernel.lane_arrays import block, neighbours, rows_at
from envs.kernel.lane_entries import lane_numbers
from envs.kernel.lanes import everywhere, first_lanes, is_finite, lane_bits, sign, where
from envs.kernel.parts import bar_of, decisions, facts_of, has_context, instrument_of, is_logged, is_unknown
from envs.kernel.sizes import entry_units, round_to_lot


@hot
def has_atr_levels(rule):
    """True if barriers stand at a distance in ATR."""
    return (rule[BARRIERS_ON] > 0.0) & (rule[BARRIER_UNIT] == ATR_MULTIPLES)


@hot
def decided_column(rule, num_columns):
    """Where, with barriers in ATR, the bar stands after the close at which the working order was decided."""
    return num_columns - 1 - (NUM_TRADE_COLUMNS if rule[TRADE_STATS] > 0.0 else 0)


@hot
def queue_length(rule, num_columns):
    """Places of the order queue among the columns of a position."""
    others = 1 if has_atr_levels(rule) else 0
    return max(num_columns - QUEUE - others - (NUM_TRADE_COLUMNS if rule[TRADE_STATS] > 0.0 else 0), 0)


@hot
def decided_target(position, queued):
    """Target that the decisions so far lead to: the last queued one, else the working target."""
    target = position[TARGET]
    for i in range(queued):
        intent = position[QUEUE + i]
        target = where(intent == KEEP, target, intent)
    return target


@hot
def push_intent(position, latency, queued, intent):
    """Queue an intent; what leaves the queue becomes the working target. Returns it."""
    leaving = intent
    if queued > 0:
        leaving = where(latency > 0.0, position[QUEUE], intent)
        for i in range(queued - 1):
            moved = where(i < latency - 1.0, position[QUEUE + i + 1], position[QUEUE + i])
            position[QUEUE + i] = where(latency - 1.0 == i, intent, moved)
        last = QUEUE + queued - 1
        position[last] = where(latency == queued, intent, position[last])
    position[TARGET] = where(leaving == KEEP, position[TARGET], leaving)
    return leaving


@hot
def cancel_orders(position, queued):
    """Drop every working and queued order: the target is what is held."""
    position[TARGET] = position[UNITS]
    for i in range(queued):
        position[QUEUE + i] = KEEP


@hot
def reduce_only(wish, decided):
    """Nearest target to `wish` that does not add to the decided position and does not change its side."""
    return where(wish * decided <= 0.0, 0.0, where(abs(wish) < abs(decided), wish, decided))


@hot
def wished_side(rule, first, second, held_side):
    """Side and share of an entry's size that a discrete action asks for."""
    size = everywhere(1.0)
    code = math.floor(first + 0.5)
    if rule[SCHEME] == ORDERS:
        side = where(code == 1.0, 1.0, where(code == 2.0, -1.0, 0.0))
        side = where((code <= 0.0) | (code > 3.0), held_side, side)
    else:
        side = min(max(code, 0.0), 2.0) - 1.0
        if rule[SCHEME] == DIRECTION_SIZE:
            size = where(is_finite(second), min(max(second, 0.0), 1.0), 0.0)
            side = where(size > 0.0, side, 0.0)
    if rule[ALLOW_SHORT] <= 0.0:
        side = max(side, 0.0)
    return side, size


@hot
def wished_units(rule, market, scratch, a, account, counter, mark, instrument, first, second, decided):
    """Target units that the action alone asks for, or KEEP. Nothing is opened that reads an unknown context.

    At a mark of zero or below there is no notional to size by: a position may be closed, and none opened.
    """
    point = instrument[MULTIPLIER]
    unit_notional = mark * point
    heard, priced = is_finite(first), unit_notional > 0.0
    equity = account[EQUITY]
    if rule[SCHEME] == WEIGHTS:
        weight = min(max(first, where(rule[ALLOW_SHORT] > 0.0, -1.0, 0.0)), 1.0)
        wish = weight * equity / unit_notional
        wish = where(priced, wish, 0.0)
        inside = abs(wish - decided) * unit_notional < rule[REBALANCE_BAND] * equity
        inside = (priced & inside) | (~priced & (weight * decided > 0.0))
        if has_context(market):
            wish = where(is_unknown(rule, bar_of(scratch, a)), reduce_only(wish, decided), wish)
        wish = where(equity <= 0.0, 0.0, where(inside, KEEP, wish))
    else:
        held_side = sign(decided)
        side, size = wished_side(rule, first, second, held_side)
        enters = heard & (side != held_side) & (side != 0.0)
        wish = where(side == held_side, KEEP, 0.0)
        if lane_bits(enters) != 0:
            bar, context = bar_of(scratch, a), has_context(market)
            atr = bar[ATR] if context else everywhere(0.0)
            volatility = bar[VOLATILITY] if context else everywhere(0.0)
            units = entry_units(rule, account, counter, equity, unit_notional, point, atr, volatility)
            known = priced & ~is_unknown(rule, bar) if context else priced
            wish = where(enters, where(known, side * size * units, 0.0), wish)
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
    over = (kept + wished > rule[MAX_GROSS] * equity) & (wished > 0.0)
    factor = where(over, max(rule[MAX_GROSS] * equity - kept, 0.0) / wished, 1.0)
    if rule[MARGIN_ON] > 0.0:
        over = (kept_margin + wished_margin > equity) & (wished_margin > 0.0)
        factor = where(over, min(factor, max(equity - kept_margin, 0.0) / wished_margin), factor)
    return where(factor > DUST, factor, 0.0)


@hot
def limited_wish(rule, account, mark, instrument, position, slot, fill_bar, decided, wish, closed):
    """Apply the per-asset limits to a wish: minimum holding, closed entries, position cap."""
    shrinks = (wish * decided <= 0.0) | (abs(wish) < abs(decided))
    too_young = (position[UNITS] != 0.0) & shrinks & (fill_bar - slot[ENTRY_BAR] < rule[MIN_HOLDING])
    limited = where(closed, reduce_only(wish, decided), wish)
    if rule[MAX_POSITION] > 0.0:
        unit_notional = abs(mark) * instrument[MULTIPLIER]
        room = rule[MAX_POSITION] * max(account[EQUITY], 0.0)
        over = (wish != KEEP) & (abs(limited) * unit_notional > room)
        if lane_bits(over) != 0:
            limited = where(over, math.copysign(room / unit_notional, limited), limited)
    return where((wish == KEEP) | too_young, KEEP, limited)


@hot
def collect_wishes(rule, market, state, scratch, live, actions, var_breached, queued):
    """Write WISH, after its asset's own limits, and WISH_REASON. Returns which rows wish a new target.

    actions (E, A, columns).
    """
    account, counter = block(state.account, live), block(state.counter, live)
    day, fill_bar = rows_at(market.calendar, scratch.places[FILL]), lane_numbers(scratch.places[FILL])
    closed = entries_closed(rule, day, var_breached)
    row_reason, aged = row_exit(rule, counter[HALT], day), aged_entry(rule, fill_bar)
    listens = counter[BAR] + 1.0 >= counter[START]
    action, width = neighbours(actions, state.first, live, scratch.waste_32), actions.shape[2]
    any_new = first_lanes(0)
    for a in range(state.position.shape[0]):
        facts, instrument, bar = facts_of(scratch, a), instrument_of(scratch, a), bar_of(scratch, a)
        position, slot, mark = block(state.position[a], live), block(state.slot[a], live), bar[LAST_MARK]
        decided = decided_target(position, queued)
        first = action[width * a]
        second = action[width * a + 1] if rule[SCHEME] == DIRECTION_SIZE else first
        wish = wished_units(
            rule, market, scratch, a, account, counter, mark, instrument, first, second, decided
        )
        wish = limited_wish(rule, account, mark, instrument, position, slot, fill_bar, decided, wish, closed)
        wish = where(listens & (bar[LAST_TRADABLE] > 0.0), wish, KEEP)
        reason = forced_exit(position, slot, row_reason, aged)
        if has_context(market):
            reason = where((reason < 0.0) & (bar[MEMBER] <= 0.0), BY_UNIVERSE, reason)
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
    factor = exposure_factor(rule, state, scratch, live, queued) if any_new else everywhere(1.0)
    counter = block(state.counter, live)
    for a in range(state.position.shape[0]):
        position, facts = block(state.position[a], live), facts_of(scratch, a)
        wish = facts[WISH]
        orders = live & (wish != KEEP) & (wish != 0.0)
        if lane_bits(orders) != 0:
            fitted = round_to_lot(wish * factor, instrument_of(scratch, a)[LOT_STEP])
            wish = where(orders, count_entry(rule, counter, position, queued, fitted, orders), wish)
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
def count_entry(rule, counter, position, queued, wish, orders):
    """Count orders that open or flip a position; beyond the session's maximum they may only reduce."""
    opens = orders & (wish != 0.0) & (wish * decided_target(position, queued) <= 0.0)
    entries = counter[ENTRIES]
    spent = opens & ((rule[MAX_ENTRIES] >= 0.0) & (entries >= rule[MAX_ENTRIES]))
    counter[ENTRIES] = entries + where(opens & ~spent, 1.0, 0.0)
    return where(spent, 0.0, wish)
