"""From an action to working orders: the wish of the policy, then every limit, then the order queue.

Everything here is known at the close of bar t. `wish` is a target in units, or KEEP.

Arrays of one env row: `bars` (S, K) at close t, `day` the calendar columns of the bar that orders fill
in, `positions` and `slots` (A, K), `actions` (A, columns). Their parts for one asset slot are `bar`,
`instrument`, `position`, `slot` and `action`.
"""

from __future__ import annotations

import math

import numpy as np

from envs.kernel.columns import (
    ALLOW_SHORT,
    ATR,
    BAR,
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
from envs.kernel.jit import hot, inner, sign
from envs.kernel.sizes import entry_units, round_to_lot


@hot
def decided_target(position, latency):
    """Target that the decisions so far lead to: the last queued one, else the working target."""
    for i in range(latency - 1, -1, -1):
        if position[QUEUE + i] != KEEP:
            return position[QUEUE + i]
    return position[TARGET]


@hot
def push_intent(position, latency, intent):
    """Queue an intent; what leaves the queue becomes the working target."""
    leaving = intent
    if latency > 0:
        leaving = position[QUEUE]
        for i in range(latency - 1):
            position[QUEUE + i] = position[QUEUE + i + 1]
        position[QUEUE + latency - 1] = intent
    target = position[TARGET]
    position[TARGET] = target if leaving == KEEP else leaving


@inner
def cancel_orders(position, latency):
    """Drop every working and queued order: the target is what is held."""
    position[TARGET] = position[UNITS]
    for i in range(latency):
        position[QUEUE + i] = KEEP


@hot
def reduce_only(wish, decided):
    """Nearest target to `wish` that does not add to the decided position and does not change its side."""
    if wish * decided <= 0.0:
        return 0.0
    return wish if abs(wish) < abs(decided) else decided


@hot
def wished_units(rule, account, counter, bar, instrument, action, decided):
    """Target units that the action alone asks for, or KEEP."""
    first = float(action[0])
    point = instrument[MULTIPLIER]
    unit_notional = bar[MARK] * point
    if not math.isfinite(first) or unit_notional <= 0.0:
        return KEEP
    short_allowed = rule[ALLOW_SHORT] > 0.0
    equity = account[EQUITY]
    scheme = rule[SCHEME]
    if scheme == WEIGHTS:
        weight = min(max(first, -1.0 if short_allowed else 0.0), 1.0)
        if equity <= 0.0:
            return 0.0
        wish = weight * equity / unit_notional
        return KEEP if abs(wish - decided) * unit_notional < rule[REBALANCE_BAND] * equity else wish
    size = 1.0
    held_side = sign(decided)
    code = math.floor(first + 0.5)
    if scheme == ORDERS:
        side = held_side if code <= 0 or code > 3 else (1 if code == 1 else (-1 if code == 2 else 0))
    else:
        side = min(max(code, 0), 2) - 1
        if scheme == DIRECTION_SIZE:
            second = float(action[1])
            size = min(max(second, 0.0), 1.0) if math.isfinite(second) else 0.0
            side = side if size > 0.0 else 0
    if side < 0 and not short_allowed:
        side = 0
    if side == held_side:
        return KEEP
    if side == 0:
        return 0.0
    atr = bar[ATR] if bar.shape[0] > ATR else 0.0
    volatility = bar[VOLATILITY] if bar.shape[0] > ATR else 0.0
    return side * size * entry_units(rule, account, counter, equity, unit_notional, point, atr, volatility)


@hot
def row_exit(rule, halt, day):
    """Reason why every asset must be flat by the open of the bar of `day`, or -1."""
    if halt != NOT_HALTED:
        return BY_DAILY_LOSS if halt == HALTED_SESSION else BY_DRAWDOWN
    if rule[FLAT_RULE] == LAST_OPEN and day[BARS_LEFT] == 0:
        return BY_SESSION_END
    return -1


@hot
def aged_entry(rule, fill_bar):
    """Last entry bar that reaches the time limit by `fill_bar`; before every bar without such a limit."""
    return fill_bar - np.int64(rule[TIME_LIMIT]) if rule[TIME_LIMIT] > 0.0 else -(2**31)


@hot
def forced_exit(position, slot, row_reason, aged):
    """Reason why an asset must be flat by the bar that orders fill in, or -1.

    row_reason, aged : from `row_exit` and `aged_entry` for that bar.
    """
    if row_reason >= 0:
        return row_reason
    if (slot[ENTRY_BAR] <= aged) & (position[UNITS] != 0.0):
        return BY_TIME
    return -1


@hot
def entries_closed(rule, day, var_breached):
    """True when orders for the bar of `day` may only reduce."""
    if var_breached or day[BAR_IN_SESSION] < rule[NO_TRADE_OPEN]:
        return True
    return day[BARS_LEFT] < rule[NO_TRADE_CLOSE]


@hot
def exposure_factor(rule, account, bars, instruments, positions, symbols, wishes, latency):
    """Factor in [0, 1] that fits the new targets under the gross cap and the initial margin; 0 where that is dust."""
    kept = wished = kept_margin = wished_margin = 0.0
    for a in range(positions.shape[0]):
        s = symbols[a]
        instrument = instruments[s]
        new = wishes[a] != KEEP
        units = abs(wishes[a]) if new else abs(decided_target(positions[a], latency))
        notional = units * bars[s, MARK] * instrument[MULTIPLIER]
        margin = units * instrument[INITIAL_PER_UNIT] + notional * instrument[INITIAL_FRACTION]
        if new:
            wished += notional
            wished_margin += margin
        else:
            kept += notional
            kept_margin += margin
    equity = max(account[EQUITY], 0.0)
    factor = 1.0
    if kept + wished > rule[MAX_GROSS] * equity and wished > 0.0:
        factor = max(rule[MAX_GROSS] * equity - kept, 0.0) / wished
    if rule[MARGIN_ON] > 0.0 and kept_margin + wished_margin > equity and wished_margin > 0.0:
        factor = min(factor, max(equity - kept_margin, 0.0) / wished_margin)
    return factor if factor > DUST else 0.0


@hot
def limited_wish(rule, account, bar, instrument, position, slot, fill_bar, decided, wish, closed):
    """Apply the per-asset limits to a wish: minimum holding, closed entries, position cap."""
    if wish == KEEP:
        return wish
    shrinks = wish * decided <= 0.0 or abs(wish) < abs(decided)
    if position[UNITS] != 0.0 and shrinks and fill_bar - slot[ENTRY_BAR] < rule[MIN_HOLDING]:
        return KEEP
    if closed:
        wish = reduce_only(wish, decided)
    if rule[MAX_POSITION] > 0.0:
        unit_notional = bar[MARK] * instrument[MULTIPLIER]
        cap = rule[MAX_POSITION] * max(account[EQUITY], 0.0) / unit_notional
        if abs(wish) > cap:
            wish = math.copysign(cap, wish)
    return wish


@hot
def collect_wishes(
    rule, bars, day, instruments, account, counter, positions, slots, actions, wishes, reasons, symbols,
    fill_bar, closed,
):  # fmt: skip
    """Write the limited wish and the forced reason (-1: none) of each asset. Returns how many wish a new target."""
    latency = counter[LATENCY]
    row_reason, aged = row_exit(rule, counter[HALT], day), aged_entry(rule, fill_bar)
    listens = counter[BAR] + 1 >= counter[START]
    count = 0
    for a in range(positions.shape[0]):
        s = symbols[a]
        bar, position, slot, instrument = bars[s], positions[a], slots[a], instruments[s]
        reason = forced_exit(position, slot, row_reason, aged)
        wish = KEEP
        if reason >= 0:
            wish = 0.0
        elif listens and bar[TRADABLE] > 0.0:
            decided = decided_target(position, latency)
            wish = wished_units(rule, account, counter, bar, instrument, actions[a], decided)
            wish = limited_wish(
                rule, account, bar, instrument, position, slot, fill_bar, decided, wish, closed
            )
        reasons[a] = reason
        wishes[a] = wish
        count += wish != KEEP
    return count


@hot
def decide_row(
    rule, bars, calendar, instruments, account, counter, positions, slots, decision_log,
    actions, wishes, reasons, symbols, t, var_breached,
):  # fmt: skip
    """Turn the action of an env row at the close of bar t into working targets. calendar (T, K)."""
    latency = counter[LATENCY]
    fill_bar = min(t + 1 + latency, calendar.shape[0] - 1)
    day = calendar[fill_bar]
    closed = entries_closed(rule, day, var_breached)
    count = collect_wishes(
        rule, bars, day, instruments, account, counter, positions, slots, actions, wishes, reasons,
        symbols, fill_bar, closed,
    )  # fmt: skip
    logged = decision_log.shape[0] > 0
    if count == 0 and latency == 0 and not logged:
        return
    factor = 1.0
    if count > 0:
        factor = exposure_factor(rule, account, bars, instruments, positions, symbols, wishes, latency)
    for a in range(positions.shape[0]):
        position = positions[a]
        wish = wishes[a]
        if wish != KEEP and wish != 0.0:
            wish = round_to_lot(wish * factor, instruments[symbols[a], LOT_STEP])
            wish = count_entry(rule, counter, position, latency, wish)
        push_intent(position, latency, wish)
        if logged:
            decision_log[a, INTENT] = wish
            decision_log[a, INTENT_REASON] = reasons[a] if reasons[a] >= 0 else BY_SIGNAL
            decision_log[a, LOG_TARGET] = decided_target(position, latency)


@hot
def count_entry(rule, counter, position, latency, wish):
    """Count an order that opens or flips a position; beyond the session's maximum it may only reduce."""
    decided = decided_target(position, latency)
    if wish == 0.0 or wish * decided > 0.0:
        return wish
    if rule[MAX_ENTRIES] >= 0.0 and counter[ENTRIES] >= rule[MAX_ENTRIES]:
        return 0.0
    counter[ENTRIES] += 1
    return wish
