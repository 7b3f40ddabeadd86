"""Action masks: which discrete actions a limit would not change, per row and asset, for the decision at close t."""

from __future__ import annotations

import numpy as np

from envs.kernel.columns import (
    ADV,
    ALLOW_SHORT,
    ATR,
    BAR,
    ENTRIES,
    ENTRY_BAR,
    FUNDING,
    HALT,
    HALTED_SESSION,
    LATENCY,
    MARK,
    MAX_ENTRIES,
    MAX_SLOT_ENTRIES,
    MEMBER,
    MIN_HOLDING,
    NOT_HALTED,
    ORDER_ENTRY,
    ORDERS,
    READS_ADV,
    READS_ATR,
    READS_TAIL,
    READS_VOLATILITY,
    SCHEME,
    SESSION,
    SHORT_SHARE,
    SLOT_ENTRIES,
    START,
    SYMBOL,
    TAIL,
    TRADABLE,
    UNITS,
    VOLATILITY,
)
from envs.kernel.jit import compiled, inner
from envs.kernel.lanes import LANES
from envs.kernel.order_queue import decided_target, queue_length
from envs.kernel.orders import aged_entry, entries_closed, forced_exit, row_exit
from envs.kernel.valuation import var_exceeded


@inner
def allowed_sides(rule, position, slot, queued, fill_bar, forced, listens, closed, spent, shortable):
    """Allowed sides of one asset slot as bits: 1 short, 2 flat, 4 long. The decided side is allowed unless forced.

    forced : it must be flat. listens : its orders are taken. closed : they may only reduce. spent : no entry is left.
    shortable : it can be borrowed.
    """
    decided = decided_target(position, queued)
    keep = 2 if decided == 0.0 else (4 if decided > 0.0 else 1)
    if forced:
        return 2
    if not listens:
        return keep
    if position[UNITS] != 0.0 and fill_bar - slot[ENTRY_BAR] < rule[MIN_HOLDING]:
        return keep
    if closed or spent:
        return keep | 2
    return 7 if rule[ALLOW_SHORT] > 0.0 and shortable else 6


@compiled
def mask_rows(bars, calendar, instrument, rule, counters, positions, slots, below, out):
    """Write out (E, A, n) uint8: 1 where the action is allowed, of schemes `direction`, `orders` and `order_entry`."""
    last = calendar.shape[0] - 1
    queued = queue_length(rule, positions.shape[2])
    for e in range(out.shape[0]):
        b, i = e // LANES, e % LANES
        counter = counters[b, :, i]
        t = min(counter[BAR], last - 1)
        fill_bar = min(t + 1 + counter[LATENCY], last)
        day = calendar[fill_bar]
        rolls = calendar[t + 1, SESSION] != calendar[t, SESSION]
        halt = NOT_HALTED if rolls and counter[HALT] == HALTED_SESSION else counter[HALT]
        entries = 0 if rolls else counter[ENTRIES]
        spent = rule[MAX_ENTRIES] >= 0.0 and entries >= rule[MAX_ENTRIES]
        closed = entries_closed(rule, day, var_exceeded(rule, counter, below.shape[1]))
        row_reason, aged = row_exit(rule, halt, day), aged_entry(rule, fill_bar)
        for a in range(out.shape[1]):
            s = slots[b, a, SYMBOL, i] if slots.shape[2] > SYMBOL else a
            position, slot = positions[b, a, :, i], slots[b, a, :, i]
            listens = bars[t, s, TRADABLE] > 0.0 and t + 1 >= counter[START]
            forced = forced_exit(position, slot, row_reason, aged) >= 0
            forced = forced or (bars.shape[2] > MEMBER and bars[t + 1, s, MEMBER] <= 0.0)
            shut = (
                closed
                or bars[t, s, MARK] <= 0.0
                or (
                    bars.shape[2] > FUNDING
                    and (
                        (rule[READS_ATR] > 0.0 and np.isnan(bars[t + 1, s, ATR]))
                        or (rule[READS_VOLATILITY] > 0.0 and np.isnan(bars[t + 1, s, VOLATILITY]))
                        or (rule[READS_ADV] > 0.0 and np.isnan(bars[t + 1, s, ADV]))
                        or (rule[READS_TAIL] > 0.0 and np.isnan(bars[t + 1, s, TAIL]))
                    )
                )
            )
            done = spent
            if slots.shape[2] > SLOT_ENTRIES:
                done = done or (not rolls and slot[SLOT_ENTRIES] >= instrument[s, MAX_SLOT_ENTRIES])
            shortable = instrument[s, SHORT_SHARE] > 0.0
            bits = allowed_sides(
                rule, position, slot, queued, fill_bar, forced, listens, shut, done, shortable
            )
            if rule[SCHEME] == ORDERS or rule[SCHEME] == ORDER_ENTRY:
                out[e, a, 0] = 1
                out[e, a, 1] = (bits >> 2) & 1
                out[e, a, 2] = bits & 1
                out[e, a, 3] = (bits >> 1) & 1
                for choice in range(4, out.shape[2]):  # even ones buy, odd ones sell
                    out[e, a, choice] = (bits >> (2 if choice % 2 == 0 else 0)) & 1
            else:
                for side in range(3):
                    out[e, a, side] = (bits >> side) & 1
