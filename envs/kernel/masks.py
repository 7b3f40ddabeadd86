"""Action masks: which discrete actions a limit would not change, per row and asset, for the decision at close t."""

from __future__ import annotations

from envs.kernel.columns import (
    ALLOW_SHORT,
    BAR,
    ENTRIES,
    ENTRY_BAR,
    HALT,
    HALTED_SESSION,
    LATENCY,
    MAX_ENTRIES,
    MIN_HOLDING,
    ORDERS,
    SCHEME,
    SESSION,
    START,
    SYMBOL,
    TRADABLE,
    UNITS,
)
from envs.kernel.jit import compiled, inner
from envs.kernel.orders import decided_target, entries_closed, forced_exit
from envs.kernel.valuation import var_exceeded


@inner
def allowed_sides(rule, counter, calendar, position, slot, bars, e, a, s, t, closed):
    """Allowed sides of asset slot a as bits: 1 short, 2 flat, 4 long. The decided side is allowed unless forced."""
    latency = counter[e, LATENCY]
    fill_bar = min(t + 1 + latency, calendar.shape[0] - 1)
    rolls = calendar[t + 1, SESSION] != calendar[t, SESSION]
    lifted = rolls and counter[e, HALT] == HALTED_SESSION
    decided = decided_target(position, latency, e, a)
    keep = 2 if decided == 0.0 else (4 if decided > 0.0 else 1)
    if not lifted and forced_exit(rule, counter, calendar, position, slot, e, a, fill_bar) >= 0:
        return 2
    if bars[t, s, TRADABLE] <= 0.0 or t + 1 < counter[e, START]:
        return keep
    if position[e, a, UNITS] != 0.0 and fill_bar - slot[e, a, ENTRY_BAR] < rule[MIN_HOLDING]:
        return keep
    entries = 0 if rolls else counter[e, ENTRIES]
    if closed or (rule[MAX_ENTRIES] >= 0.0 and entries >= rule[MAX_ENTRIES]):
        return keep | 2
    return 7 if rule[ALLOW_SHORT] > 0.0 else 6


@compiled
def mask_rows(bars, calendar, rule, counter, position, slot, below, out):
    """Write out (E, A, n) uint8: 1 where the action of scheme `direction` (n = 3) or `orders` (n = 4) is allowed."""
    for e in range(out.shape[0]):
        t = counter[e, BAR]
        if t + 1 >= calendar.shape[0]:
            t = calendar.shape[0] - 2
        fill_bar = min(t + 1 + counter[e, LATENCY], calendar.shape[0] - 1)
        closed = entries_closed(rule, calendar, fill_bar, var_exceeded(rule, counter, below, e))
        for a in range(out.shape[1]):
            s = slot[e, a, SYMBOL] if slot.shape[2] > SYMBOL else a
            bits = allowed_sides(rule, counter, calendar, position, slot, bars, e, a, s, t, closed)
            if rule[SCHEME] == ORDERS:
                out[e, a, 0] = 1
                out[e, a, 1] = (bits >> 2) & 1
                out[e, a, 2] = bits & 1
                out[e, a, 3] = (bits >> 1) & 1
            else:
                for side in range(3):
                    out[e, a, side] = (bits >> side) & 1
