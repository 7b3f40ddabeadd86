"""From an action to working orders: the wish of the policy, then every limit, then the order queue.

Everything here is known at the close of bar t. `wish` is a target in units, or KEEP.
"""

from __future__ import annotations

import math

from envs.kernel.columns import (
    ALLOW_SHORT,
    ATR,
    BAR_IN_SESSION,
    BARS_LEFT,
    BY_DAILY_LOSS,
    BY_DRAWDOWN,
    BY_SESSION_END,
    BY_SIGNAL,
    BY_TIME,
    DIRECTION_SIZE,
    DUST,
    ENTRIES,
    ENTRY_BAR,
    EQUITY,
    FLAT_RULE,
    HALT,
    HALTED_SESSION,
    INITIAL_FRACTION,
    INITIAL_PER_UNIT,
    INTENT,
    INTENT_REASON,
    KEEP,
    LAST_OPEN,
    LATENCY,
    LOG_TARGET,
    LOT_STEP,
    MARGIN_ON,
    MARK,
    MAX_ENTRIES,
    MAX_GROSS,
    MAX_POSITION,
    MIN_HOLDING,
    MULTIPLIER,
    NO_TRADE_CLOSE,
    NO_TRADE_OPEN,
    NOT_HALTED,
    ORDERS,
    QUEUE,
    REBALANCE_BAND,
    SCHEME,
    START,
    TARGET,
    TIME_LIMIT,
    TRADABLE,
    UNITS,
    VOLATILITY,
    WEIGHTS,
)
from envs.kernel.jit import hot, inner
from envs.kernel.sizes import entry_units, round_to_lot


@hot
def decided_target(position, latency, e, a):
    """Target that the decisions so far lead to: the last queued one, else the working target."""
    for i in range(latency - 1, -1, -1):
        if position[e, a, QUEUE + i] != KEEP:
            return position[e, a, QUEUE + i]
    return position[e, a, TARGET]


@hot
def push_intent(position, latency, e, a, intent):
    """Queue an intent; what leaves the queue becomes the working target."""
    leaving = intent
    if latency > 0:
        leaving = position[e, a, QUEUE]
        for i in range(latency - 1):
            position[e, a, QUEUE + i] = position[e, a, QUEUE + i + 1]
        position[e, a, QUEUE + latency - 1] = intent
    if leaving != KEEP:
        position[e, a, TARGET] = leaving


@inner
def cancel_orders(position, latency, e, a):
    """Drop every working and queued order: the target is what is held."""
    position[e, a, TARGET] = position[e, a, UNITS]
    for i in range(latency):
        position[e, a, QUEUE + i] = KEEP


@hot
def reduce_only(wish, decided):
    """Nearest target to `wish` that does not add to the decided position and does not change its side."""
    if wish * decided <= 0.0:
        return 0.0
    return wish if abs(wish) < abs(decided) else decided


@hot
def wished_units(rule, account, counter, bars, context, instrument, actions, e, a, s, t, decided):
    """Target units that the action alone asks for, or KEEP."""
    first = float(actions[e, a, 0])
    mark = bars[t, s, MARK]
    unit_notional = mark * instrument[s, MULTIPLIER]
    if not math.isfinite(first) or unit_notional <= 0.0:
        return KEEP
    short_allowed = rule[ALLOW_SHORT] > 0.0
    equity = account[e, EQUITY]
    scheme = rule[SCHEME]
    if scheme == WEIGHTS:
        weight = min(max(first, -1.0 if short_allowed else 0.0), 1.0)
        if equity <= 0.0:
            return 0.0
        wish = weight * equity / unit_notional
        return KEEP if abs(wish - decided) * unit_notional < rule[REBALANCE_BAND] * equity else wish
    size = 1.0
    held_side = 0 if decided == 0.0 else (1 if decided > 0.0 else -1)
    code = math.floor(first + 0.5)
    if scheme == ORDERS:
        side = held_side if code <= 0 or code > 3 else (1 if code == 1 else (-1 if code == 2 else 0))
    else:
        side = min(max(code, 0), 2) - 1
        if scheme == DIRECTION_SIZE:
            second = float(actions[e, a, 1])
            size = min(max(second, 0.0), 1.0) if math.isfinite(second) else 0.0
            side = side if size > 0.0 else 0
    if side < 0 and not short_allowed:
        side = 0
    if side == held_side:
        return KEEP
    if side == 0:
        return 0.0
    atr = context[t, s, ATR] if context.shape[0] > 0 else 0.0
    volatility = context[t, s, VOLATILITY] if context.shape[0] > 0 else 0.0
    point = instrument[s, MULTIPLIER]
    return side * size * entry_units(
        rule, account, counter, e, equity, unit_notional, point, atr, volatility
    )  # fmt: skip


@hot
def forced_exit(rule, counter, calendar, position, slot, e, a, fill_bar):
    """Reason why asset a must be flat by the open of `fill_bar`, or -1."""
    if counter[e, HALT] != NOT_HALTED:
        return BY_DAILY_LOSS if counter[e, HALT] == HALTED_SESSION else BY_DRAWDOWN
    if rule[FLAT_RULE] == LAST_OPEN and calendar[fill_bar, BARS_LEFT] == 0:
        return BY_SESSION_END
    age = fill_bar - slot[e, a, ENTRY_BAR]
    if rule[TIME_LIMIT] > 0.0 and position[e, a, UNITS] != 0.0 and age >= rule[TIME_LIMIT]:
        return BY_TIME
    return -1


