"""The one observation builder: writes the float32 vector of an env row (layout: envs.observations)."""

from __future__ import annotations

from envs.kernel.columns import (
    BARS_LEFT,
    ENTRY_BAR,
    ENTRY_PRICE,
    EQUITY,
    HALT,
    HOLDING_SCALE,
    MARK,
    MAX_GROSS,
    MULTIPLIER,
    NOT_HALTED,
    PEAK,
    RETURN_SCALE,
    SESSION_EQUITY,
    TARGET,
    TRADABLE,
    UNITS,
)
from envs.kernel.jit import hot

NUM_POSITION_FEATURES = 6
NUM_ACCOUNT_FEATURES = 6


@hot
def soft(x):
    """x / (1 + |x|), bounded by 1."""
    return x / (1.0 + abs(x))


@hot
def clip_unit(x):
    """Clip to [-1, 1]."""
    return min(max(x, -1.0), 1.0)


@hot
def observe_row(
    out, features, clock, calendar, bars, instrument, rule, account, counter, position, slot, symbols, e, t
):
    """Write the observation of row e at the close of bar t into out[e]."""
    num_assets = position.shape[1]
    num_features = features.shape[2]
    k = 0
    for a in range(num_assets):
        s = symbols[a]
        for f in range(num_features):
            out[e, k + f] = features[t, s, f]
        k += num_features
    equity = account[e, EQUITY]
    per_cap = 1.0 / (max(equity, 1e-300) * rule[MAX_GROSS])
    gross = net = 0.0
    for a in range(num_assets):
        s = symbols[a]
        units = position[e, a, UNITS]
        mark = bars[t, s, MARK]
        per_unit = mark * instrument[s, MULTIPLIER] * per_cap
        gross += abs(units) * per_unit
        net += units * per_unit
        side = gain = held = 0.0
        if units != 0.0:
            side = 1.0 if units > 0.0 else -1.0
            # soft(side * (mark / entry - 1) / scale), with one division
            move = side * (mark - position[e, a, ENTRY_PRICE])
            gain = move / (abs(move) + rule[RETURN_SCALE] * position[e, a, ENTRY_PRICE])
            held = t + 1.0 - slot[e, a, ENTRY_BAR]
            held /= held + rule[HOLDING_SCALE]
        out[e, k] = side
        out[e, k + 1] = clip_unit(units * per_unit)
        out[e, k + 2] = clip_unit((position[e, a, TARGET] - units) * per_unit)
        out[e, k + 3] = gain
        out[e, k + 4] = held
        out[e, k + 5] = bars[t, s, TRADABLE]
        k += NUM_POSITION_FEATURES
    out[e, k] = min(gross, 1.0)
    out[e, k + 1] = clip_unit(net)
    out[e, k + 2] = min(max(1.0 - equity / account[e, PEAK], 0.0), 1.0)
    out[e, k + 3] = soft((equity / account[e, SESSION_EQUITY] - 1.0) / rule[RETURN_SCALE])
    out[e, k + 4] = 0.0 if counter[e, HALT] == NOT_HALTED else 1.0
    out[e, k + 5] = 1.0 / (1.0 + calendar[t, BARS_LEFT])
    k += NUM_ACCOUNT_FEATURES
    for c in range(clock.shape[1]):
        out[e, k + c] = clock[t, c]