@hot
def entries_closed(rule, calendar, fill_bar, var_breached):
    """True when orders for `fill_bar` may only reduce."""
    if var_breached or calendar[fill_bar, BAR_IN_SESSION] < rule[NO_TRADE_OPEN]:
        return True
    return calendar[fill_bar, BARS_LEFT] < rule[NO_TRADE_CLOSE]


@hot
def exposure_factor(rule, account, bars, instrument, position, slot_symbols, wishes, latency, e, t):
    """Factor in [0, 1] that fits the new targets under the gross cap and the initial margin; 0 where that is dust."""
    kept = wished = kept_margin = wished_margin = 0.0
    for a in range(wishes.shape[0]):
        s = slot_symbols[a]
        new = wishes[a] != KEEP
        units = abs(wishes[a]) if new else abs(decided_target(position, latency, e, a))
        notional = units * bars[t, s, MARK] * instrument[s, MULTIPLIER]
        margin = units * instrument[s, INITIAL_PER_UNIT] + notional * instrument[s, INITIAL_FRACTION]
        if new:
            wished += notional
            wished_margin += margin
        else:
            kept += notional
            kept_margin += margin
    equity = max(account[e, EQUITY], 0.0)
    factor = 1.0
    if kept + wished > rule[MAX_GROSS] * equity and wished > 0.0:
        factor = max(rule[MAX_GROSS] * equity - kept, 0.0) / wished
    if rule[MARGIN_ON] > 0.0 and kept_margin + wished_margin > equity and wished_margin > 0.0:
        factor = min(factor, max(equity - kept_margin, 0.0) / wished_margin)
    return factor if factor > DUST else 0.0


@hot
def limited_wish(
    rule, account, counter, calendar, bars, instrument, position, slot, e, a, s, t, wish, closed
):
    """Apply the per-asset limits to a wish: minimum holding, closed entries, position cap."""
    if wish == KEEP:
        return wish
    latency = counter[e, LATENCY]
    fill_bar = min(t + 1 + latency, calendar.shape[0] - 1)
    decided = decided_target(position, latency, e, a)
    shrinks = wish * decided <= 0.0 or abs(wish) < abs(decided)
    held = position[e, a, UNITS]
    if held != 0.0 and shrinks and fill_bar - slot[e, a, ENTRY_BAR] < rule[MIN_HOLDING]:
        return KEEP
    if closed:
        wish = reduce_only(wish, decided)
    if rule[MAX_POSITION] > 0.0:
        unit_notional = bars[t, s, MARK] * instrument[s, MULTIPLIER]
        cap = rule[MAX_POSITION] * max(account[e, EQUITY], 0.0) / unit_notional
        if abs(wish) > cap:
            wish = math.copysign(cap, wish)
    return wish


@hot
def collect_wishes(
    rule, bars, calendar, context, instrument, account, counter, position, slot, actions, wishes, reasons, symbols,
    e, t, var_breached,
):  # fmt: skip
    """Write the limited wish and the forced reason (-1: none) of each asset. Returns how many wish a new target."""
    latency = counter[e, LATENCY]
    fill_bar = min(t + 1 + latency, calendar.shape[0] - 1)
    closed = entries_closed(rule, calendar, fill_bar, var_breached)
    listens = t + 1 >= counter[e, START]
    count = 0
    for a in range(wishes.shape[0]):
        s = symbols[a]
        reasons[a] = forced_exit(rule, counter, calendar, position, slot, e, a, fill_bar)
        wish = KEEP
        if reasons[a] >= 0:
            wish = 0.0
        elif listens and bars[t, s, TRADABLE] > 0.0:
            decided = decided_target(position, latency, e, a)
            wish = wished_units(
                rule, account, counter, bars, context, instrument, actions, e, a, s, t, decided
            )
            wish = limited_wish(
                rule, account, counter, calendar, bars, instrument, position, slot, e, a, s, t, wish, closed
            )
        wishes[a] = wish
        count += wish != KEEP
    return count


@hot
def decide_row(
    rule, bars, calendar, context, instrument, account, counter, position, slot, decision_log,
    actions, wishes, reasons, symbols, e, t, var_breached,
):  # fmt: skip
    """Turn the action of env row e at the close of bar t into working targets."""
    latency = counter[e, LATENCY]
    count = collect_wishes(
        rule, bars, calendar, context, instrument, account, counter, position, slot, actions, wishes, reasons,
        symbols, e, t, var_breached,
    )  # fmt: skip
    if count == 0 and latency == 0 and decision_log.shape[0] == 0:
        return
    factor = 1.0
    if count > 0:
        factor = exposure_factor(rule, account, bars, instrument, position, symbols, wishes, latency, e, t)
    for a in range(wishes.shape[0]):
        wish = wishes[a]
        if wish != KEEP and wish != 0.0:
            wish = round_to_lot(wish * factor, instrument[symbols[a], LOT_STEP])
            wish = count_entry(rule, counter, position, latency, e, a, wish)
        push_intent(position, latency, e, a, wish)
        if decision_log.shape[0] > 0:
            decision_log[e, a, INTENT] = wish
            decision_log[e, a, INTENT_REASON] = reasons[a] if reasons[a] >= 0 else BY_SIGNAL
            decision_log[e, a, LOG_TARGET] = decided_target(position, latency, e, a)


@hot
def count_entry(rule, counter, position, latency, e, a, wish):
    """Count an order that opens or flips a position; beyond the session's maximum it may only reduce."""
    decided = decided_target(position, latency, e, a)
    if wish == 0.0 or wish * decided > 0.0:
        return wish
    if rule[MAX_ENTRIES] >= 0.0 and counter[e, ENTRIES] >= rule[MAX_ENTRIES]:
        return 0.0
    counter[e, ENTRIES] += 1
    return wish
